// What a cycle deletes, and above all what it does not.
#include "../lab.h"
#include "base/exit_code.h"
#include "commands/commands.h"
#include "cycle.h"
#include "pruning/local_prune.h"
#include "store/lock.h"
#include "store/run_state.h"
#include "systemd/message_ids.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(CyclePrune) {
  Lab lab;
  int cycle() {
    return run_cycle(lab.context);
  }
  size_t deleted() {
    return lab.log.count("Deleted local backup");
  }
};

TEST(CyclePrune, DeletesWhatIsOlderThanTheRetentionOnceTheNewOneIsProven) {
  const std::string at_it = lab.add_snapshot(24h), beyond = lab.add_snapshot(24h + 1s),
                    old = lab.add_snapshot(90h), young = lab.add_snapshot(1h);
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.has(at_it));
  CHECK_TRUE(lab.has(young));
  CHECK_FALSE(lab.has(beyond));
  CHECK_FALSE(lab.has(old));
  LONGS_EQUAL(3, lab.files().size());
  // The oldest first, after the snapshot was proven, as the container said it.
  STRCMP_EQUAL("level=info msg=\"Deleted local backup\" name=\"2018-05-01T00:40:16Z_etcd\"",
               lab.log.lines.at(2).c_str());
  STRCMP_EQUAL("level=info msg=\"Deleted local backup\" name=\"2018-05-03T18:40:15Z_etcd\"",
               lab.log.lines.at(3).c_str());
  LONGS_EQUAL(4, lab.log.lines.size());
}

// Names without a host, in a directory that is shared, or on a host that was renamed
// (k3s-io/k3s#8182): the manifest tells whose a snapshot is.
TEST(CyclePrune, LeavesSnapshotsWhoseManifestNamesAnotherHost) {
  lab.context.host = "nodea";
  const std::string others = lab.add_snapshot(90h);
  lab.context.host = "";
  const std::string nobodys = lab.add_snapshot(91h);
  lab.context.host = "node-1";
  const std::string own = lab.add_snapshot(92h);
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.has(others));
  CHECK_FALSE(lab.has(nobodys));
  CHECK_FALSE(lab.has(own));
}

TEST(CyclePrune, KeepsTheNewestOneWhateverTheRetention) {
  lab.settings.policy.retention = 0ns;
  LONGS_EQUAL(0, cycle());
  lab.clock.pass(1h);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(1, lab.files().size());
  STRCMP_EQUAL("2018-05-04T19:40:16Z_etcd.zip", lab.files()[0].c_str());
}

TEST(CyclePrune, CountsWhereItIsToldTo) {
  lab.settings.host.snapshots.retention_unit = RetentionUnit::kSnapshots;
  lab.settings.policy.retention_number = 2;
  lab.add_snapshot(3h);
  lab.add_snapshot(2h);
  const std::string second = lab.add_snapshot(1h);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(2, lab.files().size());
  CHECK_TRUE(lab.has(second));
}

TEST(CyclePrune, NeverTouchesWhatIsNotARecurringSnapshotOfThisHost) {
  lab.add_snapshot(1h);
  const char* const others[] = {"2010-01-01T00:00:00Z_other-host_etcd.zip",
                                "rke_etcd_snapshot_2010-01-01T00:00:00Z.zip",
                                "pki.bundle.tar.gz",
                                "2010-01-01.tar",
                                "2010-01-01T00:00:00Z_etcd.zip.bak",
                                "db"};
  for (const char* name : others) lab.scratch.write(std::string("snapshots/") + name, "x");
  // RKE's own, without a manifest: recurring, but nobody vouches for it.
  lab.scratch.write("snapshots/2010-01-01T00:00:00+02:00_etcd.zip", "x");
  LONGS_EQUAL(0, cycle());
  for (const char* name : others) CHECK_TEXT(lab.has(name), name);
  LONGS_EQUAL(1, deleted());
  STRCMP_EQUAL("2010-01-01T00:00:00+02:00_etcd",
               lab.log.field("Deleted local backup", "name").c_str());
}

