#include "base/rate_limit.h"

#include <algorithm>

namespace etcd_snapshot {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr double kBurstS = 0.25;
// Waiting goes on until there is something worth a system call: what 50 ms earn.
constexpr double kPieceS = 0.05;
constexpr double kStepS = 0.1;

}  // namespace

RateLimit::RateLimit(Clock& clock, int64_t bytes_per_second)
    : clock_(clock),
      bytes_per_second_(std::max<int64_t>(bytes_per_second, 1)),
      last_(clock.monotonic()) {}

int64_t RateLimit::take(int64_t wanted) {
  const auto rate = static_cast<double>(bytes_per_second_);
  // What may go now of `wanted`. 0: nothing; `wait_s` is then how long until a piece may go.
  double wait_s = 0;
  const auto take_now = [&]() -> int64_t {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Nanoseconds now = clock_.monotonic();
    allowance_ += Seconds(now - last_).count() * rate;
    allowance_ = std::min(allowance_, std::max(rate * kBurstS, 1.0));
    last_ = now;
    const auto taken = std::min(wanted, static_cast<int64_t>(allowance_));
    if (taken > 0) {
      allowance_ -= static_cast<double>(taken);
      return taken;
    }
    const double piece = std::clamp(rate * kPieceS, 1.0, static_cast<double>(wanted));
    wait_s = std::min((piece - allowance_) / rate, kStepS);
    return 0;
  };
  wanted = std::max<int64_t>(wanted, 1);
  if (const int64_t taken = take_now(); taken > 0) return taken;
  // Rounded up: a wait that ends a nanosecond early would find nothing and need another one.
  clock_.sleep_for(std::chrono::ceil<Nanoseconds>(Seconds(wait_s)) + Nanoseconds(1));
  return take_now();
}

}  // namespace etcd_snapshot
