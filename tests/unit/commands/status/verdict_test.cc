// What `status` makes of facts: every state of a host, its word and its reasons.
#include "commands/status/verdict.h"

#include "../../store/scratch.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {

constexpr UnixSeconds kNow{1525459216s};

StatusFacts::Newest newest(std::chrono::seconds age) {
  StatusFacts::Newest found;
  found.snapshot.name.emplace();
  found.snapshot.name->time = kNow - age;
  found.snapshot.manifest.emplace();
  found.here = true;
  return found;
}

// A host where all is well: every five minutes, the last three minutes ago.
StatusFacts well() {
  StatusFacts facts;
  facts.now = kNow;
  facts.since_boot = 24h;
  facts.recurring = true;
  facts.interval = 5min;
  facts.newest = newest(3min);
  facts.here.directory = "/snapshots";
  facts.here.count = 12;
  facts.here.space = FreeSpace{int64_t{10} << 30, int64_t{20} << 30};
  facts.here.next_bytes = int64_t{1} << 30;
  facts.last_run = StatusFacts::LastRun{kNow - 3min, 0, false, "x"};
  facts.schedule.emplace();
  facts.schedule->timer = {"loaded", "active", "waiting", "enabled", false, kNow + 2min};
  facts.schedule->service.active_state = "inactive";
  facts.schedule->service.result = "success";
  return facts;
}

Error broken(const std::string& message) {
  return {ErrorKind::kConfig, message, "mend it", false, 0};
}

void break_configuration(StatusFacts& facts) {
  facts.config_error = broken("cluster.yml:3");
  facts.recurring = false;
}

void stop_before_snapshot(StatusFacts& facts) {
  facts.last_run->exit_status = 143;
  facts.last_run->snapshot.clear();
}

// "warning bucket, warning last_run", the worst first; "" where all is well.
std::string told(const StatusFacts& facts) {
  std::string text;
  for (const StatusReason& reason : judge(facts).reasons) {
    text += (text.empty() ? "" : ", ") + std::string(health_word(reason.health)) + " " +
            std::string(reason.code);
  }
  return text;
}

}  // namespace

TEST_GROUP(StatusVerdict){};

