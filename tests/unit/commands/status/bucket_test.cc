// status: what it finds in the bucket, and how it says so.
#include "../../lab.h"
#include "commands/commands.h"
#include "commands/status/gather.h"
#include "offsite/ledger.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(StatusBucket) {
  Lab lab;
  StatusOptions options;
  void setup() override {
    lab.settings.policy.interval = 1h;
  }
  Printed status() {
    return capture([&] { return command_status(lab.context, options, std::nullopt); });
  }
  StatusFacts facts() {
    return gather_status(lab.context, std::nullopt, std::nullopt, std::nullopt);
  }
  std::string add_both(Nanoseconds age) {
    const std::string file = lab.add_snapshot(age);
    lab.copy_to_bucket(file);
    return file;
  }
  std::string add_there(Nanoseconds age, const char* host = "node-1") {
    lab.context.host = host;
    const std::string file = add_both(age);
    lab.context.host = "node-1";
    std::filesystem::remove(lab.scratch.path("snapshots/" + file));
    return file;
  }
  // What lies in the bucket under that name, as a cycle notes that it is the file here.
  void note_in_ledger(const std::string& file) {
    const std::string run = lab.scratch.path("run");
    std::filesystem::create_directory(run);
    UploadLedger ledger = UploadLedger::read(run, facts().bucket->url);
    const FakeObject& object = lab.s3.objects().at("p1/" + file);
    ledger.put(file, {file, static_cast<int64_t>(object.bytes.size()), object.etag});
    CHECK_TRUE(ledger.write(run).ok());
  }
  // Another host's archive under the name of the file here.
  void put_alike(const std::string& file) {
    lab.s3.put("p1/" + file, std::string(lab.scratch.read("snapshots/" + file).size(), 'x'));
  }
};

TEST(StatusBucket, CountsWhatTheBucketLacksOfWhatItWouldKeep) {
  lab.with_bucket();
  lab.settings.policy.retention = 24h;
  lab.add_snapshot(30h);  // expired: would go there at once
  const std::string lacking = lab.add_snapshot(3h), newest = add_both(30min);
  lab.s3.put("p1/" + lacking, "another host's, of another size");
  lab.s3.put("p1/notes.txt", "x");
  const StatusFacts found = facts();
  CHECK_FALSE(found.bucket->error.has_value());
  LONGS_EQUAL(1, found.bucket->missing);
  CHECK_TRUE(found.bucket->oldest_missing == lab.clock.now() - 3h);
  LONGS_EQUAL(2, found.bucket->count);
  CHECK_TRUE(found.newest->here && found.newest->in_bucket);
  const Printed printed = status();
  LONGS_EQUAL(1, printed.code);
  CHECK_TEXT(
      printed.out.starts_with("WARNING: the bucket lacks 1 snapshot, the oldest of them 3h old\n"),
      printed.out.c_str());
}

TEST(StatusBucket, KnowsItsSnapshotsUnderTheNamesBesideOthers) {
  lab.with_bucket();
  const std::string file = lab.add_snapshot(30min);
  lab.s3.put("p1/" + file, "another host's");
  lab.s3.put("p1/" + name_beside(file.substr(0, file.size() - 4), "node-1", 1) + ".zip",
             lab.scratch.read("snapshots/" + file));
  LONGS_EQUAL(0, facts().bucket->missing);
  LONGS_EQUAL(0, lab.s3.count("GetObject"));
}

TEST(StatusBucket, TakesNoObjectOfAnotherHostForItsOwn) {
  lab.with_bucket();
  const std::string file = lab.add_snapshot(30min);
  put_alike(file);
  StatusFacts found = facts();
  LONGS_EQUAL(1, found.bucket->missing);
  CHECK_FALSE(found.newest->in_bucket);
  lab.copy_to_bucket(file);
  found = facts();
  LONGS_EQUAL(0, found.bucket->missing);
  CHECK_TRUE(found.newest->in_bucket);
  // Looked into no more once a cycle has done so, until it is another object.
  note_in_ledger(file);
  const int looks = lab.s3.count("HeadObject") + lab.s3.count("GetObject");
  LONGS_EQUAL(0, facts().bucket->missing);
  LONGS_EQUAL(looks, lab.s3.count("HeadObject") + lab.s3.count("GetObject"));
  put_alike(file);
  LONGS_EQUAL(1, facts().bucket->missing);
  // As a cycle has it: what nobody can read is not sent again.
  lab.s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "GetObject") return std::nullopt;
    return s3_error(403, "InvalidObjectState");
  };
  LONGS_EQUAL(0, facts().bucket->missing);
  lab.s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "GetObject") return std::nullopt;
    return lost_connection();
  };
  CHECK_TRUE(facts().bucket->error.has_value());
}

