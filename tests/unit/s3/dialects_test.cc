// Servers that lack something, or say it otherwise than S3: what is there instead. Where each was
// met stands beside it.
#include "upload_lab.h"

#include "s3/bucket.h"
#include "s3/wire_text.h"

using namespace etcd_snapshot;

namespace {

constexpr char kOzoneETag[] = "9f2b1c0d3e4f5a6b7c8d9e0f1a2b3c4d-2";

FakeAnswer web_page(long status) {
  return {status, {{"content-type", "text/html"}}, "<html><body>no</body></html>"};
}

}  // namespace

TEST_GROUP_BASE(Dialects, UploadBase){S3Client client(){return lab.client();
}
// Sends an object of two parts and one of a single one, and says what was wrong; empty: nothing.
std::string sends_both() {
  s3.buckets["backups"].clear();
  s3.uploads.clear();
  for (const int64_t size : {int64_t{100}, 2 * kPart}) {
    const auto done = send(size, size == 100 ? "p1/small.zip" : "p1/large.zip");
    if (!done) return done.error().message;
    const std::string key = done->key;
    if (s3.objects().count(key) == 0 || s3.objects().at(key).bytes != content) return key;
  }
  return s3.objects().size() == 2 ? "" : "more than one object each";
}
}
;

// --- answers

// OpenStack Swift answers DeleteObjects with XML and text/html.
TEST(Dialects, AnAnswerIsJudgedByItsBodyAndNotByItsType) {
  s3.html_type = true;
  STRCMP_EQUAL("", sends_both().c_str());
  const auto faults = client().remove({"p1/small.zip", "p1/large.zip"});
  CHECK_TEXT(faults.ok(), faults ? "" : faults.error().message.c_str());
  CHECK_TRUE(faults->empty() && s3.objects().empty());
  CHECK_TRUE(client().list("p1/", "").ok());
  LONGS_EQUAL(0, s3.count("DeleteObject"));
  // And an error so.
  s3.denied = {"ListObjectsV2"};
  const auto listed = client().list("p1/", "");
  STRCMP_EQUAL("AccessDenied", listed.error().s3_code.c_str());
}

TEST(Dialects, APageIsNoAnswerThoughItIsXml) {
  for (const char* page :
       {"<?xml version=\"1.0\"?><html><body/></html>", "<?xml version=\"1.0\"?><HTML/>",
        "<div>x</div>", "<!DOCTYPE html><html></html>", "login first", "<html>"}) {
    CHECK_FALSE_TEXT(is_xml_answer(page), page);
    s3.before = [page](const FakeCall&) {
      return FakeAnswer{200, {{"content-type", "text/html"}}, page};
    };
    const auto put = client().put_object("a", lab.file.all(), true);
    CHECK_TEXT(!put.ok() && holds(put.error().message, "HTML"), page);
    CHECK_FALSE_TEXT(client().remove({"a"}).ok(), page);
  }
  CHECK_TRUE(is_xml_answer("\n<?xml version=\"1.0\"?><Anything/>"));
  CHECK_TRUE(is_xml_answer("<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>"));
}

// --- ETags

// apache/ozone#5162 (over the text of the parts' ETags), basho/riak_cs#855 (the upload's id),
// chimera-nas/chimera#481 (another hash with S3's suffix), minio/minio#5052 (Azure's, no hex).
TEST(Dialects, AnETagThatIsNoMd5OfMd5sIsReadBack) {
  for (const char* etag : {kOzoneETag, "2~upload/1+=", "0x8DC1C2E3F4A5B6C", "a", ""}) {
    s3.makes_etag = [etag](const std::string&) { return std::string(etag); };
    s3.calls.clear();
    STRCMP_EQUAL_TEXT("", sends_both().c_str(), etag);
    LONGS_EQUAL_TEXT(1, s3.count("CompleteMultipartUpload"), etag);
    CHECK_TRUE(s3.count("GetObject") > 0);
  }
}

