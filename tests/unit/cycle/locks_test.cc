// Two at work on one host: what waits for a bucket keeps nobody from taking snapshots, and what was
// changed meanwhile is no error. The other process is one inside a call of the bucket.
#include <atomic>
#include <memory>

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

constexpr char kPrunedLater[] = "Nothing is pruned in this cycle, the next one does it";

// The lab's clock, and what happens while somebody waits.
class WatchedClock final : public Clock {
 public:
  explicit WatchedClock(FakeClock& clock) : clock_(clock) {}
  UnixSeconds now() const override { return clock_.now(); }
  Nanoseconds monotonic() const override { return clock_.monotonic(); }
  bool sleep_for(Nanoseconds duration) override {
    asleep(clock_.sleeps.size());
    return clock_.sleep_for(duration);
  }
  std::function<void(size_t sleeps_before)> asleep = [](size_t) {};

 private:
  FakeClock& clock_;
};

}  // namespace

TEST_GROUP(Locks) {
  Lab lab;
  FakeS3& s3 = lab.s3;
  Result<UniqueFd> taken = UniqueFd();
  void setup() override {
    lab.with_bucket();
  }
  int cycle() {
    return run_cycle(lab.context);
  }
  Printed prune(bool dry_run = false, bool accept = false) {
    return capture([&] {
      return call(
          lab, {"prune", dry_run ? "--dry-run" : nullptr, accept ? "--accept-history" : nullptr});
    });
  }
  Printed remove(const std::string& name, bool remote, bool force = false) {
    return capture([&] {
      return call(lab,
                  {"delete", name.c_str(), force ? "--force" : nullptr, remote ? "--s3" : nullptr});
    });
  }
  std::string add_both(Nanoseconds age) {
    const std::string file = lab.add_snapshot(age);
    lab.copy_to_bucket(file);
    return file;
  }
  // Once, before the bucket answers the first call of this kind.
  void during(const std::string& operation, std::function<void()> happens) {
    s3.latency = [operation, happens,
                  happened = std::make_shared<std::atomic<bool>>(false)](const FakeCall& call) {
      if (call.operation == operation && !happened->exchange(true)) happens();
    };
  }
  void take_run_lock_for_good() {
    taken = take_run_lock(lab.scratch.path("run"));
    CHECK_TRUE(taken.ok());
  }
  void take_bucket_lock_for_good() {
    taken = take_bucket_lock(lab.scratch.path("run"));
    CHECK_TRUE(taken.ok());
  }
  std::string busy_bucket() const {
    return "another process is at work in the bucket (pid " + std::to_string(getpid()) + ")";
  }
};

TEST(Locks, ARunTakesItsSnapshotWhileSomebodyPrunesInTheBucket) {
  const std::string old = add_both(90h);
  add_both(1h);
  int inner = -1;
  during("ListObjectsV2", [&] { inner = cycle(); });
  const Printed printed = prune();
  LONGS_EQUAL_TEXT(0, printed.code, printed.err.c_str());
  LONGS_EQUAL_TEXT(kExitRemote, inner, lab.log.text().c_str());
  // It is there, and in the bucket; what had to wait for the other is told in one line.
  LONGS_EQUAL(1, lab.log.count("Created backup"));
  LONGS_EQUAL(1, lab.log.count("Uploaded backup"));
  LONGS_EQUAL(1, lab.log.count(kBehind));
  STRCMP_EQUAL(busy_bucket().c_str(), lab.log.field(kBehind, "error").c_str());
  CHECK_TRUE(holds(lab.log.field(kBehind, "hint"), "the next cycle goes on"));
  CHECK_FALSE(lab.has(old));
  CHECK_FALSE(lab.in_bucket(old));
  LONGS_EQUAL(2, lab.files().size());
}

TEST(Locks, ASaveNeedNotWaitForARunThatUploads) {
  for (const char* operation : {"PutObject", "ListObjectsV2"}) {
    int inner = -1;
    during(operation, [&] { inner = command_save(lab.context, {.name = operation}); });
    LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
    LONGS_EQUAL_TEXT(0, inner, lab.log.text().c_str());
    CHECK_TRUE(lab.has(std::string(operation) + ".zip"));
    lab.clock.pass(5min);
  }
}

TEST(Locks, ARunGivesWayToOneThatTakesItsSnapshot) {
  int inner = -1;
  lab.etcd.before_answer = [&](const std::string& method) {
    if (method == "Snapshot") inner = command_save(lab.context, {.name = "by hand"});
  };
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  LONGS_EQUAL(kExitBusy, inner);
  LONGS_EQUAL(1, lab.files().size());
}

