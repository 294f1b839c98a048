// A clock that was set ahead makes everything look old: pruning waits, here and in the bucket, in a
// cycle and by hand, whenever it happens.
#include "../lab.h"
#include "base/exit_code.h"
#include "commands/commands.h"
#include "commands/status/gather.h"
#include "cycle.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(ClockSetAhead) {
  Lab lab;
  FakeS3& s3 = lab.s3;
  int cycle() {
    return run_cycle(lab.context);
  }
  Printed prune(bool dry_run = false) {
    return capture([&] { return call(lab, {"prune", dry_run ? "--dry-run" : nullptr}); });
  }
  size_t deleted() {
    return lab.log.count("Deleted local backup");
  }
  std::string add_both(Nanoseconds age) {
    const std::string file = lab.add_snapshot(age);
    lab.copy_to_bucket(file);
    return file;
  }
  // Once, at the first call of the bucket for which it `is_time`.
  void jump_at(std::function<bool(const FakeCall&)> is_time) {
    s3.latency = [this, is_time, happened = false](const FakeCall& call) mutable {
      if (!happened && is_time(call)) happened = true, lab.clock.jump(10h);
    };
  }
  // What the last run left behind.
  void write_state(const char* key, int64_t value) {
    std::filesystem::create_directory(lab.scratch.path("run"));
    lab.scratch.write("run/state.json",
                      "{\"" + std::string(key) + "\":" + std::to_string(value) + "}");
  }
  int64_t since_boot_s() const {
    return std::chrono::duration_cast<std::chrono::seconds>(lab.clock.monotonic()).count();
  }
  void note_clock_now() {
    write_state("clock_offset_s", lab.clock.now().time_since_epoch().count() - since_boot_s());
  }
};

TEST(ClockSetAhead, HoldsForADay) {
  lab.settings.policy.retention = 72h;
  lab.add_snapshot(20h);
  lab.add_snapshot(10h);
  LONGS_EQUAL(0, cycle());
  lab.clock.pass(5min);
  lab.clock.jump(10 * 24h);
  LONGS_EQUAL(0, cycle());
  // Everything but the new one looks old now.
  LONGS_EQUAL(4, lab.files().size());
  STRCMP_EQUAL("set ahead by 240h0m0s", lab.log.field("The clock was set ahead", "reason").c_str());
  STRCMP_EQUAL("24h0m0s", lab.log.field("The clock was set ahead", "wait").c_str());
  STRCMP_EQUAL(
      "24h0m0s",
      lab.log.field("Nothing is pruned for a while: the clock was set ahead", "wait").c_str());
  lab.clock.pass(24h - 1s);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(5, lab.files().size());
  LONGS_EQUAL(0, deleted());
  // The clock is told of once, what waits for it as long as it does.
  LONGS_EQUAL(1, lab.log.count("The clock was set ahead"));
  LONGS_EQUAL(2, lab.log.count("Nothing is pruned for a while: the clock was set ahead"));
  lab.clock.pass(1s);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(3, deleted());
  LONGS_EQUAL(3, lab.files().size());
}

TEST(ClockSetAhead, HoldsNoLongerThanTheRetention) {
  lab.settings.policy.retention = 2h;
  LONGS_EQUAL(0, cycle());
  lab.clock.jump(10 * 24h);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(2, lab.files().size());
  lab.clock.pass(2h - 1s);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(3, lab.files().size());
  lab.clock.pass(1s);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(1, deleted());
}

TEST(ClockSetAhead, IsNoneWhereItIsASmallStep) {
  const std::string old = lab.add_snapshot(90h);
  lab.etcd.leader = 0;  // the first run only notes the clock
  LONGS_EQUAL(0, cycle());
  lab.etcd.leader = 1;
  lab.clock.jump(59min);
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.has(old));
}

