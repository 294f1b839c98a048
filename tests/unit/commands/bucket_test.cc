// prune, delete and save where a bucket is configured.
#include "../lab.h"
#include "../text.h"
#include "base/exit_code.h"
#include "commands/commands.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {}  // namespace

TEST_GROUP(CommandsBucket) {
  Lab lab;
  FakeS3& s3 = lab.s3;
  void setup() override {
    lab.with_bucket();
  }
  Printed prune(bool dry_run = false, bool accept = false) {
    return capture([&] {
      return call(
          lab, {"prune", dry_run ? "--dry-run" : nullptr, accept ? "--accept-history" : nullptr});
    });
  }
  Printed remove(const std::string& name, bool force = false, bool remote = true) {
    return capture([&] {
      return call(lab,
                  {"delete", name.c_str(), force ? "--force" : nullptr, remote ? "--s3" : nullptr});
    });
  }
  Printed save(const std::string& name, bool upload) {
    return capture([&] { return command_save(lab.context, {.name = name, .upload = upload}); });
  }
  void forget_here(const std::string& file) {
    std::filesystem::remove(lab.scratch.path("snapshots/" + file));
  }
  std::string add_both(Nanoseconds age, int64_t revision = 500) {
    const std::string file = lab.add_snapshot(age, revision);
    lab.copy_to_bucket(file);
    return file;
  }
  std::string add_there(Nanoseconds age, int64_t revision = 500) {
    const std::string file = add_both(age, revision);
    forget_here(file);
    return file;
  }
  // Reading the object of that name goes wrong so.
  void fail_reads_of(const std::string& part, const FakeAnswer& answer) {
    s3.before = [=](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (call.operation != "GetObject" || !holds(call.key, part)) return std::nullopt;
      return answer;
    };
  }
};

TEST(CommandsBucket, PruneDeletesInBothPlacesWhatTheDryRunAnnounced) {
  const std::string old = add_both(90h), there = add_there(80h), young = add_both(1h);
  const Printed announced = prune(true);
  LONGS_EQUAL_TEXT(0, announced.code, announced.err.c_str());
  const std::string half = announced.out.substr(announced.out.find("IN THE BUCKET"));
  for (const std::string& file : {old, there}) {
    CHECK_TEXT(holds(row_of(half, file), "delete  older than the retention"), half.c_str());
  }
  CHECK_TEXT(holds(row_of(half, young), "keep "), half.c_str());
  LONGS_EQUAL(0, s3.count("DeleteObjects"));
  LONGS_EQUAL(2, lab.files().size());
  const Printed done = prune();
  LONGS_EQUAL_TEXT(0, done.code, done.err.c_str());
  CHECK_TEXT(holds(done.out, "2 deleted in https://s3.test:9000/backups/p1, 1 kept"),
             done.out.c_str());
  CHECK_TRUE(lab.objects() == std::vector<std::string>{young});
  CHECK_TRUE(lab.files() == std::vector<std::string>{young});
}

TEST(CommandsBucket, PruneMeasuresByAProvenOneThatIsInBothPlaces) {
  const std::string there = add_there(90h);
  lab.add_snapshot(1h);
  add_there(30min);
  LONGS_EQUAL(0, prune().code);
  CHECK_TRUE(lab.in_bucket(there));
  LONGS_EQUAL(0, s3.count("DeleteObjects"));
}

// The bucket was full for twelve cycles; this is the way out.
TEST(CommandsBucket, PruneFindsItsMeasureBehindManyThatTheBucketLacks) {
  const std::string old = add_there(90h), there = add_both(13h);
  for (int hours = 1; hours <= 12; ++hours) lab.add_snapshot(std::chrono::hours(hours));
  const Printed printed = prune();
  LONGS_EQUAL_TEXT(0, printed.code, printed.err.c_str());
  CHECK_FALSE(lab.in_bucket(old));
  CHECK_TRUE(lab.in_bucket(there));
  CHECK_FALSE(holds(printed.out, "nothing is pruned"));
}

// Beside another host's of the same name, and noted by nobody.
TEST(CommandsBucket, PruneFindsItsMeasureUnderANameBeside) {
  const std::string old = add_there(90h), here = lab.add_snapshot(1h);
  s3.put("p1/" + here, "another host's");
  s3.put("p1/" + name_beside(here.substr(0, here.size() - 4), "node-1", 1) + ".zip",
         lab.scratch.read("snapshots/" + here));
  LONGS_EQUAL(0, prune().code);
  CHECK_FALSE(lab.in_bucket(old));
}

