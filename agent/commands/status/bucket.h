// What `status` tells of the bucket: what it lacks, and a newer snapshot of this host that lies
// only there. One pass over the list, and a look into few of the objects; changes nothing, not even
// the ledger.
#pragma once

#include <string>
#include <vector>

#include "commands/status/verdict.h"
#include "run/context.h"

namespace etcd_snapshot {

// A proven snapshot here that the bucket should hold.
struct Wanted {
  const StoredSnapshot* snapshot = nullptr;
  bool expired = false;  // the bucket need not have it
  bool there = false;
  std::vector<std::string> alike{};  // objects of its name and size that may be another host's
};

// Fills facts.bucket, and goes on with facts.newest. `wanted`: newest first; `directory` is where
// they lie, and may be null where there are none.
void note_bucket(const Context& context, const SnapshotDirectory* directory,
                 std::vector<Wanted>& wanted, StatusFacts& facts);

}  // namespace etcd_snapshot
