// How much room a new archive needs. An estimate: the write itself watches the reserve
// (store/directory.h), this only avoids beginning what cannot end well.
#pragma once

#include <cstdint>
#include <vector>

#include "config/settings.h"
#include "store/directory.h"

namespace etcd_snapshot {

// Bytes that a snapshot of a database of `database_bytes` will take: by the ratio that the newest
// snapshot with a manifest and the same compression had, a quarter more for safety; without such a
// one half of the database (Kubernetes' data compresses to a fifth). `snapshots` is newest first.
int64_t estimate_archive_bytes(int64_t database_bytes, Compression compression,
                               const std::vector<StoredSnapshot>& snapshots);

// What is missing to write `needed` bytes and keep the reserve; 0 or less: enough.
int64_t missing_bytes(const FreeSpace& space, int64_t needed_bytes);

}  // namespace etcd_snapshot
