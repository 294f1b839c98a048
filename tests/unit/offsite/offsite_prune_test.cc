// What a cycle deletes in the bucket, and what it keeps here because of the bucket.
#include "../offsite_lab.h"
#include "base/exit_code.h"
#include "commands/commands.h"
#include "cycle.h"
#include "systemd/message_ids.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {
constexpr char kNotPruned[] = "Couldn't prune in the bucket";
}  // namespace

TEST_GROUP_BASE(OffsitePrune,
                OffsiteBase){// In both places.
                             std::string add_both(Nanoseconds age, int64_t revision = 500){
                                 const std::string file = lab.add_snapshot(age, revision);
lab.copy_to_bucket(file);
return file;
}
// In the bucket alone.
std::string add_there(Nanoseconds age, int64_t revision = 500) {
  const std::string file = add_both(age, revision);
  std::filesystem::remove(lab.scratch.path("snapshots/" + file));
  return file;
}
}
;

TEST(OffsitePrune, DeletesInBothPlacesByTheSamePolicy) {
  const std::string both = add_both(90h), there = add_there(80h), young = add_both(1h);
  s3.put("p1/notes.txt", "x");
  s3.put("p1/2010-01-01T00:00:00Z_node-2_etcd.zip", "x");
  s3.put("p11/" + both, "x");
  s3.put(both, "x");
  s3.put("p1/deeper/" + both, "x");
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  CHECK_FALSE(lab.has(both));
  CHECK_FALSE(lab.in_bucket(both));
  CHECK_FALSE(lab.in_bucket(there));
  CHECK_TRUE(lab.in_bucket(young));
  LONGS_EQUAL(2, lab.log.count("Deleted remote backup"));
  LONGS_EQUAL(1, lab.log.count("Deleted local backup"));
  LONGS_EQUAL(7, s3.objects().size());
}

TEST(OffsitePrune, DeletesNothingThereWhileInDoubt) {
  const std::string old = add_there(90h);
  lab.etcd.leader = 0;
  LONGS_EQUAL(0, next_cycle());
  CHECK_TRUE(lab.in_bucket(old));
  lab.etcd.leader = 1;
  lab.etcd.errors = {"memberID:10276657743932975437 alarm:NOSPACE "};
  LONGS_EQUAL(0, next_cycle());
  CHECK_TRUE(lab.in_bucket(old));
  lab.etcd.errors.clear();
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  LONGS_EQUAL(kExitUnavailable, next_cycle());
  CHECK_TRUE(lab.in_bucket(old));
  lab.etcd.dead.clear();
  lab.clock.jump(10 * 24h);
  LONGS_EQUAL(0, next_cycle());
  CHECK_TRUE(lab.in_bucket(old));
  lab.clock.pass(24h);
  LONGS_EQUAL(0, next_cycle());
  CHECK_FALSE(lab.in_bucket(old));
}

TEST(OffsitePrune, DeletesNothingThereWhileTheHistoryHereIsBroken) {
  const std::string old = add_there(90h);
  lab.add_snapshot(1h, 5000);
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.in_bucket(old));
  LONGS_EQUAL(0, s3.count("DeleteObjects"));
}

TEST(OffsitePrune, WarnsOfAnotherClustersSnapshotsInTheBucket) {
  const uint64_t own = std::exchange(lab.etcd.cluster_id, 0x1234);
  const std::string old = add_there(90h);
  lab.etcd.cluster_id = own;
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.in_bucket(old));
  const auto warnings =
      lab.log.of("Nothing is pruned in the bucket: the history of the cluster changed");
  LONGS_EQUAL(1, warnings.size());
  STRCMP_EQUAL(kFrozen, std::string(warnings[0].message_id).c_str());
  CHECK_TRUE(holds(warnings[0].fields.find("reason")->second, "1234"));
}

TEST(OffsitePrune, KeepsHereWhatTheBucketLacks) {
  const std::string old = lab.add_snapshot(90h);
  s3.denied = {"PutObject"};
  LONGS_EQUAL(kExitRemote, cycle());
  CHECK_TRUE(lab.has(old));
  s3.denied.clear();
  LONGS_EQUAL(0, next_cycle());
  CHECK_FALSE(lab.has(old));
  CHECK_FALSE(lab.in_bucket(old));
}