// A cycle noted where the newest one is: one pass over the list is enough.
TEST(CommandsBucket, PruneGoesByWhatACycleNoted) {
  LONGS_EQUAL(0, command_run(lab.context));
  const std::string old = add_there(90h);
  s3.calls.clear();
  LONGS_EQUAL(0, prune().code);
  CHECK_FALSE(lab.in_bucket(old));
  LONGS_EQUAL(1, s3.count("ListObjectsV2"));
}

TEST(CommandsBucket, PruneSaysWhyItDeletesNothingThere) {
  const std::string old = add_there(90h);
  lab.add_snapshot(1h);
  for (const bool dry_run : {true, false}) {
    const Printed printed = prune(dry_run);
    LONGS_EQUAL(0, printed.code);
    CHECK_TEXT(holds(printed.out, "nothing is pruned in the bucket: no proven recurring snapshot"),
               printed.out.c_str());
  }
  CHECK_TRUE(lab.in_bucket(old));
}

TEST(CommandsBucket, PruneMeasuresByAnotherWhereTheNewestCannotBeRead) {
  for (const FakeAnswer& answer : {archived(), s3_error(500, "InternalError")}) {
    std::filesystem::remove_all(lab.settings.host.snapshots.directory);
    const std::string old = add_there(90h), second = add_both(2h), newest = add_both(1h);
    fail_reads_of(newest, answer);
    const Printed printed = prune();
    LONGS_EQUAL_TEXT(answer.status == 500 ? kExitRemote : 0, printed.code, printed.err.c_str());
    CHECK_FALSE(lab.in_bucket(old));
    CHECK_TRUE(lab.in_bucket(second));
    CHECK_TRUE(lab.has(newest));
  }
}

TEST(CommandsBucket, PruneDeletesNothingThereWhereNoneCanBeRead) {
  const std::string old = add_there(90h);
  for (int hours = 1; hours <= 20; ++hours) add_both(std::chrono::hours(hours));
  fail_reads_of("", archived());
  const Printed printed = prune();
  LONGS_EQUAL(kExitRemote, printed.code);
  CHECK_TEXT(holds(printed.out, "nothing is pruned in the bucket"), printed.out.c_str());
  CHECK_TEXT(holds(printed.err, "InvalidObjectState"), printed.err.c_str());
  CHECK_TRUE(lab.in_bucket(old));
}

TEST(CommandsBucket, PruneKeepsHereWhatTheBucketLacks) {
  const std::string old = lab.add_snapshot(90h);
  add_both(1h);
  LONGS_EQUAL(0, prune().code);
  CHECK_TRUE(lab.has(old));
}

// The run before has put it there and remembers that; somebody deleted it since.
TEST(CommandsBucket, PruneKeepsHereWhatItSeesTheBucketHasLost) {
  const std::string old = lab.add_snapshot(20h);
  LONGS_EQUAL(0, command_run(lab.context));
  CHECK_TRUE(lab.in_bucket(old));
  lab.clock.pass(5h);
  s3.buckets["backups"].erase("p1/" + old);
  LONGS_EQUAL(0, prune().code);
  CHECK_TRUE(lab.has(old));
}

TEST(CommandsBucket, PruneTouchesNothingThereWithoutAnAnswer) {
  const std::string old = add_both(90h);
  add_both(1h);
  s3.denied = {"ListObjectsV2"};
  const Printed printed = prune();
  LONGS_EQUAL(kExitRemote, printed.code);
  CHECK_TRUE(lab.in_bucket(old));
  CHECK_TRUE(lab.has(old));
}

TEST(CommandsBucket, PruneAcceptsTheBreakInTheBucket) {
  const uint64_t own = std::exchange(lab.etcd.cluster_id, 0x1234);
  const std::string old = add_there(90h);
  lab.etcd.cluster_id = own;
  add_both(1h);
  const Printed held = prune();
  LONGS_EQUAL(0, held.code);
  CHECK_TEXT(holds(held.out, "prune --accept-history"), held.out.c_str());
  CHECK_TRUE(lab.in_bucket(old));
  LONGS_EQUAL(0, prune(true, true).code);
  CHECK_TRUE(lab.in_bucket(old));
  LONGS_EQUAL(0, prune(false, true).code);
  CHECK_FALSE(lab.in_bucket(old));
}

