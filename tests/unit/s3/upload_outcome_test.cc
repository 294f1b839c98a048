// What finish() says of an answer that is lost, late, or about other bytes than were sent.
#include "upload_lab.h"

using namespace etcd_snapshot;

TEST_GROUP_BASE(UploadOutcome, UploadBase){};

TEST(UploadOutcome, SettlesALostAnswerToCompleteByALook) {
  lab.settings.retries = 1;
  s3.after = [this](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "CompleteMultipartUpload" || lab.given++ > 0) return std::nullopt;
    return lost_connection();
  };
  const auto done = send(2 * kPart);
  CHECK_TRUE(done.ok());
  LONGS_EQUAL(2, s3.count("CompleteMultipartUpload"));
  STRCMP_EQUAL(s3.objects().at("p1/a.zip").etag.c_str(), done->etag.c_str());
  CHECK_TRUE(s3.objects().at("p1/a.zip").bytes == content);
}

// Amazon's server takes minutes to assemble what was uploaded, and need not say anything meanwhile.
TEST(UploadOutcome, IsPatientWithComplete) {
  lab.settings.stall_timeout_s = 7;
  CHECK_TRUE(send(2 * kPart).ok());
  for (const FakeCall& call : s3.calls) {
    LONGS_EQUAL_TEXT(call.operation == "CompleteMultipartUpload" ? 300 : 7,
                     call.request.stall_timeout_s, call.operation.c_str());
  }
}

TEST(UploadOutcome, IsNoLessPatientWithCompleteThanWithTheRest) {
  lab.settings.stall_timeout_s = 1000;
  CHECK_TRUE(send(2 * kPart).ok());
  for (const FakeCall& call : s3.calls) LONGS_EQUAL(1000, call.request.stall_timeout_s);
}

// It was carried out, and the connection went silent; a further attempt finds the upload gone.
TEST(UploadOutcome, LooksBeforeItCallsATimeoutOfCompleteAFailure) {
  lab.settings.retries = 1;
  s3.after = [this](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "CompleteMultipartUpload" || lab.given++ > 0) return std::nullopt;
    FakeAnswer silent;
    silent.network = Error{ErrorKind::kRemote, "https://s3.test:9000: too slow", "", true, 28};
    return silent;
  };
  const auto done = send(2 * kPart);
  CHECK_TEXT(done.ok(), done ? "" : done.error().message.c_str());
  LONGS_EQUAL(2, s3.count("CompleteMultipartUpload"));
  LONGS_EQUAL(1, s3.count("CreateMultipartUpload"));
  CHECK_TRUE(s3.objects().at("p1/a.zip").bytes == content);
}

TEST(UploadOutcome, LooksThoughNoFurtherAttemptIsAllowed) {
  s3.after = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "CompleteMultipartUpload") return std::nullopt;
    return lost_connection();
  };
  CHECK_TRUE(send(2 * kPart).ok());
}

// Without digests to compare by, the bytes tell whose it is.
TEST(UploadOutcome, ReadsWhatALostCompleteMayHaveMadeWhereETagsTellNothing) {
  const struct {
    const char* what;
    std::function<void()> change;
    bool ok;
  } rows[] = {{"there", [] {}, true},
              {"gone", [this] { s3.buckets["backups"].clear(); }, false},
              {"other", [this] { s3.buckets["backups"]["p1/a.zip"].bytes[kPart] ^= 1; }, false}};
  s3.makes_etag = [](const std::string&) { return std::string("opaque-2"); };
  for (const auto& row : rows) {
    s3.buckets["backups"].clear();
    s3.after = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (call.operation != "CompleteMultipartUpload") return std::nullopt;
      row.change();
      return lost_connection();
    };
    const auto done = send(2 * kPart);
    CHECK_EQUAL_TEXT(row.ok, done.ok(), row.what);
    if (!done) STRCMP_EQUAL_TEXT("", done.error().s3_code.c_str(), row.what);
  }
}

TEST(UploadOutcome, BelievesNoLookThatShowsSomethingElse) {
  s3.before = [this](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "CompleteMultipartUpload") return std::nullopt;
    s3.put("p1/a.zip", content + "?");
    return s3_error(404, "NoSuchUpload");
  };
  const auto done = send(2 * kPart);
  CHECK_FALSE(done.ok());
  STRCMP_EQUAL("NoSuchUpload", done.error().s3_code.c_str());
}

