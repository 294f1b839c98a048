#include <stdlib.h>

#include "client_lab.h"
#include "s3/client.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using std::chrono::milliseconds;
using std::chrono::seconds;

// What S3Client does when a call does not get through: again, when, how often, and elsewhere.
TEST_GROUP(S3Send) {
  ClientLab lab;
  FakeS3& s3 = lab.s3;

  // A region that nobody has told.
  void guess_region() {
    lab.policy.region.clear();
  }
  Nanoseconds slept() {
    Nanoseconds sum{};
    for (const Nanoseconds each : lab.clock.sleeps) sum += each;
    return sum;
  }
};

TEST(S3Send, TriesAgainWhatMayPass) {
  const FakeAnswer rows[] = {lost_connection(),
                             s3_error(500, "InternalError"),
                             s3_error(503, "SlowDown"),
                             s3_error(408, "RequestTimeout"),
                             s3_error(400, "RequestTimeout"),
                             s3_error(429, "TooManyRequests"),
                             s3_error(409, "ConditionalRequestConflict"),
                             s3_error(409, "OperationAborted"),
                             s3_error(200, "InternalError"),
                             {502, {}, "<html>Bad Gateway</html>"},
                             {503, {}, ""}};
  for (size_t i = 0; i < std::size(rows); ++i) {
    ClientLab own;
    own.first(1, "PutObject", rows[i]);
    CHECK_TRUE_TEXT(own.client().put_object("a", own.file.all(), true).ok(),
                    std::to_string(i).c_str());
    LONGS_EQUAL(2, own.s3.calls.size());
    LONGS_EQUAL(1, own.clock.sleeps.size());
    STRCMP_EQUAL("the bytes of a snapshot", own.s3.objects().at("a").bytes.c_str());
  }
}

TEST(S3Send, DoesNotTryAgainWhatStays) {
  FakeAnswer untrusted = lost_connection();
  untrusted.network->retryable = false;
  FakeAnswer certificate = untrusted, unread = untrusted;
  certificate.network->kind = ErrorKind::kConfig;
  unread.network->kind = ErrorKind::kStorage;
  const FakeAnswer rows[] = {s3_error(403, "AccessDenied"),
                             s3_error(404, "NoSuchBucket"),
                             s3_error(403, "InvalidAccessKeyId"),
                             s3_error(403, "RequestTimeTooSkewed"),
                             s3_error(200, "AccessDenied"),
                             untrusted,
                             certificate,
                             unread,
                             FakeAnswer{400, {}, "<html/>"},
                             FakeAnswer{302, {}, ""}};
  for (size_t i = 0; i < std::size(rows); ++i) {
    ClientLab own;
    own.first(9, "PutObject", rows[i]);
    const auto put = own.client().put_object("a", own.file.all(), false);
    CHECK_FALSE_TEXT(put.ok(), std::to_string(i).c_str());
    LONGS_EQUAL_TEXT(1, own.s3.calls.size(), std::to_string(i).c_str());
    LONGS_EQUAL(0, own.clock.sleeps.size());
    CHECK_TRUE(put.error().kind == (rows[i].network ? rows[i].network->kind : ErrorKind::kRemote));
  }
}

TEST(S3Send, WaitsLongerEachTimeWithinBounds) {
  lab.settings.retries = 8;
  lab.first(99, "ListObjectsV2", s3_error(503, "SlowDown"));
  bool differ = false;
  for (int round = 0; round < 20; ++round) {
    lab.clock.sleeps.clear();
    s3.calls.clear();
    lab.given = 0;
    CHECK_FALSE(lab.client().list("", "").ok());
    LONGS_EQUAL(9, s3.calls.size());
    LONGS_EQUAL(8, lab.clock.sleeps.size());
    for (int i = 0; i < 8; ++i) {
      const Nanoseconds most = std::min<Nanoseconds>(milliseconds(500) * (1 << i), seconds(20));
      CHECK_TRUE(lab.clock.sleeps[i] <= most);
      CHECK_TRUE(lab.clock.sleeps[i] >= most / 2);
      differ = differ || lab.clock.sleeps[i] * 10 < most * 7;
    }
  }
  CHECK_TRUE(differ);
}

