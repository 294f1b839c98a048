// Two locks of a host, files in /run/etcd-snapshot under flock. The kernel drops them with the
// process, so a killed run never blocks the next.
//
// `lock`: for whoever takes or deletes snapshots in the directory. `bucket.lock`: for whoever looks
// through the bucket to delete there or to send what it lacks; an upload of one's own snapshot,
// which overwrites nothing, needs none. A bucket that hangs must not keep snapshots from being
// taken: nobody asks a bucket, or waits for `bucket.lock`, with `lock` in the hand.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace etcd_snapshot {

// How long who was in the bucket waits for a snapshot that is taken meanwhile, before it goes on in
// the directory.
inline constexpr Nanoseconds kLockPatience = std::chrono::seconds(60);

// How long a cycle waits for another process that is at work in the bucket: that one may hang, and
// systemd takes a longer silence for a hang of the cycle itself.
inline constexpr Nanoseconds kBucketPatience = std::chrono::minutes(10);

// $RUNTIME_DIRECTORY (set by systemd's RuntimeDirectory=; the first, where it lists several) or
// /run/etcd-snapshot.
std::string runtime_directory();

// Take a lock without waiting, making the directory (0755) where it is missing; it holds until the
// descriptor is closed. kBusy with the pid of the holder in the message when another process has
// it; kStorage when the file cannot be made, opened or locked. That its pid cannot be written there
// is no error.
Result<UniqueFd> take_run_lock(const std::string& runtime_dir);
Result<UniqueFd> take_bucket_lock(const std::string& runtime_dir);

// For whoever takes a snapshot, which a /run that is full or read-only must not cost.
struct SnapshotLock {
  // take_run_lock(); where that cannot be had, a lock of the snapshot directory itself, which keeps
  // away another run in the same need; none where its file system has no locks for directories.
  UniqueFd fd;
  // Then, why: somebody with the real lock may be at work, so nothing may be deleted. The snapshot
  // itself harms nobody: its partial file is locked, and it replaces nothing.
  std::optional<Error> unsafe;
};
Result<SnapshotLock> take_snapshot_lock(const std::string& runtime_dir,
                                        const std::string& snapshot_directory);

// The first two, again and again until Clock::monotonic() says `until`, but at least once.
// kCancelled when the process is asked to stop.
Result<UniqueFd> wait_for_lock(Result<UniqueFd> (*take)(const std::string&),
                               const std::string& runtime_dir, Clock& clock, Nanoseconds until);

}  // namespace etcd_snapshot