TEST(CyclePrune, SnapshotsAnUnhealthyClusterAndPrunesNothing) {
  const std::string old = lab.add_snapshot(90h);
  const struct {
    const char* what;
    void (*spoil)(FakeEtcd&);
    const char* message;
    const char* field;
    const char* part;
    const char* id;
  } rows[] = {
      {"no leader", [](FakeEtcd& etcd) { etcd.leader = 0; },
       "Cluster is unhealthy, nothing is pruned", "error", "knows no leader", kUnhealthy},
      {"no quorum",
       [](FakeEtcd& etcd) { etcd.script["Range"] = {refuse(14, "etcdserver: request timed out")}; },
       "Cluster is unhealthy, nothing is pruned", "error",
       "no linearizable read: http://127.0.0.1:2379: etcdserver: request timed out (UNAVAILABLE)",
       kUnhealthy},
      {"an alarm",
       [](FakeEtcd& etcd) { etcd.errors = {"memberID:10276657743932975437 alarm:NOSPACE "}; },
       "etcd has raised an alarm, nothing is pruned", "alarm", "NOSPACE (member", kAlarm},
  };
  for (const auto& row : rows) {
    lab.etcd.leader = 1;
    lab.etcd.errors.clear();
    row.spoil(lab.etcd);
    lab.clock.pass(1min);
    lab.log.clear();
    const size_t before = lab.files().size();
    LONGS_EQUAL_TEXT(0, cycle(), row.what);
    LONGS_EQUAL_TEXT(before + 1, lab.files().size(), row.what);
    CHECK_TEXT(lab.has(old), row.what);
    LONGS_EQUAL_TEXT(1, lab.log.count(row.message), row.what);
    CHECK_TRUE(lab.log.of(row.message)[0].level == LogLevel::kWarning);
    STRCMP_EQUAL(row.id, std::string(lab.log.of(row.message)[0].message_id).c_str());
    CHECK_TEXT(holds(lab.log.field(row.message, row.field), row.part),
               lab.log.field(row.message, row.field).c_str());
    // And it is still known after the run, to `status`.
    const auto remembered = lab.state().cluster;
    CHECK_TEXT(remembered && !(remembered->alarms + remembered->reason).empty(), row.what);
  }
  // Well again: the old one goes.
  lab.etcd.leader = 1;
  lab.etcd.errors.clear();
  lab.clock.pass(1min);
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.has(old));
  STRCMP_EQUAL("", lab.state().cluster->reason.c_str());
}

TEST(CyclePrune, PrunesNothingByTheSnapshotOfALearner) {
  const std::string old = lab.add_snapshot(90h);
  lab.etcd.learner = true;
  lab.etcd.version = "3.5.16";
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.has(old));
  LONGS_EQUAL(1, lab.log.count("The snapshot came from a learner, which may lag behind, nothing is "
                               "pruned"));
  LONGS_EQUAL(0, lab.log.count("Cluster is unhealthy, nothing is pruned"));
  CHECK_TRUE(lab.state().cluster->learner);
}

TEST(CyclePrune, DeletesNothingAfterTheClockWentBackAndWarnsOfTheFuture) {
  lab.add_snapshot(20h);
  lab.add_snapshot(10h);
  LONGS_EQUAL(0, cycle());
  lab.clock.pass(5min);
  lab.clock.jump(-48h);
  lab.log.clear();
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(4, lab.files().size());
  LONGS_EQUAL(0, deleted());
  const auto warnings = lab.log.of("Backups are dated in the future and stay, check the clock");
  LONGS_EQUAL(1, warnings.size());
  CHECK_TRUE(warnings[0].level == LogLevel::kWarning);
  STRCMP_EQUAL("3", warnings[0].fields.find("count")->second.c_str());
  // And when it is set right again, there is a hold.
  lab.clock.jump(48h);
  lab.clock.pass(5min);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(5, lab.files().size());
}

TEST(CyclePrune, FreezesWhenTheClusterIsAnotherUntilTheOperatorAccepts) {
  const std::string old = lab.add_snapshot(90h), recent = lab.add_snapshot(1h);
  lab.etcd.cluster_id = 0x1234;
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(3, lab.files().size());
  LONGS_EQUAL(0, deleted());
  const auto warnings = lab.log.of("Nothing is pruned: the history of the cluster changed");
  LONGS_EQUAL(1, warnings.size());
  STRCMP_EQUAL(kFrozen, std::string(warnings[0].message_id).c_str());
  const std::string reason = warnings[0].fields.find("reason")->second;
  CHECK_TEXT(holds(reason, "1234") && holds(reason, "cdf818194e3a8c32"), reason.c_str());
  // It stays so in the cycles that follow.
  lab.clock.pass(5min);
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.has(old));
  // Until somebody says that it is meant.
  const Printed printed = capture([&] { return call(lab, {"prune", "--accept-history"}); });
  LONGS_EQUAL(0, printed.code);
  CHECK_FALSE(lab.has(old));
  CHECK_TRUE(lab.has(recent));
  lab.log.clear();
  lab.clock.pass(5min);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(0, lab.log.count("Nothing is pruned: the history of the cluster changed"));
}

