#include "cycle.h"

#include <sys/wait.h>

#include "../lab.h"
#include "base/exit_code.h"
#include "base/stop.h"
#include "commands/commands.h"
#include "store/lock.h"
#include "systemd/message_ids.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {}

TEST_GROUP(Cycle) {
  Lab lab;
  int cycle() {
    return run_cycle(lab.context);
  }
  void check_nothing_stored() {
    LONGS_EQUAL(0, lab.files().size());
    LONGS_EQUAL(0, lab.hidden().size());
  }
};

TEST(Cycle, LogsTheLinesOfTheContainerAndNothingElse) {
  lab.etcd.before_answer = [&](const std::string& method) {
    if (method == "Snapshot") lab.clock.pass(108332814ns);
  };
  LONGS_EQUAL(0, cycle());
  STRCMP_EQUAL(
      "level=info msg=\"Initializing Rolling Backups\" creation=5m0s retention=24h0m0s\n"
      "level=info msg=\"Created backup\" name=\"2018-05-04T18:40:16Z_etcd\" "
      "runtime=108.332814ms\n",
      lab.log.text().c_str());
  STRCMP_EQUAL(kInitializing, std::string(lab.log.records[0].message_id).c_str());
  STRCMP_EQUAL(kCreated, std::string(lab.log.records[1].message_id).c_str());
}

TEST(Cycle, StoresWhatEtcdSentByteForByte) {
  const struct {
    Compression compression;
    const char* file;
  } rows[] = {{Compression::kZip, "2018-05-04T18:40:16Z_etcd.zip"},
              {Compression::kZstd, "2018-05-04T18:40:17Z_etcd.zst"},
              {Compression::kNone, "2018-05-04T18:40:18Z_etcd"}};
  for (const auto& row : rows) {
    lab.settings.host.snapshots.compression = row.compression;
    LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
    CHECK_TEXT(lab.has(row.file), row.file);
    CHECK_TEXT(lab.holds_database(row.file, row.compression), row.file);
    LONGS_EQUAL(0600, lab.scratch.mode(std::string("snapshots/") + row.file));
  }
  LONGS_EQUAL(3, lab.files().size());
}

TEST(Cycle, WritesAManifestThatSaysWhereItComesFrom) {
  LONGS_EQUAL(0, cycle());
  const auto directory = SnapshotDirectory::open(lab.settings.host.snapshots.directory, false);
  CHECK_TRUE(directory.ok());
  const auto snapshots = directory->list();
  LONGS_EQUAL(1, snapshots->size());
  const Manifest manifest = snapshots->front().manifest.value();
  STRCMP_EQUAL("2018-05-04T18:40:16Z_etcd", manifest.name.c_str());
  STRCMP_EQUAL("rolling", manifest.kind.c_str());
  STRCMP_EQUAL("2018-05-04T18:40:16Z", manifest.created.c_str());
  CHECK_TRUE(manifest.cluster_id == lab.etcd.cluster_id);
  CHECK_TRUE(manifest.member_id == lab.etcd.member_id);
  LONGS_EQUAL(1000, manifest.revision);
  STRCMP_EQUAL("3.4.23", manifest.etcd_version.c_str());
  LONGS_EQUAL(64 * 1024, manifest.database_bytes);
  STRCMP_EQUAL("node-1", manifest.host.c_str());
}

TEST(Cycle, BuildsTheNameFromHostAndSafeTimestamp) {
  lab.settings.host.snapshots.include_host = true;
  LONGS_EQUAL(0, cycle());
  lab.settings.policy.safe_timestamp = true;
  LONGS_EQUAL(0, cycle());
  lab.settings.host.snapshots.include_host = false;
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.has("2018-05-04T18:40:16Z_node-1_etcd.zip"));
  CHECK_TRUE(lab.has("2018-05-04T18-40-16Z_node-1_etcd.zip"));
  CHECK_TRUE(lab.has("2018-05-04T18-40-16Z_etcd.zip"));
}

TEST(Cycle, SaysInitializingOnceAndAgainOnAChangeAndAfterABoot) {
  LONGS_EQUAL(0, cycle());
  lab.clock.pass(5min);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(1, lab.log.count("Initializing Rolling Backups"));
  lab.settings.policy.retention = 48h;
  lab.clock.pass(5min);
  LONGS_EQUAL(0, cycle());
  lab.clock.pass(5min);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(2, lab.log.count("Initializing Rolling Backups"));
  lab.settings.policy.interval = 1h;
  lab.clock.pass(5min);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(3, lab.log.count("Initializing Rolling Backups"));
  // What /run loses in a boot.
  std::filesystem::remove_all(lab.scratch.path("run"));
  lab.clock.pass(5min);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(4, lab.log.count("Initializing Rolling Backups"));
}

