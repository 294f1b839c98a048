#include "store/ownership.h"

namespace etcd_snapshot {

std::string owner_of(const SnapshotName& name, const std::optional<Manifest>& manifest) {
  const std::string taken_by = manifest ? sanitize_host(manifest->host) : std::string();
  return taken_by.empty() ? name.host : taken_by;
}

bool is_of_host(std::string_view own_host, const SnapshotName& name,
                const std::optional<Manifest>& manifest) {
  const std::string owner = owner_of(name, manifest);
  return (name.host.empty() || name.host == own_host) && (owner.empty() || owner == own_host);
}

bool is_of_host(std::string_view own_host, const StoredSnapshot& snapshot) {
  return snapshot.name && is_of_host(own_host, *snapshot.name, snapshot.manifest);
}

const StoredSnapshot* newest_proven(const std::vector<StoredSnapshot>& newest_first,
                                    std::string_view own_host, UnixSeconds now, Kinds kinds) {
  for (const StoredSnapshot& snapshot : newest_first) {
    if (!snapshot.manifest || !is_of_host(own_host, snapshot) || snapshot.name->time > now)
      continue;
    if (kinds == Kinds::kRecurring && snapshot.name->kind != SnapshotKind::kRolling) continue;
    return &snapshot;
  }
  return nullptr;
}

OthersSnapshots proven_of_others(const std::vector<StoredSnapshot>& newest_first,
                                 std::string_view own_host) {
  OthersSnapshots others;
  for (const StoredSnapshot& snapshot : newest_first) {
    if (!snapshot.name || !snapshot.manifest || is_of_host(own_host, snapshot)) continue;
    if (others.count++ == 0) others.newest_owner = owner_of(*snapshot.name, snapshot.manifest);
  }
  return others;
}

}  // namespace etcd_snapshot
