// The bucket's snapshots as `list` shows them. Changes nothing.
#pragma once

#include <vector>

#include "offsite.h"

namespace etcd_snapshot {

struct RemoteSnapshot {
  RemoteObject object;
  StoredSnapshot as_stored;  // name and, where it was read, manifest
  bool looked_at = false;    // whether the manifest was looked for
};

// Newest first. Objects of no name of ours are in it where a manifest says that they are one-time
// snapshots. Manifests are read of the newest `max_manifests` objects (one or two small requests
// each), but not of those that `known` says lie here, too.
Result<std::vector<RemoteSnapshot>> list_remote(
    Bucket& bucket, int max_manifests, const std::function<bool(const RemoteObject&)>& known);

}  // namespace etcd_snapshot
