#include "store/space.h"

#include <algorithm>

namespace etcd_snapshot {

int64_t estimate_archive_bytes(int64_t database_bytes, Compression compression,
                               const std::vector<StoredSnapshot>& snapshots) {
  constexpr int64_t kFraming = 64 << 10;  // headers, digest, manifest
  // Status may say anything; sums stay within an int64_t.
  database_bytes = std::min(database_bytes, INT64_MAX / 4);
  if (compression == Compression::kNone) return database_bytes + kFraming;
  for (const StoredSnapshot& snapshot : snapshots) {
    if (!snapshot.name || !snapshot.manifest || snapshot.name->compression != compression ||
        snapshot.manifest->database_bytes <= 0) {
      continue;
    }
    const double ratio = static_cast<double>(snapshot.size_bytes) /
                         static_cast<double>(snapshot.manifest->database_bytes);
    const double bytes = static_cast<double>(database_bytes) * std::min(ratio, 1.0) * 1.25;
    return static_cast<int64_t>(bytes) + kFraming;
  }
  return database_bytes / 2 + kFraming;
}

int64_t missing_bytes(const FreeSpace& space, int64_t needed_bytes) {
  return needed_bytes + SnapshotDirectory::reserve_bytes(space) - space.free_bytes;
}

}  // namespace etcd_snapshot
