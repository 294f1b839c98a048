// One run at a time on a host: flock on /run/etcd-snapshot/lock. The kernel drops it with the
// process, so a killed run never blocks the next.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace etcd_snapshot {

// $RUNTIME_DIRECTORY (set by systemd's RuntimeDirectory=; the first, where it lists several) or
// /run/etcd-snapshot.
std::string runtime_directory();

// Takes the lock without waiting, making the directory (0755) where it is missing; holds it until
// the descriptor is closed. kBusy with the pid of the holder in the message when another run has
// it; kStorage when the directory cannot be made or written.
Result<UniqueFd> take_run_lock(const std::string& runtime_dir);

}  // namespace etcd_snapshot