// gaul/s3proxy#338.
TEST(Dialects, AnETagThatIsAnotherInHeadThanInTheAnswerIsReadBack) {
  s3.after = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "CompleteMultipartUpload") return std::nullopt;
    return FakeAnswer{200,
                      {},
                      "<CompleteMultipartUploadResult><ETag>of the moment</ETag>"
                      "</CompleteMultipartUploadResult>"};
  };
  s3.makes_etag = [](const std::string&) { return std::string(kOzoneETag); };
  STRCMP_EQUAL("", sends_both().c_str());
}

// chimera-nas/chimera#480: those of the parts are no MD5 either.
TEST(Dialects, PartsMayHaveETagsOfAnyKind) {
  s3.after = [this](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "UploadPart") return std::nullopt;
    const std::string etag = "Part/" + call.query.at("partNumber");
    for (auto& [id, upload] : s3.uploads) {
      upload.parts[atoi(call.query.at("partNumber").c_str())].etag = etag;
    }
    return FakeAnswer{200, {{"etag", "\"" + etag + "\""}}};
  };
  STRCMP_EQUAL("", sends_both().c_str());
}

// Capitals, what proxies do that compress (nginx: weak; Apache: a suffix), and none at all.
TEST(Dialects, AnETagIsTheSameHoweverItIsWritten) {
  const std::function<std::string(const std::string&)> ways[] = {
      [](const std::string& etag) { return etag; },
      [](const std::string& etag) { return "W/\"" + etag + "\""; },
      [](const std::string& etag) { return "\"" + etag + "-gzip\""; },
      [](const std::string& etag) { return "W/\"" + etag + "-gzip\""; },
      [](std::string etag) {
        std::transform(etag.begin(), etag.end(), etag.begin(), ::toupper);
        return "\"" + etag + "\"";
      }};
  for (const auto& way : ways) {
    s3.tells_etag = way;
    s3.calls.clear();
    STRCMP_EQUAL_TEXT("", sends_both().c_str(), way("abc").c_str());
    LONGS_EQUAL_TEXT(0, s3.count("GetObject"), way("abc").c_str());
    const auto page = client().list("p1/", "");
    const auto head = client().head("p1/small.zip");
    STRCMP_EQUAL((*head)->etag.c_str(), page->objects.at(1).etag.c_str());
  }
  s3.tells_etag = [](const std::string&) { return std::string(); };
  STRCMP_EQUAL("", sends_both().c_str());
  CHECK_TRUE(s3.count("GetObject") > 0);
}

TEST(Dialects, NormalETag) {
  const struct {
    const char *told, *normal, *bare;
  } rows[] = {{"\"ABCDEF0123456789abcdef0123456789-2\"", "abcdef0123456789abcdef0123456789-2",
               "ABCDEF0123456789abcdef0123456789-2"},
              {"W/\"abc\"", "abc", "abc"},
              {"\"abc-gzip\"", "abc", "abc"},
              {"\"abc\"-gzip", "abc", "abc"},
              {" \"abc\" ", "abc", "abc"},
              {"Opaque/Tag", "Opaque/Tag", "Opaque/Tag"},
              {"\"\"", "", ""},
              {"\"", "", ""},
              {"W/", "", ""},
              {"", "", ""},
              {"-gzip", "-gzip", "-gzip"}};
  for (const auto& row : rows) {
    STRCMP_EQUAL_TEXT(row.normal, normal_etag(row.told).c_str(), row.told);
    STRCMP_EQUAL_TEXT(row.bare, bare_etag(row.told).c_str(), row.told);
  }
}

// --- deleting in one call

