// What a configuration in doubt does: it costs no backup and deletes nothing.
#include "../lab.h"
#include "base/exit_code.h"
#include "commands/commands.h"
#include "commands/status/verdict.h"
#include "config/load.h"
#include "cycle.h"
#include "pruning/retention.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(Doubts) {
  Lab lab;
  const std::string old_one = lab.add_snapshot(90h);
  void setup() override {
    lab.settings.doubts = {{"cluster.yml:5:1: retention: the key holds U+00A0 NO-BREAK SPACE"}};
  }
  // The settings of a bucket that cannot be used.
  void set_aside() {
    set_bucket_aside(lab.settings.policy, "cluster.yml:6: endpoint: unknown scheme",
                     lab.settings.doubts);
  }
};

TEST(Doubts, ACycleTakesAndUploadsAndDeletesNothing) {
  lab.with_bucket();
  lab.copy_to_bucket(old_one);
  for (int i = 0; i < 2; ++i) {
    LONGS_EQUAL(kExitConfig, run_cycle(lab.context));
    lab.clock.pass(1h);
  }
  CHECK_TRUE(lab.has(old_one));
  CHECK_TRUE(lab.in_bucket(old_one));
  LONGS_EQUAL(3, lab.files().size());
  LONGS_EQUAL(3, lab.objects().size());
  // In every cycle, as it changes what a cycle does.
  LONGS_EQUAL(2, lab.log.count("The configuration is in doubt, nothing is deleted"));
  LONGS_EQUAL(0, lab.log.count("Deleted local backup"));
  lab.settings.doubts.clear();
  LONGS_EQUAL(kExitOk, run_cycle(lab.context));
  CHECK_FALSE(lab.has(old_one));
  CHECK_FALSE(lab.in_bucket(old_one));
}

TEST(Doubts, WhatIsWrongWithTheBucketCostsNoLocalSnapshot) {
  lab.settings.doubts.clear();
  set_aside();
  LONGS_EQUAL(kExitConfig, run_cycle(lab.context));
  CHECK_TRUE(lab.has(old_one));
  CHECK_TRUE(lab.has(kFirst));
}

TEST(Doubts, ASnapshotThatIsNotTakenIsMoreUrgent) {
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  lab.settings.host.etcd.retries = 0;
  LONGS_EQUAL(kExitUnavailable, run_cycle(lab.context));
  CHECK_TRUE(lab.has(old_one));
}

TEST(Doubts, PruneDeletesNothingAndSaysWhy) {
  lab.add_snapshot(1h);
  Printed printed = capture([&] { return call(lab, {"prune", "--accept-history"}); });
  LONGS_EQUAL(kExitConfig, printed.code);
  STRCMP_CONTAINS("nothing is deleted: cluster.yml:5:1: retention", printed.err.c_str());
  STRCMP_CONTAINS("to take a snapshot now: etcd-snapshot save", printed.err.c_str());
  CHECK_TRUE(lab.has(old_one));
  printed = capture([&] { return call(lab, {"prune", "--dry-run"}); });
  LONGS_EQUAL(kExitConfig, printed.code);
  STRCMP_CONTAINS(std::string(describe(RetentionReason::kDoubt)).c_str(), printed.out.c_str());
  CHECK_TRUE(printed.out.find(" delete ") == std::string::npos);
}

TEST(Doubts, CheckFailsForEach) {
  set_aside();
  const Printed printed = capture([&] { return call(lab, {"check"}); });
  LONGS_EQUAL(kExitConfig, printed.code);
  STRCMP_CONTAINS("FAIL  cluster.yml:5:1: retention", printed.out.c_str());
  STRCMP_CONTAINS("FAIL  cluster.yml:6: endpoint: unknown scheme", printed.out.c_str());
}

TEST(Doubts, SaveTakesItsSnapshotAndTellsOfTheBucket) {
  set_aside();
  LONGS_EQUAL(kExitConfig, command_save(lab.context, {.name = "by-hand", .upload = true}));
  CHECK_TRUE(lab.has("by-hand.zip"));
  LONGS_EQUAL(kExitOk, command_save(lab.context, {.name = "again"}));
  CHECK_TRUE(lab.has("again.zip"));
}

TEST(Doubts, WhatIsTurnedOffStaysOff) {
  lab.settings.policy.recurring = false;
  lab.settings.policy.off_on_purpose = true;
  LONGS_EQUAL(kExitOk, command_run(lab.context));
  LONGS_EQUAL(1, lab.files().size());
  LONGS_EQUAL(1, lab.log.count("Configuration warning"));
}

TEST(Doubts, StatusWarnsOfEach) {
  StatusFacts facts;
  facts.recurring = true;
  facts.interval = 1h;
  facts.doubts = {"cluster.yml:5:1: a", "cluster.yml:6:1: b"};
  const StatusVerdict verdict = judge(facts);
  size_t doubts = 0;
  for (const StatusReason& reason : verdict.reasons) doubts += reason.code == "doubt" ? 1 : 0;
  LONGS_EQUAL(2, doubts);
}
