// The request to stop (SIGTERM, SIGINT, SIGHUP): one flag for the process, set by a signal handler,
// looked at by everything that waits. Long work returns ErrorKind::kCancelled and cleans up behind
// itself.
#pragma once

#include "base/clock.h"
#include "base/result.h"

namespace etcd_snapshot {

// Installs handlers for SIGTERM, SIGINT and SIGHUP (unless it is ignored) and ignores SIGPIPE. Call
// once, before threads start.
Result<void> install_stop_handlers();

// Whether the process was asked to stop. Async-signal-safe.
bool stop_requested() noexcept;

// The signal that asked (SIGTERM, SIGINT), 0 for none.
int stop_signal() noexcept;

// The error that cancelled work returns.
Error cancelled_error();

// The machine's clock. sleep_for() ends early on a stop request.
class RealClock final : public Clock {
 public:
  UnixSeconds now() const override;
  Nanoseconds monotonic() const override;
  bool sleep_for(Nanoseconds duration) override;
};

}  // namespace etcd_snapshot
