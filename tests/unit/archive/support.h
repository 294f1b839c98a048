// What the tests of archives share: snapshots made here, sinks in memory, files that go away.
#pragma once

#include <fcntl.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "archive/manifest.h"
#include "archive/writer.h"
#include "base/bytes.h"
#include "base/fd.h"
#include "base/files.h"

namespace etcd_snapshot::test {

class MemorySink final : public ByteSink {
 public:
  Result<void> write(Bytes bytes) override {
    content += as_text(bytes);
    ++writes;
    return {};
  }
  std::string content;
  int writes = 0;
};

// Fails once more than `limit` bytes would be in it; counts calls that come after the error.
class FullSink final : public ByteSink {
 public:
  explicit FullSink(size_t limit) : limit_(limit) {}
  Result<void> write(Bytes bytes) override {
    if (failed) ++calls_after_error;
    size_ += bytes.size();
    if (size_ <= limit_) return {};
    failed = true;
    return system_error(ErrorKind::kStorage, "cannot write", "the disk of the test", ENOSPC);
  }
  bool failed = false;
  int calls_after_error = 0;

 private:
  size_t limit_, size_ = 0;
};

// A file of its own under /tmp, removed at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view content = {}) {
    char path[] = "/tmp/etcd-snapshot-archive-test.XXXXXX";
    fd_.reset(mkostemp(path, O_CLOEXEC));
    path_ = path;
    set(content);
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  // Replaces the content.
  void set(std::string_view content) {
    if (ftruncate(fd_.get(), 0) != 0 || lseek(fd_.get(), 0, SEEK_SET) != 0 ||
        !write_all(fd_.get(), as_bytes(content), path_)) {
      abort();
    }
  }
  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  UniqueFd fd_;
  std::string path_;
};

// Numbers that are the same in every run.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2862933555777941757ULL + 3037000493ULL) {}
  uint32_t next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<uint32_t>(state_ >> 33);
  }
  std::string bytes(size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(next());
    return text;
  }

 private:
  uint64_t state_;
};

// A database of text that deflates, `sectors` times 512 bytes.
inline std::string make_database(size_t sectors, uint64_t seed = 1) {
  Random random(seed);
  std::string database;
  while (database.size() < sectors * 512) {
    database += "{\"kind\":\"Pod\",\"uid\":\"" + std::to_string(random.next()) + "\"}\n";
  }
  database.resize(sectors * 512);
  return database;
}

inline std::string sha256_of(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

inline std::string hex(std::string_view bytes) {
  std::string text;
  for (const unsigned char c : bytes) {
    text += "0123456789abcdef"[c >> 4];
    text += "0123456789abcdef"[c & 15];
  }
  return text;
}

// A whole snapshot, as etcd sends it.
inline std::string make_snapshot(size_t sectors, uint64_t seed = 1) {
  const std::string database = make_database(sectors, seed);
  return database + sha256_of(database);
}

inline constexpr char kName[] = "2018-05-04T18:40:16Z_etcd";

inline Manifest make_manifest(const std::string& snapshot) {
  Manifest manifest;
  manifest.name = kName;
  manifest.kind = "rolling";
  manifest.created = "2018-05-04T18:40:16Z";
  manifest.cluster_id = 0xcdf818194e3a8c32;
  manifest.member_id = 0x8e9e05c52164694d;
  manifest.revision = 4711;
  manifest.etcd_version = "3.4.23";
  manifest.database_bytes = static_cast<int64_t>(snapshot.size()) - 32;
  manifest.sha256 = hex(sha256_of(snapshot.substr(0, snapshot.size() - 32)));
  manifest.host = "master-1";
  manifest.agent_version = "0.1.0";
  return manifest;
}

inline ArchiveOptions make_options(Compression compression, int64_t expected_bytes = 1 << 20) {
  ArchiveOptions options;
  options.compression = compression;
  options.name = kName;
  options.time = UnixSeconds(std::chrono::seconds(1525459216));
  options.expected_bytes = expected_bytes;
  return options;
}

// The archive of `snapshot`, written in pieces of `piece_bytes`; aborts on an error.
inline std::string make_archive(const ArchiveOptions& options, const std::string& snapshot,
                                size_t piece_bytes = 32768) {
  MemorySink sink;
  auto writer = make_archive_writer(options, sink);
  if (!writer) abort();
  for (size_t at = 0; at < snapshot.size(); at += piece_bytes) {
    if (!(*writer)->write(as_bytes(std::string_view(snapshot).substr(at, piece_bytes)))) abort();
  }
  if (!(*writer)->finish(make_manifest(snapshot))) abort();
  return sink.content;
}

// Whether a shell command exits with 0. A missing program makes it false, and its test fail.
inline bool succeeds(const std::string& command) {
  return system((command + " >/dev/null").c_str()) == 0;
}

}  // namespace etcd_snapshot::test