TEST(Cycle, TellsTheWarningsOfTheConfigurationOnceAndAgainOnAChangeAndAfterABoot) {
  const auto told = [&] {
    lab.log.clear();
    lab.clock.pass(5min);
    LONGS_EQUAL(0, cycle());
    return lab.log.count("Configuration warning");
  };
  lab.settings.warnings = {{"cluster.yml:3: one"}, {"cluster.yml:4: two"}};
  LONGS_EQUAL(2, told());
  STRCMP_EQUAL(kConfigWarning,
               std::string(lab.log.of("Configuration warning")[0].message_id).c_str());
  LONGS_EQUAL(0, told());
  lab.settings.warnings[1].message = "cluster.yml:4: three";
  LONGS_EQUAL(2, told());
  LONGS_EQUAL(0, told());
  // Mended, and back again.
  const auto before = std::exchange(lab.settings.warnings, {});
  LONGS_EQUAL(0, told());
  lab.settings.warnings = before;
  LONGS_EQUAL(2, told());
  std::filesystem::remove_all(lab.scratch.path("run"));
  LONGS_EQUAL(2, told());
}

TEST(Cycle, SaysTheNumberWhereSnapshotsAreCounted) {
  lab.settings.host.snapshots.retention_unit = RetentionUnit::kSnapshots;
  lab.settings.policy.retention_number = 6;
  LONGS_EQUAL(0, cycle());
  STRCMP_EQUAL("6", lab.log.field("Initializing Rolling Backups", "retention").c_str());
}

TEST(Cycle, RetriesAsOftenAsItIsToldWithAWarningEachAndLeavesOneFile) {
  for (int i = 0; i < 4; ++i) {
    lab.etcd.script["Status"].push_back(
        network_error("http://127.0.0.1:2379: reset " + std::to_string(i)));
  }
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(5, lab.etcd.calls("Status"));
  LONGS_EQUAL(4, lab.clock.sleeps.size());
  for (const Nanoseconds pause : lab.clock.sleeps) CHECK_TRUE(pause == 15s);
  const auto warnings = lab.log.of("Backup failed");
  LONGS_EQUAL(4, warnings.size());
  for (size_t i = 0; i < warnings.size(); ++i) {
    CHECK_TRUE(warnings[i].level == LogLevel::kWarning);
    STRCMP_EQUAL(kAttemptFailed, std::string(warnings[i].message_id).c_str());
    STRCMP_EQUAL(std::to_string(i + 1).c_str(), warnings[i].fields.find("attempt")->second.c_str());
    STRCMP_EQUAL(("http://127.0.0.1:2379: reset " + std::to_string(i)).c_str(),
                 warnings[i].fields.find("error")->second.c_str());
  }
  // The name is the one of the cycle's begin.
  LONGS_EQUAL(1, lab.files().size());
  STRCMP_EQUAL(kFirst, lab.files()[0].c_str());
}

TEST(Cycle, WarnsOfAnEndpointThatDidNotAnswerWithAnIdOfItsOwn) {
  lab.settings.host.etcd.endpoints = {"http://127.0.0.2:2379", "http://127.0.0.1:2379"};
  lab.etcd.dead = {"http://127.0.0.2:2379"};
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  const auto told = lab.log.of("An endpoint was passed over, another one was taken");
  LONGS_EQUAL(1, told.size());
  STRCMP_EQUAL(kEndpointPassedOver, std::string(told[0].message_id).c_str());
  CHECK_TRUE(holds(told[0].fields.find("error")->second, "http://127.0.0.2:2379"));
  LONGS_EQUAL(0, lab.log.count("Backup failed"));
}

TEST(Cycle, LeavesOneFileWhenTheMemberDiesInTheMiddleOfTheStream) {
  FakeReply cut = network_error("transfer closed");
  cut.body = snapshot_body(lab.etcd.database).substr(0, 40000);
  lab.etcd.script["Snapshot"] = {cut, cut};
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(3, lab.etcd.calls("Snapshot"));
  LONGS_EQUAL(1, lab.files().size());
  LONGS_EQUAL(0, lab.hidden().size());
  CHECK_TRUE(lab.holds_database(kFirst, Compression::kZip));
}

