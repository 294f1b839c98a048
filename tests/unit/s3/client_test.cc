#include "s3/client.h"

#include <strings.h>

#include "client_lab.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

// What each call says on the wire and makes of the answer; tries and waits are in send_test.cc.
TEST_GROUP(S3Client) {
  ClientLab lab;
  FakeS3& s3 = lab.s3;

  std::string begin_upload(S3Client & client, const std::string& key) {
    auto id = client.create_upload(key);
    CHECK_TRUE(id.ok());
    return id ? *id : "";
  }
  // The answer is one that the client must not take; names call and bucket.
  template <typename T>
  void check_refused(const Result<T>& result, const std::string& part) {
    CHECK_FALSE_TEXT(result.ok(), part.c_str());
    if (result.ok()) return;
    const std::string& text = result.error().message;
    CHECK_TRUE_TEXT(result.error().kind == ErrorKind::kRemote, text.c_str());
    CHECK_TEXT(holds(text, part), text.c_str());
    CHECK_TEXT(holds(text, "https://s3.test:9000/backups"), text.c_str());
  }
};

TEST(S3Client, PutsAFileWithItsDigest) {
  lab.settings.sse = "aws:kms";
  lab.settings.sse_kms_key_id = "key-1";
  lab.settings.storage_class = "STANDARD_IA";
  auto client = lab.client();
  const auto etag = client.put_object("p1/a b.zip", lab.file.range(4, 5), false);
  CHECK_TRUE(etag.ok());
  const FakeObject& object = s3.objects().at("p1/a b.zip");
  STRCMP_EQUAL("bytes", object.bytes.c_str());
  STRCMP_EQUAL(object.etag.c_str(), etag->etag.c_str());
  STRCMP_EQUAL("application/zip", object.headers.at("content-type").c_str());
  STRCMP_EQUAL("aws:kms", object.headers.at("x-amz-server-side-encryption").c_str());
  STRCMP_EQUAL("key-1", object.headers.at("x-amz-server-side-encryption-aws-kms-key-id").c_str());
  STRCMP_EQUAL("STANDARD_IA", object.headers.at("x-amz-storage-class").c_str());
  STRCMP_EQUAL("", s3.last().header("if-none-match").c_str());
  STRCMP_EQUAL("https://s3.test:9000/backups/p1/a%20b.zip", s3.last().request.url.c_str());
}

TEST(S3Client, AsksAsTheSettingsSay) {
  lab.settings.stall_timeout_s = 7;
  lab.settings.max_rate_mib_s = 3;
  lab.policy.custom_ca = "PEM";
  lab.session().deadline = lab.clock.monotonic() + std::chrono::hours(1);
  std::atomic<bool> cancel{false};
  auto client = lab.client();
  client.set_cancel(&cancel);
  CHECK_TRUE(client.put_object("a", lab.file.all(), false).ok());
  const HttpRequest put = s3.last().request;
  CHECK_TRUE(put.error_kind == ErrorKind::kRemote);
  STRCMP_EQUAL("PEM", put.extra_roots.c_str());
  LONGS_EQUAL(7, put.stall_timeout_s);
  LONGS_EQUAL(0, put.total_timeout_s);
  CHECK_TRUE(put.proxy_from_environment);
  CHECK_TRUE(put.deadline == lab.session().deadline);
  CHECK_TRUE(put.cancel == &cancel);
  CHECK_TRUE(put.rate == lab.session().rate.get());
  CHECK_TRUE(put.rate != nullptr);
  CHECK_FALSE(put.after_stop);
  CHECK_TRUE(client.list("", "").ok());
  CHECK_TRUE(s3.last().request.rate == nullptr);
  CHECK_TRUE(s3.last().request.total_timeout_s > 60);
}

TEST(S3Client, TakesTheProxyThatIsSetAndNoOther) {
  lab.settings.proxy = "http://proxy:3128";
  CHECK_TRUE(lab.client().list("", "").ok());
  STRCMP_EQUAL("http://proxy:3128", s3.last().request.proxy.c_str());
  CHECK_FALSE(s3.last().request.proxy_from_environment);
}

