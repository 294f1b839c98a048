// Sizes, ages and times as people read them.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace etcd_snapshot {

// "512 B", "1.5 MiB", "2.0 GiB": powers of 1024, one decimal.
std::string human_bytes(int64_t bytes);

// "45s", "12m", "5h 3m", "3d 4h"; "in 5m" for what lies ahead.
std::string human_age(std::chrono::seconds age);

// "2018-05-04T18:40:16Z"; `colon` between hours, minutes and seconds.
std::string format_utc(UnixSeconds time, char colon = ':');

}  // namespace etcd_snapshot
