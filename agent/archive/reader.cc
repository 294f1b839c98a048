#include "archive/reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>

#include "archive/writer.h"
#include "archive/zip_format.h"
#include "base/files.h"

namespace etcd_snapshot {
namespace {

Error damaged(std::string message) {
  Error error;
  error.kind = ErrorKind::kUnverified;
  error.message = "the archive is damaged or holds no snapshot: " + std::move(message);
  error.hint = "use another snapshot; `etcd-snapshot list` shows which there are";
  return error;
}

// The file as libarchive reads it: by position, through a buffer.
struct Source {
  int fd = -1;
  int64_t offset = 0;
  int64_t file_bytes = 0;
  std::optional<Error> error;
  std::array<std::byte, 64 << 10> buffer;

  Result<void> open(int file) {
    struct stat status = {};
    if (fstat(file, &status) != 0) {
      return system_error(ErrorKind::kStorage, "cannot read", "the archive");
    }
    fd = file;
    offset = 0;
    file_bytes = status.st_size;
    return {};
  }

  // The next bytes; none at the end of the file.
  Result<Bytes> read() {
    const ssize_t count =
        uninterrupted([&] { return pread(fd, buffer.data(), buffer.size(), offset); });
    if (count < 0) return system_error(ErrorKind::kStorage, "cannot read", "the archive");
    offset += count;
    return Bytes(buffer.data(), static_cast<size_t>(count));
  }
};

la_ssize_t read_callback(archive* handle, void* data, const void** bytes) noexcept {
  auto& source = *static_cast<Source*>(data);
  auto piece = source.read();
  if (!piece) {
    source.error = piece.take_error();
    archive_set_error(handle, source.error->code, "%s", source.error->message.c_str());
    return ARCHIVE_FATAL;
  }
  *bytes = piece->data();
  return static_cast<la_ssize_t>(piece->size());
}

la_int64_t seek_callback(archive* handle, void* data, la_int64_t offset, int whence) noexcept {
  auto& source = *static_cast<Source*>(data);
  const int64_t base = whence == SEEK_SET   ? 0
                       : whence == SEEK_CUR ? source.offset
                                            : source.file_bytes;
  int64_t target = 0;
  // The offset may come from a number in a hostile archive.
  if (__builtin_add_overflow(base, offset, &target) || target < 0) {
    archive_set_error(handle, EINVAL, "a position before the start of the file");
    return ARCHIVE_FATAL;
  }
  source.offset = target;
  return target;
}

struct ReadDeleter {
  void operator()(archive* handle) const { archive_read_free(handle); }
};

// One archive, open at its first header. Only the format asked for is tried: another one behind the
// same extension is an error, and the many decoders of libarchive are no way in.
class Reader {
 public:
  Result<void> open(int fd, Compression compression);
  // The next entry's header, nullptr after the last.
  Result<archive_entry*> next();
  // The data of the entry at hand, into the sink.
  Result<void> read_data(archive_entry* entry, ByteSink& sink);
  bool is_zstd() const { return archive_filter_code(archive_.get(), 0) == ARCHIVE_FILTER_ZSTD; }

 private:
  // What went wrong: the file's own error where reading failed, else libarchive's.
  Error error() const;