TEST(StatusVerdict, JudgesEveryState) {
  struct Case {
    const char* what;
    void (*change)(StatusFacts&);
    const char* reasons;
  };
  const Case cases[] = {
      {"all well", [](StatusFacts&) {}, ""},
      {"an alarm at the last cycle", [](StatusFacts& f) { f.cluster.alarms = "NOSPACE"; },
       "WARNING cluster_alarm"},
      {"an unhealthy cluster at the last cycle",
       [](StatusFacts& f) { f.cluster.reason = "etcdserver: no leader"; },
       "WARNING cluster_unhealthy"},
      {"from a learner", [](StatusFacts& f) { f.cluster.learner = true; }, "WARNING learner"},
      {"no systemd", [](StatusFacts& f) { f.schedule.reset(); }, ""},
      {"none since boot", [](StatusFacts& f) { f.last_run.reset(); }, ""},
      {"a little late", [](StatusFacts& f) { f.newest = newest(7min); }, ""},
      {"overdue", [](StatusFacts& f) { f.newest = newest(7min + 1s); }, "WARNING snapshot_age"},
      {"two missed", [](StatusFacts& f) { f.newest = newest(17min); }, "WARNING snapshot_age"},
      {"three missed", [](StatusFacts& f) { f.newest = newest(17min + 1s); },
       "CRITICAL snapshot_age"},
      {"none", [](StatusFacts& f) { f.newest.reset(); }, "CRITICAL no_snapshot"},
      {"no directory",
       [](StatusFacts& f) {
         f.newest.reset();
         f.here.missing = true;
       },
       "CRITICAL no_snapshot"},
      {"no directory, but one in the bucket",
       [](StatusFacts& f) {
         f.here.missing = true;
         f.newest->here = false;
         f.newest->in_bucket = true;
       },
       "WARNING directory"},
      {"asked for a younger one", [](StatusFacts& f) { f.max_age = 179s; },
       "CRITICAL snapshot_age"},
      {"asked for one of that age", [](StatusFacts& f) { f.max_age = 180s; }, ""},
      {"asked for less than the interval would",
       [](StatusFacts& f) {
         f.max_age = 24h;
         f.newest = newest(23h);
       },
       ""},

      {"just booted, the last one is old",
       [](StatusFacts& f) {
         f.since_boot = 1min;
         f.last_run.reset();
         f.newest = newest(72h);
       },
       "WARNING snapshot_age"},
      {"just booted, none",
       [](StatusFacts& f) {
         f.since_boot = 1min;
         f.last_run.reset();
         f.newest.reset();
       },
       "WARNING no_snapshot"},
      {"just booted, without systemd",
       [](StatusFacts& f) {
         f.since_boot = 1min;
         f.last_run.reset();
         f.newest.reset();
         f.schedule.reset();
       },
       "WARNING no_snapshot"},
      {"just booted, but an age was asked for",
       [](StatusFacts& f) {
         f.since_boot = 1min;
         f.last_run.reset();
         f.newest = newest(72h);
         f.max_age = 24h;
       },
       "CRITICAL snapshot_age"},
      {"just booted, but the timer is dead",
       [](StatusFacts& f) {
         f.since_boot = 1min;
         f.last_run.reset();
         f.newest.reset();
         f.schedule->timer.active_state = "inactive";
       },
       "CRITICAL no_snapshot, CRITICAL timer"},
      {"just booted, and the first cycle failed",
       [](StatusFacts& f) {
         f.since_boot = 4min;
         f.last_run->exit_status = 69;
         f.newest.reset();
       },
       "CRITICAL no_snapshot, WARNING last_run"},
      {"just installed, the first cycle runs",
       [](StatusFacts& f) {
         f.last_run.reset();
         f.newest.reset();
         f.schedule->timer.next.reset();
         f.schedule->service.active_state = "activating";
         f.schedule->service.started = kNow - 20s;
       },
       "WARNING no_snapshot"},
      {"the first cycle runs for an hour",
       [](StatusFacts& f) {
         f.last_run.reset();
         f.newest.reset();
         f.schedule->service.active_state = "activating";
         f.schedule->service.started = kNow - 1h;
       },
       "CRITICAL no_snapshot"},

      {"the timer was stopped", [](StatusFacts& f) { f.schedule->timer.active_state = "inactive"; },
       "WARNING timer"},
      {"stopped, and a cycle is overdue",
       [](StatusFacts& f) {
         f.schedule->timer.active_state = "inactive";
         f.newest = newest(8min);
       },
       "CRITICAL timer, WARNING snapshot_age"},
      {"masked", [](StatusFacts& f) { f.schedule->timer.load_state = "masked"; }, "WARNING timer"},
      {"the service is masked", [](StatusFacts& f) { f.schedule->service.load_state = "masked"; },
       "WARNING timer"},
      {"a certificate expires soon",
       [](StatusFacts& f) { f.certificates = {"/c.pem expires in 3d"}; }, "WARNING certificate"},
      {"not installed", [](StatusFacts& f) { f.schedule->timer.load_state = "not-found"; },
       "WARNING timer"},
      {"nothing follows", [](StatusFacts& f) { f.schedule->timer.sub_state = "elapsed"; },
       "WARNING timer"},
      {"not enabled", [](StatusFacts& f) { f.schedule->timer.file_state = "disabled"; },
       "WARNING timer_disabled"},
      {"edited, not reloaded", [](StatusFacts& f) { f.schedule->timer.needs_reload = true; },
       "WARNING timer_outdated"},

      {"etcd was away", [](StatusFacts& f) { f.last_run->exit_status = 69; }, "WARNING last_run"},
      {"the bucket was away", [](StatusFacts& f) { f.last_run->exit_status = 76; },
       "WARNING last_run"},
      {"another run was in progress", [](StatusFacts& f) { f.last_run->exit_status = 75; }, ""},
      {"it was asked to stop after its snapshot",
       [](StatusFacts& f) {
         f.last_run->exit_status = 143;
         f.newest = newest(6min);
       },
       ""},
      {"stopped before, but the one of the cycle before is young",
       [](StatusFacts& f) {
         stop_before_snapshot(f);
         f.newest = newest(5min);
       },
       ""},
      {"stopped before, and it would be time for one",
       [](StatusFacts& f) {
         stop_before_snapshot(f);
         f.newest = newest(5min + 1s);
       },
       "WARNING last_run"},
      {"stopped before, and there is none",
       [](StatusFacts& f) {
         stop_before_snapshot(f);
         f.newest.reset();
       },
       "CRITICAL no_snapshot, WARNING last_run"},
      {"killed",
       [](StatusFacts& f) {
         f.last_run->exit_status = 9;
         f.last_run->killed = true;
       },
       "WARNING last_run"},

      {"the bucket is away now",
       [](StatusFacts& f) {
         f.bucket.emplace().error = broken("no route");
         f.last_run->exit_status = 76;
       },
       "WARNING bucket"},
      {"the list is too long for a check",
       [](StatusFacts& f) {
         f.bucket.emplace().error = broken("too long");
         f.bucket->out_of_time = true;
       },
       ""},
      {"the same, and the bucket was away",
       [](StatusFacts& f) {
         f.bucket.emplace().error = broken("too long");
         f.bucket->out_of_time = true;
         f.last_run->exit_status = 76;
       },
       "WARNING last_run"},
      {"not uploaded yet",
       [](StatusFacts& f) {
         f.bucket.emplace().missing = 1;
         f.bucket->oldest_missing = kNow - 7min;
       },
       ""},
      {"a cycle has passed since",
       [](StatusFacts& f) {
         f.bucket.emplace().missing = 2;
         f.bucket->oldest_missing = kNow - 8min;
       },
       "WARNING bucket_behind"},

      {"no room", [](StatusFacts& f) { f.here.space->free_bytes = int64_t{1} << 30; },
       "WARNING space"},
      {"room for one", [](StatusFacts& f) { f.here.space->free_bytes = int64_t{3} << 29; }, ""},
      {"another cluster's",
       [](StatusFacts& f) { f.here.history_break = HistoryBreak{true, "a", "b", 1, 2, 3, 4}; },
       "WARNING history"},
      {"the clock was set ahead", [](StatusFacts& f) { f.here.clock_hold_s = 60; },
       "WARNING clock"},
      {"of tomorrow", [](StatusFacts& f) { f.here.future = 1; }, "WARNING future"},

      {"no configuration",
       [](StatusFacts& f) {
         break_configuration(f);
         f.last_run->exit_status = 78;
       },
       "UNKNOWN configuration"},
      {"no configuration, and none",
       [](StatusFacts& f) {
         break_configuration(f);
         f.newest.reset();
       },
       "CRITICAL no_snapshot, UNKNOWN configuration"},
      {"no configuration, and one is overdue",
       [](StatusFacts& f) {
         break_configuration(f);
         f.newest = newest(8min);
       },
       "UNKNOWN configuration, WARNING snapshot_age"},
      {"no configuration, and three were missed",
       [](StatusFacts& f) {
         break_configuration(f);
         f.newest = newest(18min);
       },
       "CRITICAL snapshot_age, UNKNOWN configuration"},
      {"no configuration, just booted, and three were missed",
       [](StatusFacts& f) {
         break_configuration(f);
         f.since_boot = 1min;
         f.last_run.reset();
         f.newest = newest(18min);
       },
       "CRITICAL snapshot_age, UNKNOWN configuration"},
      {"no configuration, and a directory that cannot be read",
       [](StatusFacts& f) {
         break_configuration(f);
         f.here.error = broken("permission denied");
         f.newest.reset();
       },
       "UNKNOWN configuration, UNKNOWN directory"},
      {"no configuration, but an age that was asked for",
       [](StatusFacts& f) {
         break_configuration(f);
         f.max_age = 1min;
       },
       "CRITICAL snapshot_age, UNKNOWN configuration"},
      {"a directory that cannot be read",
       [](StatusFacts& f) {
         f.here.error = broken("permission denied");
         f.newest.reset();
       },
       "UNKNOWN directory"},
      {"the same, and an old one in the bucket",
       [](StatusFacts& f) {
         f.here.error = broken("permission denied");
         f.newest = newest(72h);
       },
       "UNKNOWN directory"},
      {"turned off",
       [](StatusFacts& f) {
         f.recurring = false;
         f.off_on_purpose = true;
         f.newest = newest(720h);
         f.last_run->exit_status = 69;
         f.schedule->timer.active_state = "inactive";
         f.bucket.emplace().error = broken("no route");
       },
       ""},
      {"turned off, but an age was asked for",
       [](StatusFacts& f) {
         f.recurring = false;
         f.off_on_purpose = true;
         f.max_age = 1h;
         f.newest.reset();
       },
       "CRITICAL no_snapshot"},
      {"nothing asks for any", [](StatusFacts& f) { f.recurring = false; },
       "WARNING not_scheduled"},
  };
  for (const Case& one : cases) {
    StatusFacts facts = well();
    one.change(facts);
    STRCMP_EQUAL_TEXT(one.reasons, told(facts).c_str(), one.what);
    for (const StatusReason& reason : judge(facts).reasons) {
      CHECK_TEXT(!reason.message.empty() && !reason.hint.empty(), one.what);
      CHECK_TEXT(!reason.message.ends_with('.') && !reason.hint.ends_with('.'), one.what);
      CHECK_TEXT(holds(judge(facts).summary, reason.message), one.what);
    }
  }
}

