#include "commands/status/verdict.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/exit_code.h"
#include "base/human.h"
#include "commands/status/words.h"

namespace etcd_snapshot {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// The timer's first cycle comes two minutes after a boot, and takes its time.
constexpr Nanoseconds kFirstCycle = minutes(5);

std::string counted(int64_t number, std::string_view noun) {
  return number == 1 ? fmt::format("1 {}", noun) : fmt::format("{} {}s", number, noun);
}

int rank(Health health) {
  constexpr int kRanks[] = {0, 1, 3, 2};
  return kRanks[static_cast<int>(health)];
}

class Judge {
 public:
  explicit Judge(const StatusFacts& facts) : facts_(facts), limits_(age_limits(facts.interval)) {}

  StatusVerdict verdict() {
    if (facts_.config_error) {
      add(Health::kUnknown, "configuration", facts_.config_error->message,
          with_default(facts_.config_error->hint, "etcd-snapshot check"));
    }
    for (const std::string& doubt : facts_.doubts) {
      add(Health::kWarning, "doubt", "the configuration is in doubt, nothing is deleted: " + doubt,
          "correct it, run `etcd-snapshot check` until it is content, then: systemctl "
          "daemon-reload");
    }
    if (facts_.here.error) {
      add(Health::kUnknown, "directory", facts_.here.error->message,
          with_default(facts_.here.error->hint, "etcd-snapshot check"));
    }
    if (!facts_.config_error && !facts_.expects_snapshots() && !facts_.off_on_purpose) {
      add(Health::kWarning, "not_scheduled", "no recurring snapshots: " + facts_.off_reason,
          "correct cluster.yml, then: systemctl daemon-reload");
    }
    if (facts_.expects_snapshots() || facts_.config_error) look_at_age();
    if (facts_.recurring) {
      look_at_timer();
      look_at_last_run();
      look_at_cluster();
      look_at_bucket();
      look_at_space();
      look_at_pruning();
    }
    for (const std::string& warning : facts_.certificates) {
      add(Health::kWarning, "certificate", warning, "renew it, or set the clock (timedatectl)");
    }
    std::stable_sort(verdict_.reasons.begin(), verdict_.reasons.end(),
                     [](const StatusReason& a, const StatusReason& b) {
                       return rank(a.health) > rank(b.health);
                     });
    if (!verdict_.reasons.empty()) verdict_.health = verdict_.reasons.front().health;
    verdict_.summary = summary();
    return std::move(verdict_);
  }

 private:
  void add(Health health, std::string_view code, std::string message, std::string hint) {
    verdict_.reasons.push_back({health, code, std::move(message), std::move(hint)});
  }

  static std::string with_default(const std::string& hint, const char* otherwise) {
    return hint.empty() ? otherwise : hint;
  }

  bool timer_is_dead() const {
    return facts_.schedule && timer_problem(*facts_.schedule).has_value();
  }

  // Whether no cycle can have come to an end yet: after a boot, or after the timer was started for
  // the first time.
  bool first_cycle_pending() const {
    if (!facts_.recurring || facts_.last_run || timer_is_dead()) return false;
    if (facts_.since_boot <= kFirstCycle) return true;
    if (!facts_.schedule) return false;
    const ServiceState& service = facts_.schedule->service;
    if (facts_.running()) return service.started && facts_.now - *service.started <= kFirstCycle;
    const auto next = facts_.schedule->timer.next;
    return next && *next >= facts_.now && *next - facts_.now <= kFirstCycle;
  }

  std::string what_comes() const {
    if (facts_.running()) return "the first cycle is running";
    const auto next = facts_.schedule ? facts_.schedule->timer.next : std::nullopt;
    if (!next || *next < facts_.now) return "the first cycle is about to start";
    return "the first cycle starts in " + human_age(*next - facts_.now);
  }

  std::string how_to_take_one() const {
    if (facts_.config_error) return "correct the configuration, then: etcd-snapshot save";
    if (!facts_.recurring) return "etcd-snapshot save takes one now";
    if (facts_.running()) return "a cycle is running: systemctl status etcd-snapshot.service";
    return fmt::format("systemctl start etcd-snapshot.service takes one now; the log: {}",
                       kReadLog);
  }

  std::string how_to_make_it() const {
    return "mount it, if it is to be a file system of its own; else install -d -m 0700 " +
           facts_.here.directory;
  }