// supabase/storage#898 (Google: 501, 400 NotImplemented, 400 InvalidArgument), basho/riak_cs#549
// and artifact-keeper/artifact-keeper#749 (405), apache/arrow-rs-object-store#731,
// meganz/s4-specs#5, scality/cloudserver#83 (InvalidURI), EnterpriseDB/barman#1146
// (MissingContentMD5), flyology-ada/flyology-object-storage#60 (MalformedXML for the namespace).
TEST(Dialects, DeletesKeyByKeyWhereThereIsNoBatch) {
  const FakeAnswer rows[] = {s3_error(501, "NotImplemented", "not implemented"),
                             {501, {}, ""},
                             s3_error(400, "NotImplemented"),
                             s3_error(400, "InvalidArgument", "Invalid argument."),
                             s3_error(405, "MethodNotAllowed"),
                             s3_error(403, "MethodNotAllowed"),
                             s3_error(400, "InvalidURI"),
                             s3_error(400, "InvalidRequest"),
                             s3_error(400, "MalformedXML"),
                             s3_error(400, "MissingContentMD5"),
                             {405, {{"content-type", "text/html"}}, "<html>405</html>"},
                             s3_error(400, "MalformedPOSTRequest"),
                             s3_error(412, "PreconditionFailed", "Bucket POST must be multipart"),
                             s3_error(404, "NoSuchKey"),
                             web_page(404),
                             {200, {}, ""}};
  for (const FakeAnswer& row : rows) {
    ClientLab own;
    for (const char* key : {"a", "b/c d", "locked", "stays"}) own.s3.put(key, "x");
    own.s3.locked = {"locked"};
    own.s3.no_batch = row;
    const std::string what = std::to_string(row.status) + row.body;
    for (int again = 0; again < 2; ++again) {  // it is not asked again
      const auto faults = own.client().remove({"a", "b/c d", "locked", "never there"});
      CHECK_TEXT(faults.ok(), what.c_str());
      LONGS_EQUAL_TEXT(1, faults->size(), what.c_str());
      STRCMP_EQUAL("locked", faults->at(0).key.c_str());
      CHECK_TEXT(holds(faults->at(0).message, "object lock"), what.c_str());
    }
    LONGS_EQUAL_TEXT(1, own.s3.count("DeleteObjects"), what.c_str());
    LONGS_EQUAL_TEXT(8, own.s3.count("DeleteObject"), what.c_str());
    LONGS_EQUAL_TEXT(2, own.s3.objects().size(), what.c_str());
  }
}

// A right that is missing, keys that are not accepted, a busy server, a page: of these nobody knows
// that there is no batch.
TEST(Dialects, DoesNotDeleteKeyByKeyForAnotherReason) {
  const FakeAnswer rows[] = {s3_error(403, "AccessDenied"),
                             s3_error(403, "InvalidAccessKeyId"),
                             s3_error(403, "SignatureDoesNotMatch"),
                             web_page(403),
                             s3_error(503, "SlowDown"),
                             s3_error(404, "NoSuchBucket"),
                             s3_error(400, "ExpiredToken"),
                             web_page(200),
                             s3_error(200, "InternalError")};
  for (const FakeAnswer& row : rows) {
    ClientLab own;
    own.settings.retries = 0;
    own.s3.put("a", "x");
    own.s3.no_batch = row;
    CHECK_FALSE_TEXT(own.client().remove({"a"}).ok(), row.body.c_str());
    LONGS_EQUAL_TEXT(0, own.s3.count("DeleteObject"), row.body.c_str());
  }
}

// What is not known to be deleted does not count as deleted.
TEST(Dialects, APageIsNoProofThatAnObjectIsGone) {
  const FakeAnswer pages[] = {
      web_page(404), web_page(200), {200, {}, "ok"}, {404, {}, ""}, s3_error(404, "NoSuchBucket")};
  for (const FakeAnswer& page : pages) {
    ClientLab own;
    own.s3.put("a", "x");
    own.s3.no_batch = s3_error(501, "NotImplemented");
    own.s3.before = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (call.operation != "DeleteObject") return std::nullopt;
      return page;
    };
    CHECK_FALSE_TEXT(own.client().remove({"a"}).ok(), page.body.c_str());
  }
}

TEST(Dialects, AsksNoThousandTimesForWhatIsRefusedEachTime) {
  s3.no_batch = s3_error(501, "NotImplemented");
  s3.denied = {"DeleteObject"};
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) keys.push_back("k" + std::to_string(i));
  const auto faults = client().remove(keys);
  LONGS_EQUAL(1000, faults->size());
  LONGS_EQUAL(10, s3.count("DeleteObject"));
}