TEST(S3Send, ClientsDoNotWaitAlike) {
  lab.first(99, "ListObjectsV2", s3_error(503, "SlowDown"));
  auto one = lab.client(), two = lab.client();
  CHECK_FALSE(one.list("", "").ok());
  const auto waits = lab.clock.sleeps;
  lab.clock.sleeps.clear();
  CHECK_FALSE(two.list("", "").ok());
  CHECK_FALSE(waits == lab.clock.sleeps);
}

TEST(S3Send, GivesUpAfterTheRetriesWithTheLastError) {
  lab.settings.retries = 2;
  lab.first(99, "ListObjectsV2", s3_error(503, "SlowDown", "Please reduce"));
  const auto page = lab.client().list("", "");
  CHECK_FALSE(page.ok());
  LONGS_EQUAL(3, s3.calls.size());
  STRCMP_EQUAL("SlowDown", page.error().s3_code.c_str());
  CHECK_TRUE(holds(page.error().message, "Please reduce"));
  CHECK_TRUE(holds(page.error().message, "tx000001"));
  CHECK_FALSE(page.error().hint.empty());
}

TEST(S3Send, WaitsAsLongAsTheServerAsks) {
  FakeAnswer busy = s3_error(503, "SlowDown");
  for (const auto& [asked, waited] : {std::pair("7", 7), {"60", 60}, {"86400", 60}}) {
    busy.headers["retry-after"] = asked;
    lab.given = 0;
    lab.clock.sleeps.clear();
    lab.first(1, "ListObjectsV2", busy);
    CHECK_TRUE(lab.client().list("", "").ok());
    CHECK_TRUE(slept() == seconds(waited));
  }
}

TEST(S3Send, NeverWaitsPastTheDeadline) {
  lab.settings.retries = 9;
  lab.session().deadline = lab.clock.monotonic() + seconds(4);
  lab.first(99, "ListObjectsV2", s3_error(503, "SlowDown"));
  const auto page = lab.client().list("", "");
  STRCMP_EQUAL("SlowDown", page.error().s3_code.c_str());
  CHECK_TRUE(lab.clock.monotonic() < *lab.session().deadline);
  CHECK_TRUE(s3.calls.size() >= 3 && s3.calls.size() <= 5);
  // Nor as long as the server asks.
  FakeAnswer busy = s3_error(503, "SlowDown");
  busy.headers["retry-after"] = "30";
  lab.given = 0;
  lab.clock.sleeps.clear();
  lab.first(99, "ListObjectsV2", busy);
  CHECK_FALSE(lab.client().list("", "").ok());
  LONGS_EQUAL(0, lab.clock.sleeps.size());
}

TEST(S3Send, EndsWhereTheProcessIsAskedToStop) {
  lab.clock.stop_in_sleep = true;
  lab.first(99, "ListObjectsV2", lost_connection());
  CHECK_TRUE(lab.client().list("", "").error().kind == ErrorKind::kCancelled);
  LONGS_EQUAL(1, s3.calls.size());
}

TEST(S3Send, EndsWithinTheWaitWhenItIsCancelled) {
  std::atomic<bool> cancel{false};
  auto client = lab.client();
  client.set_cancel(&cancel);
  lab.first(99, "ListObjectsV2", lost_connection());
  // Waits in steps that are short enough to look between them.
  CHECK_FALSE(client.list("", "").ok());
  for (const Nanoseconds step : lab.clock.sleeps) CHECK_TRUE(step <= milliseconds(200));
  CHECK_TRUE(slept() > seconds(7));
  // Cancelled while it is under way.
  lab.clock.sleeps.clear();
  s3.calls.clear();
  s3.latency = [&cancel](const FakeCall&) { cancel = true; };
  CHECK_TRUE(client.list("", "").error().kind == ErrorKind::kCancelled);
  LONGS_EQUAL(1, s3.calls.size());
  LONGS_EQUAL(0, lab.clock.sleeps.size());
  // And every call after it.
  CHECK_TRUE(client.list("", "").error().kind == ErrorKind::kCancelled);
  LONGS_EQUAL(1, s3.calls.size());
}