  void look_at_age() {
    const auto age = facts_.age();
    if (!age) return look_at_none();
    if (facts_.here.missing) {
      add(Health::kWarning, "directory", facts_.here.directory + " does not exist",
          how_to_make_it());
    }
    if (facts_.max_age) {
      if (*age > *facts_.max_age) {
        // Of a directory that cannot be read nobody knows what is the newest there.
        if (facts_.here.error) return;
        add(Health::kCritical, "snapshot_age",
            fmt::format("the newest proven snapshot is {} old, more than {}", human_age(*age),
                        human_interval(*facts_.max_age)),
            how_to_take_one());
      }
      return;
    }
    if (*age <= limits_.warning || facts_.here.error) return;
    const std::string message =
        fmt::format("the newest proven snapshot is {} old, {}", human_age(*age), what_is_due());
    if (first_cycle_pending()) {
      add(Health::kWarning, "snapshot_age", message + "; " + what_comes(),
          "nothing to do yet, if there is one in a few minutes");
    } else {
      add(*age > limits_.critical ? Health::kCritical : Health::kWarning, "snapshot_age", message,
          how_to_take_one());
    }
  }

  std::string what_is_due() const {
    const std::string interval = human_interval(facts_.interval);
    if (!facts_.config_error) return "one is due every " + interval;
    if (facts_.interval_known) return "one was due every " + interval;
    return fmt::format("and how often one is due is not known: {} is taken for it", interval);
  }

  // Where the directory has none.
  std::string what_the_bucket_says() const {
    if (!facts_.bucket || facts_.bucket->error) return "";
    if (facts_.bucket->all_told) return ", and none of this host in the bucket";
    return fmt::format(", and none found among the newest {} in the bucket",
                       StatusFacts::Bucket::kAsked);
  }

  void look_at_none() {
    const StatusFacts::Here& here = facts_.here;
    if (here.error || here.directory.empty()) return;  // told already: nobody knows
    const std::string bucket_says = what_the_bucket_says();
    if (here.missing) {
      add(Health::kCritical, "no_snapshot",
          fmt::format("no proven snapshot: {} does not exist{}", here.directory, bucket_says),
          how_to_make_it());
      return;
    }
    std::string message = fmt::format("no proven snapshot in {}{}", here.directory, bucket_says);
    if (here.others.count > 0) {
      message = fmt::format(
          "no proven snapshot of this host ({}) in {}{}: the {} there {} of {}", facts_.host,
          here.directory, bucket_says, counted(here.others.count, "proven one"),
          here.others.count == 1 ? "is" : "are, the newest of them,", here.others.newest_owner);
    }
    if (here.unread > 0) message += fmt::format(" ({} there could not be read)", here.unread);
    if (here.unproven > 0) {
      message += fmt::format(" ({} there that this agent has not proven)", here.unproven);
    }
    if (first_cycle_pending()) {
      add(Health::kWarning, "no_snapshot", message + "; " + what_comes(),
          "nothing to do yet, if there is one in a few minutes");
    } else {
      add(Health::kCritical, "no_snapshot", message, how_to_take_one());
    }
  }

  void look_at_timer() {
    if (!facts_.schedule) return;
    const TimerState& timer = facts_.schedule->timer;
    if (const auto problem = timer_problem(*facts_.schedule)) {
      const auto age = facts_.age();
      // Nothing mends this by itself: what is overdue stays so.
      const bool overdue = !age || *age > limits_.warning;
      add(overdue ? Health::kCritical : Health::kWarning, "timer",
          problem->state + ": nothing starts the cycles", problem->hint);
      return;
    }
    if (timer.file_state == "disabled") {
      add(Health::kWarning, "timer_disabled",
          "etcd-snapshot.timer is not enabled: after a reboot nothing starts the cycles",
          "systemctl enable etcd-snapshot.timer");
    }
    if (timer.needs_reload) {
      add(Health::kWarning, "timer_outdated",
          "etcd-snapshot.timer or cluster.yml has changed, and systemd goes by what it read before",
          "systemctl daemon-reload");
    }
  }

