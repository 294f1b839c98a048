// The bucket's half of a cycle: what gets there, under which name, and when.
#include <sys/wait.h>

#include "../offsite_lab.h"
#include "base/exit_code.h"
#include "base/stop.h"
#include "commands/commands.h"
#include "offsite/offsite.h"
#include "systemd/message_ids.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {
constexpr char kBeside[] = "2018-05-04T18:40:16Z_node-1_etcd.zip";
}  // namespace

TEST_GROUP_BASE(OffsiteCycle, OffsiteBase){
    void fail_operation(const std::string& operation, const std::string& key_part = ""){
        s3.before = [=](const FakeCall& call) -> std::optional<FakeAnswer> {
          if (call.operation != operation || !holds(call.key, key_part)) return std::nullopt;
          return s3_error(403, "AccessDenied", "not this one");
        };
}
// The keys of these calls, in their order, without the folder.
std::vector<std::string> keys_of(const std::string& operation) {
  std::vector<std::string> keys;
  for (const FakeCall& call : s3.calls) {
    if (call.operation == operation)
      keys.push_back(call.key.substr(std::min<size_t>(3, call.key.size())));
  }
  return keys;
}
void in_parts() {
  lab.settings.host.s3.part_size_mib = 1;
  lab.etcd.database = fake_database(4 << 20);
}
}
;

TEST(OffsiteCycle, UploadsTheSnapshotAndSaysSo) {
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  CHECK_TRUE(lab.same_in_bucket(kFirst));
  LONGS_EQUAL(3, lab.log.lines.size());
  STRCMP_EQUAL("level=info msg=\"Uploaded backup\" name=\"2018-05-04T18:40:16Z_etcd\" runtime=0s",
               lab.log.lines[2].c_str());
  STRCMP_EQUAL(kUploaded, std::string(lab.log.records[2].message_id).c_str());
}

TEST(OffsiteCycle, UploadsInPartsWhatIsLarger) {
  in_parts();
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  CHECK_TRUE(lab.same_in_bucket(kFirst));
  LONGS_EQUAL(1, s3.count("CreateMultipartUpload"));
  CHECK_TRUE(s3.count("UploadPart") > 1);
  LONGS_EQUAL(0, s3.count("PutObject"));
  LONGS_EQUAL(0, s3.uploads.size());
}

TEST(OffsiteCycle, LeavesNothingOfAnAttemptThatFailed) {
  in_parts();
  FakeReply cut = network_error("transfer closed");
  const std::string whole = snapshot_body(lab.etcd.database);
  cut.body = whole.substr(0, whole.size() - 100000);
  lab.etcd.script["Snapshot"] = {cut, cut};
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  LONGS_EQUAL(0, s3.uploads.size());
  LONGS_EQUAL(1, lab.objects().size());
  CHECK_TRUE(lab.same_in_bucket(kFirst));
}

TEST(OffsiteCycle, UploadsNothingThatDoesNotProveGood) {
  in_parts();
  lab.settings.host.etcd.retries = 0;
  FakeReply reply;
  reply.body = snapshot_body(lab.etcd.database);
  reply.body.back() ^= 1;
  lab.etcd.script["Snapshot"] = {reply};
  LONGS_EQUAL(kExitUnverified, cycle());
  LONGS_EQUAL(0, lab.objects().size());
  LONGS_EQUAL(0, s3.uploads.size());
  LONGS_EQUAL(0, s3.count("CompleteMultipartUpload"));
}

TEST(OffsiteCycle, CatchesUpNewestFirst) {
  fail_operation("HeadObject");
  for (int i = 0; i < 3; ++i) LONGS_EQUAL(kExitRemote, next_cycle());
  s3.before = nullptr;
  LONGS_EQUAL_TEXT(0, next_cycle(), lab.log.text().c_str());
  auto expected = lab.files();
  LONGS_EQUAL(4, expected.size());
  CHECK_TRUE(lab.objects() == expected);
  std::reverse(expected.begin(), expected.end());
  CHECK_TRUE(keys_of("PutObject") == expected);
  for (const std::string& file : expected) CHECK_TRUE(lab.same_in_bucket(file));
  const auto records = lab.log.of("Uploaded backup of an earlier cycle");
  LONGS_EQUAL(3, records.size());
  STRCMP_EQUAL(kCaughtUp, std::string(records[0].message_id).c_str());
  STRCMP_EQUAL("2018-05-04T18:55:16Z_etcd", records[0].fields.find("name")->second.c_str());
}

