// One snapshot: from a member that answers to a proven file in the directory, or to nothing at all.
// Retries within bounds; the cycle and `save` both use it. Deletes nothing but its own partial
// file.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "archive/manifest.h"
#include "etcd/connect.h"
#include "run/context.h"
#include "store/directory.h"

namespace etcd_snapshot {

// Sees an archive grow on disk; what the upload beside the stream hangs on. None of it may block
// for long: etcd holds a read transaction open while it streams.
class ArchiveFollower {
 public:
  virtual ~ArchiveFollower() = default;
  // An attempt begins to write. `fd` may be read (pread) and duplicated; `expected_bytes` is the
  // database's size. Called again by a later attempt.
  virtual void begin(const std::string& file_name, int fd, int64_t expected_bytes) = 0;
  // So many bytes are in the file and will not change.
  virtual void grown(int64_t size_bytes) = 0;
  // The attempt failed: the file goes away. Not called where take_snapshot() returns ok.
  virtual void abandoned() = 0;
};

struct SnapshotRequest {
  std::string base;  // name without extension, not taken yet
  SnapshotKind kind = SnapshotKind::kRolling;
  UnixSeconds time;  // what the name says
  // Called when an archive of `needed_bytes` does not fit: may free space. Empty: cannot.
  std::function<Result<void>(const Connection&, int64_t needed_bytes)> make_room;
  ArchiveFollower* follower = nullptr;  // may be null
};

struct SnapshotOutcome {
  std::string base, file_name;
  int64_t size_bytes = 0;
  // The file, for reading it back: its pages stay in memory until this is gone.
  std::shared_ptr<PartialSnapshot> file;
  Manifest manifest;
  Nanoseconds runtime{};  // of the attempt that succeeded
  ClusterHealth health;
  std::vector<std::string> passed_over;  // why other endpoints were not taken
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