// Of what the server says to be this upload's, and of what another has put in its place.
TEST(UploadOutcome, RefusesAnObjectThatIsNotWhatWasSent) {
  const struct {
    const char* what;
    std::function<void(FakeS3::Objects&)> change;
    const char *part, *end;
    bool stays;
  } rows[] = {{"cut", [](auto& objects) { objects["p1/a.zip"].bytes.pop_back(); }, "were sent",
               "deleted again", false},
              {"damaged",
               [](auto& objects) {
                 objects["p1/a.zip"].bytes[50] ^= 1;
                 objects["p1/a.zip"].etag = "opaque";
               },
               "holds other bytes than were sent (bytes 0 to ", "deleted again", false},
              {"replaced",
               [](auto& objects) {
                 objects["p1/a.zip"].bytes[50] ^= 1;
                 objects["p1/a.zip"].etag = "another's";
               },
               "holds other bytes than were sent (bytes 0 to ", " differ)", true},
              {"gone", [](auto& objects) { objects.clear(); }, "does not exist", "", false}};
  for (const auto& row : rows) {
    for (const int64_t size : {int64_t{100}, 2 * kPart}) {
      s3.buckets["backups"].clear();
      const bool cut = row.what == std::string("cut");
      s3.after = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
        const bool put = call.operation == "PutObject";
        if (!put && call.operation != "CompleteMultipartUpload") return std::nullopt;
        row.change(s3.buckets["backups"]);
        if (cut) return std::nullopt;
        if (put) return FakeAnswer{200, {{"etag", "\"opaque\""}}};
        return FakeAnswer{
            200,
            {},
            "<CompleteMultipartUploadResult><ETag>opaque</ETag></CompleteMultipartUploadResult>"};
      };
      const auto done = send(size);
      CHECK_FALSE_TEXT(done.ok(), row.what);
      CHECK_TRUE(done.error().kind == ErrorKind::kRemote);
      CHECK_TEXT(holds(done.error().message, row.part), done.error().message.c_str());
      CHECK_TEXT(done.error().message.ends_with(row.end), done.error().message.c_str());
      CHECK_EQUAL_TEXT(row.stays, s3.has("p1/a.zip"), row.what);
    }
  }
}

TEST(UploadOutcome, SaysThatADamagedObjectStaysWhereItIsLocked) {
  s3.locked = {"p1/a.zip"};
  after("CompleteMultipartUpload", [&] { s3.buckets["backups"]["p1/a.zip"].bytes.pop_back(); });
  const auto done = send(2 * kPart);
  CHECK_FALSE(done.ok());
  CHECK_TEXT(holds(done.error().message, "still lies there"), done.error().message.c_str());
}

// What the server says of itself may be right about bytes that are not ours, and an ETag need be
// nobody's MD5.
TEST(UploadOutcome, ReadsBackWhatItsETagDoesNotProve) {
  const char* const etags[] = {"bff86e9b4e8d8cd7a9f9e8a8fd1bb1e7", "0123-opaque", "x"};
  for (const char* etag : etags) {
    for (const char* encryption : {"", "AES256", "aws:kms", "aws:kms:dsse"}) {
      for (const bool flip : {false, true}) {
        s3.buckets["backups"].clear();
        s3.after = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
          const auto object = s3.buckets["backups"].find("p1/a.zip");
          if (object == s3.buckets["backups"].end()) return std::nullopt;
          if (call.operation == "PutObject" && flip) object->second.bytes[50] ^= 1;
          if (call.operation != "PutObject" && call.operation != "HeadObject") return std::nullopt;
          FakeAnswer answer{200, {{"etag", "\"" + std::string(etag) + "\""}}};
          if (*encryption) answer.headers["x-amz-server-side-encryption"] = encryption;
          if (call.operation == "HeadObject") answer.headers["content-length"] = "100";
          return answer;
        };
        const auto done = send(100);
        CHECK_EQUAL_TEXT(!flip, done.ok(), etag);
        if (!flip) continue;
        STRCMP_EQUAL(kNotWhatWasSent, done.error().s3_code.c_str());
        CHECK_TEXT(holds(done.error().message, "other bytes than were sent"),
                   done.error().message.c_str());
      }
    }
  }
}