TEST(OffsitePrune, LetsGoHereOfWhatIsInTheBucketThoughThatIsAway) {
  lab.settings.policy.retention = 8min;
  LONGS_EQUAL(0, next_cycle());
  const std::string known = lab.files()[0];
  LONGS_EQUAL(0, next_cycle());
  s3.denied = {"HeadObject"};
  LONGS_EQUAL(kExitRemote, next_cycle());
  CHECK_FALSE(lab.has(known));
  LONGS_EQUAL(2, lab.files().size());
}

TEST(OffsitePrune, LetsGoHereOfWhatNobodyProved) {
  lab.add_snapshot(1h);
  lab.scratch.write("snapshots/2018-05-01T00:00:00Z_etcd.zip", "RKE's");
  s3.denied = {"PutObject"};
  LONGS_EQUAL(kExitRemote, cycle());
  CHECK_FALSE(lab.has("2018-05-01T00:00:00Z_etcd.zip"));
}

// Under a name beside that of another backup it is still this host's.
TEST(OffsitePrune, DeletesWhatItPutUnderASecondNameBeside) {
  s3.put(std::string("p1/") + kFirst, "another host's");
  s3.put("p1/2018-05-04T18:40:16Z_node-1_etcd.zip", "another's");
  const std::string old = add_there(90h);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(1, lab.log.count("Uploaded backup"));
  CHECK_FALSE(lab.in_bucket(old));
  CHECK_TRUE(lab.in_bucket("2018-05-04T18:40:16.2Z_node-1_etcd.zip"));
  lab.clock.pass(25h);
  LONGS_EQUAL(0, next_cycle());
  CHECK_FALSE(lab.in_bucket("2018-05-04T18:40:16.2Z_node-1_etcd.zip"));
}

TEST(OffsitePrune, TellsOfLocksOnceAndWithoutAnError) {
  const std::string old = add_there(90h);
  s3.locked = {"p1/" + old};
  LONGS_EQUAL(0, cycle());
  CHECK_TRUE(lab.in_bucket(old));
  const auto told = lab.log.of("Expired backups stay in the bucket, which locks them");
  LONGS_EQUAL(1, told.size());
  STRCMP_EQUAL(kRemoteLocked, std::string(told[0].message_id).c_str());
  STRCMP_EQUAL("1", told[0].fields.find("count")->second.c_str());
}

TEST(OffsitePrune, CatchesUpAlsoWhereNothingMayBeDeleted) {
  const std::string old = add_there(90h), missing = lab.add_snapshot(1h);
  s3.denied = {"DeleteObjects"};
  LONGS_EQUAL(kExitRemote, cycle());
  CHECK_TRUE(lab.in_bucket(old));
  CHECK_TRUE(lab.same_in_bucket(missing));
}

// It is not that timeout that is over: none is set.
TEST(OffsitePrune, SaysOfALateDeletionWhatIsLate) {
  add_there(90h);
  s3.before = [this](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "DeleteObjects") return std::nullopt;
    lab.clock.pass(24h);
    return time_is_over();
  };
  LONGS_EQUAL(kExitRemote, cycle());
  const std::string hint = lab.log.field(kNotPruned, "hint");
  CHECK_TEXT(holds(hint, "the time between two snapshots"), hint.c_str());
}

TEST(OffsitePrune, PrunesTheOthersWhereOneIsArchived) {
  const std::string unread = add_there(90h), old = add_there(80h);
  s3.before = [=](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "GetObject" || !holds(call.key, unread)) return std::nullopt;
    return archived();
  };
  LONGS_EQUAL(kExitRemote, cycle());
  CHECK_TRUE(lab.in_bucket(unread));
  CHECK_FALSE(lab.in_bucket(old));
  const std::string error = lab.log.field(kNotPruned, "error");
  CHECK_TEXT(holds(error, unread), error.c_str());
}