// As here: what is accepted is what lies there, not what a later break will be.
TEST(CommandsBucket, PruneAcceptsNoBreakOfTheFuture) {
  const uint64_t own = std::exchange(lab.etcd.cluster_id, 0x1234);
  add_there(90h);
  lab.etcd.cluster_id = own;
  add_both(1h);
  lab.clock.jump(10 * 24h);
  LONGS_EQUAL(0, prune(false, true).code);
  lab.clock.jump(-10 * 24h);
  lab.clock.pass(1h);
  lab.add_snapshot(30min, 900);
  lab.etcd.revision = 50;
  LONGS_EQUAL(0, command_run(lab.context));
  LONGS_EQUAL(1, lab.log.count("Nothing is pruned: the history of the cluster changed"));
}

TEST(CommandsBucket, DeleteTakesItFromBothPlacesAndNothingElse) {
  const std::string first = add_both(3h), second = add_there(2h), newest = add_both(1h);
  s3.put("p11/" + first, "x");
  LONGS_EQUAL(0, remove(first.substr(0, first.size() - 4)).code);
  CHECK_FALSE(lab.in_bucket(first));
  CHECK_FALSE(lab.has(first));
  LONGS_EQUAL(0, remove(second).code);
  CHECK_FALSE(lab.in_bucket(second));
  LONGS_EQUAL(2, s3.objects().size());
  LONGS_EQUAL(2, lab.log.count("Deleted remote backup"));
  LONGS_EQUAL(1, lab.log.count("Deleted local backup"));
}

TEST(CommandsBucket, DeleteWithoutTheFlagLeavesTheBucketAlone) {
  const std::string old = add_both(2h);
  add_both(1h);
  LONGS_EQUAL(0, remove(old, false, false).code);
  CHECK_TRUE(lab.in_bucket(old));
  LONGS_EQUAL(0, s3.calls.size());
}

TEST(CommandsBucket, DeleteKeepsTheNewestUnlessForced) {
  const std::string old = add_there(2h), newest = add_there(1h);
  s3.put("p1/2018-05-04T18:30:00Z_node-2_etcd.zip", "another host's");
  s3.put("p1/rke_etcd_snapshot_2018-05-04T18:35:00Z.zip", "by hand");
  s3.put("p1/2018-05-05T18:30:00Z_etcd.zip", "of a clock that ran ahead");
  const Printed refused = remove(newest);
  LONGS_EQUAL(kExitUsage, refused.code);
  CHECK_TEXT(holds(refused.err, "--force"), refused.err.c_str());
  CHECK_TRUE(lab.in_bucket(newest));
  LONGS_EQUAL(0, remove(newest, true).code);
  CHECK_FALSE(lab.in_bucket(newest));
  CHECK_TRUE(lab.in_bucket(old));
}

TEST(CommandsBucket, DeleteTakesExactNamesOfOursOnly) {
  add_both(2h);
  add_both(1h);
  for (const char* key : {"notes.txt", "garbage.zip", "pki.bundle.tar.gz"}) {
    s3.put(std::string("p1/") + key, "x");
  }
  s3.put("outside.zip", "x");
  const size_t before = s3.objects().size();
  for (const char* name : {"", "notes.txt", "garbage", "garbage.zip", "pki.bundle.tar.gz", "*",
                           "../outside.zip", "2018-05-04", "2018-05-04T16:40:16Z_ETCD"}) {
    LONGS_EQUAL_TEXT(kExitUsage, remove(name, true).code, name);
  }
  LONGS_EQUAL(before, s3.objects().size());
  LONGS_EQUAL(2, lab.files().size());
}

TEST(CommandsBucket, DeleteNeedsABucket) {
  lab.settings.policy.s3.reset();
  const std::string old = lab.add_snapshot(2h);
  lab.add_snapshot(1h);
  const Printed printed = remove(old);
  LONGS_EQUAL(kExitUsage, printed.code);
  CHECK_TRUE(holds(printed.err, "no bucket is configured"));
  CHECK_TRUE(lab.has(old));
}

TEST(CommandsBucket, DeleteTellsOfALockAndKeepsTheFile) {
  const std::string old = add_both(2h);
  add_both(1h);
  s3.locked = {"p1/" + old};
  LONGS_EQUAL(kExitRemote, remove(old).code);
  CHECK_TRUE(lab.in_bucket(old));
  CHECK_TRUE(lab.has(old));
}

// Its own object has a name beside that one.
TEST(CommandsBucket, DeleteSparesAnotherBackupUnderTheName) {
  const std::string old = lab.add_snapshot(2h);
  s3.put("p1/" + old, "another host's");
  LONGS_EQUAL(0, command_run(lab.context));
  const std::string beside = old.substr(0, old.find("_etcd")) + "_node-1_etcd.zip";
  CHECK_TRUE(lab.in_bucket(beside));
  remove(old);
  STRCMP_EQUAL("another host's",
               lab.in_bucket(old) ? s3.objects().at("p1/" + old).bytes.c_str() : "(deleted)");
}

