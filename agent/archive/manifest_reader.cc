// read_manifest: finds the manifest from the end of an archive. No length in the file is trusted:
// each is held against what is there before it is used.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "archive/little_endian.h"
#include "archive/writer.h"
#include "archive/zip_format.h"
#include "archive/zstd_format.h"
#include "base/files.h"

namespace etcd_snapshot {
namespace {

// The manifests of this agent lie within it; reading the 64 KiB that a comment may have from each
// of a thousand archives would be slow on a cold disk.
constexpr size_t kFirstLookBytes = 4096;

// Up to `size` bytes at `offset`; fewer only where the file ends.
Result<std::string> read_at(int fd, uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t count = uninterrupted([&] {
      return pread(fd, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    });
    if (count < 0) return system_error(ErrorKind::kStorage, "cannot read", "the archive");
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

bool starts_with_number(std::string_view bytes, uint32_t number) {
  return bytes.size() >= sizeof number && get_le<uint32_t>(bytes.data()) == number;
}

// Whether the central directory that an end record at `end_at` speaks of is there: directly before
// it, or before the zip64 records that say where it begins. `end` is the record itself.
Result<bool> has_directory(int fd, uint64_t end_at, const char* end) {
  uint64_t directory_bytes = get_le<uint32_t>(end + 12);
  uint64_t directory_at = get_le<uint32_t>(end + 16);
  uint64_t directory_end = end_at;
  constexpr size_t kZip64Bytes = zip::kZip64EndOfDirectoryBytes + zip::kZip64EndLocatorBytes;
  if (directory_at == zip::kSeeZip64 && end_at >= kZip64Bytes) {
    directory_end = end_at - kZip64Bytes;
    ES_ASSIGN(records, read_at(fd, directory_end, kZip64Bytes));
    if (records.size() != kZip64Bytes || !starts_with_number(records, zip::kZip64EndOfDirectory)) {
      return false;
    }
    const char* const locator = records.data() + zip::kZip64EndOfDirectoryBytes;
    if (get_le<uint32_t>(locator) != zip::kZip64EndLocator ||
        get_le<uint64_t>(locator + 8) != directory_end) {
      return false;
    }
    directory_bytes = get_le<uint64_t>(records.data() + 40);
    directory_at = get_le<uint64_t>(records.data() + 48);
  }
  if (directory_at > directory_end || directory_bytes != directory_end - directory_at ||
      directory_bytes < zip::kCentralHeaderBytes) {
    return false;
  }
  ES_ASSIGN(header, read_at(fd, directory_at, sizeof(uint32_t)));
  return starts_with_number(header, zip::kCentralHeader);
}

// The comment of the zip archive whose last bytes are `tail`, which begins at `tail_at`. Looks from
// the end: a comment may hold the signature of an end record, but not one that fits.
Result<std::optional<std::string>> find_comment(int fd, std::string_view tail, uint64_t tail_at) {
  if (tail.size() < zip::kEndOfDirectoryBytes) return std::optional<std::string>();
  for (size_t at = tail.size() - zip::kEndOfDirectoryBytes + 1; at-- > 0;) {
    const std::string_view end = tail.substr(at);
    if (!starts_with_number(end, zip::kEndOfDirectory)) continue;
    const std::string_view comment = end.substr(zip::kEndOfDirectoryBytes);
    if (get_le<uint16_t>(end.data() + 20) != comment.size()) continue;
    ES_ASSIGN(found, has_directory(fd, tail_at + at, end.data()));
    if (found) return std::optional<std::string>(comment);
  }
  return std::optional<std::string>();
}

Result<std::optional<Manifest>> read_zip_manifest(int fd, uint64_t file_bytes) {
  for (const size_t look : {kFirstLookBytes, zip::kMaxCommentBytes + zip::kEndOfDirectoryBytes}) {
    const uint64_t tail_at = file_bytes - std::min<uint64_t>(file_bytes, look);
    ES_ASSIGN(tail, read_at(fd, tail_at, static_cast<size_t>(file_bytes - tail_at)));
    ES_ASSIGN(comment, find_comment(fd, tail, tail_at));
    if (comment) return manifest_from_json(*comment);
    if (tail_at == 0) break;
  }
  return std::optional<Manifest>();
}

Result<std::optional<Manifest>> read_zstd_manifest(int fd, uint64_t file_bytes) {
  if (file_bytes < zstd::kManifestFrameBytes) return std::optional<Manifest>();
  ES_ASSIGN(head, read_at(fd, 0, sizeof zstd::kFrameMagic));
  ES_ASSIGN(frame, read_at(fd, file_bytes - zstd::kManifestFrameBytes, zstd::kManifestFrameBytes));
  if (!starts_with_number(head, zstd::kFrameMagic) || frame.size() != zstd::kManifestFrameBytes ||
      !starts_with_number(frame, zstd::kManifestMagic) ||
      get_le<uint32_t>(frame.data() + 4) != zstd::kManifestBytes) {
    return std::optional<Manifest>();
  }
  return manifest_from_json(std::string_view(frame).substr(zstd::kManifestHeaderBytes));
}

}  // namespace

Result<std::optional<Manifest>> read_manifest(int fd, Compression compression) {
  struct stat status = {};
  if (uninterrupted([&] { return fstat(fd, &status); }) != 0) {
    return system_error(ErrorKind::kStorage, "cannot read", "the archive");
  }
  const auto file_bytes = static_cast<uint64_t>(status.st_size);
  switch (compression) {
    case Compression::kZip:
      return read_zip_manifest(fd, file_bytes);
    case Compression::kZstd:
      return read_zstd_manifest(fd, file_bytes);
    case Compression::kNone:
      break;
  }
  return std::optional<Manifest>();
}

}  // namespace etcd_snapshot
