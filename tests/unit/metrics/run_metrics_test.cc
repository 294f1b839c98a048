// What a run tells Prometheus, whatever becomes of it.
#include "metrics/run_metrics.h"

#include "../fakes/certificates.h"
#include "../lab.h"
#include "base/exit_code.h"
#include "commands/commands.h"
#include "cycle.h"
#include "store/lock.h"
#include "systemd/message_ids.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {
const std::string kNowText = "1525459216";  // of the fake clock
}

TEST_GROUP(RunMetrics) {
  Lab lab;
  void setup() override {
    std::filesystem::create_directory(lab.scratch.path("textfile"));
    lab.settings.host.metrics_textfile = lab.scratch.path("textfile/etcd-snapshot.prom");
  }
  int cycle() {
    return run_cycle(lab.context);
  }
  int next_cycle() {
    lab.clock.pass(5min);
    lab.log.clear();
    return cycle();
  }
  std::string file() {
    return lab.scratch.read("textfile/etcd-snapshot.prom");
  }
  // The value of a sample, its name without "etcd_snapshot_"; "(none)" where it is not there.
  std::string value_in(const std::string& page, const std::string& sample) {
    const std::string text = "\n" + page, line = "\netcd_snapshot_" + sample + " ";
    const size_t at = text.find(line);
    if (at == text.npos) return "(none)";
    return text.substr(at + line.size(), text.find('\n', at + 1) - at - line.size());
  }
  std::string value(const std::string& sample) {
    return value_in(file(), sample);
  }
  void check_in(const std::string& page, const std::string& sample, const std::string& expected) {
    CHECK_EQUAL_TEXT(expected, value_in(page, sample), (sample + "\n" + page).c_str());
  }
  void check(const std::string& sample, const std::string& expected) {
    check_in(file(), sample, expected);
  }
  void check_last_success_in_failure(int code) {
    check("last_run_exit_code", std::to_string(code));
    check("last_success_timestamp_seconds", kNowText);
    check("revision", "1000");
    check("database_size_bytes", "65536");
    check("kept_snapshots{place=\"local\"}", "1");
    check("interval_seconds", "300");
    check("last_run_timestamp_seconds", std::to_string(lab.clock.now().time_since_epoch().count()));
  }
};

TEST(RunMetrics, TellsOfACycle) {
  lab.add_snapshot(30h);
  lab.add_snapshot(1h);
  lab.etcd.before_answer = [&](const std::string& method) {
    lab.clock.pass(method == "Snapshot" ? 2s : 125ms);
  };
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  check("build_info{version=\"" ETCD_SNAPSHOT_VERSION "\"}", "1");
  check("last_run_timestamp_seconds", "1525459218");
  check("last_success_timestamp_seconds", kNowText);
  check("last_run_exit_code", "0");
  check("last_run_duration_seconds", "2.250000");
  check("last_run_phase_duration_seconds{phase=\"connect\"}", "0.250000");
  check("last_run_phase_duration_seconds{phase=\"stream\"}", "2");
  check("last_run_phase_duration_seconds{phase=\"store\"}", "0");
  check("last_run_phase_duration_seconds{phase=\"prune\"}", "0");
  check("last_run_phase_duration_seconds{phase=\"wait\"}", "(none)");
  check("last_run_phase_duration_seconds{phase=\"upload\"}", "(none)");
  check("database_size_bytes", "65536");
  check("archive_size_bytes", std::to_string(std::filesystem::file_size(
                                  lab.scratch.path("snapshots/2018-05-04T18:40:16Z_etcd.zip"))));
  check("revision", "1000");
  check("kept_snapshots{place=\"local\"}", "2");
  check("kept_snapshots{place=\"bucket\"}", "(none)");
  check("last_run_pruned_snapshots{place=\"local\"}", "1");
  check("last_run_pruned_snapshots{place=\"bucket\"}", "(none)");
  check("backlog_snapshots", "(none)");
  check("interval_seconds", "300");
  check("retention_seconds", "86400");
  check("retention_snapshots", "(none)");
  CHECK_TRUE(std::stoll(value("directory_free_bytes")) > 0);
  CHECK_TRUE(std::stoll(value("directory_size_bytes")) >=
             std::stoll(value("directory_free_bytes")));
  LONGS_EQUAL(0644, lab.scratch.mode("textfile/etcd-snapshot.prom"));
}