TEST(S3Client, SendsInPartsAndCompletes) {
  lab.settings.sse = "AES256";
  auto client = lab.client();
  const std::string id = begin_upload(client, "k&<>.zst");
  const auto one = client.upload_part("k&<>.zst", id, 1, lab.file.range(0, 4));
  const auto two = client.upload_part("k&<>.zst", id, 2, lab.file.range(4, 5));
  CHECK_TRUE(one.ok() && two.ok());
  LONGS_EQUAL(32, one->size());
  STRCMP_EQUAL("", s3.last().header("x-amz-server-side-encryption").c_str());
  CHECK_FALSE(s3.has("k&<>.zst"));
  const auto etag = client.complete_upload("k&<>.zst", id, {*one, *two}, true);
  CHECK_TRUE(etag.ok());
  const FakeObject& object = s3.objects().at("k&<>.zst");
  STRCMP_EQUAL("the bytes", object.bytes.c_str());
  STRCMP_EQUAL(object.etag.c_str(), etag->etag.c_str());
  STRCMP_EQUAL("AES256", object.headers.at("x-amz-server-side-encryption").c_str());
  STRCMP_EQUAL("application/zstd", object.headers.at("content-type").c_str());
  LONGS_EQUAL(0, s3.uploads.size());
}

TEST(S3Client, CompletesWithoutAnETagInTheAnswer) {
  s3.empty_etag = true;
  auto client = lab.client();
  const std::string id = begin_upload(client, "a");
  const auto one = client.upload_part("a", id, 1, lab.file.all());
  const auto info = client.complete_upload("a", id, {*one}, false);
  CHECK_TRUE(info.ok());
  STRCMP_EQUAL("", info->etag.c_str());
}

TEST(S3Client, RefusesAPartWithoutETag) {
  auto client = lab.client();
  const std::string id = begin_upload(client, "a");
  lab.first(1, "UploadPart", FakeAnswer{});
  check_refused(client.upload_part("a", id, 1, lab.file.all()), "no ETag");
}

TEST(S3Client, AbortsWhatMayBeGone) {
  auto client = lab.client();
  const std::string id = begin_upload(client, "a");
  CHECK_TRUE(client.abort_upload("a", id).ok());
  LONGS_EQUAL(0, s3.uploads.size());
  CHECK_TRUE(client.abort_upload("a", id).ok());
  s3.before = [](const FakeCall&) { return s3_error(404, "NoSuchBucket"); };
  CHECK_FALSE(client.abort_upload("a", id).ok());
}

// Object, then what each kind of server makes of it.
TEST(S3Client, NeverReplacesWhereTheServerKnowsHow) {
  auto client = lab.client();
  CHECK_TRUE(client.put_object("a", lab.file.all(), true).ok());
  STRCMP_EQUAL("*", s3.last().header("if-none-match").c_str());
  const auto again = client.put_object("a", lab.file.range(0, 3), true);
  check_refused(again, "PreconditionFailed");
  STRCMP_EQUAL("PreconditionFailed", again.error().s3_code.c_str());
  STRCMP_EQUAL("the bytes of a snapshot", s3.objects().at("a").bytes.c_str());
  const std::string id = begin_upload(client, "a");
  const auto part = client.upload_part("a", id, 1, lab.file.range(0, 3));
  const auto completed = client.complete_upload("a", id, {*part}, true);
  check_refused(completed, "PreconditionFailed");
  STRCMP_EQUAL("PreconditionFailed", completed.error().s3_code.c_str());
  LONGS_EQUAL(1, s3.uploads.size());
}

TEST(S3Client, LeavesTheConditionOutWhereTheServerDoesNotKnowIt) {
  for (const auto kind : {FakeS3::WriteOnce::kRefused, FakeS3::WriteOnce::kBadRequest}) {
    ClientLab own;
    own.s3.put_once = own.s3.complete_once = kind;
    auto client = own.client();
    CHECK_TRUE(client.put_object("a", own.file.all(), true).ok());
    LONGS_EQUAL(2, own.s3.count("PutObject"));
    auto other = own.client();  // of the same session
    CHECK_TRUE(other.put_object("b", own.file.all(), true).ok());
    LONGS_EQUAL(3, own.s3.count("PutObject"));
    const auto id = client.create_upload("c");
    const auto part = client.upload_part("c", *id, 1, own.file.all());
    CHECK_TRUE(client.complete_upload("c", *id, {*part}, true).ok());
    LONGS_EQUAL(2, own.s3.count("CompleteMultipartUpload"));
    LONGS_EQUAL(0, own.clock.sleeps.size());
  }
}