TEST(S3Send, CleansUpOnceAndQuickly) {
  auto client = lab.client();
  client.clean_up_mode();
  lab.session().deadline = lab.clock.monotonic();
  lab.first(99, "AbortMultipartUpload", lost_connection());
  CHECK_FALSE(client.abort_upload("a", "i").ok());
  LONGS_EQUAL(1, s3.calls.size());
  LONGS_EQUAL(0, lab.clock.sleeps.size());
  CHECK_TRUE(s3.last().request.after_stop);
  LONGS_EQUAL(10, s3.last().request.total_timeout_s);
  CHECK_FALSE(s3.last().request.deadline.has_value());
}

TEST(S3Send, LearnsTheRegionOnceForAllClients) {
  using Tells = FakeS3::TellsRegion;
  for (const auto tells : {Tells::kInBody, Tells::kInHeader, Tells::kByLocation}) {
    ClientLab own;
    own.policy.region.clear();
    own.s3.region = "eu-west-3";
    own.s3.tells_region = tells;
    auto client = own.client(), other = own.client();
    CHECK_TRUE(client.put_object("a", own.file.all(), true).ok());
    LONGS_EQUAL(2, own.s3.count("PutObject"));
    LONGS_EQUAL(tells == Tells::kByLocation ? 1 : 0, own.s3.count("GetBucketLocation"));
    LONGS_EQUAL(0, own.clock.sleeps.size());
    own.s3.calls.clear();
    CHECK_TRUE(other.list("", "").ok());
    LONGS_EQUAL(1, own.s3.calls.size());
  }
}

TEST(S3Send, LearnsTheRegionFromAHead) {
  guess_region();
  s3.region = "eu-west-3";
  s3.tells_region = FakeS3::TellsRegion::kByLocation;  // and the answer has no body
  s3.put("a", "bytes");
  const auto info = lab.client().head("a");
  CHECK_TRUE(info.ok() && info->has_value());
  LONGS_EQUAL(4, s3.calls.size());  // with a GET for the reason, and the question where
}

TEST(S3Send, LearnsTheRegionFromTheHeaderOfAHeadAlone) {
  guess_region();
  s3.region = "eu-west-3";
  s3.tells_region = FakeS3::TellsRegion::kInHeader;
  s3.put("a", "bytes");
  CHECK_TRUE(lab.client().head("a").ok());
  LONGS_EQUAL(2, s3.calls.size());
}