TEST(CommandsBucket, DeleteReadsNothingOfWhatHasANameOfOurs) {
  const std::string old = add_there(2h), newest = add_there(1h);
  fail_reads_of("", archived());
  LONGS_EQUAL(0, remove(old).code);
  LONGS_EQUAL(0, remove(newest, true).code);
  LONGS_EQUAL(0, lab.objects().size());
}

// The cycle has compared it.
TEST(CommandsBucket, DeleteTakesWhatCannotBeReadWhereACycleNotedIt) {
  const std::string first = add_both(20h), second = add_both(19h);
  LONGS_EQUAL(0, command_run(lab.context));
  fail_reads_of("", archived());
  LONGS_EQUAL(0, remove(first).code);
  fail_reads_of("", s3_error(500, "InternalError"));
  LONGS_EQUAL(0, remove(second).code);
  CHECK_FALSE(lab.in_bucket(first) || lab.in_bucket(second));
  CHECK_FALSE(lab.has(first) || lab.has(second));
}

// The same name, but it was written anew since.
TEST(CommandsBucket, DeleteDoesNotGoByWhatACycleNotedOfAnother) {
  const std::string first = add_both(20h);
  LONGS_EQUAL(0, command_run(lab.context));
  s3.put("p1/" + first, std::string(lab.scratch.read("snapshots/" + first).size(), 'x'));
  fail_reads_of("", archived());
  LONGS_EQUAL(kExitRemote, remove(first, true).code);
  CHECK_TRUE(lab.in_bucket(first));
}

// No other host writes this one's name.
TEST(CommandsBucket, DeleteTakesWhatCannotBeReadWhereItHasTheNameOfThisHost) {
  add_both(1h);
  Manifest manifest;
  manifest.name = "2018-05-04T16:40:16Z_node-1_etcd";
  manifest.kind = "rolling";
  manifest.created = "2018-05-04T16:40:16Z";
  manifest.host = "node-1";
  const std::string named = lab.put(manifest);
  lab.copy_to_bucket(named);
  fail_reads_of("", archived());
  LONGS_EQUAL(0, remove(named).code);
  CHECK_FALSE(lab.in_bucket(named) || lab.has(named));
}

TEST(CommandsBucket, DeleteSparesWhatItCannotTellFromAnotherHosts) {
  const std::string old = add_both(2h);
  add_both(1h);
  for (const FakeAnswer& answer : {archived(), s3_error(500, "InternalError")}) {
    fail_reads_of(old, answer);
    const Printed printed = remove(old, true);
    LONGS_EQUAL(kExitRemote, printed.code);
    CHECK_TEXT(holds(printed.err, "cannot tell whether"), printed.err.c_str());
    CHECK_TRUE(lab.in_bucket(old));
    CHECK_TRUE(lab.has(old));
  }
}

// Its own lies beside the one that nobody can read.
TEST(CommandsBucket, DeleteFindsItsOwnBesideOneThatCannotBeRead) {
  const std::string old = lab.add_snapshot(2h);
  add_both(1h);
  s3.put("p1/" + old, std::string(lab.scratch.read("snapshots/" + old).size(), 'x'));
  const std::string beside = name_beside(old.substr(0, old.size() - 4), "node-1", 1) + ".zip";
  s3.put("p1/" + beside, lab.scratch.read("snapshots/" + old));
  fail_reads_of(old, archived());
  LONGS_EQUAL(0, remove(old).code);
  CHECK_TRUE(lab.in_bucket(old));
  CHECK_FALSE(lab.in_bucket(beside));
}

TEST(CommandsBucket, SaveUploadsWhereItIsAskedTo) {
  LONGS_EQUAL(0, save("one", false).code);
  LONGS_EQUAL(0, s3.calls.size());
  LONGS_EQUAL(0, save("two", true).code);
  CHECK_TRUE(lab.same_in_bucket("two.zip"));
  LONGS_EQUAL(1, lab.objects().size());
  STRCMP_EQUAL("two", lab.log.field("Uploaded backup", "name").c_str());
}

TEST(CommandsBucket, SaveKeepsTheSnapshotWhereTheUploadFails) {
  s3.denied = {"PutObject"};
  LONGS_EQUAL(kExitRemote, save("one", true).code);
  CHECK_TRUE(lab.has("one.zip"));
  LONGS_EQUAL(1, lab.log.count("Backup is safe here, but not in the bucket"));
}