TEST(S3Client, KeepsTheConditionWhereSomethingElseIsNotImplemented) {
  auto client = lab.client();
  lab.first(2, "PutObject", s3_error(501, "NotImplemented"));
  check_refused(client.put_object("a", lab.file.all(), true), "NotImplemented");
  LONGS_EQUAL(2, s3.count("PutObject"));
  CHECK_TRUE(client.put_object("a", lab.file.all(), true).ok());
  STRCMP_EQUAL("*", s3.last().header("if-none-match").c_str());
}

TEST(S3Client, CannotTellWhereTheServerIgnoresTheCondition) {
  s3.put_once = FakeS3::WriteOnce::kIgnored;
  s3.put("a", "old");
  CHECK_TRUE(lab.client().put_object("a", lab.file.all(), true).ok());
}

TEST(S3Client, SaysWhatAnObjectIs) {
  lab.settings.sse = "AES256";
  auto client = lab.client();
  CHECK_TRUE(client.put_object("a", lab.file.all(), false).ok());
  const auto info = client.head("a");
  CHECK_TRUE(info.ok() && info->has_value());
  LONGS_EQUAL(23, (*info)->size_bytes);
  STRCMP_EQUAL(s3.objects().at("a").etag.c_str(), (*info)->etag.c_str());
  STRCMP_EQUAL("AES256", (*info)->encryption.c_str());
  const auto none = client.head("b");
  CHECK_TRUE(none.ok());
  CHECK_FALSE(none->has_value());
  s3.denied = {"HeadObject"};
  check_refused(client.head("b"), "HeadObject");
}

TEST(S3Client, RefusesAHeadWithoutASize) {
  for (const char* length : {"", "-1", "12x", " 12", "99999999999999999999", "0x10"}) {
    FakeAnswer answer{200, {{"etag", "\"e\""}}};
    answer.headers["content-length"] = length;
    lab.given = 0;
    lab.first(1, "HeadObject", answer);
    check_refused(lab.client().head("a"), "Content-Length");
  }
}

TEST(S3Client, DemandsTheETagOfAnObject) {
  for (const char* call : {"HeadObject", "PutObject"}) {
    lab.given = 0;
    lab.first(1, call, FakeAnswer{});
    auto client = lab.client();
    check_refused(call[0] == 'H'
                      ? Result<void>(client.head("a").take_error())
                      : Result<void>(client.put_object("a", lab.file.all(), true).take_error()),
                  "no ETag");
  }
}

// A portal that wants a login, or a console on the port; a web server has ETags, too.
TEST(S3Client, TakesNoWebPageForAnAnswer) {
  const FakeAnswer page{
      200, {{"content-type", "text/html; charset=utf-8"}, {"etag", "\"e\""}}, "<html>login</html>"};
  auto client = lab.client();
  s3.before = [&page](const FakeCall&) { return page; };
  for (const Error& error :
       {client.head("a").error(), client.put_object("a", lab.file.all(), true).error(),
        client.upload_part("a", "i", 1, lab.file.all()).error(),
        client.abort_upload("a", "i").error(), client.list("", "").error(),
        client.remove({"a"}).error(), client.create_upload("a").error()}) {
    CHECK_TEXT(holds(error.message, "no S3 answer: HTML"), error.message.c_str());
    CHECK_TEXT(holds(error.hint, "endpoint") && holds(error.hint, "proxy"), error.hint.c_str());
  }
  LONGS_EQUAL(7, s3.calls.size());
  // Some servers call an answer that has no body HTML, and an object may be a page.
  s3.before = nullptr;
  s3.put("page", page.body);
  s3.after = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation == "GetObject")
      return FakeAnswer{200, {{"content-type", "text/html"}}, "<html>login</html>"};
    return FakeAnswer{200, {{"content-type", "text/html"}, {"etag", "\"e\""}}, ""};
  };
  CHECK_TRUE(client.put_object("a", lab.file.all(), false).ok());
  CHECK_TRUE(client.abort_upload("a", "i").ok());
  STRCMP_EQUAL("<html>", client.get_range("page", 0, 6)->c_str());
}

