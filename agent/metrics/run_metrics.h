// What `run` tells Prometheus: the figures that a run comes by, completed by what the settings and
// the disk say, in the file that [metrics] textfile names. Never costs a run: what fails here is a
// warning.
#pragma once

#include <map>
#include <string>

#include "metrics/metrics.h"
#include "run/context.h"

namespace etcd_snapshot {

// Measures the phases on their way to where they are shown.
class PhaseTimer final : public Progress {
 public:
  PhaseTimer(Progress& shown, const Clock& clock)
      : shown_(shown), clock_(clock), start_(clock.monotonic()) {}
  void phase(Phase phase, std::string_view text) override;
  void advance(int64_t done_bytes, int64_t total_bytes) override;
  void finish(std::string_view text) override;

  // A phase that was come to more than once is added up. The last one ends with finish().
  const std::map<Phase, Nanoseconds>& phases() const { return phases_; }
  Nanoseconds total() const { return clock_.monotonic() - start_; }

 private:
  void end_phase();

  Progress& shown_;
  const Clock& clock_;
  const Nanoseconds start_;
  std::optional<Phase> running_;
  Nanoseconds running_since_{};
  std::map<Phase, Nanoseconds> phases_;
};

// Writes the file, where one is asked for. `policy`: null where cluster.yml could not be read; the
// interval is then what it was, so that an alert that rests on it goes on. The same holds of the
// last success, where the disk cannot be read.
void record_run(const HostSettings& settings, const Policy* policy, const std::string& host,
                const Clock& clock, Log& log, Metrics figures);

// The same in the middle of a run whose snapshot is there, before a bucket that may take its time:
// what is said of the run and of the bucket stays that of the run before. A failure is left to
// record_run() to tell.
void record_snapshot(const HostSettings& settings, const Policy& policy, const std::string& host,
                     const Clock& clock);

}  // namespace etcd_snapshot
