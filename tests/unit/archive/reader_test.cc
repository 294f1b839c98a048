#include "archive/reader.h"

#include "archive/little_endian.h"
#include "archive/zip_format.h"
#include "support.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace etcd_snapshot::test;

namespace {

constexpr Compression kAll[] = {Compression::kZip, Compression::kZstd, Compression::kNone};

// An archive made by Python's zipfile from `script`, which writes to `archive`.
std::string python_zip(const std::string& script) {
  const TemporaryFile file;
  CHECK_TRUE(
      succeeds("/usr/bin/python3 -c '\nimport zipfile, sys\n"
               "archive = zipfile.ZipFile(sys.argv[1], \"w\", zipfile.ZIP_DEFLATED)\n" +
               script + "\narchive.close()\n' " + file.path()));
  const auto content = read_file(file.path(), ErrorKind::kInternal);
  return content ? *content : std::string();
}

void check_refused(const std::string& archive, Compression compression) {
  const TemporaryFile file(archive);
  MemorySink sink;
  const auto result = extract_snapshot(file.fd(), compression, sink);
  CHECK_FALSE(result.ok());
  CHECK(result.error().kind == ErrorKind::kUnverified);
  CHECK_FALSE(result.error().retryable);
  CHECK_FALSE(result.error().hint.empty());
  CHECK_FALSE(result.error().message.empty());
}

std::optional<Manifest> manifest_in(const std::string& archive, Compression compression) {
  const TemporaryFile file(archive);
  const auto manifest = read_manifest(file.fd(), compression);
  CHECK_TRUE(manifest.ok());
  return *manifest;
}

}  // namespace

TEST_GROUP(ArchiveReader) {
  const std::string snapshot_ = make_snapshot(1000);
};

TEST(ArchiveReader, GivesBackWhatTheWriterTook) {
  for (const Compression compression : kAll) {
    for (const int64_t expected_bytes : {int64_t{1} << 20, int64_t{5} << 30}) {
      const TemporaryFile file(make_archive(make_options(compression, expected_bytes), snapshot_));
      MemorySink sink;
      CHECK_TRUE(lseek(file.fd(), 17, SEEK_SET) == 17);
      CHECK_TRUE(extract_snapshot(file.fd(), compression, sink).ok());
      CHECK_TRUE(sink.content == snapshot_);
      CHECK_TRUE(lseek(file.fd(), 0, SEEK_CUR) == 17);
    }
  }
}

TEST(ArchiveReader, ProvesWhatTheWriterTook) {
  for (const Compression compression : kAll) {
    const TemporaryFile file(make_archive(make_options(compression), snapshot_));
    const auto proof = prove_archive(file.fd(), compression);
    CHECK_TRUE(proof.ok());
    LONGS_EQUAL(512000, proof->database_bytes);
    STRCMP_EQUAL(make_manifest(snapshot_).sha256.c_str(), proof->sha256.c_str());
  }
}

TEST(ArchiveReader, ProvesNothingThatIsNoSnapshot) {
  for (const Compression compression : kAll) {
    const TemporaryFile file(make_archive(make_options(compression), snapshot_ + "x"));
    const auto proof = prove_archive(file.fd(), compression);
    CHECK_FALSE(proof.ok());
    CHECK(proof.error().kind == ErrorKind::kUnverified);
    CHECK_FALSE(proof.error().retryable);
  }
}

TEST(ArchiveReader, ReadsAnArchiveOfRke) {
  const UniqueFd fd(open("tests/data/rke_snapshot_sample.zip", O_RDONLY | O_CLOEXEC));
  CHECK_TRUE(static_cast<bool>(fd));
  MemorySink sink;
  CHECK_TRUE(extract_snapshot(fd.get(), Compression::kZip, sink).ok());
  LONGS_EQUAL(200, sink.content.size());
  STRCMP_CONTAINS("etcd snapshot bytes etcd snapshot bytes ", sink.content.c_str());
  const auto manifest = read_manifest(fd.get(), Compression::kZip);
  CHECK_TRUE(manifest.ok());
  CHECK_FALSE(manifest->has_value());
}

TEST(ArchiveReader, TakesTheOnlyEntryWhateverItsName) {
  const TemporaryFile file(python_zip("archive.writestr(\"snapshot.db\", b\"abc\" * 100)"));
  MemorySink sink;
  CHECK_TRUE(extract_snapshot(file.fd(), Compression::kZip, sink).ok());
  LONGS_EQUAL(300, sink.content.size());
}

