// Names that are free, and what `save` makes of a request.
#include "run/take_snapshot.h"

#include "../lab.h"
#include "base/exit_code.h"
#include "base/human.h"
#include "commands/commands.h"
#include "store/names.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(FindFreeName) {
  Lab lab;
  Result<FreeName> find(const std::function<std::string(UnixSeconds)>& make) {
    const auto directory = SnapshotDirectory::open(lab.settings.host.snapshots.directory, true);
    CHECK_TRUE(directory.ok());
    return find_free_name(lab.clock, *directory, make);
  }
};

static std::string by_time(UnixSeconds time) {
  return format_utc(time);
}

TEST(FindFreeName, IsThatOfNowWhereItIsFree) {
  const auto name = find(by_time);
  CHECK_TRUE(name.ok());
  STRCMP_EQUAL("2018-05-04T18:40:16Z", name->base.c_str());
  CHECK_TRUE(name->time == lab.clock.now());
  LONGS_EQUAL(0, lab.clock.sleeps.size());
}

TEST(FindFreeName, WaitsForTheNextSecondInShortSteps) {
  CHECK_TRUE(find(by_time).ok());  // makes the directory
  lab.scratch.write("snapshots/2018-05-04T18:40:16Z.zst", "x");
  lab.clock.pass(750ms);
  const auto name = find(by_time);
  STRCMP_EQUAL("2018-05-04T18:40:17Z", name->base.c_str());
  LONGS_EQUAL(3, lab.clock.sleeps.size());
}

TEST(FindFreeName, GivesUpOnAClockThatStandsStill) {
  CHECK_TRUE(find(by_time).ok());
  lab.scratch.write("snapshots/always.zip", "x");
  const auto name = find([](UnixSeconds) { return "always"; });
  CHECK_FALSE(name.ok());
  CHECK_TRUE(name.error().kind == ErrorKind::kStorage);
  CHECK_TRUE(holds(name.error().message, "always"));
  CHECK_TRUE(lab.clock.sleeps.size() <= 100);
}

TEST(FindFreeName, EndsWithARequestToStop) {
  CHECK_TRUE(find(by_time).ok());
  lab.scratch.write("snapshots/always.zip", "x");
  lab.clock.stop_in_sleep = true;
  const auto name = find([](UnixSeconds) { return "always"; });
  CHECK_FALSE(name.ok());
  CHECK_TRUE(name.error().kind == ErrorKind::kCancelled);
  LONGS_EQUAL(1, lab.clock.sleeps.size());
}

TEST_GROUP(CommandSave) {
  Lab lab;
  Printed save(const std::string& name) {
    return capture([&] { return command_save(lab.context, {.name = name}); });
  }
};

TEST(CommandSave, TakesARkeNameWithoutAName) {
  LONGS_EQUAL(0, save("").code);
  CHECK_TRUE(lab.has("rke_etcd_snapshot_2018-05-04T18:40:16Z.zip"));
  STRCMP_EQUAL("rke_etcd_snapshot_2018-05-04T18:40:16Z",
               lab.log.field("Created backup", "name").c_str());
  LONGS_EQUAL(0, save("").code);
  CHECK_TRUE(lab.has("rke_etcd_snapshot_2018-05-04T18:40:17Z.zip"));
}

TEST(CommandSave, TakesTheNameThatItIsGivenAndMarksItOneTime) {
  LONGS_EQUAL(0, save("before upgrade").code);
  CHECK_TRUE(lab.holds_database("before upgrade.zip", Compression::kZip));
  const auto directory = SnapshotDirectory::open(lab.settings.host.snapshots.directory, false);
  const auto snapshots = directory->list();
  STRCMP_EQUAL("one-time", snapshots->at(0).manifest->kind.c_str());
}

TEST(CommandSave, IsNeverPrunedByAge) {
  LONGS_EQUAL(0, save("before upgrade").code);
  LONGS_EQUAL(0, save("").code);
  lab.clock.pass(1000h);
  LONGS_EQUAL(0, command_run(lab.context));
  lab.clock.pass(1000h);
  LONGS_EQUAL(0, command_run(lab.context));
  LONGS_EQUAL(3, lab.files().size());
  CHECK_TRUE(lab.has("before upgrade.zip"));
  CHECK_TRUE(lab.has("rke_etcd_snapshot_2018-05-04T18:40:16Z.zip"));
}