TEST(Cycle, MeasuresTheAttemptThatSucceeded) {
  lab.etcd.script["Status"] = {network_error("reset")};
  lab.etcd.before_answer = [&](const std::string&) { lab.clock.pass(10ms); };
  LONGS_EQUAL(0, cycle());
  STRCMP_EQUAL("30ms", lab.log.field("Created backup", "runtime").c_str());
}

TEST(Cycle, GivesUpAfterTheRetriesWithoutPruning) {
  const std::string old = lab.add_snapshot(30h);
  lab.add_snapshot(1h);
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  LONGS_EQUAL(kExitUnavailable, cycle());
  LONGS_EQUAL(5, lab.etcd.calls("Status"));
  LONGS_EQUAL(4, lab.clock.sleeps.size());
  LONGS_EQUAL(2, lab.files().size());
  CHECK_TRUE(lab.has(old));
  // Four warnings and the end of it.
  const auto failures = lab.log.of("Backup failed");
  LONGS_EQUAL(5, failures.size());
  CHECK_TRUE(failures.back().level == LogLevel::kError);
  STRCMP_EQUAL(kBackupFailed, std::string(failures.back().message_id).c_str());
  LONGS_EQUAL(0, lab.log.count("Deleted local backup"));
  LONGS_EQUAL(kExitUnavailable, lab.state().exit_code);
}

TEST(Cycle, TriesOnceWhereTimeMendsNothing) {
  lab.etcd.script["Status"] = {refuse(7, "etcdserver: permission denied")};
  LONGS_EQUAL(kExitUnavailable, cycle());
  LONGS_EQUAL(1, lab.etcd.calls("Status"));
  LONGS_EQUAL(0, lab.clock.sleeps.size());
  CHECK_TRUE(holds(lab.log.field("Backup failed", "error"), "permission denied"));
  CHECK_TRUE(holds(lab.log.field("Backup failed", "hint"), "role root"));
}

TEST(Cycle, KeepsNothingThatDoesNotProveGood) {
  const std::string& database = lab.etcd.database;
  std::string flipped = database;
  flipped[1000] ^= 1;
  const std::string whole = snapshot_body(database);
  const std::string digest_message = snapshot_message(0, std::string(32, 'x'));
  const struct {
    const char* what;
    std::string body;
  } rows[] = {
      {"wrong digest", whole.substr(0, whole.size() - digest_message.size()) + digest_message},
      {"a flipped bit", snapshot_body(flipped).substr(0, whole.size() - digest_message.size()) +
                            snapshot_message(0, digest_of(database))},
      {"cut before the digest", whole.substr(0, whole.size() - digest_message.size())},
      {"cut in the digest", whole.substr(0, whole.size() - 5)},
      {"cut in the middle", whole.substr(0, whole.size() / 2)},
      {"a message missing",
       snapshot_message(database.size() - 512, database.substr(0, 512)) + digest_message},
      {"nothing", ""},
      {"an empty message", snapshot_message(0, "")},
  };
  lab.settings.host.etcd.retries = 1;
  lab.add_snapshot(30h);
  lab.add_snapshot(26h);
  for (const auto& row : rows) {
    FakeReply reply;
    reply.body = row.body;
    reply.piece_bytes = 1000;
    lab.etcd.script["Snapshot"] = {reply, reply};
    lab.log.clear();
    lab.clock.pass(1min);
    LONGS_EQUAL_TEXT(kExitUnverified, cycle(), row.what);
    LONGS_EQUAL_TEXT(2, lab.files().size(), row.what);
    LONGS_EQUAL_TEXT(0, lab.hidden().size(), row.what);
    const auto ends = lab.log.of("Backup is not good and was not kept");
    LONGS_EQUAL_TEXT(1, ends.size(), row.what);
    STRCMP_EQUAL(kUnverified, std::string(ends[0].message_id).c_str());
    // It was tried again first.
    LONGS_EQUAL_TEXT(1, lab.log.count("Backup failed"), row.what);
  }
}

TEST(Cycle, KeepsAGoodSecondAttemptAfterABadOne) {
  FakeReply bad;
  bad.body = snapshot_body(lab.etcd.database);
  bad.body.back() ^= 1;
  lab.etcd.script["Snapshot"] = {bad};
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.holds_database(kFirst, Compression::kZip));
  LONGS_EQUAL(1, lab.files().size());
}