// --- sizes

// async-aws/aws#2077 (R2), scireum/s3ninja#209, minio/minio-hs#151 (Yandex).
TEST(Dialects, TheSizeComesFromARangeOrTheListWhereHeadDoesNotTellIt) {
  s3.head_tells_size = false;
  STRCMP_EQUAL("", sends_both().c_str());
  for (const bool ranges : {true, false}) {
    s3.ignores_range = !ranges;
    s3.put("p1/a", "12345");
    s3.put("p1/ab", "1");
    LONGS_EQUAL(5, (*client().head("p1/a"))->size_bytes);
    s3.put("p1/none", "");
    LONGS_EQUAL(0, (*client().head("p1/none"))->size_bytes);
  }
  s3.ignores_range = false;
  s3.denied = {"GetObject"};
  LONGS_EQUAL(5, (*client().head("p1/a"))->size_bytes);
  s3.denied = {"GetObject", "ListObjectsV2"};
  CHECK_FALSE(client().head("p1/a").ok());
}

// A proxy that compresses tells the size of what it made of it, with or without saying so.
TEST(Dialects, TheSizeOfAnEncodingIsNotThatOfTheObject) {
  for (const char* encoding : {"gzip", ""}) {
    s3.after = [encoding](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (call.operation != "HeadObject") return std::nullopt;
      return FakeAnswer{200,
                        {{"etag", "\"x\""},
                         {"x-amz-request-id", "tx1"},
                         {"content-length", "17"},
                         {"content-encoding", encoding}},
                        ""};
    };
    fill(100);
    s3.put("p1/a.zip", content);
    S3Client one = client();
    Bucket bucket(lab.session(), one);
    const auto same = bucket.holds("p1/a.zip", file.get(), 100);
    CHECK_TRUE(same.ok() && same->has_value());
    LONGS_EQUAL(100, (*same)->size_bytes);
  }
}

// --- checksums that a refusal asks for

// s3tools/s3cmd#1436, versity/versitygw#1301, akka/alpakka#2773, and codes of other servers.
TEST(Dialects, SendsContentMd5WhereARefusalNamesIt) {
  const FakeAnswer rows[] = {
      s3_error(400, "InvalidRequest",
               "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Part requests with "
               "Object Lock parameters"),
      s3_error(400, "InvalidRequest",
               "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"),
      s3_error(400, "MissingContentMD5", "Missing required content hash for this request"),
      s3_error(400, "MissingSecurityHeader", "missing a required header: content-md5"),
      s3_error(400, "InvalidArgument", "x-amz-checksum-crc32 or Content-Md5 must be given"),
      s3_error(403, "AccessDenied", "Object Lock needs the header Content-MD5"),
      s3_error(411, "Content-MD5-Required", "")};
  for (const FakeAnswer& row : rows) {
    ClientLab own;
    own.settings.retries = 0;
    own.s3.md5_refusal = row;
    auto put = own.client().put_object("a", own.file.all(), true);
    CHECK_TEXT(put.ok(), row.body.c_str());
    auto own_client = own.client();
    const auto id = own_client.create_upload("b");
    CHECK_TEXT(own_client.upload_part("b", *id, 1, own.file.all()).ok(), row.body.c_str());
    LONGS_EQUAL_TEXT(2, own.s3.count("PutObject"), row.body.c_str());
    LONGS_EQUAL_TEXT(1, own.s3.count("UploadPart"), row.body.c_str());  // remembered
  }
}

// --- conditions

// A policy that enforces conditional writes (S3 User Guide, "Enforce conditional writes").
TEST(Dialects, ReplacesASmallFileUnderAPolicyThatWantsConditions) {
  s3.wants_condition = true;
  S3Client one = client();
  Bucket bucket(lab.session(), one);
  for (const int64_t size : {100, 200, 300}) {
    fill(size);
    const auto done = bucket.replace("pki.bundle.tar.gz", file.get(), size);
    CHECK_TEXT(done.ok(), done ? "" : done.error().message.c_str());
    CHECK_TRUE(s3.objects().at("pki.bundle.tar.gz").bytes == content);
  }
}