TEST(OffsiteCycle, CatchesUpAlsoWhereEtcdIsDown) {
  const std::string file = lab.add_snapshot(1h);
  lab.etcd.dead = {"http://127.0.0.1:2379"};
  LONGS_EQUAL(kExitUnavailable, cycle());
  CHECK_TRUE(lab.same_in_bucket(file));
}

TEST(OffsiteCycle, UploadsNeitherWhatExpiredNorWhatIsNotItsOwn) {
  const std::string expired = lab.add_snapshot(30h), young = lab.add_snapshot(2h);
  Manifest other;
  other.name = "2018-05-04T17:00:00Z_node-2_etcd";
  other.kind = "rolling";
  other.host = "node-2";
  lab.put(other);
  lab.scratch.write("snapshots/2018-05-04T16:00:00Z_etcd.zip", "nobody vouches for it");
  lab.scratch.write("snapshots/notes.txt", "x");
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  CHECK_TRUE(lab.objects() == (std::vector<std::string>{young, kFirst}));
  CHECK_FALSE(lab.has(expired));  // nothing waits for the bucket any more
}

TEST(OffsiteCycle, UploadsOneTimeSnapshotsToo) {
  LONGS_EQUAL(0,
              capture([&] { return command_save(lab.context, {.name = "before upgrade"}); }).code);
  LONGS_EQUAL(0, lab.objects().size());
  LONGS_EQUAL_TEXT(0, next_cycle(), lab.log.text().c_str());
  CHECK_TRUE(lab.same_in_bucket("before upgrade.zip"));
  lab.clock.pass(1000h);
  LONGS_EQUAL(0, next_cycle());
  CHECK_TRUE(lab.in_bucket("before upgrade.zip"));
}

TEST(OffsiteCycle, EndsTheBacklogWhenItsTimeIsOverAndGoesOnLater) {
  for (int hours = 1; hours <= 4; ++hours) lab.add_snapshot(std::chrono::hours(hours));
  s3.latency = [&](const FakeCall& call) {
    if (call.operation == "PutObject") lab.clock.pass(2min);
  };
  LONGS_EQUAL(kExitRemote, cycle());
  LONGS_EQUAL(3, lab.objects().size());
  CHECK_TEXT(holds(lab.log.field("The bucket is not up to date", "error"),
                   "2 local backups are not in the bucket yet"),
             lab.log.text().c_str());
  LONGS_EQUAL(5, lab.files().size());
  LONGS_EQUAL_TEXT(0, next_cycle(), lab.log.text().c_str());
  LONGS_EQUAL(6, lab.objects().size());
}

// systemd starts nothing while the service still runs: the cycle that is due then would be late.
TEST(OffsiteCycle, LeavesTheBucketBeforeTheNextCycleIsDue) {
  const std::vector<std::pair<Nanoseconds, Nanoseconds>> table = {
      {1min, 45s}, {2min, 90s}, {5min, 4min + 30s}, {12h, 12h - 30s}};
  for (const auto& [interval, until] : table) {
    lab.settings.policy.interval = interval;
    const Nanoseconds start = lab.clock.monotonic();
    LONGS_EQUAL_TEXT(0, next_cycle(), lab.log.text().c_str());
    CHECK_FALSE(s3.calls.empty());
    for (const FakeCall& call : s3.calls) {
      CHECK_TEXT(call.request.deadline == start + 5min + until,
                 (call.operation + " at " + std::to_string(interval.count())).c_str());
    }
  }
}

TEST(OffsiteCycle, HasNoMoreTimeForTheBucketThanForTheCycle) {
  lab.settings.policy.timeout = 40s;
  const Nanoseconds start = lab.clock.monotonic();
  LONGS_EQUAL(0, command_run(lab.context));
  CHECK_FALSE(s3.calls.empty());
  for (const FakeCall& call : s3.calls) CHECK_TRUE(call.request.deadline == start + 40s);
}

