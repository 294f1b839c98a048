// One activation: what the timer starts. Readable from top to bottom in cycle.cc.
#pragma once

#include "run/context.h"

namespace etcd_snapshot {

// Takes the lock, takes and proves one snapshot, keeps the certificates beside it, brings the
// bucket up to date where there is one, prunes. While it is with the bucket others may take
// snapshots; a second cycle takes its own, and then waits until the first has left the bucket. Logs
// what it does and what went wrong. Returns the exit code (base/exit_code.h).
int run_cycle(Context& context);

}  // namespace etcd_snapshot