TEST(Locks, ASecondRunTakesItsSnapshotAndWaitsForTheBucket) {
  const std::string old = add_both(90h);
  int inner = -1;
  during("ListObjectsV2", [&] {
    inner = cycle();
    LONGS_EQUAL(kExitRemote, lab.state().exit_code);
  });
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  LONGS_EQUAL(kExitRemote, inner);
  LONGS_EQUAL(2, lab.log.count("Created backup"));
  LONGS_EQUAL(2, lab.log.count("Uploaded backup"));
  STRCMP_EQUAL(busy_bucket().c_str(), lab.log.field(kBehind, "error").c_str());
  CHECK_FALSE(lab.has(old));
  LONGS_EQUAL(2, lab.files().size());
  // What one has told the other need not tell again; the state is of the one that ended last.
  LONGS_EQUAL(1, lab.log.count("Initializing Rolling Backups"));
  LONGS_EQUAL(0, lab.state().exit_code);
  STRCMP_EQUAL(lab.files()[0].c_str(), (lab.state().snapshot + ".zip").c_str());
  STRCMP_EQUAL("5m0s", lab.state().creation.c_str());
}

TEST(Locks, ARunWaitsForTheBucketAndGoesOn) {
  const std::string old = add_both(90h);
  take_bucket_lock_for_good();
  WatchedClock clock(lab.clock);
  clock.asleep = [&](size_t before) {
    if (before == 7) taken->reset();
  };
  Context context{lab.settings,     clock,        lab.log,  lab.etcd,
                  lab.s3.factory(), lab.progress, "node-1", std::nullopt};
  LONGS_EQUAL_TEXT(0, run_cycle(context), lab.log.text().c_str());
  LONGS_EQUAL(8, lab.clock.sleeps.size());
  CHECK_FALSE(lab.in_bucket(old));
  CHECK_FALSE(lab.has(old));
  CHECK_TRUE(std::count(lab.progress.phases.begin(), lab.progress.phases.end(),
                        "waiting: " + busy_bucket()) == 1);
}

TEST(Locks, ARunWaitsNoLongerThanTheBucketHasTime) {
  const std::string old = add_both(90h);
  take_bucket_lock_for_good();
  const Nanoseconds start = lab.clock.monotonic();
  LONGS_EQUAL(kExitRemote, cycle());
  CHECK_TRUE(lab.clock.monotonic() - start == 4min + 30s);
  CHECK_TRUE(lab.in_bucket(old));
  LONGS_EQUAL(0, s3.count("ListObjectsV2"));
  LONGS_EQUAL(0, lab.log.count(kPrunedLater));
  *taken = UniqueFd();
  lab.clock.pass(30s);
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.in_bucket(old));
}

TEST(Locks, ARunThatWaitsForTheBucketCanBeStopped) {
  take_bucket_lock_for_good();
  lab.clock.stop_in_sleep = true;
  LONGS_EQUAL(kExitStopped, cycle());
  LONGS_EQUAL(1, lab.log.count("Stopped"));
  LONGS_EQUAL(1, lab.clock.sleeps.size());
  LONGS_EQUAL(1, lab.files().size());
  LONGS_EQUAL(kExitStopped, lab.state().exit_code);
}

TEST(Locks, ARunLeavesThePruningToTheNextWhereASnapshotIsBeingTaken) {
  const std::string old = add_both(90h);
  during("ListObjectsV2", [&] { take_run_lock_for_good(); });
  const Nanoseconds start = lab.clock.monotonic();
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  CHECK_TRUE(lab.clock.monotonic() - start == 65s);  // 5 of them to tell of itself
  CHECK_TRUE(lab.has(old));
  CHECK_FALSE(lab.in_bucket(old));
  LONGS_EQUAL(1, lab.log.count(kPrunedLater));
  CHECK_TRUE(holds(lab.log.field(kPrunedLater, "reason"), "another run is in progress (pid "));
  STRCMP_EQUAL(kPruneSkipped, std::string(lab.log.of(kPrunedLater)[0].message_id).c_str());
  *taken = UniqueFd();
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.has(old));
}

TEST(Locks, ARunDoesNotWaitForThatUntilTheNextIsDue) {
  lab.settings.policy.interval = 1min;
  during("ListObjectsV2", [&] {
    take_run_lock_for_good();
    lab.clock.pass(40s);
  });
  const Nanoseconds start = lab.clock.monotonic();
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  CHECK_TRUE(lab.clock.monotonic() - start == 55s);
}

TEST(Locks, ARunThatWaitsForThatCanBeStopped) {
  const std::string old = add_both(90h);
  during("ListObjectsV2", [&] {
    take_run_lock_for_good();
    lab.clock.stop_in_sleep = true;
  });
  LONGS_EQUAL(kExitStopped, cycle());
  CHECK_TRUE(lab.has(old));
}