  std::unique_ptr<Source> source_ = std::make_unique<Source>();
  std::unique_ptr<archive, ReadDeleter> archive_;  // uses source_
};

Error Reader::error() const {
  if (source_->error) return *source_->error;
  const char* const text = archive_error_string(archive_.get());
  return damaged(text != nullptr ? text : "libarchive gave no reason");
}

Result<void> Reader::open(int fd, Compression compression) {
  ES_TRY(source_->open(fd));
  archive_.reset(archive_read_new());
  archive* const handle = archive_.get();
  if (handle == nullptr) {
    Error error;
    error.message = "cannot read the archive: no memory";
    return error;
  }
  // Of the two zip readers the one that goes by the central directory, which comes last in the
  // file: an archive that was cut short has none.
  const bool supported = compression == Compression::kZip
                             ? archive_read_support_format_zip_seekable(handle) == ARCHIVE_OK
                             : archive_read_support_format_raw(handle) == ARCHIVE_OK &&
                                   archive_read_support_filter_zstd(handle) == ARCHIVE_OK;
  if (!supported || archive_read_set_callback_data(handle, source_.get()) != ARCHIVE_OK ||
      archive_read_set_read_callback(handle, read_callback) != ARCHIVE_OK ||
      archive_read_set_seek_callback(handle, seek_callback) != ARCHIVE_OK) {
    Error error;
    error.message = "cannot read the archive: this libarchive was built without its format";
    return error;
  }
  if (archive_read_open1(handle) != ARCHIVE_OK) return error();
  return {};
}

Result<archive_entry*> Reader::next() {
  archive_entry* entry = nullptr;
  const int status = archive_read_next_header(archive_.get(), &entry);
  if (status == ARCHIVE_EOF) return static_cast<archive_entry*>(nullptr);
  // A warning is about a name that the locale cannot show, which matters to nobody here.
  if (status == ARCHIVE_OK || status == ARCHIVE_WARN) return entry;
  return error();
}

Result<void> Reader::read_data(archive_entry* entry, ByteSink& sink) {
  const bool sized = archive_entry_size_is_set(entry) != 0;
  const int64_t size = archive_entry_size(entry);
  int64_t total = 0;
  for (;;) {
    const void* data = nullptr;
    size_t count = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(archive_.get(), &data, &count, &offset);
    if (status == ARCHIVE_EOF) break;
    // A wrong CRC-32 or size comes as a warning.
    if (status != ARCHIVE_OK) return error();
    if (offset != total) return damaged("a hole in the data");
    total += static_cast<int64_t>(count);
    if (sized && total > size) {
      return damaged("more data than the " + std::to_string(size) + " bytes that it says");
    }
    if (count > 0) ES_TRY(sink.write(Bytes(static_cast<const std::byte*>(data), count)));
  }
  if (sized && total != size) {
    return damaged(std::to_string(total) + " bytes of data, where it says " + std::to_string(size));
  }
  return {};
}

bool is_snapshot_entry(archive_entry* entry) {
  // NULL where the locale cannot show the name; then the UTF-8 form is there.
  const char* name = archive_entry_pathname(entry);
  if (name == nullptr) name = archive_entry_pathname_utf8(entry);
  return name != nullptr && std::string_view(name).starts_with(zip::kFolder);
}

// The number of the entry that is the snapshot, counted from 0.
Result<int64_t> find_snapshot_entry(int fd) {
  Reader reader;
  ES_TRY(reader.open(fd, Compression::kZip));
  int64_t entries = 0, snapshots = 0, found = 0;
  for (;; ++entries) {
    ES_ASSIGN(entry, reader.next());
    if (entry == nullptr) break;
    if (archive_entry_filetype(entry) != AE_IFREG || !is_snapshot_entry(entry)) continue;
    found = entries;
    ++snapshots;
  }
  if (snapshots == 1 || entries == 1) return found;
  return damaged(std::to_string(entries) + " entries, of which " + std::to_string(snapshots) +
                 " are named /backup/..., where one is a snapshot");
}

Result<void> extract_zip(int fd, ByteSink& sink) {
  ES_ASSIGN(number, find_snapshot_entry(fd));
  Reader reader;
  ES_TRY(reader.open(fd, Compression::kZip));
  for (int64_t i = 0;; ++i) {
    ES_ASSIGN(entry, reader.next());
    if (entry == nullptr) return damaged("it changed while it was read");
    if (i == number) return reader.read_data(entry, sink);
  }
}

Result<void> extract_zstd(int fd, ByteSink& sink) {
  Reader reader;
  ES_TRY(reader.open(fd, Compression::kZstd));
  ES_ASSIGN(entry, reader.next());
  // Without the filter, libarchive would hand out the file as it is.
  if (entry == nullptr || !reader.is_zstd()) return damaged("no zstd frame at its start");
  return reader.read_data(entry, sink);
}

Result<void> extract_plain(int fd, ByteSink& sink) {
  const auto source = std::make_unique<Source>();
  ES_TRY(source->open(fd));
  for (;;) {
    ES_ASSIGN(piece, source->read());
    if (piece.empty()) return {};
    ES_TRY(sink.write(piece));
  }
}

// Proves what passes through it.
class ProvingSink final : public ByteSink {
 public:
  explicit ProvingSink(ByteSink* next) : next_(next) {}
  Result<void> write(Bytes bytes) override {
    ES_TRY(proof_.update(bytes));
    return next_ != nullptr ? next_->write(bytes) : Result<void>();
  }
  Result<Proof> finish() {
    auto proof = proof_.finish();
    if (proof) return proof;
    Error error = proof.take_error();
    error.retryable = false;
    error.hint = "use another snapshot; `etcd-snapshot list` shows which there are";
    return error;
  }

 private:
  SnapshotProof proof_;
  ByteSink* next_;
};

Result<void> extract(int fd, Compression compression, ByteSink& sink) {
  switch (compression) {
    case Compression::kZip:
      return extract_zip(fd, sink);
    case Compression::kZstd:
      return extract_zstd(fd, sink);
    case Compression::kNone:
      break;
  }
  return extract_plain(fd, sink);
}

}  // namespace

Result<void> extract_snapshot(int fd, Compression compression, ByteSink& sink) {
  if (compression != Compression::kZstd) return extract(fd, compression, sink);
  ES_ASSIGN(manifest, read_manifest(fd, compression));
  if (!manifest) return extract(fd, compression, sink);
  ProvingSink proving(&sink);
  ES_TRY(extract(fd, compression, proving));
  ES_ASSIGN(proof, proving.finish());
  if (proof.sha256 != manifest->sha256 || proof.database_bytes != manifest->database_bytes) {
    return damaged("its manifest speaks of " + std::to_string(manifest->database_bytes) +
                   " bytes with SHA-256 " + manifest->sha256 + ", but it holds " +
                   std::to_string(proof.database_bytes) + " with " + proof.sha256);
  }
  return {};
}

Result<Proof> prove_archive(int fd, Compression compression) {
  ProvingSink proving(nullptr);
  ES_TRY(extract(fd, compression, proving));
  return proving.finish();
}

}  // namespace etcd_snapshot