TEST(Dialects, ReplacesASmallFileWhereIfMatchIsNotKnown) {
  S3Client one = client();
  Bucket bucket(lab.session(), one);
  const FakeAnswer rows[] = {s3_error(501, "NotImplemented"), s3_error(412, "PreconditionFailed"),
                             s3_error(400, "InvalidArgument", "If-Match is not supported")};
  for (const FakeAnswer& row : rows) {
    s3.before = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (call.header("if-match").empty()) return std::nullopt;
      return row;
    };
    s3.put("pki.bundle.tar.gz", "old");
    fill(100);
    CHECK_TRUE(bucket.replace("pki.bundle.tar.gz", file.get(), 100).ok());
    CHECK_TRUE(s3.objects().at("pki.bundle.tar.gz").bytes == content);
  }
}

TEST(Dialects, SaysWhyNothingCanBeReplaced) {
  S3Client one = client();
  Bucket bucket(lab.session(), one);
  s3.put("pki.bundle.tar.gz", "old");
  s3.denied = {"PutObject"};
  fill(100);
  const auto done = bucket.replace("pki.bundle.tar.gz", file.get(), 100);
  CHECK_FALSE(done.ok());
  CHECK_TEXT(holds(done.error().hint, "delete pki.bundle.tar.gz"), done.error().hint.c_str());
}

// 412 for a name that is free: the server does not understand the condition.
TEST(Dialects, SendsWithoutAConditionThatFailsWhereNothingIs) {
  s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.header("if-none-match").empty()) return std::nullopt;
    return s3_error(412, "PreconditionFailed");
  };
  STRCMP_EQUAL("", sends_both().c_str());
  LONGS_EQUAL(2, s3.count("CompleteMultipartUpload"));
  LONGS_EQUAL(2, s3.count("PutObject"));
}

// API Reference, CompleteMultipartUpload: after 409 the upload is to be begun anew.
TEST(Dialects, DoesNotRepeatACompleteThatMetAnother) {
  lab.settings.retries = 3;
  for (const FakeAnswer& row : {s3_error(409, "ConditionalRequestConflict"),
                                s3_error(409, "OperationAborted"), FakeAnswer{409}}) {
    s3.calls.clear();
    lab.given = 0;
    lab.first(1, "CompleteMultipartUpload", row);
    const auto done = send(2 * kPart);
    CHECK_FALSE(done.ok());
    CHECK_TRUE(ObjectUpload::must_begin_anew(done.error()));
    LONGS_EQUAL(1, s3.count("CompleteMultipartUpload"));
    // One that is no Complete is simply sent again.
    lab.given = 0;
    lab.first(1, "PutObject", row);
    CHECK_TRUE(send(100, "p1/b" + std::to_string(row.body.size())).ok());
  }
}

// --- encryption

