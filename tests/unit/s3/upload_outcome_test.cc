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

// Without digests to compare by: what is there now and was not before may still be what was sent,
// and whoever called can compare the bytes.
TEST(UploadOutcome, CallsWhatALostCompleteMayHaveMadeTakenWhereETagsTellNothing) {
  for (const bool gone : {false, true}) {
    s3.buckets["backups"].clear();
    s3.after = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (call.operation == "UploadPart") {
        const auto number = call.query.at("partNumber");
        const std::string etag = "opaque-" + number;
        for (auto& [id, upload] : s3.uploads) upload.parts[atoi(number.c_str())].etag = etag;
        return FakeAnswer{200, {{"etag", "\"" + etag + "\""}}};
      }
      if (call.operation != "CompleteMultipartUpload") return std::nullopt;
      if (gone) s3.buckets["backups"].clear();
      return lost_connection();
    };
    const auto done = send(2 * kPart);
    CHECK_FALSE(done.ok());
    STRCMP_EQUAL(gone ? "" : "PreconditionFailed", done.error().s3_code.c_str());
  }
}

// With a key service the ETags of parts may look like digests, and that of the object is none; else
// it is that of other bytes.
TEST(UploadOutcome, ComparesTheETagAfterALostCompleteUnlessAKeyServiceEncrypts) {
  const struct {
    const char *encryption, *code;
  } rows[] = {{"", kNotWhatWasSent},
              {"AES256", kNotWhatWasSent},
              {"aws:kms", "PreconditionFailed"},
              {"aws:kms:dsse", "PreconditionFailed"}};
  for (const auto& row : rows) {
    s3.buckets["backups"].clear();
    s3.after = [this, row](const FakeCall& call) -> std::optional<FakeAnswer> {
      const auto object = s3.buckets["backups"].find("p1/a.zip");
      if (object == s3.buckets["backups"].end()) return std::nullopt;
      object->second.etag = "0123456789abcdef0123456789abcdef-2";
      if (call.operation == "CompleteMultipartUpload") return lost_connection();
      FakeAnswer answer{200, {{"etag", "\"" + object->second.etag + "\""}}};
      answer.headers["content-length"] = std::to_string(object->second.bytes.size());
      if (*row.encryption) answer.headers["x-amz-server-side-encryption"] = row.encryption;
      return answer;
    };
    const auto done = send(2 * kPart);
    CHECK_FALSE_TEXT(done.ok(), row.encryption);
    STRCMP_EQUAL_TEXT(row.code, done.error().s3_code.c_str(), row.encryption);
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

TEST(UploadOutcome, RefusesAnObjectThatIsNotWhatWasSent) {
  const struct {
    const char* what;
    std::function<void(FakeS3::Objects&)> change;
    const char* part;
  } rows[] = {{"size", [](auto& objects) { objects["p1/a.zip"].bytes.pop_back(); }, "holds "},
              {"etag", [](auto& objects) { objects["p1/a.zip"].etag[0] ^= 1; }, "with ETag "},
              {"gone", [](auto& objects) { objects.clear(); }, "is not there"}};
  for (const auto& row : rows) {
    for (const int64_t size : {int64_t{100}, 2 * kPart}) {
      s3.buckets["backups"].clear();
      after(size == 100 ? "PutObject" : "CompleteMultipartUpload",
            [&] { row.change(s3.buckets["backups"]); });
      const auto done = send(size);
      CHECK_FALSE_TEXT(done.ok(), row.what);
      CHECK_TRUE(done.error().kind == ErrorKind::kRemote);
      CHECK_TEXT(holds(done.error().message, row.part), done.error().message.c_str());
    }
  }
}

// What the server says of itself may be right about bytes that are not ours.
TEST(UploadOutcome, ComparesASmallObjectWithTheDigestOfWhatItSent) {
  constexpr char kOther[] = "bff86e9b4e8d8cd7a9f9e8a8fd1bb1e7";
  bool flip = true;
  const auto flipped = [&](const std::string& etag, const std::string& encryption) {
    s3.buckets["backups"].clear();
    s3.after = [=, &flip, this](const FakeCall& call) -> std::optional<FakeAnswer> {
      const auto object = s3.buckets["backups"].find("p1/a.zip");
      if (object == s3.buckets["backups"].end()) return std::nullopt;
      if (call.operation == "PutObject" && flip) object->second.bytes[50] ^= 1;
      if (call.operation == "GetObject") return std::nullopt;
      FakeAnswer answer{200, {{"etag", "\"" + etag + "\""}}};
      if (!encryption.empty()) answer.headers["x-amz-server-side-encryption"] = encryption;
      if (call.operation == "HeadObject") answer.headers["content-length"] = "100";
      return answer;
    };
    return send(100);
  };
  for (const char* encryption : {"", "AES256"}) {
    const auto done = flipped(kOther, encryption);
    CHECK_FALSE_TEXT(done.ok(), encryption);
    STRCMP_EQUAL(kNotWhatWasSent, done.error().s3_code.c_str());
    CHECK_TRUE(done.error().kind == ErrorKind::kRemote);
    CHECK_TEXT(holds(done.error().message, kOther), done.error().message.c_str());
    CHECK_TEXT(holds(done.error().message, "other bytes than were sent"),
               done.error().message.c_str());
  }
  // What is no MD5, or need not be one.
  CHECK_TRUE(flipped("0123-opaque", "").ok());
  CHECK_TRUE(flipped(kOther, "aws:kms").ok());
  CHECK_TRUE(flipped(kOther, "aws:kms:dsse").ok());
  // What looks like one and is none: the bytes are there.
  flip = false;
  CHECK_TRUE(flipped(kOther, "").ok());
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
  after("CompleteMultipartUpload", [&] { s3.buckets["backups"]["p1/a.zip"].etag[0] ^= 1; });
  const auto done = send(2 * kPart);
  CHECK_FALSE(done.ok());
  CHECK_TRUE(done.error().s3_code != "PreconditionFailed");
}

TEST(UploadOutcome, ComparesWithWhatItSentWhereCompleteSaysNoETag) {
  s3.empty_etag = true;
  CHECK_TRUE(send(2 * kPart).ok());
  s3.buckets["backups"].clear();
  after("CompleteMultipartUpload", [&] { s3.buckets["backups"]["p1/a.zip"].etag = "other-2"; });
  CHECK_FALSE(send(2 * kPart).ok());
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
