// The figures of a run as Prometheus reads them, by way of node_exporter's textfile collector.
// Plain data, a text, and a file that is replaced as a whole; where the figures come from is in
// run_metrics.h. What is not known is left out: a 0 would be a statement.
//
// Every name is in metrics.cc alone, and is in the manual, in the README, in the alert rules and in
// the dashboard: tests/lint/metrics_drift.py compares them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "run/context.h"

namespace etcd_snapshot {

struct Metrics {
  std::string version;  // of the agent

  // The last run.
  std::optional<UnixSeconds> last_run;  // its end
  std::optional<int> exit_code;
  std::optional<bool> last_good;  // whether the last good configuration stood in for a file
  std::optional<Nanoseconds> duration;
  std::map<Phase, Nanoseconds> phases;  // those that it came to
  // Of the snapshot that it took: no alarm, and a healthy member with a vote.
  std::optional<bool> cluster_healthy;

  // The newest proven recurring snapshot of this host.
  std::optional<UnixSeconds> last_success;  // the time in its name
  std::optional<int64_t> database_bytes, archive_bytes, revision;

  struct Place {
    std::optional<int64_t> kept, pruned;  // what lies there now; what the last run deleted
  };
  Place local, bucket;
  std::optional<int64_t> backlog;  // here, but not known to be in the bucket

  // The policy.
  std::optional<Nanoseconds> interval, retention;
  std::optional<int64_t> retention_snapshots;  // where a number counts, instead of retention

  // Until when the certificates are valid that a cycle depends on, by their use (certificates.h).
  std::map<std::string_view, UnixSeconds> certificates;

  // The file system of the snapshots.
  std::optional<int64_t> free_bytes, total_bytes;
};

// The text format, version 0.0.4; ends with a newline. Source:
// https://prometheus.io/docs/instrumenting/exposition_formats/
std::string format_metrics(const Metrics& metrics);

// A label's value between its quotes.
std::string escape_label(std::string_view value);

// What an earlier run wrote of itself, of the bucket, of the last success and the interval: for the
// run that does not know it, or not yet. Takes any bytes; whatever is not there or makes no sense
// is left out.
Metrics parse_former_metrics(std::string_view text);
// The same of a file; nothing of one that cannot be read.
Metrics read_former_metrics(const std::string& path);

// Replaces the file atomically, mode 0644 whatever the umask: node_exporter is another user, and
// reads the whole of it at any moment. A link on the way to it that is neither root's nor this
// user's is not followed. kStorage.
Result<void> write_metrics(const std::string& path, const Metrics& metrics);

}  // namespace etcd_snapshot
