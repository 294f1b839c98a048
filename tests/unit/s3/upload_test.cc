#include "upload_lab.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/stop.h"

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP_BASE(ObjectUpload, UploadBase){};

TEST(ObjectUpload, SendsWhatIsSmallerThanAPartInOneCallOnceItIsWhole) {
  fill(kPart - 1);
  auto upload = begin();
  upload->available(100);
  upload->available(kPart - 1);
  LONGS_EQUAL(0, s3.calls.size());
  const auto done = upload->finish(kPart - 1);
  CHECK_TRUE(done.ok());
  STRCMP_EQUAL("p1/a.zip", done->key.c_str());
  LONGS_EQUAL(kPart - 1, done->size_bytes);
  STRCMP_EQUAL(s3.objects().at("p1/a.zip").etag.c_str(), done->etag.c_str());
  CHECK_TRUE(s3.objects().at("p1/a.zip").bytes == content);
  LONGS_EQUAL(1, s3.count("PutObject"));
  LONGS_EQUAL(0, s3.count("CreateMultipartUpload"));
  upload.reset();
  LONGS_EQUAL(0, s3.count("AbortMultipartUpload"));
}

TEST(ObjectUpload, SendsAnEmptyFile) {
  CHECK_TRUE(send(0).ok());
  STRCMP_EQUAL("", s3.objects().at("p1/a.zip").bytes.c_str());
}

TEST(ObjectUpload, CutsAtThePartsToTheByte) {
  for (const int64_t size : {kPart, kPart + 1, 2 * kPart, 3 * kPart - 1}) {
    s3.calls.clear();
    const std::string key = "p1/" + std::to_string(size);
    CHECK_TRUE(send(size, key).ok());
    CHECK_TRUE(s3.objects().at(key).bytes == content);
    LONGS_EQUAL(size == kPart ? 0 : (size + kPart - 1) / kPart, s3.count("UploadPart"));
  }
}

TEST(ObjectUpload, SendsPartsWhileTheFileGrowsAndNamesNothingBeforeTheEnd) {
  std::atomic<int> parts{0};
  s3.latency = [&](const FakeCall& call) { parts += call.operation == "UploadPart"; };
  auto upload = begin();
  for (int part = 1; part <= 3; ++part) {
    fill(part * kPart + 5);
    upload->available(part * kPart + 5);
    CHECK_TRUE(comes_true([&] { return parts == part; }));
  }
  fill(3 * kPart + 100);
  int64_t last = 0;
  CHECK_FALSE(s3.has("p1/a.zip"));
  const auto done = upload->finish(3 * kPart + 100, [&](int64_t sent) {
    CHECK_TRUE(sent >= last && sent <= 3 * kPart + 100);
    last = sent;
  });
  CHECK_TRUE(done.ok());
  LONGS_EQUAL(4, s3.count("UploadPart"));
  CHECK_TRUE(s3.objects().at("p1/a.zip").bytes == content);
  STRCMP_EQUAL(s3.objects().at("p1/a.zip").etag.c_str(), done->etag.c_str());
  upload.reset();
  LONGS_EQUAL(0, s3.count("AbortMultipartUpload"));
  LONGS_EQUAL(0, s3.uploads.size());
}

TEST(ObjectUpload, SendsAsManyPartsAtATimeAsItIsToldTo) {
  lab.settings.concurrency = 4;
  hold_parts();
  fill(7 * kPart);
  auto upload = begin();
  for (int part = 1; part <= 7; ++part) upload->available(part * kPart);
  CHECK_TRUE(comes_true([&] { return gate.inside == 4; }));
  std::this_thread::sleep_for(50ms);
  LONGS_EQUAL(4, gate.inside);
  gate.open = true;
  CHECK_TRUE(upload->finish(7 * kPart).ok());
  LONGS_EQUAL(4, gate.most);
  LONGS_EQUAL(7, gate.passed);
}

TEST(ObjectUpload, LetsTheWriterGoOnThoughTheServerHangs) {
  s3.latency = [this](const FakeCall& call) { gate.pass(call); };
  fill(6 * kPart);
  auto upload = begin();
  const auto start = std::chrono::steady_clock::now();
  for (int64_t size = 0; size <= 6 * kPart; size += kPart / 8) upload->available(size);
  CHECK_TRUE(std::chrono::steady_clock::now() - start < 5s);
  CHECK_TRUE(comes_true([&] { return gate.inside > 0; }));
  gate.open = true;
  CHECK_TRUE(upload->finish(6 * kPart).ok());
}

TEST(ObjectUpload, SendsNothingWhereNothingWasBegun) {
  begin().reset();
  fill(100);
  begin()->available(100);
  LONGS_EQUAL(0, s3.calls.size());
}

TEST(ObjectUpload, TellsOfAPartThatFailedAtTheEndAndAborts) {
  s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    const auto number = call.query.find("partNumber");
    if (number == call.query.end() || number->second != "2") return std::nullopt;
    return s3_error(403, "AccessDenied", "not this one");
  };
  fill(3 * kPart);
  auto upload = begin();
  for (int part = 1; part <= 3; ++part) upload->available(part * kPart);
  const auto done = upload->finish(3 * kPart);
  CHECK_FALSE(done.ok());
  CHECK_TRUE(done.error().kind == ErrorKind::kRemote);
  STRCMP_EQUAL("AccessDenied", done.error().s3_code.c_str());
  LONGS_EQUAL(0, s3.count("CompleteMultipartUpload"));
  upload.reset();
  LONGS_EQUAL(1, s3.count("AbortMultipartUpload"));
  LONGS_EQUAL(0, s3.uploads.size());
  CHECK_FALSE(s3.has("p1/a.zip"));
}

