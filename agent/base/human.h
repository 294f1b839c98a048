// Sizes and ages as people read them.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace etcd_snapshot {

// "512 B", "1.5 MiB", "2.0 GiB": powers of 1024, one decimal.
std::string human_bytes(int64_t bytes);

// "45s", "12m", "5h 3m", "3d 4h"; "in 5m" for what lies ahead.
std::string human_age(std::chrono::seconds age);

}  // namespace etcd_snapshot
