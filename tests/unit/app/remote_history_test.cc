// The history guard in the bucket: what may be the last good copy of another cluster stays.
#include "lab.h"
#include "remote_prune.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(RemoteHistory) {
  Lab lab;
  std::unique_ptr<S3Session> session;
  std::unique_ptr<S3Client> client;
  std::unique_ptr<Bucket> bucket;
  RemotePruner::Options options;

  void setup() override {
    lab.with_bucket();
    lab.settings.policy.retention = 24h;
    auto opened =
        S3Session::open(*lab.settings.policy.s3, lab.settings.host.s3, lab.clock, lab.s3.factory());
    CHECK_TRUE(opened.ok());
    session = std::move(*opened);
    client = std::make_unique<S3Client>(*session, lab.s3);
    bucket = std::make_unique<Bucket>(*session, *client);
    options.state.now = lab.clock.now();
    options.state.proven_this_cycle = true;
    const std::string own = put(0s, lab.etcd.cluster_id, 1000);
    options.anchor = RemoteObject{own, 10, ""};
    options.own = read(own);
  }
  // A proven snapshot in the bucket, and nowhere else.
  std::string put(Nanoseconds age, uint64_t cluster_id, int64_t revision) {
    const uint64_t own = std::exchange(lab.etcd.cluster_id, cluster_id);
    const std::string file = lab.add_snapshot(age, revision);
    lab.etcd.cluster_id = own;
    lab.copy_to_bucket(file);
    std::filesystem::remove(lab.scratch.path("snapshots/" + file));
    return file;
  }
  std::optional<Manifest> read(const std::string& file) {
    const auto size = static_cast<int64_t>(lab.s3.objects().at("p1/" + file).bytes.size());
    auto manifest = bucket->manifest({file, size, ""});
    CHECK_TRUE(manifest.ok() && manifest->has_value());
    return manifest ? *manifest : std::nullopt;
  }
  RemotePruner::Outcome prune() {
    RemotePruner pruner(lab.context, *bucket, options);
    CHECK_TRUE(
        bucket->list([&](std::vector<RemoteObject> page) { return pruner.feed(page); }).ok());
    auto outcome = pruner.finish();
    CHECK_TRUE(outcome.ok());
    return outcome ? *outcome : RemotePruner::Outcome();
  }
};

TEST(RemoteHistory, LetsTheSameClusterGoOn) {
  put(90h, lab.etcd.cluster_id, 900);
  put(80h, lab.etcd.cluster_id, 1000);
  const auto outcome = prune();
  LONGS_EQUAL(2, outcome.deleted);
  CHECK_FALSE(outcome.history_break.has_value());
}

TEST(RemoteHistory, KeepsWhatIsAnotherClusters) {
  put(90h, 0x1234, 10);
  put(80h, 0x1234, 20);
  const auto outcome = prune();
  LONGS_EQUAL(0, outcome.deleted);
  LONGS_EQUAL(3, outcome.kept);
  CHECK_TRUE(outcome.history_break && outcome.history_break->cluster_changed);
  LONGS_EQUAL(0, lab.s3.count("DeleteObjects"));
  LONGS_EQUAL(3, lab.objects().size());
}

TEST(RemoteHistory, KeepsWhatIsAheadOfTheClusterNow) {
  put(90h, lab.etcd.cluster_id, 1001);
  const auto outcome = prune();
  LONGS_EQUAL(0, outcome.deleted);
  CHECK_TRUE(outcome.history_break && !outcome.history_break->cluster_changed);
}

TEST(RemoteHistory, GoesByWhatTheOperatorAccepted) {
  put(90h, 0x1234, 10);
  options.accepted_history = lab.clock.now() - 80h;
  LONGS_EQUAL(1, prune().deleted);
  put(70h, 0x1234, 20);
  LONGS_EQUAL(0, prune().deleted);
}

// A day after a cluster was made anew, its own snapshots expire beside those of the one before,
// whose last good copy is among them. Nobody has accepted that yet.
TEST(RemoteHistory, KeepsAnotherClustersAlsoWhereTheNewestThatExpiredIsOfThisOne) {
  const std::string before = put(90h, 0x1234, 10), last = put(80h, 0x1234, 20);
  put(70h, lab.etcd.cluster_id, 100);
  put(60h, lab.etcd.cluster_id, 200);
  const auto outcome = prune();
  CHECK_TRUE(outcome.history_break.has_value());
  CHECK_TRUE(lab.in_bucket(before));
  CHECK_TRUE(lab.in_bucket(last));
}

// The same with a cluster that was restored: what is ahead of it lies between older and newer.
TEST(RemoteHistory, KeepsWhatIsAheadAlsoWhereTheNewestThatExpiredIsNot) {
  put(90h, lab.etcd.cluster_id, 10);
  const std::string ahead = put(80h, lab.etcd.cluster_id, 5000);
  put(70h, lab.etcd.cluster_id, 100);
  prune();
  CHECK_TRUE(lab.in_bucket(ahead));
}

// What RKE left carries no manifest, and does not speak for its neighbours.
TEST(RemoteHistory, KeepsAnotherClustersAlsoWhereTheNewestThatExpiredSaysNothing) {
  const std::string last = put(80h, 0x1234, 20);
  lab.s3.put("p1/2018-05-02T00:00:00+02:00_etcd.zip", "RKE's");
  prune();
  CHECK_TRUE(lab.in_bucket(last));
}

TEST(RemoteHistory, AnnouncesNoDeleteThatItHoldsBack) {
  put(90h, 0x1234, 10);
  int deletes = 0;
  options.dry_run = [&](const RemoteObject&, const RetentionDecision& decision) {
    deletes += decision.keep ? 0 : 1;
  };
  LONGS_EQUAL(0, prune().deleted);
  LONGS_EQUAL(0, deletes);
}