TEST(CyclePrune, FreezesWhenTheRevisionWentBack) {
  const std::string old = lab.add_snapshot(90h, 900);
  lab.add_snapshot(1h, 1001);
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.has(old));
  CHECK_TRUE(holds(lab.log.field("Nothing is pruned: the history of the cluster changed", "reason"),
                   "went back from 1001"));
}

TEST(CyclePrune, FreezesAndSaysSoWhereItsNoteOfTheHistoryIsDamaged) {
  const std::string old = lab.add_snapshot(90h);
  lab.scratch.write("snapshots/.etcd-snapshot.history", "{");
  LONGS_EQUAL(kExitStorage, cycle());
  LONGS_EQUAL(2, lab.files().size());
  CHECK_TRUE(lab.has(old));
  // The backup is there: it did not fail.
  CHECK_TRUE(
      holds(lab.log.field("Nothing is pruned: what decides about it could not be read", "error"),
            "damaged"));
  CHECK_TRUE(lab.log.of("Nothing is pruned: what decides about it could not be read")[0].level ==
             LogLevel::kError);
  LONGS_EQUAL(0, lab.log.count("Backup failed"));
  LONGS_EQUAL(0, lab.log.count("Backup failed: local storage"));
  LONGS_EQUAL(1, lab.log.count("Created backup"));
  CHECK_TRUE(lab.holds_database("2018-05-04T18:40:16Z_etcd.zip", Compression::kZip));
  LONGS_EQUAL(kExitStorage, lab.state().exit_code);
  STRCMP_EQUAL("2018-05-04T18:40:16Z_etcd", lab.state().snapshot.c_str());
}

TEST(CyclePrune, KeepsTheSnapshotHereAndSaysThatTheBucketLacksIt) {
  lab.with_bucket();
  lab.s3.denied = {"HeadObject"};
  const std::string old = lab.add_snapshot(90h);
  LONGS_EQUAL(kExitRemote, cycle());
  LONGS_EQUAL(2, lab.files().size());
  CHECK_TRUE(lab.has(old));
  LONGS_EQUAL(1, lab.log.count("Created backup"));
  LONGS_EQUAL(1, lab.log.count("Backup is safe here, but not in the bucket"));
  LONGS_EQUAL(kExitRemote, lab.state().exit_code);
}

TEST(CyclePrune, TheFailureOfTheSnapshotIsWorseThanThatOfTheBucket) {
  lab.with_bucket();
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  LONGS_EQUAL(kExitUnavailable, cycle());
  LONGS_EQUAL(0, lab.log.count("Backup is safe here, but not in the bucket"));
}

TEST_GROUP(CarryOut) {
  Lab lab;
  Result<PrunePlan> plan(SnapshotDirectory & directory) {
    return plan_prune(lab.context, directory, {.proven_this_cycle = true});
  }
};

TEST(CarryOut, TakesWhatVanishedSinceForDone) {
  const std::string oldest = lab.add_snapshot(90h), older = lab.add_snapshot(80h);
  lab.add_snapshot(1h);
  auto directory = SnapshotDirectory::open(lab.settings.host.snapshots.directory, false);
  const auto planned = plan(*directory);
  CHECK_TRUE(planned.ok());
  std::filesystem::remove(lab.scratch.path("snapshots/" + oldest));
  const Pruned done = carry_out(lab.context, *directory, *planned);
  CHECK_FALSE(done.error.has_value());
  LONGS_EQUAL(1, done.deleted);
  CHECK_FALSE(lab.has(older));
  LONGS_EQUAL(1, lab.files().size());
  // Another's deletion is not told as one of ours.
  LONGS_EQUAL(1, lab.log.count("Deleted local backup"));
}

TEST(CarryOut, GoesOnAfterOneThatCannotBeDeletedAndTellsTheFirst) {
  lab.add_snapshot(90h);
  const std::string older = lab.add_snapshot(80h);
  lab.add_snapshot(1h);
  auto directory = SnapshotDirectory::open(lab.settings.host.snapshots.directory, false);
  auto planned = plan(*directory);
  CHECK_TRUE(planned.ok());
  planned->snapshots.back().file_name = "no/name";
  const Pruned done = carry_out(lab.context, *directory, *planned);
  CHECK_TRUE(done.error.has_value());
  CHECK_TEXT(holds(done.error->message, "no/name"), done.error->message.c_str());
  LONGS_EQUAL(1, done.deleted);
  CHECK_FALSE(lab.has(older));
  LONGS_EQUAL(1, lab.log.count("Deleted local backup"));
}

