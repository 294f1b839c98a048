// A limit of bytes per second that several transfers share. Knows nothing of what is sent.
#pragma once

#include <cstdint>
#include <mutex>

#include "base/clock.h"

namespace etcd_snapshot {

class RateLimit {
 public:
  // `bytes_per_second` > 0.
  RateLimit(Clock& clock, int64_t bytes_per_second);

  // How many of `wanted` bytes may go now, at least 1. Waits until that is so, in steps of at most
  // 100 ms, and after one such step returns 0 where nothing may go yet, so that the caller can look
  // whether it was asked to stop. A pause earns a burst of a quarter of a second at most. Any
  // thread.
  int64_t take(int64_t wanted);

 private:
  Clock& clock_;
  const int64_t bytes_per_second_;
  std::mutex mutex_;
  Nanoseconds last_{};
  double allowance_ = 0;  // bytes
};

}  // namespace etcd_snapshot