TEST(RunMetrics, SaysNothingWhereNobodyAsked) {
  lab.settings.host.metrics_textfile.clear();
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(2, lab.log.lines.size());
  CHECK_TRUE(std::filesystem::is_empty(lab.scratch.path("textfile")));
}

TEST(RunMetrics, CountsSnapshotsWhereThePolicyDoes) {
  lab.settings.host.snapshots.retention_unit = RetentionUnit::kSnapshots;
  lab.settings.policy.retention_number = 6;
  LONGS_EQUAL(0, cycle());
  check("retention_seconds", "(none)");
  check("retention_snapshots", "6");
}

TEST(RunMetrics, KeepsTheLastSuccessWhereEtcdIsAway) {
  LONGS_EQUAL(0, cycle());
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  LONGS_EQUAL(kExitUnavailable, next_cycle());
  check_last_success_in_failure(kExitUnavailable);
  check("last_run_duration_seconds", "60");
  check("last_run_phase_duration_seconds{phase=\"wait\"}", "60");
  check("last_run_phase_duration_seconds{phase=\"stream\"}", "(none)");
  check("last_run_pruned_snapshots{place=\"local\"}", "0");
  // A reboot loses the state, but neither the disk nor the file.
  std::filesystem::remove_all(lab.scratch.path("run"));
  std::filesystem::remove(lab.settings.host.metrics_textfile);
  LONGS_EQUAL(kExitUnavailable, next_cycle());
  check_last_success_in_failure(kExitUnavailable);
}

TEST(RunMetrics, KeepsTheLastSuccessWhereTheDirectoryIsAway) {
  LONGS_EQUAL(0, cycle());
  std::filesystem::rename(lab.scratch.path("snapshots"), lab.scratch.path("unmounted"));
  lab.scratch.write("snapshots", "no directory");
  for (int i = 0; i < 2; ++i) {
    LONGS_EQUAL(kExitStorage, next_cycle());
    check("last_run_exit_code", "74");
    check("last_success_timestamp_seconds", kNowText);
    for (const char* gone :
         {"revision", "database_size_bytes", "archive_size_bytes", "directory_free_bytes",
          "directory_size_bytes", "kept_snapshots{place=\"local\"}"}) {
      check(gone, "(none)");
    }
  }
}

TEST(RunMetrics, TakesBackALastSuccessThatIsGone) {
  LONGS_EQUAL(0, cycle());
  std::filesystem::remove_all(lab.scratch.path("snapshots"));
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  LONGS_EQUAL(kExitUnavailable, next_cycle());
  check("kept_snapshots{place=\"local\"}", "0");
  check("last_success_timestamp_seconds", "(none)");
  // What is there, and was proven by nobody, does not change that.
  lab.scratch.write("snapshots/2018-05-04T18:40:16Z_etcd.zip", "nobody vouches for it");
  LONGS_EQUAL(kExitUnavailable, next_cycle());
  check("kept_snapshots{place=\"local\"}", "1");
  check("last_success_timestamp_seconds", "(none)");
  check("interval_seconds", "300");
}

TEST(RunMetrics, HasNoSuccessBeforeTheFirst) {
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  LONGS_EQUAL(kExitUnavailable, cycle());
  check("last_success_timestamp_seconds", "(none)");
  check("kept_snapshots{place=\"local\"}", "0");
  check("last_run_exit_code", "69");
}

