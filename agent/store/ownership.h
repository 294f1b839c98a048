// Whose a snapshot is, and which is the newest proven one: the one definition that run, prune,
// delete, list, status, check and the metrics share. Pure; reads nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/directory.h"

namespace etcd_snapshot {

// The host that took it, as sanitize_host() writes it: the manifest says so, else the name. Empty:
// neither does.
std::string owner_of(const SnapshotName& name, const std::optional<Manifest>& manifest);

// Whether it is a snapshot of the host `own_host` (sanitized): neither its name nor its manifest
// names another one. What names none counts as this host's; of an object in a bucket whose manifest
// was not read, only the name is known.
bool is_of_host(std::string_view own_host, const SnapshotName& name,
                const std::optional<Manifest>& manifest);
// The same of a file; false where it is not a snapshot at all.
bool is_of_host(std::string_view own_host, const StoredSnapshot& snapshot);

// Which kinds count as the newest.
enum class Kinds { kAll, kRecurring };

// The newest proven snapshot of this host that is not dated after `now`; null: there is none.
// `newest_first`: as SnapshotDirectory::list() sorts them.
const StoredSnapshot* newest_proven(const std::vector<StoredSnapshot>& newest_first,
                                    std::string_view own_host, UnixSeconds now, Kinds kinds);

// Proven snapshots of other hosts.
struct OthersSnapshots {
  int64_t count = 0;
  std::string newest_owner;  // of the newest; empty: there are none
};
OthersSnapshots proven_of_others(const std::vector<StoredSnapshot>& newest_first,
                                 std::string_view own_host);

}  // namespace etcd_snapshot