// No disk holds what this etcd says of itself.
TEST_GROUP(CycleSpace) {
  Lab lab;
  void setup() override {
    lab.etcd.claimed_bytes = uint64_t{1} << 60;
  }
  int cycle() {
    return run_cycle(lab.context);
  }
};

TEST(CycleSpace, PrunesTheExpiredFirstButNeverTheNewestAndDoesNotStream) {
  const std::string oldest = lab.add_snapshot(90h), older = lab.add_snapshot(80h),
                    newest = lab.add_snapshot(70h);
  LONGS_EQUAL(kExitStorage, cycle());
  CHECK_FALSE(lab.has(oldest));
  CHECK_FALSE(lab.has(older));
  CHECK_TRUE(lab.has(newest));
  LONGS_EQUAL(0, lab.etcd.calls("Snapshot"));
  LONGS_EQUAL(1, lab.etcd.calls("Status"));  // no retry: the disk does not grow by itself
  LONGS_EQUAL(1, lab.log.count("Not enough space, looking for expired backups to prune first"));
  CHECK_TRUE(holds(lab.log.field("Backup failed: local storage", "error"), "not enough space"));
  CHECK_TRUE(holds(lab.log.field("Backup failed: local storage", "hint"), "free "));
}

TEST(CycleSpace, PrunesNothingForAnUnhealthyCluster) {
  const std::string old = lab.add_snapshot(90h);
  lab.add_snapshot(70h);
  lab.etcd.leader = 0;
  LONGS_EQUAL(kExitStorage, cycle());
  CHECK_TRUE(lab.has(old));
}

// What lies there may be all that is left of the cluster that was.
TEST(CycleSpace, PrunesNothingForAMemberOfAnotherHistory) {
  const struct {
    uint64_t cluster_id;
    int64_t revision;
    const char* reason;
  } rows[] = {{0x1234, 1000, "the snapshots come from two clusters"},
              {lab.etcd.cluster_id, 499, "went back from 500"}};
  const std::string oldest = lab.add_snapshot(90h), older = lab.add_snapshot(80h);
  lab.add_snapshot(70h);
  for (const auto& row : rows) {
    lab.etcd.cluster_id = row.cluster_id;
    lab.etcd.revision = row.revision;
    lab.log.clear();
    LONGS_EQUAL(kExitStorage, cycle());
    LONGS_EQUAL_TEXT(3, lab.files().size(), row.reason);
    LONGS_EQUAL(0, lab.log.count("Deleted local backup"));
    const auto warnings = lab.log.of("Nothing is pruned: the history of the cluster changed");
    LONGS_EQUAL_TEXT(1, warnings.size(), row.reason);
    STRCMP_EQUAL(kFrozen, std::string(warnings[0].message_id).c_str());
    const std::string reason = warnings[0].fields.find("reason")->second;
    CHECK_TEXT(holds(reason, row.reason), reason.c_str());
  }
  // The same history, at the same revision: they go.
  lab.etcd.revision = 500;
  LONGS_EQUAL(kExitStorage, cycle());
  CHECK_FALSE(lab.has(oldest));
  CHECK_FALSE(lab.has(older));
}

TEST(CycleSpace, GoesOnWhereNothingCanBePruned) {
  lab.add_snapshot(90h);
  lab.add_snapshot(70h);
  lab.scratch.write("snapshots/.etcd-snapshot.history", "{");
  LONGS_EQUAL(kExitStorage, cycle());
  LONGS_EQUAL(2, lab.files().size());
  CHECK_TRUE(
      holds(lab.log.field("Nothing is pruned: what decides about it could not be read", "error"),
            "damaged"));
  // Told, and then it was seen whether there is room all the same.
  CHECK_TRUE(holds(lab.log.field("Backup failed: local storage", "error"), "not enough space"));
}