// HEAD has no body.
TEST(S3Send, AsksWhyAHeadIsRefused) {
  for (const long status : {301, 307, 400, 401, 403}) {
    for (const char* code : {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"}) {
      ClientLab own;
      own.s3.before = [status, code](const FakeCall&) { return s3_error(status, code); };
      const auto info = own.client().head("a");
      STRCMP_EQUAL(code, info.error().s3_code.c_str());
      CHECK_TRUE(holds(info.error().message, "HeadObject https://s3.test:9000/backups/a: "));
      LONGS_EQUAL(2, own.s3.calls.size());
      STRCMP_EQUAL("GetObject", own.s3.last().operation.c_str());
      STRCMP_EQUAL("bytes=0-0", own.s3.last().header("range").c_str());
    }
  }
}

TEST(S3Send, KeepsWhatAHeadToldWhereAGetTellsNoMore) {
  const FakeAnswer rows[] = {{206, {}, "b"},
                             s3_error(404, "NoSuchKey"),
                             s3_error(503, "SlowDown"),
                             {403, {}, "<html/>"},
                             lost_connection()};
  for (const FakeAnswer& row : rows) {
    ClientLab own;
    own.s3.before = [&row](const FakeCall& call) {
      return call.operation == "HeadObject" ? FakeAnswer{403, {}, ""} : row;
    };
    const auto info = own.client().head("a");
    CHECK_TEXT(holds(info.error().message, "HTTP 403 Forbidden"), info.error().message.c_str());
    LONGS_EQUAL(2, own.s3.calls.size());
    LONGS_EQUAL(0, own.clock.sleeps.size());
  }
  // And nothing is asked where something else is wrong.
  for (const long status : {302, 405, 501}) {
    ClientLab own;
    own.s3.before = [status](const FakeCall&) { return FakeAnswer{status, {}, ""}; };
    CHECK_FALSE(own.client().head("a").ok());
    LONGS_EQUAL(1, own.s3.calls.size());
  }
}

TEST(S3Send, NamesTheProxyOfTheEnvironment) {
  CHECK_EQUAL(0, setenv("https_proxy", "http://user:sesame@proxy.test:3128", 1));
  FakeAnswer dead = lost_connection();
  dead.network->code = 7;
  s3.before = [&dead](const FakeCall&) { return dead; };
  const auto page = lab.client().list("", "");
  CHECK_EQUAL(0, unsetenv("https_proxy"));
  const std::string& hint = page.error().hint;
  CHECK_TEXT(holds(hint, "proxy.test:3128 (https_proxy of the environment)"), hint.c_str());
  CHECK_FALSE(holds(hint, "sesame"));
}

TEST(S3Send, CorrectsARegionThatIsSet) {
  s3.region = "eu-west-3";
  CHECK_TRUE(lab.client().list("", "").ok());
  LONGS_EQUAL(2, s3.calls.size());
}

TEST(S3Send, AsksForTheLocationOnlyWhereTheRegionIsAGuess) {
  s3.region = "eu-west-3";
  s3.tells_region = FakeS3::TellsRegion::kByLocation;
  STRCMP_EQUAL("SignatureDoesNotMatch", lab.client().list("", "").error().s3_code.c_str());
  LONGS_EQUAL(1, s3.calls.size());
}

TEST(S3Send, KeepsTheErrorWhereTheLocationIsDenied) {
  guess_region();
  s3.region = "eu-west-3";
  s3.tells_region = FakeS3::TellsRegion::kByLocation;
  s3.denied = {"GetBucketLocation"};
  STRCMP_EQUAL("SignatureDoesNotMatch", lab.client().list("", "").error().s3_code.c_str());
  LONGS_EQUAL(2, s3.calls.size());
  // It is no recursion, either.
  s3.denied.clear();
  s3.before = [](const FakeCall&) { return s3_error(403, "SignatureDoesNotMatch"); };
  s3.calls.clear();
  CHECK_FALSE(lab.client().bucket_location().ok());
  LONGS_EQUAL(1, s3.calls.size());
}

TEST(S3Send, IsNotSentRoundInCircles) {
  int number = 0;
  s3.before = [&number](const FakeCall&) {
    FakeAnswer answer = s3_error(301, "PermanentRedirect");
    answer.headers["x-amz-bucket-region"] = "eu-west-" + std::to_string(++number);
    return answer;
  };
  CHECK_FALSE(lab.client().list("", "").ok());
  LONGS_EQUAL(2, s3.calls.size());
}

TEST(S3Send, RenewsKeysOnce) {
  for (const char* code : {"ExpiredToken", "InvalidToken", "RequestExpired"}) {
    ClientLab own;
    own.renewable_keys();
    own.first(1, "PutObject", s3_error(400, code));
    CHECK_TRUE(own.client().put_object("a", own.file.all(), true).ok());
    LONGS_EQUAL(1, own.keys->forgotten);
    LONGS_EQUAL(2, own.s3.calls.size());
    LONGS_EQUAL(0, own.clock.sleeps.size());
    own.given = 0;
    own.first(99, "PutObject", s3_error(400, code));
    const auto put = own.client().put_object("b", own.file.all(), true);
    STRCMP_EQUAL(code, put.error().s3_code.c_str());
    LONGS_EQUAL(2, own.keys->forgotten);
    LONGS_EQUAL(4, own.s3.calls.size());
  }
}

TEST(S3Send, RenewsTheKeysThatAHeadCannotName) {
  lab.renewable_keys();
  s3.expired_keys = {"AKID1"};
  s3.put("a", "bytes");
  CHECK_TRUE(lab.client().head("a").ok());
  LONGS_EQUAL(1, lab.keys->forgotten);
}

// A HEAD of bad region or bad signature is no reason to fetch keys.
TEST(S3Send, RenewsNoKeysForAHeadThatIsRefusedForAnotherReason) {
  lab.renewable_keys();
  s3.before = [](const FakeCall&) { return s3_error(400, "InvalidRequest"); };
  CHECK_FALSE(lab.client().head("a").ok());
  LONGS_EQUAL(0, lab.keys->forgotten);
}

TEST(S3Send, DoesNotTryKeysAgainThatStay) {
  lab.renewable_keys();
  lab.keys->renews = false;
  s3.expired_keys = {"AKID1"};
  STRCMP_EQUAL("ExpiredToken", lab.client().list("", "").error().s3_code.c_str());
  LONGS_EQUAL(1, s3.calls.size());
}

// The object is there; whether it is ours, the caller finds out.
TEST(S3Send, MeetsItsOwnObjectAfterALostAnswer) {
  bool lost = false;
  s3.after = [&lost](const FakeCall&) -> std::optional<FakeAnswer> {
    if (std::exchange(lost, true)) return std::nullopt;
    return lost_connection();
  };
  const auto put = lab.client().put_object("a", lab.file.all(), true);
  STRCMP_EQUAL("PreconditionFailed", put.error().s3_code.c_str());
  lost = false;
  CHECK_TRUE(lab.client().put_object("a", lab.file.all(), false).ok());
}

TEST(S3Send, MeetsItsUploadGoneAfterALostAnswer) {
  auto client = lab.client();
  const auto id = client.create_upload("a");
  const auto part = client.upload_part("a", *id, 1, lab.file.all());
  bool lost = false;
  s3.after = [&lost](const FakeCall&) -> std::optional<FakeAnswer> {
    if (std::exchange(lost, true)) return std::nullopt;
    return lost_connection();
  };
  const auto done = client.complete_upload("a", *id, {*part}, false);
  STRCMP_EQUAL("NoSuchUpload", done.error().s3_code.c_str());
  CHECK_TRUE(s3.has("a"));
}

TEST(S3Send, KnowsAnErrorInsideAGoodAnswer) {
  auto client = lab.client();
  const auto id = client.create_upload("a");
  const auto part = client.upload_part("a", *id, 1, lab.file.all());
  lab.first(1, "CompleteMultipartUpload", s3_error(200, "InternalError"));
  CHECK_TRUE(client.complete_upload("a", *id, {*part}, true).ok());
  LONGS_EQUAL(1, lab.clock.sleeps.size());
  lab.given = 0;
  lab.first(1, "CompleteMultipartUpload", s3_error(200, "InvalidPart"));
  STRCMP_EQUAL("InvalidPart",
               client.complete_upload("a", *id, {*part}, true).error().s3_code.c_str());
}

// Whatever fails: neither keys nor signatures are told.
TEST(S3Send, TellsNoSecret) {
  lab.renewable_keys();
  lab.keys->renews = false;
  const FakeAnswer rows[] = {lost_connection(),
                             s3_error(403, "SignatureDoesNotMatch"),
                             s3_error(403, "InvalidAccessKeyId"),
                             s3_error(400, "ExpiredToken"),
                             s3_error(403, "RequestTimeTooSkewed"),
                             {400, {}, ""},
                             {200, {}, "<html/>"}};
  for (const FakeAnswer& row : rows) {
    s3.before = [&row](const FakeCall&) { return row; };
    auto client = lab.client();
    for (const Error& error : {client.list("", "").error(), client.create_upload("a").error(),
                               client.remove({"a"}).error(), client.bucket_location().error()}) {
      const std::string text = error.message + error.hint;
      for (const char* secret : {kLabSecretKey, kLabToken, "Signature=", "AWS4-HMAC"}) {
        CHECK_FALSE_TEXT(holds(text, secret), text.c_str());
      }
      CHECK_TRUE(holds(text, "backups"));
    }
  }
}