// Whatever the bucket does, the snapshot is here, and the exit code says which half failed.
TEST(OffsitePrune, NoFailureOfTheBucketCostsTheSnapshot) {
  const char* const small[] = {"HeadObject", "PutObject", "ListObjectsV2", "DeleteObjects"};
  const char* const large[] = {"HeadObject", "CreateMultipartUpload", "UploadPart",
                               "CompleteMultipartUpload"};
  const std::function<FakeAnswer()> answers[] = {
      [] { return s3_error(403, "AccessDenied"); }, [] { return s3_error(503, "SlowDown"); },
      [] { return s3_error(404, "NoSuchBucket"); }, lost_connection,
      [] {
        return FakeAnswer{200, {}, "<html>a portal</html>"};
      }};
  lab.settings.host.s3.part_size_mib = 1;
  for (const bool in_parts : {false, true}) {
    lab.etcd.database = fake_database(in_parts ? 4 << 20 : 64 << 10);
    for (const char* operation : in_parts ? large : small) {
      for (size_t i = 0; i < std::size(answers); ++i) {
        // A HEAD shows no body: a portal's page is an object like any other to it.
        if (std::string(operation) == "HeadObject" && i == 4) continue;
        std::filesystem::remove_all(lab.settings.host.snapshots.directory);
        s3.buckets["backups"].clear();
        add_there(90h);
        s3.before = [=](const FakeCall& call) -> std::optional<FakeAnswer> {
          if (call.operation == operation) return answers[i]();
          return std::nullopt;
        };
        const std::string what = std::string(operation) + " " + std::to_string(i);
        LONGS_EQUAL_TEXT(kExitRemote, next_cycle(), (what + lab.log.text()).c_str());
        const char* const message = holds(operation, "List")     ? kBehind
                                    : holds(operation, "Delete") ? kNotPruned
                                                                 : kNotThere;
        LONGS_EQUAL_TEXT(1, lab.log.count(message), (what + lab.log.text()).c_str());
        CHECK_TEXT(lab.log.of(message)[0].level == LogLevel::kError, what.c_str());
        LONGS_EQUAL_TEXT(1, lab.log.count("Created backup"), what.c_str());
        LONGS_EQUAL_TEXT(1, lab.files().size(), what.c_str());
        CHECK_TEXT(lab.holds_database(lab.files()[0], Compression::kZip), what.c_str());
        LONGS_EQUAL_TEXT(0, lab.hidden().size(), what.c_str());
        LONGS_EQUAL_TEXT(kExitRemote, lab.state().exit_code, what.c_str());
        CHECK_FALSE_TEXT(holds(lab.log.text(), "wJalrXUtnFEMIsecret"), what.c_str());
      }
    }
  }
}

TEST(OffsitePrune, TheSnapshotComesBeforeACertificateThatIsNone) {
  lab.settings.host.s3.ca_file = lab.scratch.path("missing.pem");
  LONGS_EQUAL(kExitRemote, cycle());
  CHECK_TRUE(lab.has(kFirst));
  LONGS_EQUAL(1, lab.log.count(kNotThere));
  LONGS_EQUAL(0, s3.calls.size());
}

TEST_GROUP(OffsiteBundle) {
  Lab lab;
  void setup() override {
    lab.with_bucket();
    LONGS_EQUAL(0, mkdir(lab.scratch.path("pki").c_str(), 0700));
    lab.scratch.write("pki/kube-ca.pem", "certificate");
    lab.settings.host.pki.directory = lab.scratch.path("pki");
    lab.settings.host.pki.bundle = BundleMode::kYes;
    lab.settings.host.pki.upload = true;
  }
  int cycle() {
    lab.clock.pass(1min);
    lab.log.clear();
    lab.s3.calls.clear();
    return run_cycle(lab.context);
  }
};

TEST(OffsiteBundle, GoesThereWhenItChanged) {
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  CHECK_TRUE(lab.same_in_bucket("pki.bundle.tar.gz"));
  const auto told = lab.log.of("Uploaded certificate bundle");
  LONGS_EQUAL(1, told.size());
  STRCMP_EQUAL(kBundleUploaded, std::string(told[0].message_id).c_str());
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(0, lab.log.count("Uploaded certificate bundle"));
  LONGS_EQUAL(1, lab.s3.count("PutObject"));
  lab.scratch.write("pki/kube-ca.pem", "another");
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(1, lab.log.count("Uploaded certificate bundle"));
  CHECK_TRUE(lab.same_in_bucket("pki.bundle.tar.gz"));
}

TEST(OffsiteBundle, StaysHereUnlessItIsAskedFor) {
  lab.settings.host.pki.upload = false;
  LONGS_EQUAL(0, cycle());
  CHECK_FALSE(lab.in_bucket("pki.bundle.tar.gz"));
  CHECK_TRUE(lab.has("pki.bundle.tar.gz"));
}

TEST(OffsiteBundle, MayBeMissing) {
  lab.settings.host.pki.bundle = BundleMode::kNo;
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  LONGS_EQUAL(1, lab.objects().size());
}

TEST(OffsiteBundle, ThatCannotGoThereIsTold) {
  lab.s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (!holds(call.key, "pki.bundle")) return std::nullopt;
    return s3_error(403, "AccessDenied");
  };
  LONGS_EQUAL(kExitRemote, cycle());
  LONGS_EQUAL(1, lab.log.count("Uploaded backup"));
}
