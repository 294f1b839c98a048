// The history guard in the bucket: what may be the last good copy of another cluster stays.
#include "remote_lab.h"

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP_BASE(RemoteHistory, RemotePruneBase){void setup() override{RemotePruneBase::setup();
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
// RKE's, which carry no manifest, a second apart from `age` on.
void put_many(int count, Nanoseconds age) {
  for (int i = 0; i < count; ++i) {
    const auto time = lab.clock.now() - std::chrono::floor<std::chrono::seconds>(age);
    lab.s3.put("p1/" + rolling_name(time + std::chrono::seconds(i), "", false) + ".zip", "RKE's");
  }
}
// Reading the object of that name goes wrong so.
void fail_reads_of(const std::string& part, const FakeAnswer& answer) {
  lab.s3.before = [=](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "GetObject" || !holds(call.key, part)) return std::nullopt;
    return answer;
  };
}
RemotePruner::Outcome prune() {
  RemotePruner pruner(lab.context, *bucket, options);
  CHECK_TRUE(bucket->list([&](std::vector<RemoteObject> page) { return pruner.feed(page); }).ok());
  auto outcome = pruner.finish();
  CHECK_TRUE(outcome.ok());
  return outcome ? *outcome : RemotePruner::Outcome();
}
}
;

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

// --- what cannot be read

TEST(RemoteHistory, KeepsWhatCannotBeReadAndPrunesTheOthers) {
  const std::string oldest = put(90h, lab.etcd.cluster_id, 900);
  put(80h, lab.etcd.cluster_id, 910);
  put(70h, lab.etcd.cluster_id, 920);
  fail_reads_of(oldest, archived());
  const auto outcome = prune();
  LONGS_EQUAL(2, outcome.deleted);
  LONGS_EQUAL(2, outcome.kept);
  LONGS_EQUAL(1, outcome.failed);
  CHECK_TRUE(lab.in_bucket(oldest));
  CHECK_FALSE(outcome.history_break.has_value());
  CHECK_TRUE(outcome.error.has_value());
  CHECK_TEXT(holds(outcome.error->message, oldest), outcome.error->message.c_str());
  CHECK_TEXT(holds(outcome.error->hint, "restore it"), outcome.error->hint.c_str());
}

TEST(RemoteHistory, KeepsWhatTheServerFailsToReadAndPrunesTheOthers) {
  const std::string oldest = put(90h, lab.etcd.cluster_id, 900);
  put(80h, lab.etcd.cluster_id, 910);
  for (const FakeAnswer& answer : {s3_error(500, "InternalError"), lost_connection()}) {
    put(80h, lab.etcd.cluster_id, 910);
    fail_reads_of(oldest, answer);
    const auto outcome = prune();
    LONGS_EQUAL(1, outcome.deleted);
    CHECK_TRUE(lab.in_bucket(oldest));
    CHECK_TRUE(outcome.error.has_value());
  }
}

TEST(RemoteHistory, HoldsAnotherClustersAlsoBesideWhatCannotBeRead) {
  const std::string unread = put(90h, lab.etcd.cluster_id, 900), other = put(80h, 0x1234, 20);
  fail_reads_of(unread, archived());
  const auto outcome = prune();
  LONGS_EQUAL(0, outcome.deleted);
  CHECK_TRUE(outcome.history_break.has_value());
  CHECK_TRUE(lab.in_bucket(other));
}

// Of many at a time some are asked, and what lies between two of them goes with both. Each time
// there are fewer, until all are asked.
TEST(RemoteHistory, PrunesAllButWhatCannotBeReadInTheEnd) {
  put_many(1500, 90h);
  const std::string oldest = lab.objects().front();
  fail_reads_of(oldest, archived());
  auto outcome = prune();
  CHECK_TRUE(outcome.deleted > 1400);
  LONGS_EQUAL(1, outcome.failed);
  LONGS_EQUAL(1501 - outcome.deleted, static_cast<int64_t>(lab.objects().size()));
  for (int cycle = 0; cycle < 3; ++cycle) outcome = prune();
  LONGS_EQUAL(2, lab.objects().size());
  CHECK_TRUE(lab.in_bucket(oldest));
  CHECK_TRUE(outcome.error.has_value());
}

// A month of another cluster's, all of them archived: none of them goes unseen.
TEST(RemoteHistory, DeletesNothingBetweenTwoThatCannotBeRead) {
  put_many(50, 90h);
  const std::string readable = put(60h, lab.etcd.cluster_id, 900);
  fail_reads_of("2018-05-01", archived());
  for (int cycle = 0; cycle < 5; ++cycle) prune();
  LONGS_EQUAL(51, lab.objects().size());
  CHECK_FALSE(lab.in_bucket(readable));
}

TEST(RemoteHistory, AnnouncesNoDeleteOfWhatCannotBeRead) {
  const std::string oldest = put(90h, lab.etcd.cluster_id, 900);
  put(80h, lab.etcd.cluster_id, 910);
  fail_reads_of(oldest, archived());
  std::vector<std::string> announced;
  options.dry_run = [&](const RemoteObject& object, const RetentionDecision& decision) {
    if (!decision.keep) announced.push_back(object.file_name);
  };
  LONGS_EQUAL(1, prune().deleted);
  LONGS_EQUAL(1, announced.size());
  CHECK_FALSE(announced[0] == oldest);
}

TEST(RemoteHistory, DoesNotGoOnAskingAServerThatFailsEachTime) {
  put_many(1500, 90h);
  fail_reads_of("", s3_error(503, "SlowDown"));
  lab.s3.calls.clear();
  const auto outcome = prune();
  LONGS_EQUAL(0, outcome.deleted);
  LONGS_EQUAL(1501, outcome.kept);
  CHECK_TRUE(outcome.error.has_value());
  LONGS_EQUAL(3, lab.s3.count("GetObject"));
  LONGS_EQUAL(0, lab.s3.count("DeleteObjects"));
}

TEST(RemoteHistory, EndsWhereTheTimeIsOver) {
  put(90h, lab.etcd.cluster_id, 900);
  session->deadline = lab.clock.monotonic() + 1min;
  lab.s3.before = [this](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "GetObject") return std::nullopt;
    lab.clock.pass(2min);
    return time_is_over();
  };
  RemotePruner pruner(lab.context, *bucket, options);
  CHECK_TRUE(bucket->list([&](std::vector<RemoteObject> page) { return pruner.feed(page); }).ok());
  CHECK_FALSE(pruner.finish().ok());
}
