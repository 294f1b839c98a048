// Durations as Go writes and reads them (time.Duration.String, time.ParseDuration): the log lines
// carry them, and the older form of cluster.yml is written in them. Exact, to the last nanosecond
// and to Go's own rounding of fractions; knows nothing of configuration files.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace etcd_snapshot {

// "5m0s", "24h0m0s", "108.332814ms", "1.5µs", "0s".
std::string format_go_duration(Nanoseconds duration);

// A sign, then numbers with an optional fraction and a unit each: "1h30m", "-1.5h", "300ms"; or a
// bare "0". Units h, m, s, ms, us, µs, ns. kConfig; the message names the value and what is
// accepted.
Result<Nanoseconds> parse_go_duration(std::string_view text);

}  // namespace etcd_snapshot