TEST(ArchiveReader, TakesTheEntryInBackupWhereverItStands) {
  const TemporaryFile file(
      python_zip("archive.writestr(\"a\", b\"1\")\n"
                 "archive.writestr(\"backup/x\", b\"2\")\n"
                 "archive.writestr(zipfile.ZipInfo(\"/backup/\"), b\"\")\n"
                 "archive.writestr(\"/backup/s\", b\"right\")\n"
                 "archive.writestr(\"z\", b\"3\")"));
  MemorySink sink;
  CHECK_TRUE(extract_snapshot(file.fd(), Compression::kZip, sink).ok());
  STRCMP_EQUAL("right", sink.content.c_str());
}

TEST(ArchiveReader, RefusesToGuessBetweenEntries) {
  check_refused(python_zip(""), Compression::kZip);
  check_refused(python_zip("archive.writestr(\"a\", b\"1\")\narchive.writestr(\"b\", b\"2\")"),
                Compression::kZip);
  check_refused(python_zip("archive.writestr(\"/backup/a\", b\"1\")\n"
                           "archive.writestr(\"/backup/b\", b\"2\")"),
                Compression::kZip);
}

TEST(ArchiveReader, RefusesOtherFormatsBehindItsExtension) {
  const std::string zip = make_archive(make_options(Compression::kZip), snapshot_);
  const std::string zstd = make_archive(make_options(Compression::kZstd), snapshot_);
  check_refused(zip, Compression::kZstd);
  check_refused(zstd, Compression::kZip);
  check_refused(snapshot_, Compression::kZip);
  check_refused(snapshot_, Compression::kZstd);
  check_refused("", Compression::kZip);
  check_refused("", Compression::kZstd);
}

TEST(ArchiveReader, ReportsAFileThatCannotBeRead) {
  const UniqueFd directory(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const Compression compression : kAll) {
    for (const int fd : {directory.get(), -1}) {
      MemorySink sink;
      const auto result = extract_snapshot(fd, compression, sink);
      CHECK_FALSE(result.ok());
      CHECK(result.error().kind == ErrorKind::kStorage);
      LONGS_EQUAL(fd < 0 ? EBADF : EISDIR, result.error().code);
      CHECK_FALSE(prove_archive(fd, compression).ok());
    }
    CHECK_FALSE(read_manifest(-1, compression).ok());
  }
}

TEST(ArchiveReader, PassesOnTheErrorOfTheSink) {
  for (const Compression compression : kAll) {
    const TemporaryFile file(make_archive(make_options(compression), snapshot_));
    FullSink sink(100000);
    const auto result = extract_snapshot(file.fd(), compression, sink);
    CHECK_FALSE(result.ok());
    CHECK(result.error().kind == ErrorKind::kStorage);
    LONGS_EQUAL(ENOSPC, result.error().code);
    LONGS_EQUAL(0, sink.calls_after_error);
  }
}

TEST_GROUP(ReadManifest) {
  const std::string snapshot_ = make_snapshot(8);
  const std::string json_ = to_json(make_manifest(snapshot_));
};

TEST(ReadManifest, FindsWhatTheWriterWrote) {
  for (const int64_t expected_bytes : {int64_t{1} << 20, int64_t{5} << 30}) {
    for (const Compression compression : {Compression::kZip, Compression::kZstd}) {
      const auto options = make_options(compression, expected_bytes);
      const auto manifest = manifest_in(make_archive(options, snapshot_), compression);
      CHECK_TRUE(manifest.has_value());
      STRCMP_EQUAL(json_.c_str(), to_json(*manifest).c_str());
    }
  }
}

TEST(ReadManifest, FindsNoneInAPlainFile) {
  CHECK_FALSE(manifest_in(snapshot_, Compression::kNone).has_value());
  // Not even where one seems to be: whoever wrote it did not write it at the end of an archive.
  const std::string zip = make_archive(make_options(Compression::kZip), snapshot_);
  const std::string zstd = make_archive(make_options(Compression::kZstd), snapshot_);
  CHECK_FALSE(manifest_in(zip, Compression::kNone).has_value());
  CHECK_FALSE(manifest_in(zip, Compression::kZstd).has_value());
  CHECK_FALSE(manifest_in(zstd, Compression::kZip).has_value());
  CHECK_FALSE(manifest_in("", Compression::kZip).has_value());
  CHECK_FALSE(manifest_in("", Compression::kZstd).has_value());
  CHECK_FALSE(manifest_in(json_, Compression::kZip).has_value());
}

