// The bucket in front of the endpoint, where the name alone does not tell whose host it is
// (ex_aws#558, BookStackApp/BookStack#4556, vaersaagod/dospaces#16).
#include "../text.h"
#include "client_lab.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(Settle) {
  ClientLab lab;

  void setup() override {
    lab.policy.endpoint = "http://backups.s3.test:9000";
  }
  // Uploads, and returns where to: "http://host/path".
  std::string put() {
    const auto put = lab.client().put_object("prod/k", lab.file.all(), false);
    CHECK_TEXT(put.ok(), put ? "" : put.error().message.c_str());
    return lab.s3.last().request.url;
  }
  void answer_with_buckets() {
    lab.s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (!call.key.empty() || !call.bucket.empty()) return std::nullopt;
      return FakeAnswer{200, {}, "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"};
    };
  }
  Error refused() {
    const auto put = lab.client().put_object("prod/k", lab.file.all(), true);
    CHECK_FALSE(put.ok());
    LONGS_EQUAL(0, lab.s3.count("PutObject"));
    return put.error();
  }
};

TEST(Settle, TakesTheHostForTheBucketsWhereItListsTheBucket) {
  lab.policy.folder = "prod";
  STRCMP_EQUAL("http://backups.s3.test:9000/prod/k", put().c_str());
  CHECK_TRUE(lab.s3.has("prod/k"));
  LONGS_EQUAL(2, lab.s3.calls.size());
  STRCMP_EQUAL("prod/", lab.s3.calls[0].query.at("prefix").c_str());
  STRCMP_EQUAL("http://backups.s3.test:9000", lab.session().location.display().c_str());
  // Asked once, whoever comes next.
  put();
  LONGS_EQUAL(3, lab.s3.calls.size());
}

TEST(Settle, TakesTheHostForAServersWhoseNameBeginsLikeTheBucket) {
  lab.s3.path_style_only = true;
  answer_with_buckets();
  STRCMP_EQUAL("http://backups.s3.test:9000/backups/prod/k", put().c_str());
  CHECK_TRUE(lab.s3.has("prod/k"));
  LONGS_EQUAL(3, lab.s3.calls.size());
  STRCMP_EQUAL("http://backups.s3.test:9000/backups", lab.session().location.display().c_str());
}

TEST(Settle, TakesItForAServersWhereTheListOfBucketsIsForbidden) {
  lab.s3.path_style_only = true;
  lab.s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (!call.bucket.empty()) return std::nullopt;
    return s3_error(403, "AccessDenied");
  };
  STRCMP_EQUAL("http://backups.s3.test:9000/backups/prod/k", put().c_str());
}

TEST(Settle, IsNotMisledByTheListOfAnotherBucket) {
  lab.s3.path_style_only = true;
  lab.s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (!call.bucket.empty()) return std::nullopt;
    return FakeAnswer{200,
                      {},
                      "<ListBucketResult><Name>start</Name><IsTruncated>false"
                      "</IsTruncated></ListBucketResult>"};
  };
  STRCMP_EQUAL("http://backups.s3.test:9000/backups/prod/k", put().c_str());
}

TEST(Settle, WritesNothingWhereNeitherReadingIsAnswered) {
  // On the bucket's own host without s3:ListBucket; "backups" is a key there, which does not exist.
  lab.settings.retries = 0;
  lab.s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.key.empty()) return s3_error(403, "AccessDenied");
    return s3_error(404, "NoSuchKey");
  };
  const Error error = refused();
  STRCMP_EQUAL("AccessDenied", error.s3_code.c_str());
  CHECK_TEXT(holds(error.hint, "write endpoint: s3.test"), error.hint.c_str());
  // It is asked again: rights may have been given meanwhile.
  lab.s3.before = nullptr;
  STRCMP_EQUAL("http://backups.s3.test:9000/prod/k", put().c_str());
}

TEST(Settle, DoesNotTakeSilenceForAnAnswer) {
  lab.settings.retries = 0;
  lab.s3.before = [](const FakeCall&) { return lost_connection(); };
  const Error error = refused();
  CHECK_FALSE_TEXT(holds(error.hint, "write endpoint"), error.hint.c_str());
  LONGS_EQUAL(1, lab.s3.calls.size());
}

TEST(Settle, AsksNobodyWhereTheNameTells) {
  for (const char* endpoint : {"http://s3.test:9000", "http://backups.fra1.digitaloceanspaces.com",
                               "http://notbackups.s3.test", "http://backups.10.0.0.1"}) {
    ClientLab other;
    other.policy.endpoint = endpoint;
    CHECK_FALSE_TEXT(other.session().location.unsettled(), endpoint);
  }
  lab.policy.endpoint = "http://backups.localhost:24110";
  CHECK_TRUE(lab.session().location.unsettled());
}