TEST(CommandSave, OverwritesNothing) {
  LONGS_EQUAL(0, save("before upgrade").code);
  lab.settings.host.snapshots.compression = Compression::kNone;
  const Printed second = save("before upgrade");
  LONGS_EQUAL(kExitUsage, second.code);
  LONGS_EQUAL(1, lab.files().size());
  // It is the command line that is wrong, not a backup that failed.
  CHECK_TEXT(holds(second.err, "'before upgrade'"), second.err.c_str());
  LONGS_EQUAL(1, lab.log.lines.size());
  LONGS_EQUAL(1, lab.etcd.calls("Snapshot"));
}

TEST(CommandSave, WarnsOfAClusterThatIsNotWell) {
  lab.etcd.errors = {"memberID:10276657743932975437 alarm:NOSPACE "};
  LONGS_EQUAL(0, save("one").code);
  CHECK_TRUE(holds(lab.log.field("etcd has raised an alarm", "alarm"),
                   "NOSPACE (member 8e9e05c52164694d)"));
  CHECK_TRUE(lab.log.of("etcd has raised an alarm")[0].level == LogLevel::kWarning);
  lab.etcd.errors.clear();
  lab.etcd.leader = 0;
  LONGS_EQUAL(0, save("two").code);
  CHECK_TRUE(holds(lab.log.field("Cluster is unhealthy", "error"), "knows no leader"));
  CHECK_TRUE(lab.log.of("Cluster is unhealthy")[0].level == LogLevel::kWarning);
  lab.etcd.leader = 1;
  lab.log.clear();
  LONGS_EQUAL(0, save("three").code);
  LONGS_EQUAL(1, lab.log.lines.size());
  LONGS_EQUAL(3, lab.files().size());
}

// Endpoints learner, voter on 3.4: the learner was tried five times.
TEST(CommandSave, TakesTheNextEndpointWhereOneRefusesItsSnapshot) {
  lab.settings.host.etcd.endpoints = {"http://a:2379", "http://b:2379"};
  lab.etcd.at["http://a:2379"]["Snapshot"] =
      refuse(14, "etcdserver: rpc not supported for learner");
  LONGS_EQUAL(kExitOk, save("refused").code);
  LONGS_EQUAL(0, lab.clock.sleeps.size());
  CHECK_TRUE(holds(lab.log.field("An endpoint was passed over, another one was taken", "error"),
                   "http://a:2379: etcdserver: rpc not supported for learner"));
}

TEST(CommandSave, DoesNotRetryWhereEachRefusesBecauseOfWhoAsks) {
  lab.settings.host.etcd.endpoints = {"http://a:2379", "http://b:2379"};
  lab.settings.host.etcd.retries = 4;
  for (const char* origin : {"http://a:2379", "http://b:2379"}) {
    lab.etcd.at[origin]["Snapshot"] = refuse(2, "auth: permission denied");
  }
  LONGS_EQUAL(kExitUnavailable, save("denied").code);
  LONGS_EQUAL(2, lab.etcd.calls("Snapshot"));
  CHECK_TRUE(holds(lab.log.field("Backup failed", "hint"), "role root"));
}

TEST(CommandSave, RemovesWhatAnInterruptedRunLeft) {
  lab.add_snapshot(1h);
  const std::string leftover = partial_file_name("2018-05-04T18:00:00Z_etcd.zip");
  lab.scratch.write("snapshots/" + leftover, "half");
  LONGS_EQUAL(0, save("").code);
  STRCMP_EQUAL(leftover.c_str(),
               lab.log.field("Removed leftover of an interrupted run", "name").c_str());
  LONGS_EQUAL(0, lab.hidden().size());
}

TEST(CommandSave, AnswersABadNameOnTheCommandLine) {
  for (const char* name : {"../etcd", "a/b", ".hidden", "-x", "x.zip", "pki.bundle.tar.gz"}) {
    const Printed printed = save(name);
    LONGS_EQUAL_TEXT(kExitUsage, printed.code, name);
    CHECK_TEXT(printed.err.starts_with("etcd-snapshot: "), printed.err.c_str());
    LONGS_EQUAL(0, lab.log.lines.size());
  }
  LONGS_EQUAL(0, lab.etcd.requests.size());
}

TEST(CommandSave, RetriesAndFailsAsTheCycleDoes) {
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  LONGS_EQUAL(kExitUnavailable, save("x").code);
  LONGS_EQUAL(5, lab.etcd.calls("Status"));
  LONGS_EQUAL(0, lab.files().size());
  LONGS_EQUAL(0, lab.hidden().size());
}

TEST(CommandSave, WorksWhereNoRoomCanBeMadeAndSaysWhatIsMissing) {
  lab.add_snapshot(90h);
  lab.add_snapshot(80h);
  lab.etcd.claimed_bytes = uint64_t{1} << 60;
  LONGS_EQUAL(kExitStorage, save("x").code);
  LONGS_EQUAL(2, lab.files().size());
}