TEST(RunMetrics, TakesNothingForASuccessThatIsNone) {
  // Unproven, another host's, by hand, and dated in the future.
  lab.scratch.write("other", "x");
  const std::string own = lab.add_snapshot(2h, 700);
  lab.scratch.write("snapshots/2018-05-04T18:00:00Z_etcd.zip", "nobody vouches for it");
  Manifest other;
  other.name = "2018-05-04T18:10:00Z_etcd";
  other.kind = "rolling";
  other.host = "node-2";
  lab.put(other);
  other.name = "by hand";
  other.kind = "one-time";
  other.created = "2018-05-04T18:20:00Z";
  other.host = "node-1";
  lab.put(other);
  lab.add_snapshot(-1h, 900);
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  LONGS_EQUAL(kExitUnavailable, cycle());
  check("revision", "700");
  check("kept_snapshots{place=\"local\"}", "5");
}

TEST(RunMetrics, TellsUntilWhenItsCertificatesAreValid) {
  LONGS_EQUAL(0, cycle());
  check("certificate_expiry_timestamp_seconds{certificate=\"etcd_client\"}", "(none)");
  const UnixSeconds now = lab.clock.now();
  const auto client = make_certificate("client", now - 24h, now + 24h);
  lab.scratch.write("cert.pem", client.certificate);
  lab.scratch.write("key.pem", client.key);
  lab.scratch.write("ca.pem", make_certificate("old", now - 48h, now - 24h).certificate +
                                  make_certificate("new", now - 24h, now + 48h).certificate);
  EtcdSettings& etcd = lab.settings.host.etcd;
  etcd.endpoints = {"https://127.0.0.1:2379"};
  etcd.ca_file = lab.scratch.path("ca.pem");
  etcd.cert_file = lab.scratch.path("cert.pem");
  etcd.key_file = lab.scratch.path("key.pem");
  LONGS_EQUAL(0, next_cycle());
  const auto text = [](UnixSeconds time) {
    return std::to_string(time.time_since_epoch().count());
  };
  check("certificate_expiry_timestamp_seconds{certificate=\"etcd_client\"}", text(now + 24h));
  check("certificate_expiry_timestamp_seconds{certificate=\"etcd_ca\"}", text(now + 48h));
  check("certificate_expiry_timestamp_seconds{certificate=\"bucket_ca\"}", "(none)");
}

TEST(RunMetrics, WritesNothingWhereAnotherRunIsInProgress) {
  LONGS_EQUAL(0, cycle());
  const std::string before = file();
  const auto lock = take_run_lock(lab.scratch.path("run"));
  CHECK_TRUE(lock.ok());
  LONGS_EQUAL(kExitBusy, next_cycle());
  STRCMP_EQUAL(before.c_str(), file().c_str());
}

TEST(RunMetrics, TellsThatTheLockCannotBeMade) {
  lab.scratch.write("file", "");
  setenv("RUNTIME_DIRECTORY", lab.scratch.path("file/run").c_str(), 1);
  LONGS_EQUAL(kExitStorage, cycle());
  check("last_run_exit_code", "74");
}

TEST(RunMetrics, WarnsOfAFileThatCannotBeWrittenAndFailsNoCycle) {
  std::filesystem::remove(lab.scratch.path("textfile"));
  LONGS_EQUAL(0, cycle());
  const auto warnings = lab.log.of("Couldn't write the metrics");
  LONGS_EQUAL(1, warnings.size());
  CHECK_TRUE(warnings[0].level == LogLevel::kWarning);
  STRCMP_EQUAL(kMetricsFailed, std::string(warnings[0].message_id).c_str());
  STRCMP_CONTAINS("textfile/etcd-snapshot.prom: cannot open",
                  warnings[0].fields.find("error")->second.c_str());
  STRCMP_CONTAINS("[metrics] textfile", warnings[0].fields.find("hint")->second.c_str());
  LONGS_EQUAL(1, lab.files().size());
}