TEST(StatusVerdict, TakesTheWorstForTheWholeWithUnknownBelowCritical) {
  StatusFacts facts = well();
  LONGS_EQUAL(0, static_cast<int>(judge(facts).health));
  facts.last_run->exit_status = 69;
  LONGS_EQUAL(1, static_cast<int>(judge(facts).health));
  facts.here.error = broken("permission denied");
  LONGS_EQUAL(3, static_cast<int>(judge(facts).health));
  facts.here.error.reset();
  facts.newest.reset();
  LONGS_EQUAL(2, static_cast<int>(judge(facts).health));
  STRCMP_EQUAL("CRITICAL no_snapshot, WARNING last_run", told(facts).c_str());
}

TEST(StatusVerdict, SaysByWhichIntervalItJudgesWithoutAConfiguration) {
  StatusFacts facts = well();
  break_configuration(facts);
  facts.interval_known = true;
  facts.newest = newest(18min);
  STRCMP_EQUAL("the newest proven snapshot is 18m old, one was due every 5m; cluster.yml:3",
               judge(facts).summary.c_str());
  facts.interval_known = false;
  CHECK_TRUE(holds(judge(facts).summary,
                   "18m old, and how often one is due is not known: 5m is taken for it"));
}

TEST(StatusVerdict, SaysWhatStoppedIt) {
  StatusFacts facts = well();
  stop_before_snapshot(facts);
  facts.newest = newest(6min);
  const StatusReason reason = judge(facts).reasons.front();
  STRCMP_EQUAL("the last cycle, 3m ago, was stopped before it had a snapshot",
               reason.message.c_str());
  CHECK_TRUE(holds(reason.hint, "see who stops it"));
}