TEST(Locks, WhatIsDeletedByHandMeanwhileIsNoError) {
  const std::string old = add_both(90h), older = add_both(91h), missing = lab.add_snapshot(2h);
  during("ListObjectsV2", [&] {
    for (const std::string& name : {old, missing}) LONGS_EQUAL(0, remove(name, false).code);
  });
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  LONGS_EQUAL(1, lab.files().size());
  CHECK_FALSE(lab.in_bucket(missing));
}

// Then nothing newer is proven by this cycle.
TEST(Locks, NothingIsPrunedWhereItsOwnSnapshotIsDeletedMeanwhile) {
  const std::string old = add_both(90h), young = add_both(1h);
  during("ListObjectsV2", [&] { LONGS_EQUAL(0, remove(lab.files().back(), false, true).code); });
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  CHECK_TRUE(lab.files() == (std::vector<std::string>{old, young}));
}

// Nothing there would be newer than what expired.
TEST(Locks, NothingIsPrunedInTheBucketWhereItsOwnSnapshotIsChangedThereMeanwhile) {
  const std::string old = add_both(90h), older = add_both(91h);
  const std::string kGone = "Nothing is pruned in the bucket in this cycle";
  for (const bool replaced : {false, true}) {
    take_bucket_lock_for_good();
    WatchedClock clock(lab.clock);
    clock.asleep = [&, once = true](size_t) mutable {
      if (!std::exchange(once, false)) return;
      const std::string own = "p1/" + lab.files().back();
      if (replaced) {
        s3.put(own, "somebody's");
      } else {
        LONGS_EQUAL(1, s3.buckets["backups"].erase(own));
      }
      *taken = UniqueFd();
    };
    lab.log.clear();
    Context context{lab.settings,     clock,        lab.log,  lab.etcd,
                    lab.s3.factory(), lab.progress, "node-1", std::nullopt};
    LONGS_EQUAL_TEXT(0, run_cycle(context), lab.log.text().c_str());
    CHECK_TRUE(lab.in_bucket(old));
    CHECK_TRUE(lab.in_bucket(older));
    LONGS_EQUAL(1, lab.log.count(kGone));
    // What is here and is not there goes there.
    LONGS_EQUAL(1, lab.log.count("Uploaded backup of an earlier cycle"));
    LONGS_EQUAL(replaced ? 1 : 0, lab.log.count(kTaken));
    lab.clock.pass(5min);
  }
}

// What cannot be known of the one keeps the others from being pruned, and from nothing else.
TEST(Locks, AServerThatDoesNotTellOfItsOwnSnapshotStillGetsTheOthers) {
  const std::string old = add_both(90h), missing = lab.add_snapshot(1h);
  s3.before = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "HeadObject" || lab.log.count("Uploaded backup") == 0)
      return std::nullopt;
    s3.before = nullptr;
    return s3_error(500, "InternalError");
  };
  LONGS_EQUAL(kExitRemote, cycle());
  CHECK_TRUE(lab.in_bucket(old));
  CHECK_TRUE(lab.in_bucket(missing));
  LONGS_EQUAL(1, lab.log.count(kBehind));
}

TEST(Locks, ARunTellsOfItselfThoughSomebodyIsAtWorkHereAtItsEnd) {
  during("ListObjectsV2", [&] { take_run_lock_for_good(); });
  WatchedClock clock(lab.clock);
  clock.asleep = [&](size_t before) {
    if (before == 62) *taken = UniqueFd();
  };
  Context context{lab.settings,     clock,        lab.log,  lab.etcd,
                  lab.s3.factory(), lab.progress, "node-1", std::nullopt};
  LONGS_EQUAL_TEXT(0, run_cycle(context), lab.log.text().c_str());
  STRCMP_EQUAL(lab.files().back().c_str(), (lab.state().snapshot + ".zip").c_str());
}

TEST(Locks, PruneGivesWayToWhoIsInTheBucket) {
  const std::string old = add_both(90h);
  add_both(1h);
  take_bucket_lock_for_good();
  const Printed printed = prune();
  LONGS_EQUAL(kExitBusy, printed.code);
  CHECK_TEXT(holds(printed.err, busy_bucket()), printed.err.c_str());
  CHECK_TEXT(holds(printed.err, "wait until"), printed.err.c_str());
  LONGS_EQUAL(0, s3.calls.size());
  CHECK_TRUE(lab.has(old));
  LONGS_EQUAL(0, prune(true).code);  // looking is free
  lab.settings.policy.s3.reset();
  LONGS_EQUAL(0, prune().code);
  CHECK_FALSE(lab.has(old));
}

