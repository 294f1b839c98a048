// A cycle, and the commands, where one read fails that deletion rests on: nothing goes that would
// not have gone without the error, the snapshot is taken, and it is told.
#include "../fakes/faults.h"
#include "../lab.h"
#include "base/exit_code.h"
#include "commands/commands.h"
#include "cycle.h"
#include "pruning/history.h"
#include "store/lock.h"
#include "systemd/message_ids.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {

constexpr char kHeld[] = "Nothing is pruned: what decides about it could not be read";

}  // namespace

TEST_GROUP(UnreadCycle) {
  Lab lab;
  int cycle() {
    return run_cycle(lab.context);
  }
  size_t deleted() {
    return lab.log.count("Deleted local backup") + lab.log.count("Deleted remote backup");
  }
  // One line that names the file, with a hint and the id of the catalog; the snapshot is there.
  void check_held(const std::string& path) {
    LONGS_EQUAL_TEXT(0, deleted(), path.c_str());
    LONGS_EQUAL_TEXT(1, lab.log.count("Created backup"), path.c_str());
    LONGS_EQUAL_TEXT(1, lab.log.count(kHeld), path.c_str());
    CHECK_TRUE_TEXT(holds(lab.log.field(kHeld, "error"), path), path.c_str());
    CHECK_FALSE_TEXT(lab.log.field(kHeld, "hint").empty(), path.c_str());
    STRCMP_EQUAL(kUnread, std::string(lab.log.of(kHeld)[0].message_id).c_str());
  }
};

TEST(UnreadCycle, FrozenHistoryStaysFrozenWhereOneManifestIsNotRead) {
  const std::string ours = lab.add_snapshot(90h);
  lab.etcd.cluster_id += 1;  // rebuilt
  for (const char* call : {"fstatat", "openat", "fstat", "pread"}) {
    lab.log.clear();
    const Fault fault(call, EIO, "*/" + ours);
    LONGS_EQUAL_TEXT(kExitStorage, cycle(), call);
    check_held(ours);
    CHECK_TRUE(lab.has(ours));
    lab.clock.pass(1s);
  }
  CHECK_TRUE(lab.has(ours));
}

TEST(UnreadCycle, HistoryThatWasNotAcceptedForCertainHolds) {
  const std::string old = lab.add_snapshot(90h);
  auto directory = SnapshotDirectory::open(lab.settings.host.snapshots.directory, true);
  CHECK_TRUE(accept_history(*directory, lab.clock.now() - 1000h).ok());
  {
    const Fault fault("openat", EMFILE, "*/.etcd-snapshot.history");
    LONGS_EQUAL(kExitStorage, cycle());
    check_held(".etcd-snapshot.history");
  }
  lab.clock.pass(1s);
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.has(old));
}

// A snapshot by hand decides about no other.
TEST(UnreadCycle, OneThatIsNotRollingKeepsOnlyItself) {
  const std::string old = lab.add_snapshot(90h), by_hand = "rke_etcd_snapshot_2018-01-01T00:00:00Z";
  lab.scratch.write("snapshots/" + by_hand + ".zip", "x");
  lab.scratch.write("snapshots/notes.zip", "x");
  const Fault fault("pread", EIO, "*/" + by_hand + ".zip");
  LONGS_EQUAL(kExitStorage, cycle());
  CHECK_FALSE(lab.has(old));
  CHECK_TRUE(lab.has(by_hand + ".zip"));
  LONGS_EQUAL(1, lab.log.count("A file could not be read and stays"));
  LONGS_EQUAL(0, lab.log.count(kHeld));
}

TEST(UnreadCycle, SomebodyElsesFileCostsNothing) {
  const std::string old = lab.add_snapshot(90h);
  lab.scratch.write("snapshots/notes.txt", "x");
  const Fault fault("fstatat", EIO, "*/notes.txt");
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(1, lab.log.count("Created backup"));
  LONGS_EQUAL(1, lab.log.count("A file could not be read and stays"));
  CHECK_FALSE(lab.has(old));
}

TEST(UnreadCycle, DamagedArchiveIsNoMatterOfReading) {
  const std::string damaged = lab.add_snapshot(90h);
  lab.scratch.write("snapshots/" + damaged, "PK cut");
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.has(damaged));
}

TEST(UnreadCycle, BucketThatIsAwayReleasesNothingForAnError) {
  const std::string old = lab.add_snapshot(90h);
  lab.with_bucket();
  lab.settings.policy.s3->endpoint = "https://away.test:9000";
  const Fault fault("pread", ESTALE, "*/" + old);
  CHECK_TRUE(cycle() != 0);
  CHECK_TRUE(lab.has(old));
  LONGS_EQUAL(0, deleted());
}

