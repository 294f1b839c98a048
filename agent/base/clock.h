// Time as a seam: what the wall clock says (may jump), what has passed (never jumps), and waiting.
#pragma once

#include <chrono>

namespace etcd_snapshot {

using Nanoseconds = std::chrono::nanoseconds;
// A point of UTC, whole seconds since 1970; what snapshot names carry.
using UnixSeconds = std::chrono::sys_seconds;

class Clock {
 public:
  virtual ~Clock() = default;
  // Wall clock, truncated to seconds. May go back or ahead between two calls.
  virtual UnixSeconds now() const = 0;
  // Time since boot, sleep of the machine included (CLOCK_BOOTTIME); never goes back.
  virtual Nanoseconds monotonic() const = 0;
  // Waits; returns false if it ended early because the process was asked to stop.
  virtual bool sleep_for(Nanoseconds duration) = 0;
};

}  // namespace etcd_snapshot
