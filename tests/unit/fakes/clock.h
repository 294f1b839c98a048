// A clock that stands still until a test moves it. Include before CppUTest's headers.
#pragma once

#include <functional>
#include <vector>

#include "base/clock.h"

namespace etcd_snapshot {

class FakeClock final : public Clock {
 public:
  explicit FakeClock(UnixSeconds now = UnixSeconds(std::chrono::seconds(1525459216)))
      : wall_(now.time_since_epoch()) {}

  UnixSeconds now() const override {
    return UnixSeconds(std::chrono::floor<std::chrono::seconds>(wall_));
  }
  Nanoseconds monotonic() const override { return since_boot_; }
  bool sleep_for(Nanoseconds duration) override {
    sleeps.push_back(duration);
    if (stop_in_sleep) return false;
    pass(duration);
    return true;
  }

  // Time goes by.
  void pass(Nanoseconds duration) {
    wall_ += duration;
    since_boot_ += duration;
  }
  // Somebody sets the clock.
  void jump(Nanoseconds by) { wall_ += by; }

  std::vector<Nanoseconds> sleeps;
  bool stop_in_sleep = false;  // as RealClock, when the process is asked to stop

 private:
  Nanoseconds wall_;
  Nanoseconds since_boot_ = std::chrono::hours(1);
};

}  // namespace etcd_snapshot