TEST(Dialects, AnEncryptionThatIsNotConfirmedIsAnError) {
  const struct {
    const char *sse, *key, *told, *told_key, *part;
  } rows[] = {{"AES256", "", "", "", "does not say that it encrypted"},
              {"aws:kms", "", "", "", "does not say that it encrypted"},
              {"aws:kms", "", "AES256", "", "encrypted the object with AES256"},
              {"aws:kms", "k-1", "aws:kms", "arn:aws:kms:eu-central-1:1:key/k-2", "key/k-2"}};
  for (const auto& row : rows) {
    for (const int64_t size : {int64_t{100}, 2 * kPart}) {
      ClientLab own;
      own.settings = lab.settings;
      own.settings.sse = row.sse;
      own.settings.sse_kms_key_id = row.key;
      own.s3.encrypts = false;
      own.s3.after = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
        const auto object = own.s3.buckets["backups"].find(call.key);
        if (object == own.s3.buckets["backups"].end() || *row.told == '\0') return std::nullopt;
        object->second.headers["x-amz-server-side-encryption"] = row.told;
        object->second.headers["x-amz-server-side-encryption-aws-kms-key-id"] = row.told_key;
        return std::nullopt;
      };
      fill(size);
      for (int again = 0; again < 2; ++again) {
        ObjectUpload upload(own.session(), "p1/a.zip",
                            UniqueFd(fcntl(file.get(), F_DUPFD_CLOEXEC, 0)), 0);
        const auto done = upload.finish(size);
        CHECK_FALSE_TEXT(done.ok(), row.part);
        STRCMP_EQUAL(kNotEncrypted, done.error().s3_code.c_str());
        CHECK_TRUE(done.error().kind == ErrorKind::kRemote);
        CHECK_TEXT(holds(done.error().message, row.sse), done.error().message.c_str());
        CHECK_TEXT(holds(done.error().hint, "[s3]"), done.error().hint.c_str());
        if (again == 0) {
          CHECK_TEXT(holds(done.error().message, row.part), done.error().message.c_str());
          CHECK_TEXT(holds(done.error().message, "deleted again"), done.error().message.c_str());
        }
      }
      CHECK_FALSE(own.s3.has("p1/a.zip"));
      // Nothing more was sent.
      LONGS_EQUAL(size == 100 ? 1 : 0, own.s3.count("PutObject"));
      LONGS_EQUAL(size == 100 ? 0 : 1, own.s3.count("CompleteMultipartUpload"));
    }
  }
}

TEST(Dialects, AnEncryptionMayBeConfirmedInAnyAnswerAndByAnyNameOfTheKey) {
  const struct {
    const char *sse, *key, *told, *told_key;
  } rows[] = {{"AES256", "", "AES256", ""},
              {"aws:kms", "", "aws:kms", "arn:aws:kms:eu-central-1:1:key/k-1"},
              {"aws:kms", "k-1", "aws:kms", "arn:aws:kms:eu-central-1:1:key/k-1"},
              {"aws:kms", "arn:aws:kms:eu-central-1:1:key/k-1", "aws:kms", "k-1"},
              {"aws:kms", "alias/backups", "aws:kms", "arn:aws:kms:eu-central-1:1:key/k-1"},
              {"aws:kms", "k-1", "aws:kms", ""}};
  for (const auto& row : rows) {
    for (const char* where : {"PutObject", "HeadObject"}) {
      ClientLab own;
      own.settings = lab.settings;
      own.settings.sse = row.sse;
      own.settings.sse_kms_key_id = row.key;
      own.s3.encrypts = false;
      fill(100);
      own.s3.after = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
        if (call.operation != where || !own.s3.has(call.key)) return std::nullopt;
        FakeAnswer answer{200,
                          {{"etag", "\"" + own.s3.objects().at(call.key).etag + "\""},
                           {"content-length", "100"},
                           {"x-amz-server-side-encryption", row.told}}};
        if (*row.told_key) {
          answer.headers["x-amz-server-side-encryption-aws-kms-key-id"] = row.told_key;
        }
        return answer;
      };
      ObjectUpload upload(own.session(), "p1/a.zip",
                          UniqueFd(fcntl(file.get(), F_DUPFD_CLOEXEC, 0)), 0);
      const auto done = upload.finish(100);
      CHECK_TEXT(done.ok(), done ? "" : done.error().message.c_str());
    }
  }
}

// The bundle holds private keys.
TEST(Dialects, ABundleThatIsNotEncryptedDoesNotStay) {
  lab.settings.sse = "AES256";
  s3.encrypts = false;
  S3Client one = client();
  Bucket bucket(lab.session(), one);
  fill(100);
  const auto done = bucket.replace("pki.bundle.tar.gz", file.get(), 100);
  CHECK_FALSE(done.ok());
  STRCMP_EQUAL(kNotEncrypted, done.error().s3_code.c_str());
  CHECK_TRUE(s3.objects().empty());
}