TEST(Cycle, DoesNotStoreAStreamThatEtcdEndedWithAnError) {
  FakeReply reply = refuse(14, "etcdserver: server stopped");
  reply.body = snapshot_body(lab.etcd.database);  // all of it, and yet
  lab.settings.host.etcd.retries = 0;
  lab.etcd.script["Snapshot"] = {reply};
  LONGS_EQUAL(kExitUnavailable, cycle());
  check_nothing_stored();
}

TEST(Cycle, TakesTheNextSecondWhereTheNameIsTaken) {
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(2, lab.files().size());
  STRCMP_EQUAL("2018-05-04T18:40:17Z_etcd.zip", lab.files()[1].c_str());
  CHECK_TRUE(lab.holds_database("2018-05-04T18:40:17Z_etcd.zip", Compression::kZip));
}

TEST(Cycle, ANameIsTakenWhateverTheExtension) {
  LONGS_EQUAL(0, cycle());
  lab.settings.host.snapshots.compression = Compression::kNone;
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.has("2018-05-04T18:40:16Z_etcd"));
  CHECK_TRUE(lab.has("2018-05-04T18:40:17Z_etcd"));
}

TEST(Cycle, EndsItsRetriesWithTheTimeOfTheCycle) {
  lab.settings.policy.timeout = 40s;
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  const Nanoseconds begin = lab.clock.monotonic();
  LONGS_EQUAL(kExitUnavailable, command_run(lab.context));
  // At 0, 15 and 30 s; the next would be at 45 s.
  LONGS_EQUAL(3, lab.etcd.calls("Status"));
  CHECK_TRUE(lab.clock.monotonic() - begin < 40s);
  CHECK_TRUE(lab.etcd.requests[0].deadline == begin + 40s);
}

