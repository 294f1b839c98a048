// What `status` makes of what it found: a pure function from facts to a verdict in the terms of
// monitoring systems, with a reason and what to do for everything that is not well. Looks at
// nothing itself and prints nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "pruning/history.h"
#include "store/directory.h"
#include "store/ownership.h"
#include "systemd/unit_state.h"

namespace etcd_snapshot {

// The values are the exit codes of monitoring plugins.
enum class Health { kOk = 0, kWarning = 1, kCritical = 2, kUnknown = 3 };

// "OK", "WARNING", "CRITICAL", "UNKNOWN"
std::string_view health_word(Health health);

struct StatusFacts {
  UnixSeconds now;
  Nanoseconds since_boot{};
  std::string host;  // the name of this host

  // Why the policy, or all of the settings, is not known.
  std::optional<Error> config_error;
  std::vector<std::string> doubts;  // Settings::doubts
  bool bucket_aside = false;        // one is configured, but its settings cannot be used
  bool recurring = false;
  bool off_on_purpose = false;  // where not recurring: cluster.yml says so
  std::string off_reason;
  Nanoseconds interval{};
  // With config_error: whether `interval` is that of the last run, and no mere guess.
  bool interval_known = false;
  std::optional<Nanoseconds> max_age;  // --max-age

  // The newest proven snapshot of this host, wherever it is.
  struct Newest {
    StoredSnapshot snapshot;
    bool here = false, in_bucket = false;
  };
  std::optional<Newest> newest;

  struct Here {
    std::string directory;       // empty: not known
    std::optional<Error> error;  // why it cannot be read
    bool missing = false;        // there is no such directory
    int64_t count = 0, size_bytes = 0;
    int64_t unproven = 0;               // of `count`
    int64_t unread = 0;                 // of `count`: whether they are proven is not known
    std::optional<Error> unread_error;  // of the first of them
    OthersSnapshots others;
    int64_t future = 0;  // dated well after `now`
    std::string future_example;
    std::optional<FreeSpace> space;
    std::optional<int64_t> next_bytes;   // an estimate of what the next snapshot takes
    int64_t expired_bytes = 0;           // what could be pruned to make room
    std::optional<Error> history_error;  // why it is not known
    std::optional<Error> state_error;    // why it is not known whether the clock was set ahead
    std::optional<HistoryBreak> history_break;
    int64_t clock_hold_s = 0;  // for how long nothing is pruned, after the clock was set ahead
  } here;

  struct Bucket {
    std::string url;
    std::optional<Error> error;  // why it could not be asked
    // `error` is that it answered, but to look through it took longer than a check has.
    bool out_of_time = false;
    int64_t count = 0;  // names of ours there, of whichever host
    // Of so many objects, the newest ones, the manifest is read to find one of this host.
    static constexpr size_t kAsked = 10;
    bool all_told = true;  // false: others may be this host's, too
    // Proven snapshots of this host that are not there and that the policy would keep there.
    int64_t missing = 0, missing_bytes = 0;
    UnixSeconds oldest_missing;
  };
  std::optional<Bucket> bucket;  // nullopt: none is configured

  struct LastRun {
    UnixSeconds finished;
    int exit_status = 0;
    bool killed = false;   // exit_status is a signal
    std::string snapshot;  // name of what it took; empty: nothing, or not known
  };
  std::optional<LastRun> last_run;  // since boot
  // Of the cluster that the last run's snapshot is of; all empty: it was healthy.
  struct Cluster {
    std::string alarms, reason;
    bool learner = false;
  } cluster;

  std::vector<std::string> certificates;  // a warning each, of those that a cycle depends on

  std::optional<ScheduleState> schedule;  // nullopt: systemd was not asked, or did not answer

  bool running() const { return schedule && schedule->service.running(); }
  // Whether anything here asks for snapshots that are young.
  bool expects_snapshots() const { return recurring || max_age.has_value(); }
  std::optional<std::chrono::seconds> age() const;  // of the newest
  // How many more snapshots there is room for; nullopt: not known.
  std::optional<int64_t> room() const;
};

// From which age of the newest snapshot on something is wrong.
struct AgeLimits {
  Nanoseconds warning{}, critical{};
};
// One cycle overdue, and three of them missed, by more than a margin for boots, retries and the
// cycle itself: a quarter of the interval, at least two minutes and at most an hour.
AgeLimits age_limits(Nanoseconds interval);

struct StatusReason {
  Health health = Health::kOk;
  std::string_view code;  // one word for programs: "snapshot_age", "timer", ...
  std::string message;    // one sentence without a full stop
  std::string hint;       // what to do
};

struct StatusVerdict {
  Health health = Health::kOk;
  std::string summary;                // one line, without the word
  std::vector<StatusReason> reasons;  // the worst first; empty: all is well
};

// What keeps the timer from starting cycles, and what to do about it: {"is masked", "systemctl
// unmask ..."}. nullopt: nothing.
struct TimerProblem {
  std::string state, hint;
};
std::optional<TimerProblem> timer_problem(const ScheduleState& schedule);

// The worst of its reasons: CRITICAL, then UNKNOWN, then WARNING.
StatusVerdict judge(const StatusFacts& facts);

// "12h", "5m", "1m30s": an interval as people say it.
std::string human_interval(Nanoseconds interval);

// "is not known", "killed by signal 9", "status 69: etcd did not answer or refused"
std::string describe(const StatusFacts::LastRun& run);

}  // namespace etcd_snapshot