TEST(UnreadCycle, BucketIsNotPrunedEitherWhereTheHistoryIsNotKnown) {
  const std::string old = lab.add_snapshot(90h), older = lab.add_snapshot(95h);
  lab.with_bucket();
  lab.copy_to_bucket(old);
  lab.copy_to_bucket(older);
  {
    const Fault fault("pread", EIO, "*/" + older);
    LONGS_EQUAL(kExitStorage, cycle());
    check_held(older);
    CHECK_TRUE(lab.in_bucket(old));
    CHECK_TRUE(lab.in_bucket(older));
  }
  lab.clock.pass(1s);
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.in_bucket(old));
  CHECK_FALSE(lab.has(older));
}

// What lies here and cannot be opened for the comparison costs neither the upload of the others nor
// the pruning there.
TEST(UnreadCycle, OneThatCannotBeComparedStaysAndIsTold) {
  const std::string one = lab.add_snapshot(3h), missing = lab.add_snapshot(2h);
  lab.with_bucket();
  lab.copy_to_bucket(one);
  const Fault fault("pread", EIO, "*/" + one, "2+");  // 1: its manifest
  CHECK_TRUE(cycle() != 0);
  CHECK_TRUE(lab.has(one));
  CHECK_TRUE(lab.in_bucket(missing));
  LONGS_EQUAL(1, lab.log.count("Created backup"));
}

TEST(UnreadCycle, StateThatCannotBeReadHoldsThisCycleOnly) {
  LONGS_EQUAL(0, cycle());
  const std::string old = lab.add_snapshot(90h);
  for (const char* call : {"open", "fstat", "read"}) {
    lab.clock.pass(1s);
    lab.log.clear();
    // Read when the cycle begins, and again before it is replaced.
    const Fault fault(call, EIO, "*/run/state.json", "1");
    LONGS_EQUAL_TEXT(kExitStorage, cycle(), call);
    check_held("state.json");
    CHECK_TRUE(lab.has(old));
  }
  // What hindered is over: the guard has lost nothing.
  LONGS_EQUAL(0, lab.state().prune_hold_until_s);
  lab.clock.pass(1s);
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.has(old));
}

TEST(UnreadCycle, JumpOfTheClockIsSeenInSpiteOfAStateThatWasUnread) {
  LONGS_EQUAL(0, cycle());
  lab.clock.pass(1s);
  lab.clock.jump(100h);
  const std::string old = lab.add_snapshot(90h, 1000);
  {
    const Fault fault("read", EIO, "*/run/state.json", "1");
    LONGS_EQUAL(kExitStorage, cycle());
  }
  CHECK_TRUE(lab.has(old));
  CHECK_TRUE(lab.state().prune_hold_until_s > 0);
  lab.clock.pass(1s);
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.has(old));
  lab.clock.pass(25h);
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.has(old));
}

// Garbage tells nobody whether pruning was held, or whether the clock was set ahead since.
TEST(UnreadCycle, StateThatIsLostHoldsForARetention) {
  LONGS_EQUAL(0, cycle());
  const std::string old = lab.add_snapshot(90h);
  for (const char* text : {"", "{\"clock_offset_s\":\"x\"}", "\x01\x02"}) {
    lab.log.clear();
    lab.clock.pass(1s);
    lab.scratch.write("run/state.json", text);
    LONGS_EQUAL(kExitStorage, cycle());
    check_held("state.json");
    lab.clock.pass(1h);
    LONGS_EQUAL(0, cycle());
    CHECK_TRUE(lab.has(old));
  }
  lab.clock.pass(24h);
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.has(old));
}

TEST(UnreadCycle, FullRunCostsNoSnapshotAndHolds) {
  const std::string old = lab.add_snapshot(90h);
  {
    const Fault fault("openat", ENOSPC, "*/run/lock");
    LONGS_EQUAL(kExitStorage, cycle());
    check_held("run/lock");
    CHECK_TRUE(lab.has(old));
  }
  lab.clock.pass(1s);
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.has(old));
}

// The guard of the clock compares with what a run before left behind. Where nothing can be left
// there it would never see anything.
TEST(UnreadCycle, StateThatCanNeverBeWrittenHolds) {
  const std::string old = lab.add_snapshot(90h);
  {
    const Fault fault("renameat", ENOSPC, "*/run/.state.json.new");
    LONGS_EQUAL(kExitStorage, cycle());
    check_held("state.json");
  }
  lab.clock.pass(1s);
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.has(old));
}

