// Writes one snapshot as an archive, piece by piece, into a sink. Memory does not depend on the
// size.
//
// zip: one deflate entry `/backup/<name>` (RKE restores by that name), sizes in a data descriptor,
// zip64 where needed, the manifest as archive comment. zstd: one frame, then a skippable frame of
// fixed size with the manifest. none: the bytes as etcd sent them, no manifest. Nothing here looks
// at what the bytes mean; whether they are a snapshot is the proof's to say.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "archive/manifest.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "config/settings.h"

namespace etcd_snapshot {

class ArchiveWriter {
 public:
  virtual ~ArchiveWriter() = default;
  // The next bytes, in pieces of any size. After an error, of the sink or of its own, it refuses
  // all further calls.
  virtual Result<void> write(Bytes bytes) = 0;
  // Ends the archive. Must be called once, after the proof; without it the archive is unreadable.
  virtual Result<void> finish(const Manifest& manifest) = 0;
};

struct ArchiveOptions {
  Compression compression = Compression::kZip;
  std::string name;  // snapshot name without extension
  UnixSeconds time;  // modification time of the entry, UTC
  // Of what will be written; decides on zip64, whose header comes before the sizes are known. 0:
  // unknown, which means zip64. Too small by more than 1 GiB and beyond 4 GiB: write() fails.
  int64_t expected_bytes = 0;
};

// The sink must outlive the writer.
Result<std::unique_ptr<ArchiveWriter>> make_archive_writer(const ArchiveOptions& options,
                                                           ByteSink& sink);

// ".zip", ".zst" or "".
std::string_view archive_extension(Compression compression);

// The manifest that an archive file carries: reads its last bytes only. nullopt: it carries none
// (or is no archive). Error (kStorage): the file cannot be read.
Result<std::optional<Manifest>> read_manifest(int fd, Compression compression);

}  // namespace etcd_snapshot