TEST(StatusVerdict, LimitsFitEveryInterval) {
  struct Case {
    Nanoseconds interval, warning, critical;
  };
  const Case cases[] = {
      {1s, 2min + 1s, 2min + 3s},
      {1min, 3min, 5min},
      {5min, 7min, 17min},
      {30min, 37min + 30s, 97min + 30s},
      {1h, 75min, 195min},
      {12h, 13h, 37h},
      {24h, 25h, 73h},
  };
  for (const Case& one : cases) {
    const AgeLimits limits = age_limits(one.interval);
    CHECK_TRUE(limits.warning == one.warning);
    CHECK_TRUE(limits.critical == one.critical);
  }
  const AgeLimits longest = age_limits(Nanoseconds::max());
  CHECK_TRUE(longest.warning > 24h && longest.critical > longest.warning);
}

TEST(StatusVerdict, SaysHowItIsInOneLine) {
  StatusFacts facts = well();
  STRCMP_EQUAL("the newest proven snapshot is 3m old", judge(facts).summary.c_str());
  facts.bucket.emplace();
  STRCMP_EQUAL("the newest proven snapshot is 3m old, here", judge(facts).summary.c_str());
  facts.newest->in_bucket = true;
  STRCMP_EQUAL("the newest proven snapshot is 3m old, here and in the bucket",
               judge(facts).summary.c_str());
  facts.recurring = false;
  facts.off_on_purpose = true;
  STRCMP_EQUAL(
      "recurring snapshots are turned off: the newest proven snapshot is 3m old, here and in the "
      "bucket",
      judge(facts).summary.c_str());
  facts.newest.reset();
  STRCMP_EQUAL("recurring snapshots are turned off", judge(facts).summary.c_str());
}

TEST(StatusVerdict, SaysIntervalsAsTheyAreWritten) {
  STRCMP_EQUAL("1m", human_interval(1min).c_str());
  STRCMP_EQUAL("12h", human_interval(12h).c_str());
  STRCMP_EQUAL("1m30s", human_interval(90s).c_str());
  STRCMP_EQUAL("45s", human_interval(45s).c_str());
  STRCMP_EQUAL("3d", human_interval(72h).c_str());
  STRCMP_EQUAL("1.5s", human_interval(1500ms).c_str());
}

TEST(StatusVerdict, CountsRoomAboveTheReserve) {
  StatusFacts facts = well();
  // 256 MiB stay.
  LONGS_EQUAL(9, *facts.room());
  facts.here.space->free_bytes = 0;
  LONGS_EQUAL(0, *facts.room());
  facts.here.next_bytes.reset();
  CHECK_FALSE(facts.room().has_value());
}

TEST(StatusVerdict, SaysHowMuchPruningGivesBack) {
  StatusFacts facts = well();
  facts.here.space->free_bytes = int64_t{1} << 30;
  CHECK_TRUE(judge(facts).reasons.front().hint.starts_with("free 256.0 MiB there"));
  facts.here.expired_bytes = int64_t{1} << 30;
  CHECK_TRUE(judge(facts).reasons.front().hint.starts_with("expired snapshots go first"));
}