  void look_at_last_run() {
    if (!facts_.last_run) return;
    const StatusFacts::LastRun& run = *facts_.last_run;
    // Somebody else's run was in progress: what came of that shows elsewhere.
    if (run.exit_status == kExitOk || run.exit_status == kExitBusy) return;
    const std::string ago = human_age(std::max(facts_.now - run.finished, seconds(0)));
    if (!run.killed && run.exit_status == kExitStopped) {
      // Somebody wanted it so, and it cost nothing; or something ends one cycle after the other.
      const auto age = facts_.age();
      if (!run.snapshot.empty() || (age && *age <= facts_.interval)) return;
      add(Health::kWarning, "last_run",
          fmt::format("the last cycle, {} ago, was stopped before it had a snapshot", ago),
          advice(run));
      return;
    }
    // Told by what is still wrong.
    const bool config_told = facts_.config_error || !facts_.doubts.empty();
    if (!run.killed && run.exit_status == kExitConfig && config_told) return;
    if (!run.killed && run.exit_status == kExitRemote && facts_.bucket && facts_.bucket->error &&
        !facts_.bucket->out_of_time) {
      return;
    }
    add(Health::kWarning, "last_run",
        fmt::format("the last cycle, {} ago, failed: {}", ago, describe(run)), advice(run));
  }

  void look_at_cluster() {
    const StatusFacts::Cluster& cluster = facts_.cluster;
    if (!cluster.alarms.empty()) {
      add(Health::kWarning, "cluster_alarm",
          "etcd had an alarm at the last cycle, and nothing was pruned: " + cluster.alarms,
          "etcdctl alarm list; mend its cause, then: etcdctl alarm disarm");
    }
    if (!cluster.reason.empty()) {
      add(Health::kWarning, "cluster_unhealthy",
          "the cluster was unhealthy at the last cycle: its snapshot may lack what other members "
          "know, and nothing was pruned: " +
              cluster.reason,
          "etcdctl endpoint status --cluster shows the members; etcd-snapshot check asks again");
    }
    if (cluster.learner) {
      add(Health::kWarning, "learner",
          "the last cycle's snapshot came from a learner, which may lag behind, and nothing was "
          "pruned",
          "name a healthy voting member in [etcd] endpoints");
    }
  }

  void look_at_bucket() {
    if (!facts_.bucket) return;
    const StatusFacts::Bucket& bucket = *facts_.bucket;
    // It answers, and what a cycle makes of it the last run tells.
    if (bucket.out_of_time) return;
    if (bucket.error) {
      add(Health::kWarning, "bucket", "the bucket could not be asked: " + bucket.error->message,
          with_default(bucket.error->hint, "etcd-snapshot check says more"));
      return;
    }
    // What is younger the next cycle takes there.
    const auto age = facts_.now - bucket.oldest_missing;
    if (bucket.missing == 0 || age <= limits_.warning) return;
    add(Health::kWarning, "bucket_behind",
        fmt::format("the bucket lacks {}, the oldest of them {} old",
                    counted(bucket.missing, "snapshot"), human_age(age)),
        fmt::format("each cycle goes on with them; if they become no fewer: etcd-snapshot check, "
                    "{}",
                    kReadLog));
  }

  void look_at_space() {
    const StatusFacts::Here& here = facts_.here;
    if (facts_.room().value_or(1) > 0) return;
    const int64_t reserve = SnapshotDirectory::reserve_bytes(*here.space);
    const int64_t missing = *here.next_bytes + reserve - here.space->free_bytes;
    const StatusFacts::Cluster& cluster = facts_.cluster;
    const bool held = here.clock_hold_s > 0 || here.state_error || cluster.learner ||
                      !cluster.alarms.empty() || !cluster.reason.empty();
    add(Health::kWarning, "space",
        fmt::format("no room for another snapshot in {}: {} free, it needs about {}, {} are left "
                    "for others",
                    here.directory, human_bytes(here.space->free_bytes),
                    human_bytes(*here.next_bytes), human_bytes(reserve)),
        !held && here.expired_bytes >= missing
            ? fmt::format("expired snapshots go first, which is enough for now; free {} there, or "
                          "move [snapshots] directory",
                          human_bytes(missing))
            : fmt::format("free {} there, or move [snapshots] directory", human_bytes(missing)));
  }