TEST(RunMetrics, AsksForNoIntervalWhereRecurringSnapshotsAreOff) {
  LONGS_EQUAL(0, cycle());
  lab.settings.policy.recurring = false;
  LONGS_EQUAL(0, command_run(lab.context));
  check("last_run_exit_code", "0");
  check("interval_seconds", "(none)");
  check("retention_seconds", "(none)");
  check("last_success_timestamp_seconds", kNowText);
}

TEST(RunMetrics, KeepsTheIntervalWhereThePolicyCannotBeRead) {
  LONGS_EQUAL(0, cycle());
  lab.clock.pass(5min);
  for (int i = 0; i < 2; ++i) {
    Metrics figures;
    figures.exit_code = kExitConfig;
    record_run(lab.settings.host, nullptr, "node-1", lab.clock, lab.log, figures);
    check_last_success_in_failure(kExitConfig);
    check("retention_seconds", "(none)");
    check("last_run_duration_seconds", "(none)");
    check("last_run_pruned_snapshots{place=\"local\"}", "(none)");
  }
}

TEST_GROUP_BASE(RunMetricsBucket, TEST_GROUP_CppUTestGroupRunMetrics){
    void setup() override{TEST_GROUP_CppUTestGroupRunMetrics::setup();
lab.with_bucket();
}
void refuse(const std::string& operation) {
  lab.s3.before = [=](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != operation) return std::nullopt;
    return s3_error(403, "AccessDenied", "not this one");
  };
}
}
;

TEST(RunMetricsBucket, TellsOfTheSnapshotBeforeTheBucketHasAnswered) {
  refuse("PutObject");
  lab.etcd.before_answer = [&](const std::string& method) {
    if (method == "Snapshot") lab.clock.pass(2s);
  };
  LONGS_EQUAL(kExitRemote, cycle());
  const std::string before = file();
  lab.etcd.database = fake_database(128 * 1024);
  lab.etcd.revision = 1001;
  std::string during;
  lab.s3.before = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation == "ListObjectsV2") during = file();
    return std::nullopt;
  };
  LONGS_EQUAL_TEXT(0, next_cycle(), lab.log.text().c_str());
  for (const char* same :
       {"last_success_timestamp_seconds", "archive_size_bytes", "database_size_bytes", "revision",
        "kept_snapshots{place=\"local\"}", "interval_seconds", "retention_seconds"}) {
    check_in(during, same, value(same));
  }
  check_in(during, "last_success_timestamp_seconds", "1525459518");
  check_in(during, "revision", "1001");
  check_in(during, "kept_snapshots{place=\"local\"}", "2");
  // Of the run and of the bucket there is nothing to tell yet.
  check_in(during, "last_run_exit_code", "76");
  check_in(during, "backlog_snapshots", "1");
  for (const char* former :
       {"last_run_timestamp_seconds", "last_run_duration_seconds",
        "last_run_phase_duration_seconds{phase=\"stream\"}", "backlog_snapshots",
        "last_run_pruned_snapshots{place=\"local\"}", "kept_snapshots{place=\"bucket\"}"}) {
    check_in(during, former, value_in(before, former));
  }
  check("last_run_exit_code", "0");
  check("backlog_snapshots", "0");
}

TEST(RunMetricsBucket, TellsOfTheFirstSnapshotBeforeAnyRunHasEnded) {
  std::string during;
  lab.s3.before = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation == "ListObjectsV2") during = file();
    return std::nullopt;
  };
  LONGS_EQUAL(0, cycle());
  check_in(during, "last_success_timestamp_seconds", kNowText);
  check_in(during, "interval_seconds", "300");
  for (const char* unknown : {"last_run_timestamp_seconds", "last_run_exit_code",
                              "last_run_duration_seconds", "backlog_snapshots"}) {
    check_in(during, unknown, "(none)");
  }
}

