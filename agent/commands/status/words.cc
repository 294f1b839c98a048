#include "commands/status/words.h"

#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/go_duration.h"
#include "base/human.h"

namespace etcd_snapshot {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

std::string_view meaning(int exit_status) {
  switch (exit_status) {
    case kExitOk:
      return "done";
    case kExitInternal:
      return "an unexpected error";
    case kExitUnverified:
      return "what etcd sent failed verification";
    case kExitUnavailable:
      return "etcd did not answer or refused";
    case kExitStorage:
      return "the snapshot directory could not be used";
    case kExitBusy:
      return "another run was in progress";
    case kExitStopped:
      return "it was asked to stop";
    case kExitRemote:
      return "the bucket is not up to date";
    case kExitConfig:
      return "the configuration is wrong";
    default:
      // systemd's own codes begin there (systemd.exec(5)).
      return exit_status >= 200 ? "systemd could not start it" : "an unexpected error";
  }
}

}  // namespace

std::string_view health_word(Health health) {
  constexpr std::string_view kWords[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
  return kWords[static_cast<int>(health)];
}

std::string human_interval(Nanoseconds interval) {
  const auto whole = std::chrono::duration_cast<seconds>(interval);
  const bool rounded = whole != interval ||
                       (whole >= minutes(1) && whole % minutes(1) != seconds(0)) ||
                       (whole >= hours(48) && whole % hours(1) != seconds(0));
  return rounded ? format_go_duration(interval) : human_age(whole);
}

std::string describe(const StatusFacts::LastRun& run) {
  if (run.killed) return fmt::format("killed by signal {}", run.exit_status);
  return fmt::format("status {}, {}", run.exit_status, meaning(run.exit_status));
}

std::string advice(const StatusFacts::LastRun& run) {
  if (run.killed)
    return fmt::format("see who ended it: {}; out of memory? journalctl -k", kReadLog);
  switch (run.exit_status) {
    case kExitStopped:
      return fmt::format(
          "see who stops it, if nobody meant to: {}; short of memory? journalctl -u earlyoom -u "
          "systemd-oomd",
          kReadLog);
    case kExitUnverified:
      return fmt::format("look at the member's disk (journalctl -k), and at the log: {}", kReadLog);
    case kExitRemote:
      return fmt::format("etcd-snapshot check tries the bucket; the log: {}", kReadLog);
    case kExitUnavailable:
    case kExitStorage:
    case kExitConfig:
      return fmt::format("etcd-snapshot check says what is wrong now; the log: {}", kReadLog);
    default:
      return run.exit_status >= 200 ? "systemctl status etcd-snapshot.service says why"
                                    : fmt::format("the log: {}", kReadLog);
  }
}

}  // namespace etcd_snapshot