// A directory with the sticky bit lets nobody but its owner delete another's file. Other users than
// root cannot make such a file.
TEST(CycleSpace, GoesOnWhereOneCannotBeDeleted) {
  if (geteuid() != 0) return;
  const std::string oldest = lab.add_snapshot(90h), older = lab.add_snapshot(80h),
                    newest = lab.add_snapshot(70h);
  constexpr uid_t kNobody = 65534;
  for (const std::string& file : {oldest, older, newest}) {
    LONGS_EQUAL(0, chmod(lab.scratch.path("snapshots/" + file).c_str(), 0644));
  }
  LONGS_EQUAL(0, chown(lab.scratch.path("snapshots/" + older).c_str(), kNobody, kNobody));
  LONGS_EQUAL(0, chmod(lab.scratch.path("snapshots").c_str(), 01777));
  LONGS_EQUAL(0, chmod(lab.scratch.path().c_str(), 0777));
  int code = 0;
  {
    const Unprivileged nobody;
    code = cycle();
  }
  LONGS_EQUAL_TEXT(kExitStorage, code, lab.log.text().c_str());
  CHECK_TRUE(lab.has(oldest));
  CHECK_FALSE(lab.has(older));
  CHECK_TRUE(lab.has(newest));
  CHECK_TEXT(holds(lab.log.field("Couldn't prune", "error"), oldest), lab.log.text().c_str());
  CHECK_TRUE(holds(lab.log.field("Backup failed: local storage", "error"), "not enough space"));
}

TEST(CycleSpace, PrunesNothingWhileTheClockIsInDoubt) {
  lab.etcd.claimed_bytes.reset();
  LONGS_EQUAL(0, cycle());
  const std::string old = lab.add_snapshot(5h);
  lab.etcd.claimed_bytes = uint64_t{1} << 60;
  lab.clock.jump(10 * 24h);
  LONGS_EQUAL(kExitStorage, cycle());
  CHECK_TRUE(lab.has(old));
  LONGS_EQUAL(2, lab.files().size());
}

TEST(CycleSpace, PrunesWhatTheBucketLacksWhenTheDiskIsShort) {
  lab.with_bucket();
  const std::string old = lab.add_snapshot(90h);
  lab.add_snapshot(1h);
  LONGS_EQUAL(kExitStorage, cycle());
  CHECK_FALSE(lab.has(old));
}

// Certificates beside the snapshots.
TEST_GROUP(CycleBundle) {
  Lab lab;
  void setup() override {
    LONGS_EQUAL(0, mkdir(lab.scratch.path("pki").c_str(), 0700));
    lab.scratch.write("pki/kube-ca.pem", "certificate");
    lab.settings.host.pki.directory = lab.scratch.path("pki");
  }
  int cycle() {
    lab.clock.pass(1min);
    return run_cycle(lab.context);
  }
};

TEST(CycleBundle, IsWrittenByTheOlderFormAndOnlyWhenSomethingChanged) {
  lab.settings.policy.older_form = true;
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.has("pki.bundle.tar.gz"));
  LONGS_EQUAL(0600, lab.scratch.mode("snapshots/pki.bundle.tar.gz"));
  LONGS_EQUAL(1, lab.log.count("Created certificate bundle"));
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(1, lab.log.count("Created certificate bundle"));
  lab.scratch.write("pki/kube-ca.pem", "another");
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(2, lab.log.count("Created certificate bundle"));
}

TEST(CycleBundle, FollowsTheSetting) {
  const struct {
    BundleMode mode;
    bool older_form, expected;
  } rows[] = {{BundleMode::kAuto, false, false}, {BundleMode::kAuto, true, true},
              {BundleMode::kYes, false, true},   {BundleMode::kYes, true, true},
              {BundleMode::kNo, false, false},   {BundleMode::kNo, true, false}};
  for (const auto& row : rows) {
    std::filesystem::remove(lab.scratch.path("snapshots/pki.bundle.tar.gz"));
    lab.settings.host.pki.bundle = row.mode;
    lab.settings.policy.older_form = row.older_form;
    LONGS_EQUAL(0, cycle());
    CHECK_EQUAL(row.expected, lab.has("pki.bundle.tar.gz"));
  }
}

TEST(CycleBundle, ThatFailsCostsNoSnapshotButIsTold) {
  lab.settings.host.pki.bundle = BundleMode::kYes;
  lab.settings.host.pki.directory = lab.scratch.path("missing");
  const std::string old = lab.add_snapshot(90h);
  LONGS_EQUAL(kExitConfig, cycle());
  LONGS_EQUAL(1, lab.log.count("Created backup"));
  LONGS_EQUAL(1, lab.log.count("Couldn't bundle the certificates"));
  CHECK_FALSE(lab.has(old));
}

TEST(CycleBundle, IsWrittenEvenWhereEtcdIsDown) {
  lab.settings.policy.older_form = true;
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  LONGS_EQUAL(kExitUnavailable, cycle());
  CHECK_TRUE(lab.has("pki.bundle.tar.gz"));
}