TEST(RunMetricsBucket, LeavesTheFileAloneWhereThereIsNoSnapshotToTellOf) {
  LONGS_EQUAL(0, cycle());
  const std::string before = file();
  std::string during;
  lab.s3.before = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation == "ListObjectsV2") during = file();
    return std::nullopt;
  };
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  LONGS_EQUAL(kExitUnavailable, next_cycle());
  STRCMP_EQUAL(before.c_str(), during.c_str());
}

TEST(RunMetricsBucket, WarnsOnceOfAFileThatCannotBeWritten) {
  std::filesystem::remove(lab.scratch.path("textfile"));
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(1, lab.log.of("Couldn't write the metrics").size());
}

TEST(RunMetricsBucket, TellsOfBothPlaces) {
  const std::string expired = lab.add_snapshot(30h);
  lab.copy_to_bucket(expired);
  lab.add_snapshot(2h);
  lab.s3.put("p1/notes.txt", "somebody's");
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  check("last_run_exit_code", "0");
  check("kept_snapshots{place=\"local\"}", "2");
  check("kept_snapshots{place=\"bucket\"}", "2");
  check("last_run_pruned_snapshots{place=\"local\"}", "1");
  check("last_run_pruned_snapshots{place=\"bucket\"}", "1");
  check("backlog_snapshots", "0");
  for (const char* phase :
       {"connect", "stream", "store", "upload", "bucket", "catch_up", "prune"}) {
    check("last_run_phase_duration_seconds{phase=\"" + std::string(phase) + "\"}", "0");
  }
}

TEST(RunMetricsBucket, CountsWhatItLacks) {
  LONGS_EQUAL(0, cycle());
  refuse("PutObject");
  LONGS_EQUAL(kExitRemote, next_cycle());
  check("backlog_snapshots", "1");
  check("last_success_timestamp_seconds", "1525459516");  // it is safe here
  LONGS_EQUAL(kExitRemote, next_cycle());
  check("backlog_snapshots", "2");
  check("last_run_exit_code", "76");
  lab.s3.before = nullptr;
  LONGS_EQUAL_TEXT(0, next_cycle(), lab.log.text().c_str());
  check("backlog_snapshots", "0");
  check("kept_snapshots{place=\"bucket\"}", "4");
}

TEST(RunMetricsBucket, CountsWhatItLacksAsFarAsKnownWhereItIsAway) {
  LONGS_EQUAL(0, cycle());
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  refuse("ListObjectsV2");
  LONGS_EQUAL(kExitUnavailable, next_cycle());
  check("backlog_snapshots", "0");
  check("kept_snapshots{place=\"bucket\"}", "(none)");
  check("last_run_pruned_snapshots{place=\"bucket\"}", "(none)");
  // After a reboot nothing is known to be there.
  std::filesystem::remove_all(lab.scratch.path("run"));
  LONGS_EQUAL(kExitUnavailable, next_cycle());
  check("backlog_snapshots", "1");
}

TEST(RunMetricsBucket, CountsWhatIsLeftWhereTheTimeIsOver) {
  for (int hours = 1; hours <= 4; ++hours) lab.add_snapshot(std::chrono::hours(hours));
  lab.s3.latency = [&](const FakeCall& call) {
    if (call.operation == "PutObject") lab.clock.pass(2min);
  };
  LONGS_EQUAL(kExitRemote, cycle());
  check("backlog_snapshots", "2");
  check("kept_snapshots{place=\"bucket\"}", "3");
  check("last_run_phase_duration_seconds{phase=\"catch_up\"}", "240");
  check("last_run_phase_duration_seconds{phase=\"upload\"}", "120");
}

TEST(RunMetricsBucket, CountsWhatTheBucketDoesNotLetGo) {
  const std::string expired = lab.add_snapshot(30h);
  lab.copy_to_bucket(expired);
  refuse("DeleteObjects");
  LONGS_EQUAL(kExitRemote, cycle());
  check("kept_snapshots{place=\"bucket\"}", "2");
  check("last_run_pruned_snapshots{place=\"bucket\"}", "0");
  check("backlog_snapshots", "0");
}