TEST(Cycle, GivesWayToAnotherProcess) {
  int ready[2] = {};
  LONGS_EQUAL(0, pipe(ready));
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = take_run_lock(lab.scratch.path("run"));
    const char byte = lock.ok() ? 'y' : 'n';
    if (write(ready[1], &byte, 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte = 0;
  LONGS_EQUAL(1, read(ready[0], &byte, 1));
  BYTES_EQUAL('y', byte);
  LONGS_EQUAL(kExitBusy, cycle());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  STRCMP_EQUAL(("another run is in progress (pid " + std::to_string(child) + ")").c_str(),
               lab.log.field("Another run is in progress", "error").c_str());
  LONGS_EQUAL(0, lab.etcd.requests.size());
  LONGS_EQUAL(1, lab.log.lines.size());
  LONGS_EQUAL(0, cycle());
}

TEST(Cycle, StopsInThePauseBetweenAttempts) {
  const std::string old = lab.add_snapshot(30h);
  lab.add_snapshot(1h);
  lab.etcd.script["Status"] = {network_error("reset")};
  lab.clock.stop_in_sleep = true;
  LONGS_EQUAL(kExitStopped, cycle());
  LONGS_EQUAL(1, lab.etcd.calls("Status"));
  LONGS_EQUAL(1, lab.log.count("Stopped"));
  LONGS_EQUAL(2, lab.files().size());
  CHECK_TRUE(lab.has(old));
  LONGS_EQUAL(0, lab.hidden().size());
}

// The flag of a stop request cannot be taken back: a process of its own.
TEST(Cycle, StopsAtOnceWhenTheProcessIsAskedTo) {
  lab.settings.host.etcd.retry_interval_s = 600;
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    RealClock clock;
    if (!install_stop_handlers()) _exit(100);
    lab.etcd.before_answer = [](const std::string&) { raise(SIGTERM); };
    lab.etcd.script["Status"] = {network_error("reset")};
    Context context{lab.settings,     clock,        lab.log,  lab.etcd,
                    lab.s3.factory(), lab.progress, "node-1", std::nullopt};
    const int code = run_cycle(context);
    if (lab.log.field("Stopped", "error") != "asked to stop (SIGTERM)") _exit(101);
    if (lab.etcd.calls("Status") != 1 || !lab.files().empty()) _exit(102);
    _exit(code);
  }
  int status = 0;
  LONGS_EQUAL(child, waitpid(child, &status, 0));
  CHECK_TRUE(WIFEXITED(status));
  LONGS_EQUAL(kExitStopped, WEXITSTATUS(status));
}

TEST(Cycle, SaysWhatIsWrongWithTheDirectoryBeforeItAsksEtcd) {
  lab.scratch.write("snapshots", "a file");
  LONGS_EQUAL(kExitStorage, cycle());
  LONGS_EQUAL(1, lab.log.count("Backup failed: local storage"));
  LONGS_EQUAL(0, lab.etcd.requests.size());
  LONGS_EQUAL(kExitStorage, lab.state().exit_code);
}

TEST(Cycle, RemovesWhatAnInterruptedRunLeft) {
  lab.add_snapshot(1h);
  const std::string leftover = partial_file_name("2018-05-04T18:00:00Z_etcd.zip");
  lab.scratch.write("snapshots/" + leftover, "half");
  lab.scratch.write("snapshots/.foreign.partial", "not ours");
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(1, lab.log.count("Removed leftover of an interrupted run"));
  STRCMP_EQUAL(leftover.c_str(),
               lab.log.field("Removed leftover of an interrupted run", "name").c_str());
  LONGS_EQUAL(1, lab.hidden().size());
  STRCMP_EQUAL(".foreign.partial", lab.hidden()[0].c_str());
}

TEST(Cycle, RemembersTheRun) {
  lab.clock.pass(2s);
  LONGS_EQUAL(0, cycle());
  RunState state = lab.state();
  STRCMP_EQUAL("2018-05-04T18:40:18Z", state.finished.c_str());
  STRCMP_EQUAL("2018-05-04T18:40:18Z_etcd", state.snapshot.c_str());
  LONGS_EQUAL(0, state.exit_code);
  STRCMP_EQUAL("5m0s", state.creation.c_str());
}

TEST(Cycle, RemembersNoSnapshotOfARunThatTookNone) {
  LONGS_EQUAL(0, cycle());
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  lab.clock.pass(5min);
  LONGS_EQUAL(kExitUnavailable, cycle());
  STRCMP_EQUAL("", lab.state().snapshot.c_str());
}

// It costs no snapshot; what it does to pruning is in unread_test.cc.
TEST(Cycle, GoesOnWithADamagedState) {
  LONGS_EQUAL(0, mkdir(lab.scratch.path("run").c_str(), 0755));
  lab.scratch.write("run/state.json", "{\"creation\": 5, \"clock_offset_s\": \"x\"");
  LONGS_EQUAL(kExitStorage, cycle());
  LONGS_EQUAL(1, lab.log.count("Initializing Rolling Backups"));
  LONGS_EQUAL(1, lab.log.count("Created backup"));
  LONGS_EQUAL(3, lab.log.lines.size());
}

TEST(Cycle, TellsItsPhasesAndItsProgress) {
  LONGS_EQUAL(0, cycle());
  const std::vector<std::string> expected = {"asking etcd", "streaming", "writing to disk",
                                             "pruning"};
  CHECK_TRUE(lab.progress.phases == expected);
  LONGS_EQUAL(64 * 1024 + 32, lab.progress.done);
  LONGS_EQUAL(64 * 1024 + 32, lab.progress.total);
}

TEST(Cycle, EndsItsStatusWithWhatBecameOfIt) {
  LONGS_EQUAL(0, cycle());
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  lab.clock.pass(1min);
  LONGS_EQUAL(kExitUnavailable, cycle());
  LONGS_EQUAL(2, lab.progress.ends.size());
  CHECK_TEXT(lab.progress.ends[0].starts_with("2018-05-04T18:40:16Z_etcd, "),
             lab.progress.ends[0].c_str());
  STRCMP_EQUAL("http://127.0.0.1:2379: Connection refused", lab.progress.ends[1].c_str());
}

TEST_GROUP(CommandRun) {
  Lab lab;
};

TEST(CommandRun, SaysThatRecurringIsOffAndDoesNothing) {
  lab.settings.policy.recurring = false;
  lab.settings.policy.off_reason = "cluster.yml:3: services.etcd.backup_config.enabled is false";
  LONGS_EQUAL(0, command_run(lab.context));
  LONGS_EQUAL(1, lab.log.lines.size());
  STRCMP_EQUAL(lab.settings.policy.off_reason.c_str(),
               lab.log.field("Recurring backups are turned off", "reason").c_str());
  LONGS_EQUAL(0, lab.etcd.requests.size());
  CHECK_FALSE(lab.scratch.has("snapshots"));
}

TEST(CommandRun, TellsTheWarningsOfTheConfiguration) {
  lab.settings.warnings = {{"cluster.yml:3: one"}, {"cluster.yml:4: two"}};
  LONGS_EQUAL(0, command_run(lab.context));
  LONGS_EQUAL(2, lab.log.count("Configuration warning"));
  STRCMP_EQUAL("cluster.yml:3: one", lab.log.field("Configuration warning", "warning").c_str());
}