  void look_at_pruning() {
    const StatusFacts::Here& here = facts_.here;
    if (here.history_error) {
      add(Health::kWarning, "history", "nothing is pruned: " + here.history_error->message,
          with_default(here.history_error->hint, "etcd-snapshot check"));
    } else if (here.unread_error) {
      add(Health::kWarning, "unread", here.unread_error->message, here.unread_error->hint);
    }
    if (here.state_error) {
      add(Health::kWarning, "state", "nothing is pruned: " + here.state_error->message,
          here.state_error->hint);
    }
    if (here.history_break) {
      add(Health::kWarning, "history", "nothing is pruned: " + describe(*here.history_break),
          "if you restored or rebuilt the cluster on purpose: etcd-snapshot prune "
          "--accept-history");
    }
    if (here.clock_hold_s > 0) {
      add(Health::kWarning, "clock",
          fmt::format("the clock was set ahead: nothing is pruned for {} more",
                      human_age(seconds(here.clock_hold_s))),
          "see that the clock is right: timedatectl");
    }
    if (here.future > 0) {
      add(Health::kWarning, "future",
          fmt::format("{} {} dated in the future, {} for one", counted(here.future, "snapshot"),
                      here.future == 1 ? "is" : "are", here.future_example),
          "see that the clock is right: timedatectl; such a snapshot counts once its time has "
          "come");
    }
  }

  std::string summary() const {
    if (!verdict_.reasons.empty()) {
      std::string text;
      for (const StatusReason& reason : verdict_.reasons) {
        text += (text.empty() ? "" : "; ") + reason.message;
      }
      return text;
    }
    const auto age = facts_.age();
    std::string text;
    if (age) {
      const bool here = facts_.newest->here, there = facts_.newest->in_bucket;
      text = fmt::format("the newest proven snapshot is {} old", human_age(*age));
      if (facts_.bucket && !facts_.bucket->error) {
        text += here && there ? ", here and in the bucket" : here ? ", here" : ", in the bucket";
      }
    }
    if (facts_.recurring || facts_.max_age) return text;
    return "recurring snapshots are turned off" + (text.empty() ? "" : ": " + text);
  }

  const StatusFacts& facts_;
  const AgeLimits limits_;
  StatusVerdict verdict_;
};

}  // namespace

std::optional<seconds> StatusFacts::age() const {
  if (!newest) return std::nullopt;
  return now - newest->snapshot.name->time;
}

std::optional<int64_t> StatusFacts::room() const {
  if (!here.space || here.next_bytes.value_or(0) <= 0) return std::nullopt;
  const int64_t usable = here.space->free_bytes - SnapshotDirectory::reserve_bytes(*here.space);
  return std::max<int64_t>(usable, 0) / *here.next_bytes;
}

AgeLimits age_limits(Nanoseconds interval) {
  const Nanoseconds margin = std::clamp<Nanoseconds>(interval / 4, minutes(2), hours(1));
  // The longest interval that can be written would not fit thrice.
  const Nanoseconds capped = std::min<Nanoseconds>(interval, hours(24 * 366 * 50));
  return {capped + margin, 3 * capped + margin};
}

std::optional<TimerProblem> timer_problem(const ScheduleState& schedule) {
  const TimerState& timer = schedule.timer;
  const std::string name = "etcd-snapshot.timer ";
  const std::string enable = "systemctl enable --now etcd-snapshot.timer";
  if (timer.load_state == "masked") {
    return TimerProblem{name + "is masked", "systemctl unmask etcd-snapshot.timer && " + enable};
  }
  if (timer.load_state == "not-found") {
    return TimerProblem{name + "is not installed",
                        "install the package again, then: systemctl daemon-reload"};
  }
  if (timer.load_state != "loaded") {
    return TimerProblem{name + "cannot be loaded (" + timer.load_state + ")",
                        "systemctl status etcd-snapshot.timer says why"};
  }
  if (timer.active_state != "active") {
    return TimerProblem{name + "is " + timer.active_state, enable};
  }
  if (timer.sub_state == "elapsed") {
    return TimerProblem{name + "has no next run", "systemctl restart etcd-snapshot.timer"};
  }
  if (schedule.service.load_state == "masked") {
    return TimerProblem{"etcd-snapshot.service is masked",
                        "systemctl unmask etcd-snapshot.service"};
  }
  return std::nullopt;
}

StatusVerdict judge(const StatusFacts& facts) {
  return Judge(facts).verdict();
}

}  // namespace etcd_snapshot