TEST(OffsiteCycle, ComparesNothingThatItRemembers) {
  lab.add_snapshot(1h);
  lab.add_snapshot(2h);
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(0, next_cycle());
  LONGS_EQUAL(0, s3.count("GetObject"));
  // Of the new one: whether its name is free, what is there, and whether it still is.
  LONGS_EQUAL(3, s3.count("HeadObject"));
  LONGS_EQUAL(1, s3.count("PutObject"));
  // What a reboot forgets is compared once, and not sent again.
  std::filesystem::remove(lab.scratch.path("run/bucket.json"));
  LONGS_EQUAL(0, next_cycle());
  LONGS_EQUAL(4, s3.count("GetObject"));
  LONGS_EQUAL(1, s3.count("PutObject"));
  LONGS_EQUAL(0, next_cycle());
  LONGS_EQUAL(0, s3.count("GetObject"));
}

TEST(OffsiteCycle, RemembersWhatIsThereAlsoWhereAnUploadFails) {
  lab.add_snapshot(2h);
  LONGS_EQUAL(0, cycle());
  const std::string stuck = lab.add_snapshot(1h);
  fail_operation("PutObject", stuck);
  LONGS_EQUAL(kExitRemote, next_cycle());
  LONGS_EQUAL(kExitRemote, next_cycle());
  LONGS_EQUAL(0, s3.count("GetObject"));
}

// After a boot each is compared; one of them cannot be, each time.
TEST(OffsiteCycle, OneThatCannotBeComparedKeepsNothingElseBack) {
  const std::string stuck = lab.add_snapshot(2h), expired = lab.add_snapshot(90h);
  for (const std::string& file : {stuck, expired}) lab.copy_to_bucket(file);
  std::filesystem::remove(lab.scratch.path("snapshots/" + expired));
  const std::string missing = lab.add_snapshot(1h);
  s3.before = [=](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "GetObject" || !holds(call.key, stuck)) return std::nullopt;
    return s3_error(500, "InternalError");
  };
  LONGS_EQUAL(kExitRemote, cycle());
  CHECK_TEXT(holds(lab.log.field("The bucket is not up to date", "error"), stuck),
             lab.log.text().c_str());
  CHECK_TRUE(lab.same_in_bucket(missing));
  CHECK_FALSE(lab.in_bucket(expired));
  LONGS_EQUAL(2, s3.count("PutObject"));  // not sent again
  s3.before = nullptr;
  LONGS_EQUAL_TEXT(0, next_cycle(), lab.log.text().c_str());
}

TEST(OffsiteCycle, DoesNotGoOnComparingWithAServerThatFailsEachTime) {
  for (int hours = 1; hours <= 9; ++hours) {
    lab.copy_to_bucket(lab.add_snapshot(std::chrono::hours(hours)));
  }
  const std::string missing = lab.add_snapshot(10h);
  s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "GetObject") return std::nullopt;
    return s3_error(500, "InternalError");
  };
  LONGS_EQUAL(kExitRemote, cycle());
  LONGS_EQUAL(3, s3.count("GetObject"));
  CHECK_TRUE(lab.same_in_bucket(missing));
}

// What was not compared by then is not known to be there.
TEST(OffsiteCycle, TakesTheEndOfTheTimeForNoAnswer) {
  for (int hours = 1; hours <= 3; ++hours) {
    lab.copy_to_bucket(lab.add_snapshot(std::chrono::hours(hours)));
  }
  s3.before = [this](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "GetObject") return std::nullopt;
    lab.clock.pass(24h);
    return time_is_over();
  };
  auto directory = SnapshotDirectory::open(lab.settings.host.snapshots.directory, false);
  auto offsite =
      Offsite::open(lab.context, {.deadline = lab.clock.monotonic() + 1min, .hint = "too late"});
  const auto tidied = (*offsite)->tidy(*directory, {});
  CHECK_FALSE(tidied.ok());
  CHECK_TRUE(tidied.error().kind == ErrorKind::kRemote);
  STRCMP_EQUAL("too late", tidied.error().hint.c_str());
  LONGS_EQUAL(3, (*offsite)->backlog(*directory).value());
  LONGS_EQUAL(kExitRemote, next_cycle());
}