TEST(ClockSetAhead, HoldsFromTheStreamOn) {
  const std::string old = lab.add_snapshot(20h);
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  lab.etcd.before_answer = [this](const std::string& method) {
    if (method == "Snapshot") lab.clock.jump(10h);
  };
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  CHECK_TRUE(lab.has(old));
  LONGS_EQUAL(1, lab.log.count("The clock was set ahead"));
}

// Ages in the bucket are as little to be trusted as those here. Whenever it is: during the upload,
// at the last look before the list; and what is old by then when that comes is not deleted here.
TEST(ClockSetAhead, HoldsInBothPlacesWithABucket) {
  lab.with_bucket();
  for (const char* when : {"PutObject", "the last look", "ListObjectsV2"}) {
    const std::string old = add_both(20h);
    jump_at([=, this](const FakeCall& call) {
      return when == std::string("the last look") ? lab.log.count("Uploaded backup") > 0
                                                  : call.operation == when;
    });
    LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
    CHECK_TRUE_TEXT(lab.in_bucket(old), when);
    CHECK_TRUE_TEXT(lab.has(old), when);
    LONGS_EQUAL(1, lab.log.count("The clock was set ahead"));
    lab.clock.pass(25h);
    lab.log.clear();
  }
}

TEST(ClockSetAhead, HoldsPruneFromItsLookForAMeasureOn) {
  lab.with_bucket();
  const std::string old = add_both(20h);
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  jump_at([](const FakeCall& call) { return call.operation == "HeadObject"; });
  LONGS_EQUAL(0, prune().code);
  CHECK_TRUE(lab.in_bucket(old));
  CHECK_TRUE(lab.has(old));
}

TEST(ClockSetAhead, HoldsPruneSinceTheLastRun) {
  lab.with_bucket();
  const std::string old = add_both(20h);
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  lab.clock.jump(10h);
  LONGS_EQUAL(0, prune().code);
  CHECK_TRUE(lab.in_bucket(old));
  CHECK_TRUE(lab.has(old));
}

TEST(ClockSetAhead, HoldsPruneAsLongAsACycleNotedIt) {
  const std::string old = lab.add_snapshot(90h);
  lab.add_snapshot(1h);
  write_state("prune_hold_until_s", since_boot_s() + 10);
  const Printed announced = prune(true);
  CHECK_TEXT(holds(announced.out, "keep    expired, but the clock was set ahead: pruning waits"),
             announced.out.c_str());
  CHECK_FALSE(holds(announced.out, " delete "));
  lab.clock.pass(9s);
  LONGS_EQUAL(0, prune().code);
  CHECK_TRUE(lab.has(old));
  lab.clock.pass(1s);
  LONGS_EQUAL(0, prune().code);
  CHECK_FALSE(lab.has(old));
}

// Also where no cycle notes it: without recurring snapshots, or with the timer stopped.
TEST(ClockSetAhead, HoldsPruneNoLongerThanACycle) {
  note_clock_now();
  const std::string old = lab.add_snapshot(90h);
  lab.add_snapshot(1h);
  lab.clock.jump(10h);
  CHECK_FALSE(holds(prune(true).out, " delete "));
  LONGS_EQUAL(0, lab.log.count("The clock was set ahead"));
  LONGS_EQUAL(0, prune().code);
  LONGS_EQUAL(1, lab.log.count("The clock was set ahead"));
  lab.clock.pass(24h - 1s);
  LONGS_EQUAL(0, prune().code);
  CHECK_TRUE(lab.has(old));
  lab.clock.pass(1s);
  LONGS_EQUAL(0, prune().code);
  CHECK_FALSE(lab.has(old));
  LONGS_EQUAL(1, lab.log.count("The clock was set ahead"));
}

TEST(ClockSetAhead, IsKnownToStatus) {
  const auto hold_s = [this] {
    return gather_status(lab.context, std::nullopt, std::nullopt, std::nullopt).here.clock_hold_s;
  };
  note_clock_now();
  LONGS_EQUAL(0, hold_s());
  lab.clock.jump(2h);
  LONGS_EQUAL(24 * 3600, hold_s());
}
