#include "metrics/run_metrics.h"

#include <algorithm>

#include "run/certificates.h"
#include "store/directory.h"
#include "store/ownership.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

void add_policy(const HostSettings& settings, const Policy& policy, Metrics& figures) {
  if (!policy.recurring) return;  // nothing is due, and nothing expires
  figures.interval = policy.interval;
  if (settings.snapshots.retention_unit == RetentionUnit::kSnapshots) {
    figures.retention_snapshots = policy.retention_number;
  } else {
    figures.retention = policy.retention;
  }
}

void add_certificates(const HostSettings& settings, const Policy* policy, UnixSeconds now,
                      Metrics& figures) {
  Settings all;
  all.host = settings;
  if (policy != nullptr) all.policy = *policy;
  for (const UsedCertificate& certificate : used_certificates(all, now)) {
    figures.certificates[certificate.use] = certificate.valid_until;
  }
}

// The newest proven snapshot speaks for a run that took none. One that is dated in the future says
// nothing of how old the newest is.
void add_directory(const HostSettings& settings, const std::string& host, UnixSeconds now,
                   Metrics& figures) {
  const auto directory = SnapshotDirectory::open(settings.snapshots.directory, false);
  if (!directory) return;
  if (const auto space = directory->free_space()) {
    figures.free_bytes = space->free_bytes;
    figures.total_bytes = space->total_bytes;
  }
  const auto snapshots = directory->list();
  if (!snapshots) return;
  figures.local.kept =
      std::count_if(snapshots->begin(), snapshots->end(),
                    [](const StoredSnapshot& snapshot) { return snapshot.name.has_value(); });
  if (figures.last_success) return;
  const StoredSnapshot* const newest =
      newest_proven(*snapshots, sanitize_host(host), now, Kinds::kRecurring);
  if (newest == nullptr) return;
  figures.last_success = newest->name->time;
  figures.archive_bytes = newest->size_bytes;
  figures.database_bytes = newest->manifest->database_bytes;
  figures.revision = newest->manifest->revision;
}

}  // namespace

void PhaseTimer::phase(Phase phase, std::string_view text) {
  end_phase();
  running_ = phase;
  running_since_ = clock_.monotonic();
  shown_.phase(phase, text);
}

void PhaseTimer::advance(int64_t done_bytes, int64_t total_bytes) {
  shown_.advance(done_bytes, total_bytes);
}

void PhaseTimer::finish(std::string_view text) {
  end_phase();
  shown_.finish(text);
}

void PhaseTimer::end_phase() {
  if (!running_) return;
  phases_[*running_] += clock_.monotonic() - running_since_;
  running_.reset();
}

void record_run(const HostSettings& settings, const Policy* policy, const std::string& host,
                const Clock& clock, Log& log, Metrics figures) {
  const std::string& path = settings.metrics_textfile;
  if (path.empty()) return;
  figures.version = ETCD_SNAPSHOT_VERSION;
  figures.last_run = clock.now();
  if (policy != nullptr) add_policy(settings, *policy, figures);
  add_certificates(settings, policy, clock.now(), figures);
  add_directory(settings, host, clock.now(), figures);
  // A directory that was read and holds none is an answer, too.
  const bool unread = !figures.local.kept;
  if (policy == nullptr || unread) {
    const Metrics former = read_former_metrics(path);
    if (policy == nullptr) figures.interval = former.interval;
    if (unread && former.last_success <= clock.now()) figures.last_success = former.last_success;
  }
  const auto written = write_metrics(path, figures);
  if (written) return;
  LogRecord record{.level = LogLevel::kWarning,
                   .message = "Couldn't write the metrics",
                   .message_id = kMetricsFailed};
  record.fields["error"] = written.error().message;
  if (!written.error().hint.empty()) record.fields["hint"] = written.error().hint;
  log.write(record);
}

void record_snapshot(const HostSettings& settings, const Policy& policy, const std::string& host,
                     const Clock& clock) {
  const std::string& path = settings.metrics_textfile;
  if (path.empty()) return;
  Metrics figures = read_former_metrics(path);
  figures.version = ETCD_SNAPSHOT_VERSION;
  figures.last_success.reset();
  figures.interval.reset();
  add_policy(settings, policy, figures);
  add_certificates(settings, &policy, clock.now(), figures);
  add_directory(settings, host, clock.now(), figures);
  if (!figures.local.kept) return;
  [[maybe_unused]] const auto written = write_metrics(path, figures);
}

}  // namespace etcd_snapshot
