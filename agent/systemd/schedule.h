// The drop-ins that the generator writes: texts for systemd from a checked configuration. Pure;
// writes nothing. Source of the syntax: systemd.syntax(7), systemd.time(7), systemd.timer(5).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "config/settings.h"

namespace etcd_snapshot {

// A file below the generator's output directory.
struct DropIn {
  std::string directory;  // "etcd-snapshot.timer.d"
  std::string file_name;  // "50-cluster.conf"
  std::string text;
};

// "12h", "1h 30min", "90ms" as systemd.time(7) reads it; exact to the millisecond, at least 1ms.
std::string systemd_timespan(Nanoseconds duration);

// One word of a directive that takes quoted words (ReadWritePaths=, RequiresMountsFor=): quoted
// where it must be, `%` doubled. REQUIRES: UTF-8 without control characters.
std::string systemd_word(std::string_view text);

// The timer's schedule. `source` is the file that it comes from, which systemd watches.
DropIn timer_drop_in(Nanoseconds interval, std::string_view source);

// Where cluster.yml or etcd-snapshot.conf cannot be used: settings stay those of the static unit,
// but systemd watches the file and tells that it wants a daemon-reload once it was corrected.
// Without this a timer would keep the static schedule for good.
DropIn timer_watches(std::string_view source);
DropIn service_watches(std::string_view source);

// What the service needs beyond its static unit: nullopt while the directory was not moved and no
// metrics are written.
std::optional<DropIn> service_drop_in(const HostSettings& host, std::string_view source);

}  // namespace etcd_snapshot