TEST(S3Client, ReadsARange) {
  s3.put("a", "0123456789");
  auto client = lab.client();
  for (const bool ignores : {false, true}) {
    s3.ignores_range = ignores;
    STRCMP_EQUAL("345", client.get_range("a", 3, 3)->c_str());
    STRCMP_EQUAL("0123456789", client.get_range("a", 0, 10)->c_str());
    CHECK_FALSE(client.get_range("a", 8, 3).ok());
    CHECK_FALSE(client.get_range("a", 10, 1).ok());
    CHECK_FALSE(client.get_range("b", 0, 1).ok());
  }
}

TEST(S3Client, RefusesARangeThatIsAnother) {
  const FakeAnswer rows[] = {{206, {{"content-range", "bytes 0-2/10"}}, "012"},
                             {206, {}, "34"},
                             {206, {}, "3456"},
                             {204, {}, ""},
                             {200, {}, "0123"}};
  for (const FakeAnswer& row : rows) {
    lab.given = 0;
    lab.first(1, "GetObject", row);
    check_refused(lab.client().get_range("a", 3, 3), "GetObject");
  }
  for (const auto& [offset, size] : {std::pair(-1, 1), {0, 0}, {0, (1 << 20) + 1}}) {
    const auto bad = lab.client().get_range("a", offset, size);
    CHECK_TRUE(bad.error().kind == ErrorKind::kInternal);
  }
}

// It may hold what looks like an error of S3.
TEST(S3Client, ReadsAnObjectThatLooksLikeAnError) {
  const std::string bytes = s3_error(200, "InternalError").body;
  s3.put("a", bytes);
  s3.ignores_range = true;
  const auto got = lab.client().get_range("a", 0, static_cast<int64_t>(bytes.size()));
  CHECK_TRUE(got.ok());
  STRCMP_EQUAL(bytes.c_str(), got->c_str());
}

TEST(S3Client, ListsInPages) {
  s3.page_size = 2;
  for (const char* key : {"p1/a", "p1/b c", "p1/d&e+f%", "p1/\xc3\xa4", "p11/x", "z"}) {
    s3.put(key, key);
  }
  auto client = lab.client();
  const auto one = client.list("p1/", "", 500);
  CHECK_TRUE(one.ok());
  LONGS_EQUAL(2, one->objects.size());
  STRCMP_EQUAL("p1/b c", one->objects[1].key.c_str());
  LONGS_EQUAL(6, one->objects[1].size_bytes);
  LONGS_EQUAL(32, one->objects[1].etag.size());
  STRCMP_EQUAL("500", s3.last().query.at("max-keys").c_str());
  STRCMP_EQUAL("2", s3.last().query.at("list-type").c_str());
  const auto two = client.list("p1/", one->next_token);
  CHECK_TRUE(two.ok());
  LONGS_EQUAL(2, two->objects.size());
  STRCMP_EQUAL("p1/d&e+f%", two->objects[0].key.c_str());
  STRCMP_EQUAL("p1/\xc3\xa4", two->objects[1].key.c_str());
  STRCMP_EQUAL("", two->next_token.c_str());
}

TEST(S3Client, RefusesAHostileList) {
  const std::string head = "<ListBucketResult><IsTruncated>true</IsTruncated>";
  const std::string rows[] = {
      head + "<NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
      head + "</ListBucketResult>", head, "", "no XML", "<html/>",
      // What looks like a size is none before somebody has expanded it.
      "<!DOCTYPE x [<!ENTITY n \"1\">]><ListBucketResult><Contents><Key>a</Key><Size>&n;</Size>"
      "</Contents></ListBucketResult>",
      "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>"};
  for (const std::string& row : rows) {
    lab.given = 0;
    lab.first(1, "ListObjectsV2", FakeAnswer{200, {}, row});
    check_refused(lab.client().list("", "t"), "ListObjectsV2");
  }
}

TEST(S3Client, RefusesAnAnswerThatIsTooLarge) {
  lab.first(1, "ListObjectsV2", FakeAnswer{200, {}, std::string((8 << 20) + 1, ' ')});
  check_refused(lab.client().list("", ""), "larger than 8 MiB");
  LONGS_EQUAL(1, s3.calls.size());
}