// An archive class, or a right that is missing: the server's word stands where it says the same
// twice.
TEST(UploadOutcome, BelievesTheServerOfWhatNobodyMayRead) {
  s3.makes_etag = [](const std::string&) { return std::string("opaque-2"); };
  for (const bool agrees : {true, false}) {
    for (const FakeAnswer& refusal : {archived(), s3_error(403, "AccessDenied")}) {
      s3.buckets["backups"].clear();
      s3.before = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
        if (call.operation != "GetObject") return std::nullopt;
        return refusal;
      };
      after("CompleteMultipartUpload", [&] {
        if (!agrees) s3.buckets["backups"]["p1/a.zip"].etag = "another-2";
      });
      CHECK_EQUAL(agrees, send(2 * kPart).ok());
      CHECK_TRUE(s3.has("p1/a.zip"));
    }
  }
}

// Metadata without data behind it, or less of it than HEAD says, is not what nobody may read.
TEST(UploadOutcome, BelievesNoServerOfWhatIsNotThere) {
  s3.makes_etag = [](const std::string&) { return std::string("opaque-2"); };
  for (const FakeAnswer& refusal : {s3_error(404, "NoSuchKey"), s3_error(416, "InvalidRange")}) {
    s3.buckets["backups"].clear();
    s3.before = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (call.operation != "GetObject") return std::nullopt;
      return refusal;
    };
    CHECK_FALSE(send(2 * kPart).ok());
    CHECK_TRUE(s3.has("p1/a.zip"));
  }
}

TEST(UploadOutcome, ComparesNoDigestWhereAKeyServiceEncrypts) {
  lab.settings.sse = "aws:kms";
  s3.after = [this](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "PutObject") return std::nullopt;
    s3.buckets["backups"]["p1/a.zip"].etag = std::string(32, 'a');
    return FakeAnswer{200, {{"etag", "\"" + std::string(32, 'a') + "\""}}};
  };
  const auto done = send(100);
  CHECK_TEXT(done.ok(), done ? "" : done.error().message.c_str());
}

// A name that is taken and an object that went wrong need different answers.
TEST(UploadOutcome, SaysOfNothingButATakenNameThatItIsTaken) {
  after("CompleteMultipartUpload", [&] {
    s3.buckets["backups"]["p1/a.zip"].etag[0] ^= 1;
    s3.buckets["backups"]["p1/a.zip"].bytes[0] ^= 1;
  });
  const auto done = send(2 * kPart);
  CHECK_FALSE(done.ok());
  STRCMP_EQUAL(kReplacedThere, done.error().s3_code.c_str());
}

TEST(UploadOutcome, ComparesWithWhatItSentWhereCompleteSaysNoETag) {
  s3.empty_etag = true;
  CHECK_TRUE(send(2 * kPart).ok());
  LONGS_EQUAL(0, s3.count("GetObject"));
  s3.buckets["backups"].clear();
  after("CompleteMultipartUpload", [&] { s3.buckets["backups"]["p1/a.zip"].etag = "other-2"; });
  CHECK_TRUE(send(2 * kPart).ok());
  CHECK_TRUE(s3.count("GetObject") > 0);
}

TEST(UploadOutcome, TakesETagsThatAreNoDigestsUnderKms) {
  lab.settings.sse = "aws:kms";
  s3.after = [this](const FakeCall& call) -> std::optional<FakeAnswer> {
    const bool complete = call.operation == "CompleteMultipartUpload";
    if (!complete && call.operation != "PutObject") return std::nullopt;
    const std::string etag = "0123456789abcdef0123456789abcdef" + std::string(complete ? "-2" : "");
    s3.buckets["backups"]["p1/a.zip"].etag = etag;
    if (!complete) return FakeAnswer{200, {{"etag", "\"" + etag + "\""}}};
    return FakeAnswer{
        200,
        {},
        "<CompleteMultipartUploadResult><ETag>" + etag + "</ETag></CompleteMultipartUploadResult>"};
  };
  for (const int64_t size : {int64_t{100}, 2 * kPart}) {
    s3.buckets["backups"].clear();
    const auto done = send(size);
    CHECK_TEXT(done.ok(), done ? "" : done.error().message.c_str());
    CHECK_TRUE(done->etag.starts_with("0123456789abcdef"));
  }
}