TEST(StatusBucket, LooksIntoFewObjects) {
  lab.with_bucket();
  for (int i = 1; i <= 12; ++i) put_alike(lab.add_snapshot(std::chrono::minutes(i)));
  const StatusFacts found = facts();
  LONGS_EQUAL(10, found.bucket->missing);
  CHECK_TRUE(found.bucket->oldest_missing == lab.clock.now() - 10min);
  LONGS_EQUAL(10, lab.s3.count("HeadObject"));
  LONGS_EQUAL(10, lab.s3.count("GetObject"));
}

TEST(StatusBucket, DoesNotCallAListThatIsTooLongForItTrouble) {
  lab.with_bucket();
  lab.s3.page_size = 1;
  add_both(30min);
  add_both(90min);
  int pages = 0, last_page = 2;
  lab.s3.before = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "ListObjectsV2" || ++pages < last_page) return std::nullopt;
    lab.clock.pass(30s);
    return lost_connection();
  };
  const Printed printed = status();
  LONGS_EQUAL(0, printed.code);
  CHECK_TEXT(holds(printed.out, "  bucket       not known: the list took longer than 30 s\n"),
             printed.out.c_str());
  // Not one page: that is no long list.
  pages = 0;
  last_page = 1;
  const Printed silent = status();
  LONGS_EQUAL(1, silent.code);
  CHECK_TEXT(silent.out.starts_with("WARNING: the bucket could not be asked: "),
             silent.out.c_str());
}

TEST(StatusBucket, FindsTheNewestInTheBucketWhereItIsLostHere) {
  lab.with_bucket();
  const std::string lost = add_there(20min);
  add_there(10min, "node-2");  // of a host that shares the folder
  lab.s3.put("p1/2018-05-04T18:39:16Z_etcd.zip", "RKE's own");
  const StatusFacts found = facts();
  CHECK_TRUE(found.newest.has_value());
  STRCMP_EQUAL(lost.c_str(), found.newest->snapshot.file_name.c_str());
  CHECK_TRUE(!found.newest->here && found.newest->in_bucket);
  std::filesystem::remove_all(lab.settings.host.snapshots.directory);
  const Printed printed = status();
  LONGS_EQUAL(1, printed.code);
  CHECK_TEXT(holds(printed.out, "snapshots does not exist\n  -> mount it"), printed.out.c_str());
  CHECK_TEXT(holds(printed.out, "in the bucket only\n"), printed.out.c_str());
}

TEST(StatusBucket, ReadsFewManifestsOfALongList) {
  lab.with_bucket();
  lab.s3.page_size = 10;
  for (int i = 1; i <= 130; ++i) {
    lab.s3.put("p1/" + rolling_name(lab.clock.now() - std::chrono::minutes(i), "", false) + ".zip",
               "x");
  }
  const StatusFacts found = facts();
  LONGS_EQUAL(130, found.bucket->count);
  LONGS_EQUAL(13, lab.s3.count("ListObjectsV2"));
  LONGS_EQUAL(10, lab.s3.count("GetObject"));
  CHECK_FALSE(found.newest.has_value());
  const Printed printed = status();
  LONGS_EQUAL(2, printed.code);
  CHECK_TEXT(holds(printed.out, "does not exist, and none found among the newest 10 in the bucket"),
             printed.out.c_str());
}

TEST(StatusBucket, SaysThatNoneIsInTheBucketWhereEachOneTold) {
  constexpr char kNone[] = ", and none of this host in the bucket";
  lab.with_bucket();
  add_there(10min, "node-2");
  lab.s3.put("p1/2018-05-04T18:39:16Z_node-3_etcd", "bare, but another's by its name");
  CHECK_TRUE(holds(status().out, kNone));
  lab.s3.put("p1/2018-05-04T18:39:16Z_etcd", "bare, of whichever host");
  CHECK_FALSE(holds(status().out, kNone));
  lab.s3.buckets["backups"].erase("p1/2018-05-04T18:39:16Z_etcd");
  CHECK_TRUE(holds(status().out, kNone));
  lab.s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "GetObject") return std::nullopt;
    return s3_error(403, "InvalidObjectState");
  };
  CHECK_FALSE(holds(status().out, kNone));
}

TEST(StatusBucket, AnswersForThisHostWhereTheBucketDoesNot) {
  lab.with_bucket();
  const std::string file = lab.add_snapshot(30min);
  lab.s3.denied = {"ListObjectsV2"};
  const Printed printed = status();
  LONGS_EQUAL(1, printed.code);
  CHECK_TEXT(printed.out.starts_with("WARNING: the bucket could not be asked: "),
             printed.out.c_str());
  CHECK_TEXT(holds(printed.out, "AccessDenied"), printed.out.c_str());
  CHECK_TEXT(holds(printed.out, "newest       " + file), printed.out.c_str());
  CHECK_FALSE(holds(printed.out, "wJalrXUtnFEMIsecret"));
}