TEST(Locks, PruneAsksNoBucketWhileASnapshotIsBeingTaken) {
  add_both(90h);
  take_run_lock_for_good();
  LONGS_EQUAL(kExitBusy, prune().code);
  LONGS_EQUAL(0, s3.calls.size());
}

TEST(Locks, PruneSaysWhatItCouldNotDoHere) {
  const std::string old = add_both(90h);
  add_both(1h);
  during("ListObjectsV2", [&] { take_run_lock_for_good(); });
  const Nanoseconds start = lab.clock.monotonic();
  const Printed printed = prune();
  LONGS_EQUAL(kExitBusy, printed.code);
  CHECK_TRUE(lab.clock.monotonic() - start == 60s);
  CHECK_TEXT(holds(printed.out, "1 deleted in https://s3.test:9000/"), printed.out.c_str());
  CHECK_TEXT(holds(printed.err, "nothing was pruned here: another run is in progress"),
             printed.err.c_str());
  CHECK_TEXT(holds(printed.err, "run it again"), printed.err.c_str());
  CHECK_TRUE(lab.has(old));
}

TEST(Locks, PruneAcceptsTheHistoryOfTheBucketOnlyWithTheLock) {
  const uint64_t own = std::exchange(lab.etcd.cluster_id, 0x1234);
  const std::string old = add_both(90h);
  std::filesystem::remove(lab.scratch.path("snapshots/" + old));
  lab.etcd.cluster_id = own;
  add_both(1h);
  during("ListObjectsV2", [&] { take_run_lock_for_good(); });
  const Printed refused = prune(false, true);
  LONGS_EQUAL(kExitBusy, refused.code);
  CHECK_TEXT(holds(refused.err, "nothing was "), refused.err.c_str());
  CHECK_TRUE(lab.in_bucket(old));
  *taken = UniqueFd();
  LONGS_EQUAL(0, prune(false, true).code);
  CHECK_FALSE(lab.in_bucket(old));
}

TEST(Locks, DeleteInTheBucketGivesWayToWhoIsThere) {
  const std::string first = add_both(3h), second = add_both(2h);
  add_both(1h);
  take_bucket_lock_for_good();
  const Printed printed = remove(first, true);
  LONGS_EQUAL(kExitBusy, printed.code);
  CHECK_TEXT(holds(printed.err, busy_bucket()), printed.err.c_str());
  CHECK_TRUE(lab.has(first));
  LONGS_EQUAL(0, s3.calls.size());
  LONGS_EQUAL(0, remove(second, false).code);
  CHECK_FALSE(lab.has(second));
}

TEST(Locks, ARunTakesItsSnapshotWhileSomebodyDeletesInTheBucket) {
  const std::string old = add_both(2h);
  add_both(1h);
  int inner = -1;
  during("DeleteObjects", [&] { inner = cycle(); });
  const Printed printed = remove(old, true);
  LONGS_EQUAL_TEXT(0, printed.code, printed.err.c_str());
  LONGS_EQUAL_TEXT(kExitRemote, inner, lab.log.text().c_str());
  LONGS_EQUAL(1, lab.log.count("Created backup"));
  CHECK_FALSE(lab.has(old));
  CHECK_FALSE(lab.in_bucket(old));
}

TEST(Locks, DeleteSaysWhatIsLeftHere) {
  const std::string old = add_both(2h);
  add_both(1h);
  during("DeleteObjects", [&] { take_run_lock_for_good(); });
  const Printed printed = remove(old, true);
  LONGS_EQUAL(kExitBusy, printed.code);
  CHECK_TEXT(holds(printed.err, "'" + old + "' is not in the bucket any more, but still in "),
             printed.err.c_str());
  CHECK_TRUE(lab.has(old));
  CHECK_FALSE(lab.in_bucket(old));
  *taken = UniqueFd();
  LONGS_EQUAL(0, remove(old, true).code);
  CHECK_FALSE(lab.has(old));
}

TEST(Locks, DeleteLooksAgainHere) {
  const std::string old = add_both(3h), middle = add_both(2h), newest = lab.add_snapshot(1h);
  during("DeleteObjects", [&] { LONGS_EQUAL(0, remove(old, false).code); });
  LONGS_EQUAL(0, remove(old, true).code);  // gone meanwhile
  CHECK_FALSE(lab.in_bucket(old));
  // What it would leave as the newest is gone meanwhile.
  during("DeleteObjects", [&] { LONGS_EQUAL(0, remove(newest, false, true).code); });
  s3.put("p1/" + newest, "x");
  LONGS_EQUAL(kExitUsage, remove(middle, true).code);
  CHECK_TRUE(lab.has(middle));
}