TEST(OffsiteCycle, UploadsAgainWhatVanishedFromTheBucket) {
  LONGS_EQUAL(0, cycle());
  s3.buckets["backups"].clear();
  LONGS_EQUAL(0, next_cycle());
  CHECK_TRUE(lab.same_in_bucket(kFirst));
}

TEST(OffsiteCycle, TakesANameBesideOneThatIsTaken) {
  s3.put(std::string("p1/") + kFirst, "another host's");
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  STRCMP_EQUAL("another host's", s3.objects().at(std::string("p1/") + kFirst).bytes.c_str());
  CHECK_TRUE(s3.objects().at(std::string("p1/") + kBeside).bytes ==
             lab.scratch.read(std::string("snapshots/") + kFirst));
  const auto warnings = lab.log.of(kTaken);
  LONGS_EQUAL(1, warnings.size());
  STRCMP_EQUAL(kNameTaken, std::string(warnings[0].message_id).c_str());
  STRCMP_EQUAL(kBeside, warnings[0].fields.find("object")->second.c_str());
  // It is known there, with and without the ledger.
  LONGS_EQUAL(0, next_cycle());
  LONGS_EQUAL(1, s3.count("PutObject"));
  std::filesystem::remove(lab.scratch.path("run/bucket.json"));
  LONGS_EQUAL(0, next_cycle());
  LONGS_EQUAL(1, s3.count("PutObject"));
}

TEST(OffsiteCycle, TakesNoMoreThanTwoNamesBeside) {
  s3.put(std::string("p1/") + kFirst, "x");
  s3.put(std::string("p1/") + kBeside, "x");
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  LONGS_EQUAL(3, lab.objects().size());
  std::filesystem::remove(lab.scratch.path("run/bucket.json"));
  std::filesystem::remove(lab.scratch.path(std::string("snapshots/") + kFirst));
  for (const std::string& object : lab.objects()) s3.put("p1/" + object, "x");
  lab.clock.jump(-1s);
  lab.clock.pass(1s);
  lab.log.clear();
  LONGS_EQUAL(kExitRemote, cycle());
  CHECK_TRUE(lab.has(kFirst));
  for (const std::string& object : lab.objects())
    STRCMP_EQUAL("x", s3.objects().at("p1/" + object).bytes.c_str());
}

TEST(OffsiteCycle, TakesItsOwnObjectForItsOwnAfterALostAnswer) {
  int lost = 0;
  s3.after = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "PutObject" || lost++ > 0) return std::nullopt;
    return lost_connection();
  };
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  LONGS_EQUAL(0, next_cycle());
  CHECK_TRUE(lab.same_in_bucket(kFirst));
  LONGS_EQUAL(2, lab.objects().size());
  LONGS_EQUAL(1, s3.count("PutObject"));
}

// Whatever the server makes of it, a cycle leaves one object for a snapshot, and no second name.
TEST(OffsiteCycle, DoesNotSayUploadedOfWhatIsNotWhatWasSent) {
  in_parts();
  for (const bool lost : {false, true}) {
    lab.log.clear();
    s3.buckets["backups"].clear();
    s3.after = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (call.operation != "CompleteMultipartUpload") return std::nullopt;
      FakeObject& object = s3.buckets["backups"].at(call.key);
      object.bytes[object.bytes.size() / 2] ^= 1;
      object.etag = "0123456789abcdef0123456789abcdef-3";
      return lost ? std::optional(lost_connection()) : std::nullopt;
    };
    LONGS_EQUAL(kExitRemote, cycle());
    LONGS_EQUAL(0, lab.log.count("Uploaded backup"));
    LONGS_EQUAL(1, lab.log.count(kNotThere));
    LONGS_EQUAL(0, lab.log.count(kTaken));
    LONGS_EQUAL(1, lab.objects().size());
  }
}