TEST(S3Client, DeletesInOneCallAndTellsWhatStays) {
  s3.put("a&b", "1");
  s3.put("locked", "2");
  s3.locked = {"locked"};
  auto client = lab.client();
  const auto faults = client.remove({"a&b", "locked", "never there"});
  CHECK_TRUE(faults.ok());
  LONGS_EQUAL(1, faults->size());
  STRCMP_EQUAL("locked", faults->at(0).key.c_str());
  STRCMP_EQUAL("AccessDenied", faults->at(0).code.c_str());
  CHECK_FALSE(s3.has("a&b"));
  CHECK_TRUE(s3.has("locked"));
  LONGS_EQUAL(1, s3.calls.size());
  LONGS_EQUAL(24, s3.last().header("content-md5").size());
}

TEST(S3Client, DeletesAThousandAtMost) {
  auto client = lab.client();
  CHECK_TRUE(client.remove({})->empty());
  const auto many = client.remove(std::vector<std::string>(1001, "a"));
  CHECK_TRUE(many.error().kind == ErrorKind::kInternal);
  LONGS_EQUAL(0, s3.calls.size());
  CHECK_TRUE(client.remove(std::vector<std::string>(1000, "a")).ok());
}

TEST(S3Client, ListsUploadsInPages) {
  s3.page_size = 1;
  auto client = lab.client();
  const std::string one = begin_upload(client, "p/a"), two = begin_upload(client, "p/a");
  begin_upload(client, "q");
  const auto page = client.list_uploads("p/", "", "");
  CHECK_TRUE(page.ok());
  LONGS_EQUAL(1, page->uploads.size());
  STRCMP_EQUAL(one.c_str(), page->uploads[0].upload_id.c_str());
  const auto next = client.list_uploads("p/", page->next_key, page->next_upload_id);
  CHECK_TRUE(next.ok());
  STRCMP_EQUAL(two.c_str(), next->uploads.at(0).upload_id.c_str());
  CHECK_TRUE(next->next_key.empty());
  lab.first(1, "ListMultipartUploads",
            FakeAnswer{200,
                       {},
                       "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k"
                       "</NextKeyMarker><NextUploadIdMarker>i</NextUploadIdMarker>"
                       "</ListMultipartUploadsResult>"});
  check_refused(client.list_uploads("", "k", "i"), "does not go on");
}

TEST(S3Client, RefusesWhatCannotBeSent) {
  auto client = lab.client();
  const FileRange huge{0, 0, (int64_t{5} << 30) + 1};
  CHECK_TRUE(client.put_object("a", huge, true).error().kind == ErrorKind::kInternal);
  CHECK_TRUE(client.upload_part("a", "i", 0, lab.file.all()).error().kind == ErrorKind::kInternal);
  const auto longer = client.put_object("a", lab.file.range(10, 100), true);
  CHECK_TRUE(longer.error().kind == ErrorKind::kStorage);
  LONGS_EQUAL(0, s3.calls.size());
}

// Gigabytes on a slow disk take longer than a service is given to stop.
TEST(S3Client, LooksWhetherToStopWhileItReadsAFile) {
  auto client = lab.client();
  std::atomic<bool> cancel{true};
  client.set_cancel(&cancel);
  const FileRange unread{-1, 0, 1 << 20};  // reading it would be a storage error
  CHECK_TRUE(client.upload_part("a", "i", 1, unread).error().kind == ErrorKind::kCancelled);
  CHECK_TRUE(client.put_object("a", unread, true).error().kind == ErrorKind::kCancelled);
  LONGS_EQUAL(0, s3.calls.size());
}

// The fake checks what S3 checks, or the tests above would not notice.
TEST(S3Client, IsHeldToWhatS3Checks) {
  auto client = lab.client();
  CHECK_TRUE(client.put_object("a", lab.file.all(), true).ok());
  const HttpRequest good = s3.last().request;
  const auto status = [this](HttpRequest request) {
    struct : ByteSink {
      Result<void> write(Bytes) override { return {}; }
    } nowhere;
    HttpResponse response;
    CHECK_TRUE(s3.perform(request, response, nowhere).ok());
    return response.status;
  };
  HttpRequest request = good;
  request.file_body = lab.file.range(0, 22);
  LONGS_EQUAL(400, status(request));  // another digest
  request = good;
  request.headers.push_back("x-amz-acl: private");
  LONGS_EQUAL(403, status(request));  // not signed
  request = good;
  std::erase_if(request.headers, [](const std::string& line) {
    return strncasecmp(line.c_str(), "authorization:", 14) == 0;
  });
  LONGS_EQUAL(403, status(request));
  LONGS_EQUAL(412, status(good));
}