TEST(UnreadCycle, FreeSpaceAndListCostNoSnapshot) {
  lab.add_snapshot(90h);
  {
    const Fault fault("fstatvfs", EIO, "*");
    LONGS_EQUAL(0, cycle());
    LONGS_EQUAL(1, lab.log.count("Created backup"));
  }
  lab.clock.pass(1s);
  lab.add_snapshot(91h);
  const Fault fault("readdir", EIO, "*/snapshots");
  LONGS_EQUAL(kExitStorage, cycle());
  LONGS_EQUAL(2, lab.log.count("Created backup"));
  LONGS_EQUAL(1, deleted());  // of the first cycle
}

TEST(UnreadCycle, BucketNeverTriesToMakeRoomItCannotMeasure) {
  lab.with_bucket();
  lab.s3.before = [](const FakeCall&) { return lost_connection(); };
  const std::string old = lab.add_snapshot(90h);
  const Fault fault("fstatvfs", EIO, "*");
  CHECK_TRUE(cycle() != 0);
  CHECK_TRUE(lab.has(old));
}

TEST_GROUP(UnreadCommands) {
  Lab lab;
  std::string newest, old;
  void setup() override {
    LONGS_EQUAL(0, run_cycle(lab.context));
    newest = lab.files().at(0);
    old = lab.add_snapshot(90h);
  }
};

TEST(UnreadCommands, PruneHoldsAndSaysWhy) {
  const struct {
    const char *call, *glob;
  } faults[] = {{"pread", "*/snapshots/*_etcd.zip"},
                {"readdir", "*/snapshots"},
                {"open", "*/run/state.json"},
                {"openat", "*/run/lock"}};
  for (const auto& one : faults) {
    const Fault fault(one.call, EIO, one.glob);
    const Printed pruned = capture([&] { return call(lab, {"prune"}); });
    LONGS_EQUAL_TEXT(kExitStorage, pruned.code, one.glob);
    CHECK_TRUE_TEXT(holds(pruned.err, "Input/output error"), pruned.err.c_str());
    CHECK_TRUE_TEXT(lab.has(old), one.glob);
  }
  const Fault fault("pread", EIO, "*/" + old);
  const Printed dry = capture([&] { return call(lab, {"prune", "--dry-run"}); });
  LONGS_EQUAL(kExitStorage, dry.code);
  CHECK_TRUE(holds(dry.out, "pruning is held"));
  const Printed accepted = capture([&] { return call(lab, {"prune", "--accept-history"}); });
  LONGS_EQUAL(kExitStorage, accepted.code);
  CHECK_TRUE(lab.has(old));
}

TEST(UnreadCommands, DeleteTakesAnUnreadOneForProven) {
  {
    const Fault fault("pread", EIO, "*/" + newest);
    const Printed refused = capture([&] { return call(lab, {"delete", newest.c_str()}); });
    LONGS_EQUAL(kExitUsage, refused.code);
    CHECK_TRUE(lab.has(newest));
  }
  // The way out that the hint names: a proven one is newer.
  const Fault fault("pread", EIO, "*/" + old);
  LONGS_EQUAL(0, capture([&] { return call(lab, {"delete", old.c_str()}); }).code);
  CHECK_FALSE(lab.has(old));
}

TEST(UnreadCommands, ListShowsThatNobodyKnows) {
  const Fault fault("pread", EIO, "*/" + old);
  const Printed listed = capture([&] { return call(lab, {"list"}); });
  LONGS_EQUAL(kExitStorage, listed.code);
  CHECK_TRUE(holds(listed.out, old));
  CHECK_TRUE(holds(listed.out, " ?"));
  CHECK_TRUE(holds(listed.err, old));
  const Printed json = capture([&] { return call(lab, {"list", "--json"}); });
  CHECK_TRUE(holds(json.out, "\"proven\": null"));
}

TEST(UnreadCommands, StatusWarns) {
  const auto warned = [&](const std::string& text) {
    const Printed status = capture([&] { return command_status(lab.context, {}, std::nullopt); });
    CHECK_TRUE_TEXT(status.code != 0, text.c_str());
    CHECK_TRUE_TEXT(holds(status.out, text), status.out.c_str());
  };
  {
    const Fault fault("pread", EIO, "*/" + old);
    warned("nothing is pruned: cannot read");
  }
  const Fault fault("open", EIO, "*/run/state.json");
  warned("state.json");
}
