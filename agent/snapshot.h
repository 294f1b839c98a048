// One snapshot: from a member that answers to a proven file in the directory, or to nothing at all.
// Retries within bounds; the cycle and `save` both use it. Deletes nothing but its own partial
// file.
#pragma once

#include <functional>
#include <string>

#include "archive/manifest.h"
#include "context.h"
#include "etcd/connect.h"
#include "store/directory.h"

namespace etcd_snapshot {

struct SnapshotRequest {
  std::string base;  // name without extension, not taken yet
  SnapshotKind kind = SnapshotKind::kRolling;
  UnixSeconds time;  // what the name says
  // Called when an archive of `needed_bytes` does not fit: may free space. Empty: cannot.
  std::function<Result<void>(const Connection&, int64_t needed_bytes)> make_room;
};

struct SnapshotOutcome {
  std::string base, file_name;
  int64_t size_bytes = 0;
  Manifest manifest;
  Nanoseconds runtime{};  // of the attempt that succeeded
  ClusterHealth health;
  std::vector<std::string>
      passed_over;  // why endpoints before the one that answered were not taken
};

// Errors: as the exit codes tell them apart. Each failed attempt but the last is logged as a
// warning here, because only here it is known; the last one is the caller's error.
Result<SnapshotOutcome> take_snapshot(Context& context, SnapshotDirectory& directory,
                                      const SnapshotRequest& request);

// A name that is not taken yet; waits for the next second where two fall together. `make`
// turns the time into the name.
struct FreeName {
  std::string base;
  UnixSeconds time;
};
Result<FreeName> find_free_name(Clock& clock, const SnapshotDirectory& directory,
                                const std::function<std::string(UnixSeconds)>& make);

}  // namespace etcd_snapshot