TEST(ObjectUpload, TellsOfAnUploadThatCouldNotBegin) {
  s3.denied = {"CreateMultipartUpload"};
  fill(4 * kPart);
  auto upload = begin();
  upload->available(3 * kPart);
  upload->available(4 * kPart);
  const auto done = upload->finish(4 * kPart);
  CHECK_FALSE(done.ok());
  STRCMP_EQUAL("AccessDenied", done.error().s3_code.c_str());
  upload.reset();
  LONGS_EQUAL(1, s3.count("CreateMultipartUpload"));
  LONGS_EQUAL(0, s3.count("UploadPart"));
  LONGS_EQUAL(0, s3.count("AbortMultipartUpload"));
}

TEST(ObjectUpload, EndsItsThreadsAndAbortsWhereNobodyFinishesIt) {
  hold_parts();
  fill(6 * kPart);
  auto upload = begin();
  upload->available(6 * kPart);
  CHECK_TRUE(comes_true([&] { return gate.inside == 4; }));
  upload.reset();
  LONGS_EQUAL(0, gate.inside);
  LONGS_EQUAL(0, s3.uploads.size());
  CHECK_TRUE(s3.last().operation == "AbortMultipartUpload");
  CHECK_TRUE(s3.last().request.after_stop);
  LONGS_EQUAL(10, s3.last().request.total_timeout_s);
}

TEST(ObjectUpload, LeavesToTheSweepWhatCannotBeAborted) {
  s3.denied = {"AbortMultipartUpload", "CompleteMultipartUpload"};
  CHECK_FALSE(send(2 * kPart).ok());
  LONGS_EQUAL(1, s3.count("AbortMultipartUpload"));
  LONGS_EQUAL(1, s3.uploads.size());
  CHECK_FALSE(s3.has("p1/a.zip"));
}

TEST(ObjectUpload, ReplacesNothingThatIsThere) {
  using Kind = FakeS3::WriteOnce;
  for (const Kind kind : {Kind::kKnown, Kind::kRefused, Kind::kBadRequest, Kind::kIgnored}) {
    s3.put_once = s3.complete_once = kind;
    s3.put("p1/a.zip", "another's");
    check_conflict(send(100), "in one");
    check_conflict(send(2 * kPart), "in parts");
    STRCMP_EQUAL("another's", s3.objects().at("p1/a.zip").bytes.c_str());
    LONGS_EQUAL(0, s3.uploads.size());
  }
}

// Between the look and the call; only a server that knows If-None-Match can help.
TEST(ObjectUpload, ReplacesNothingThatComesAtTheLastMoment) {
  s3.before = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation == "PutObject" || call.operation == "CompleteMultipartUpload") {
      s3.put("p1/a.zip", "another's");
    }
    return std::nullopt;
  };
  for (const int64_t size : {int64_t{100}, 2 * kPart}) {
    s3.buckets["backups"].clear();
    check_conflict(send(size), "raced");
    STRCMP_EQUAL("another's", s3.objects().at("p1/a.zip").bytes.c_str());
  }
  LONGS_EQUAL(0, s3.uploads.size());
}

TEST(ObjectUpload, WorksWithServersThatDoNotKnowTheCondition) {
  using Kind = FakeS3::WriteOnce;
  for (const Kind kind : {Kind::kRefused, Kind::kBadRequest, Kind::kIgnored}) {
    s3.buckets["backups"].clear();
    s3.put_once = s3.complete_once = kind;
    CHECK_TRUE(send(100).ok());
    CHECK_TRUE(send(2 * kPart, "p1/b.zip").ok());
    CHECK_TRUE(s3.objects().at("p1/b.zip").bytes == content);
  }
}

TEST(ObjectUpload, TriesAPartAgain) {
  lab.settings.concurrency = 1;
  lab.settings.retries = 2;
  lab.first(2, "UploadPart", s3_error(503, "SlowDown"));
  CHECK_TRUE(send(2 * kPart).ok());
  LONGS_EQUAL(4, s3.count("UploadPart"));
}

TEST(ObjectUpload, EndsWhenTheProcessIsAskedToStopAndAbortsAllTheSame) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    if (!install_stop_handlers()) _exit(100);
    s3.latency = [this](const FakeCall& call) {
      if (call.operation != "UploadPart") return;
      kill(getpid(), SIGTERM);
      gate.pass(call);
    };
    fill(3 * kPart);
    auto upload = begin();
    const auto done = upload->finish(3 * kPart);
    if (done || done.error().kind != ErrorKind::kCancelled) _exit(101);
    upload.reset();
    if (!s3.uploads.empty() || s3.has("p1/a.zip")) _exit(102);
    _exit(s3.last().operation == "AbortMultipartUpload" && s3.last().request.after_stop ? 0 : 103);
  }
  int status = 0;
  LONGS_EQUAL(child, waitpid(child, &status, 0));
  CHECK_TRUE(WIFEXITED(status));
  LONGS_EQUAL(0, WEXITSTATUS(status));
}