TEST(ReadManifest, FindsNoneInAnArchiveThatWasCutShort) {
  for (const Compression compression : {Compression::kZip, Compression::kZstd}) {
    const std::string archive = make_archive(make_options(compression), snapshot_);
    TemporaryFile file;
    for (size_t size = 0; size < archive.size(); ++size) {
      file.set(std::string_view(archive).substr(0, size));
      const auto manifest = read_manifest(file.fd(), compression);
      CHECK_TRUE(manifest.ok());
      CHECK_FALSE(manifest->has_value());
    }
    file.set(archive + "x");
    CHECK_FALSE(read_manifest(file.fd(), compression)->has_value());
  }
}

TEST(ReadManifest, LooksBehindASignatureInTheComment) {
  const std::string archive = make_archive(make_options(Compression::kZip), snapshot_);
  const std::string body = archive.substr(0, archive.size() - json_.size() - 2);
  // An unknown member with what looks like an end record whose comment fits: 18 bytes of nothing,
  // or of lengths and positions beyond the file, then the length of what follows.
  for (const char filler : {'A', '\x7f'}) {
    const std::string rest = "\"," + json_.substr(1);
    std::string record;
    put_le(record, zip::kEndOfDirectory);
    record += std::string(16, filler);
    put_le(record, static_cast<uint16_t>(rest.size()));
    const std::string comment = "{\"x\":\"" + record + rest;
    std::string length;
    put_le(length, static_cast<uint16_t>(comment.size()));
    const TemporaryFile file(body + length + comment);
    // The record in the comment was passed over for the real one, whose comment is no good JSON for
    // the control characters in it: no manifest, and no error.
    CHECK_FALSE(read_manifest(file.fd(), Compression::kZip)->has_value());
  }
  // The signature alone, at any place before a good manifest, does not hide it.
  for (const size_t before : {0, 1, 100, 5000, 60000}) {
    const std::string comment = std::string(before, ' ') + json_ + std::string(before / 60000, ' ');
    std::string length;
    put_le(length, static_cast<uint16_t>(comment.size()));
    CHECK_TRUE(manifest_in(body + length + comment, Compression::kZip).has_value());
    CHECK_FALSE(manifest_in(body + length + comment + " ", Compression::kZip).has_value());
  }
}

TEST(ReadManifest, TrustsNoPositionInTheFile) {
  const std::string good = make_archive(make_options(Compression::kZip), snapshot_);
  const size_t end = good.size() - json_.size() - zip::kEndOfDirectoryBytes;
  for (const size_t field : {12, 16}) {
    for (const uint32_t value : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xfffffffeu, 0xffffffffu}) {
      std::string bad = good, number;
      put_le(number, value);
      bad.replace(end + field, 4, number);
      CHECK_FALSE(manifest_in(bad, Compression::kZip).has_value());
    }
  }
}

TEST(ReadManifest, FollowsTheZip64EndRecord) {
  // What the writer appends to an archive beyond 4 GiB, here after a small one.
  const std::string small = make_archive(make_options(Compression::kZip), snapshot_);
  const size_t end = small.size() - json_.size() - zip::kEndOfDirectoryBytes;
  const uint64_t directory_at = get_le<uint32_t>(small.data() + end + 16);
  const auto archive = [&](uint64_t bytes, uint64_t at, uint64_t record_at) {
    std::string out = small.substr(0, end);
    put_le(out, zip::kZip64EndOfDirectory);
    put_le(out, uint64_t{44});
    out += std::string(28, '\0');
    put_le(out, bytes);
    put_le(out, at);
    put_le(out, zip::kZip64EndLocator);
    put_le(out, uint32_t{0});
    put_le(out, record_at);
    put_le(out, uint32_t{1});
    out += small.substr(end, 16);
    put_le(out, zip::kSeeZip64);
    return out + small.substr(end + 20);
  };
  const uint64_t bytes = end - directory_at;
  CHECK_TRUE(manifest_in(archive(bytes, directory_at, end), Compression::kZip).has_value());
  CHECK_FALSE(manifest_in(archive(bytes, directory_at, end + 1), Compression::kZip).has_value());
  CHECK_FALSE(manifest_in(archive(bytes, directory_at + 1, end), Compression::kZip).has_value());
  CHECK_FALSE(manifest_in(archive(bytes, UINT64_MAX, end), Compression::kZip).has_value());
  CHECK_FALSE(manifest_in(archive(UINT64_MAX, directory_at, end), Compression::kZip).has_value());
  CHECK_FALSE(manifest_in(archive(end + 1, UINT64_MAX, end), Compression::kZip).has_value());
}
