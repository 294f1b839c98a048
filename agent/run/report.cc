#include "run/report.h"

#include <span>

#include "base/go_duration.h"
#include "config/configuration.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {

void report_created(Log& log, const SnapshotOutcome& outcome) {
  log.write({.message = "Created backup",
             .fields = {{"name", outcome.base}, {"runtime", format_go_duration(outcome.runtime)}},
             .message_id = kCreated});
}

void report_health(Log& log, const ClusterHealth& health, const std::string& consequence) {
  if (!health.alarms.empty()) {
    log.write({.level = LogLevel::kWarning,
               .message = "etcd has raised an alarm" + consequence,
               .fields = {{"alarm", health.alarms}},
               .message_id = kAlarm});
  }
  if (health.learner) {
    log.write({.level = LogLevel::kWarning,
               .message = "The snapshot came from a learner, which may lag behind" + consequence,
               .fields = {{"hint", "name a voting member in [etcd] endpoints"}},
               .message_id = kLearner});
  }
  if (!health.reason.empty()) {
    log.write({.level = LogLevel::kWarning,
               .message = "Cluster is unhealthy" + consequence,
               .fields = {{"error", health.reason}},
               .message_id = kUnhealthy});
  }
}

void report_passed_over(Log& log, const std::vector<std::string>& reasons) {
  for (const std::string& reason : reasons) {
    log.write({.level = LogLevel::kWarning,
               .message = "An endpoint was passed over, another one was taken",
               .fields = {{"error", reason}},
               .message_id = kEndpointPassedOver});
  }
}

bool sweep_leftovers(Context& context, SnapshotDirectory& directory) {
  const auto swept = directory.sweep();
  if (!swept) {
    context.log.write({.level = LogLevel::kWarning,
                       .message = "Couldn't remove leftovers",
                       .fields = {{"error", swept.error().message}},
                       .message_id = kStorageFailed});
    return false;
  }
  for (const std::string& name : *swept) {
    context.log.write({.message = "Removed leftover of an interrupted run",
                       .fields = {{"name", name}},
                       .message_id = kSwept});
  }
  return true;
}

void report_error(Log& log, const std::string& message, const Error& error,
                  std::string_view message_id) {
  LogRecord record{.level = LogLevel::kError, .message = message, .message_id = message_id};
  record.fields["error"] = error.message;
  if (!error.hint.empty()) record.fields["hint"] = error.hint;
  log.write(record);
}

void report_doubts(Log& log, const Settings& settings) {
  // The first one is that of a file that was replaced, which was told before anything else.
  const size_t told = settings.replaced ? 1 : 0;
  for (const ConfigWarning& doubt : std::span(settings.doubts).subspan(told)) {
    report_error(log, "The configuration is in doubt, nothing is deleted", doubt_error(doubt),
                 kConfigDoubt);
  }
}

void report_failure(Log& log, const Error& error) {
  switch (error.kind) {
    case ErrorKind::kUnverified:
      return report_error(log, "Backup is not good and was not kept", error, kUnverified);
    case ErrorKind::kStorage:
      return report_error(log, "Backup failed: local storage", error, kStorageFailed);
    case ErrorKind::kBusy:
      return report_error(log, "Another run is in progress", error, kBusy);
    case ErrorKind::kConfig:
      return report_error(log, "Configuration error", error, kConfigError);
    case ErrorKind::kRemote:
      return report_error(log, "Backup is safe here, but not in the bucket", error,
                          kRemoteUnavailable);
    case ErrorKind::kCancelled:
      return report_error(log, "Stopped", error, kStopped);
    case ErrorKind::kUnavailable:
    case ErrorKind::kUsage:
    case ErrorKind::kInternal:
      break;
  }
  report_error(log, "Backup failed", error, kBackupFailed);
}

}  // namespace etcd_snapshot