// apache/ozone#5162: the ETag is no MD5 of MD5s, the bytes are what was sent.
TEST(OffsiteCycle, ReadsBackWhatAnOddETagDoesNotProve) {
  in_parts();
  s3.makes_etag = [](const std::string&) {
    return std::string("9f2b1c0d3e4f5a6b7c8d9e0f1a2b3c4d-3");
  };
  for (int cycles = 1; cycles <= 2; ++cycles) {
    LONGS_EQUAL_TEXT(0, cycles == 1 ? cycle() : next_cycle(), lab.log.text().c_str());
    LONGS_EQUAL(1, lab.log.count("Uploaded backup"));
    LONGS_EQUAL(cycles, lab.objects().size());
  }
  CHECK_TRUE(lab.same_in_bucket(kFirst));
}

// API Reference, CompleteMultipartUpload: 409 means that the upload is to be begun anew.
TEST(OffsiteCycle, BeginsAnUploadAnewThatMetAnother) {
  in_parts();
  int met = 0;
  std::set<std::string> ids;
  s3.before = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "CompleteMultipartUpload") return std::nullopt;
    ids.insert(call.query.at("uploadId"));
    if (met++ > 0) return std::nullopt;
    return s3_error(409, "ConditionalRequestConflict");
  };
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  LONGS_EQUAL(2, ids.size());
  LONGS_EQUAL(0, s3.uploads.size());
  LONGS_EQUAL(1, lab.objects().size());
  CHECK_TRUE(lab.same_in_bucket(kFirst));
}

TEST(OffsiteCycle, GivesUpWhereEveryUploadMeetsAnother) {
  in_parts();
  s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "CompleteMultipartUpload") return std::nullopt;
    return s3_error(409, "OperationAborted");
  };
  LONGS_EQUAL(kExitRemote, cycle());
  LONGS_EQUAL(0, lab.objects().size());
  LONGS_EQUAL(0, s3.uploads.size());
  CHECK_TRUE(s3.count("CreateMultipartUpload") <= 10);
}

// supabase/storage#898 and others: pruning there works key by key.
TEST(OffsiteCycle, PrunesKeyByKeyWhereThereIsNoBatch) {
  s3.no_batch = s3_error(501, "NotImplemented", "not implemented");
  lab.add_snapshot(47h);
  LONGS_EQUAL_TEXT(0, cycle(), lab.log.text().c_str());
  const size_t before = lab.objects().size();
  lab.clock.pass(1000h);
  LONGS_EQUAL_TEXT(0, next_cycle(), lab.log.text().c_str());
  CHECK_TRUE(before >= 1);
  LONGS_EQUAL(1, lab.objects().size());
  CHECK_TRUE(s3.count("DeleteObject") >= 1);
}

TEST(OffsiteCycle, AbortsWhatNobodyFinishedADayLater) {
  s3.uploads["1"] = {.key = std::string("p1/") + kFirst, .initiated = "2018-05-01T00:00:00.000Z"};
  s3.uploads["2"] = {.key = std::string("p11/") + kFirst, .initiated = "2018-05-01T00:00:00.000Z"};
  LONGS_EQUAL(0, cycle());
  LONGS_EQUAL(1, s3.uploads.size());
  LONGS_EQUAL(1, lab.log.count("Aborted an upload that was never finished"));
  s3.denied = {"ListMultipartUploads"};
  LONGS_EQUAL(0, next_cycle());
}

TEST(OffsiteCycle, EndsInAnUploadWhenTheProcessIsAskedToStop) {
  in_parts();
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    if (!install_stop_handlers()) _exit(100);
    s3.latency = [&](const FakeCall& call) {
      if (call.operation != "UploadPart") return;
      while (lab.files().empty()) usleep(1000);  // the rest of the upload, then
      kill(getpid(), SIGTERM);
      while (call.request.cancel == nullptr || !*call.request.cancel) usleep(1000);
    };
    const std::string old = lab.add_snapshot(90h);
    std::filesystem::rename(lab.scratch.path("snapshots/" + old), lab.scratch.path("old"));
    const int code = cycle();
    if (lab.log.count("Stopped") != 1 || lab.files().size() != 1) _exit(101);
    if (!s3.uploads.empty() || !lab.objects().empty()) _exit(102);
    _exit(code);
  }
  int status = 0;
  LONGS_EQUAL(child, waitpid(child, &status, 0));
  CHECK_TRUE(WIFEXITED(status));
  LONGS_EQUAL(kExitStopped, WEXITSTATUS(status));
}
