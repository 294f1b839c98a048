#include "explain_lab.h"

#include <map>
#include <vector>

using namespace etcd_snapshot;

namespace {

std::string fault(const std::string& code, const std::string& message,
                  const std::string& more = "") {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" + code + "</Code><Message>" +
         message + "</Message>" + more + "<RequestId>4442587FB7D0A2F9</RequestId></Error>";
}

}  // namespace

TEST_GROUP_BASE(Explain, ExplainBase){};

TEST(Explain, NamesCallObjectCodeMessageAndRequest) {
  const Error error = answer(404, fault("NoSuchBucket", "The specified bucket does not exist"));
  STRCMP_EQUAL(
      "PutObject https://s3.example.com/bucket/key: NoSuchBucket: The specified bucket does not "
      "exist (request id 4442587FB7D0A2F9)",
      error.message.c_str());
  CHECK_TRUE(error.kind == ErrorKind::kRemote);
  CHECK_FALSE(error.retryable);
  STRCMP_EQUAL("NoSuchBucket", error.s3_code.c_str());
  check_hints(error, "create the bucket bucket");
}

TEST(Explain, NamesTheBucketAloneWhereThereIsNoKey) {
  name.call = "ListObjectsV2";
  name.key = "";
  response.headers["x-amz-request-id"] = "tx000\x1b[1m";
  STRCMP_EQUAL(
      "ListObjectsV2 https://s3.example.com/bucket: HTTP 500 Internal Server Error (request "
      "id tx000?[1m)",
      answer(500, "").message.c_str());
}

TEST(Explain, KnowsWhatEachCodeAsksFor) {
  const struct {
    long status;
    const char *code, *message, *hints;
    bool retryable;
  } rows[] = {
      {403, "InvalidAccessKeyId", "", "the access key of the keys from cluster.yml", false},
      {403, "InvalidAccessKeyId", "Failed to retrieve the actual key, kms-keyid: no-such-key",
       "sse_kms_key_id", false},
      {403, "SignatureDoesNotMatch", "", "the secret key of the keys from cluster.yml", false},
      {403, "RequestTimeTooSkewed", "", "timedatectl", false},
      {400, "ExpiredToken", "", "the keys from cluster.yml have expired: renew", false},
      {400, "InvalidToken", "", "session token of the keys from cluster.yml", false},
      {403, "NotSignedUp", "", "the account of the keys from cluster.yml has no S3", false},
      {403, "InvalidClientTokenId", "", "session token", false},
      {403, "AccessDenied", "Access Denied.",
       "allow s3:PutObject on arn:aws:s3:::bucket/* to the keys from cluster.yml", false},
      {403, "AccessDenied", "Access Denied because object protected by Object Lock.", "locked",
       false},
      {403, "AccessDenied", "User: x is not authorized to perform: kms:GenerateDataKey",
       "(of [s3] sse_kms_key_id or of the bucket's default encryption) must exist", false},
      {403, "AccessDenied", "with an explicit deny in a resource-based policy", "denies", false},
      {400, "InvalidRequest", "Object is WORM protected and cannot be overwritten", "locked",
       false},
      {400, "InvalidRequest", "whatever", "storage_class", false},
      {403, "ObjectLocked", "", "locked", false},
      {403, "InvalidObjectState", "", "Glacier", false},
      {400, "AuthorizationHeaderMalformed", "", "us-east-1", false},
      {400, "EntityTooLarge", "", "part_size_mib", false},
      {400, "EntityTooSmall", "", "part_size_mib", false},
      {400, "MalformedXML", "", "proxy", false},
      {405, "MethodNotAllowed", "", "endpoint", false},
      {501, "NotImplemented", "", "storage_class", false},
      {400, "BadDigest", "", "changed on the way", true},
      {400, "XAmzContentSHA256Mismatch", "", "changed on the way", true},
      {400, "KMS.DisabledException", "", "sse_kms_key_id", false},
      {400, "KMS.ThrottlingException", "", "busy", true},
      {400, "KMS.NotFoundException", "", "sse_kms_key_id", false},
      {403, "QuotaExceeded", "", "`etcd-snapshot prune`", false},
      {507, "XMinioStorageFull", "", "full", false},
      {412, "PreconditionFailed", "", "is there already", false},
      {409, "OperationAborted", "", "somebody else", true},
      {409, "ConditionalRequestConflict", "", "somebody else", true},
      {503, "SlowDown", "", "busy (throttling); if it lasts, lower [s3] concurrency", true},
      {400, "ThrottlingException", "", "concurrency", true},
      {503, "ServiceUnavailable", "", "a load balancer has no server behind it", true},
      {500, "InternalError", "", "server", true},
      {200, "InternalError", "", "server", true},  // of CompleteMultipartUpload
      {200, "AccessDenied", "", "s3:PutObject", false},
      {400, "RequestTimeout", "", "slowly", true},
      // Not in the table: the status decides.
      {400, "Unheard", "", "see the server's message and its log (request id)", false},
      {409, "Unheard", "", "see the server's message and its log (request id)", false},
      {403, "Unheard", "", "allow s3:PutObject", false},
      {503, "Unheard", "", "a load balancer has no server behind it", true},
      {599, "Unheard", "", "its log (request id)", true},
  };
  for (const auto& row : rows) {
    const Error error = answer(row.status, fault(row.code, row.message));
    STRCMP_EQUAL(row.code, error.s3_code.c_str());
    check_hints(error, row.hints);
    CHECK_EQUAL_TEXT(row.retryable, error.retryable, row.code);
    CHECK_FALSE_TEXT(error.hint.find_first_of("{}") != std::string::npos, error.hint.c_str());
  }
}

TEST(Explain, NamesTheActionOfEachCall) {
  const struct {
    const char *call, *action;
  } rows[] = {
      {"PutObject", "s3:PutObject on arn:aws:s3:::bucket/*"},
      {"CreateMultipartUpload", "s3:PutObject on arn:aws:s3:::bucket/*"},
      {"UploadPart", "s3:PutObject on arn:aws:s3:::bucket/*"},
      {"CompleteMultipartUpload", "s3:PutObject on arn:aws:s3:::bucket/*"},
      {"AbortMultipartUpload", "s3:AbortMultipartUpload on arn:aws:s3:::bucket/*"},
      {"HeadObject", "s3:GetObject on arn:aws:s3:::bucket/*"},
      {"GetObject", "s3:GetObject on arn:aws:s3:::bucket/*"},
      {"DeleteObjects", "s3:DeleteObject on arn:aws:s3:::bucket/*"},
      {"ListObjectsV2", "s3:ListBucket on arn:aws:s3:::bucket to"},
      {"ListMultipartUploads", "s3:ListBucketMultipartUploads on arn:aws:s3:::bucket to"},
      {"GetBucketLocation", "s3:GetBucketLocation on arn:aws:s3:::bucket to"},
      {"Dance", "the IAM action of Dance"},
  };
  for (const auto& row : rows) {
    name.call = row.call;
    check_hints(answer(403, fault("AccessDenied", "Access Denied")), row.action);
  }
}

// HEAD has no body.
TEST(Explain, SaysWhatARefusedHeadMayMean) {
  name.call = "HeadObject";
  const Error error = answer(403, "");
  STRCMP_EQUAL("HeadObject https://s3.example.com/bucket/key: HTTP 403 Forbidden",
               error.message.c_str());
  STRCMP_EQUAL("", error.s3_code.c_str());
  check_hints(error, "s3:GetObject");
  check_hints(error, "without s3:ListBucket");
  STRCMP_EQUAL("PreconditionFailed", answer(412, "").s3_code.c_str());
}

TEST(Explain, TellsHowFarTheClocksAreApart) {
  const std::string skewed = fault("RequestTimeTooSkewed", "The difference is too large");
  const struct {
    const char *date, *hints;
  } rows[] = {
      {"Fri, 04 May 2018 18:20:16 GMT", "the clock of this host is 20 minutes ahead of the server"},
      {"Fri, 04 May 2018 19:41:06 GMT", "the clock of this host is 61 minutes behind the server's"},
      {"", "more than 15 minutes"},
      {"yesterday", "more than 15 minutes"},
  };
  for (const auto& row : rows) {
    response.headers["date"] = row.date;
    check_hints(answer(403, skewed), row.hints);
  }
  // What S3 itself says comes before what a proxy may have written.
  check_hints(answer(403, fault("RequestTimeTooSkewed", "",
                                "<ServerTime>2018-05-04T17:40:16Z</ServerTime>")),
              "60 minutes ahead of");
}

TEST(Explain, OffersTheOtherLookupOnlyWhereItWouldBeAnother) {
  const std::string none = fault("NoSuchBucket", "");
  const std::string path = answer(404, none).hint;
  STRCMP_EQUAL("create the bucket bucket, or correct bucket_name or endpoint in cluster.yml",
               path.c_str());
  name.bucket_in_host = true;
  check_hints(answer(404, none), "create the bucket bucket, or correct bucket_name");
  check_hints(answer(404, none), "set [s3] lookup = path");
}

TEST(Explain, MentionsTheClockWhereTheCodeDoesNot) {
  response.headers["date"] = "Fri, 04 May 2018 18:20:16 GMT";
  check_hints(answer(403, fault("AccessDenied", "")),
              "besides, the clock of this host is 20 minutes ahead of");
  name.call = "HeadObject";
  CHECK_TRUE(answer(403, "").hint.starts_with("the clock of this host is 20 minutes ahead of"));
  CHECK_FALSE(holds(answer(404, "").hint, "clock"));
  response.headers["date"] = "Fri, 04 May 2018 18:35:16 GMT";
  CHECK_FALSE(holds(answer(403, "").hint, "clock"));
}

TEST(Explain, TellsWhereTheBucketIs) {
  check_hints(answer(400, fault("AuthorizationHeaderMalformed", "", "<Region>eu-west-1</Region>")),
              "the bucket is in region eu-west-1; the request was signed for us-east-1");
  response.headers["x-amz-bucket-region"] = "eu-west-2";
  check_hints(answer(301, fault("PermanentRedirect", "")), "region eu-west-2");
  check_hints(answer(301, ""), "region eu-west-2");
  response.headers.clear();
  check_hints(answer(301, ""), "signed for us-east-1: set region in cluster.yml to the bucket's");
  response.headers["location"] = "https://login.example.com/?next=/bucket";
  for (const long status : {301, 307}) {
    const Error error = answer(status, "");
    check_hints(error, "sends the request on to https://login.example.com: set endpoint");
    CHECK_FALSE(holds(error.hint, "next="));
    CHECK_FALSE(holds(error.hint, "to that"));
  }
  response.headers["x-amz-bucket-region"] = "us-east-1";
  check_hints(answer(301, ""), "which the request was signed for: check endpoint");
}

TEST(Explain, NamesWhatIsAskedOfAnObjectThatIsRefused) {
  name.kept_as = "storage_class = COLD, sse = AES256";
  for (const char* call : {"PutObject", "CreateMultipartUpload"}) {
    name.call = call;
    check_hints(answer(400, fault("InvalidArgument", "")), "[s3] asks of it (storage_class = COLD");
    check_hints(answer(400, fault("InvalidArgument", "bad KMS key")), "sse_kms_key_id");
  }
  name.call = "ListObjectsV2";
  CHECK_FALSE(holds(answer(400, fault("InvalidArgument", "")).hint, "storage_class"));
}

// A GET without s3:ListBucket says so with a code.
TEST(Explain, SaysWhatADeniedReadMayMean) {
  for (const char* call : {"HeadObject", "GetObject"}) {
    name.call = call;
    check_hints(answer(403, fault("AccessDenied", "")), "without s3:ListBucket");
  }
  name.call = "PutObject";
  CHECK_FALSE(holds(answer(403, fault("AccessDenied", "")).hint, "ListBucket"));
}

TEST(Explain, TellsThatAnAnswerIsNotOfS3) {
  const struct {
    long status;
    const char *body, *says, *hints;
    bool retryable;
  } rows[] = {
      {404, "<!DOCTYPE html><p>", "no S3 answer: HTML",
       "is the endpoint right, or is there a proxy", false},
      {403, " \n<html>", "no S3 answer: HTML", "is the endpoint right", false},
      {200, "<html>", "no S3 answer: HTML", "a portal that wants a login", false},
      {418, "{}", "no S3 answer: some other text", "is the endpoint right", false},
      {404, "<other/>", "no S3 answer: XML", "is the endpoint right", false},
      {404, "<Error><Code>NoSuchKey</Co", "no S3 answer: XML", "is the endpoint right", false},
      {407, "", "HTTP 407 Proxy Authentication Required", "[s3] proxy = http://user:password@",
       false},
      {413, "<html>nginx", "no S3 answer: HTML", "client_max_body_size", false},
      {429, "", "HTTP 429", "busy", true},
      {503, "", "HTTP 503", "a load balancer has no server behind it", true},
      {408, "", "HTTP 408", "slowly", true},
      {501, "", "HTTP 501 Not Implemented", "storage_class", false},
      {502, "<html>nginx", "HTTP 502 Bad Gateway", "does not reach the server behind it", true},
      {504, "<html>nginx", "HTTP 504 Gateway Timeout", "no answer from the server behind it", true},
      {505, "", "HTTP 505", "endpoint", false},
  };
  for (const auto& row : rows) {
    const Error error = answer(row.status, row.body);
    check_says(error, row.says);
    check_hints(error, row.hints);
    CHECK_EQUAL_TEXT(row.retryable, error.retryable, row.says);
    CHECK_TRUE(error.kind == ErrorKind::kRemote);
    CHECK_FALSE_TEXT(holds(error.message, "nginx"), error.message.c_str());
  }
}

TEST(Explain, CutsWhatTheServerWrites) {
  const Error error = answer(400, fault(std::string(5000, 'C'), std::string(5000, 'm')));
  CHECK_TRUE(error.message.size() < 700);
  CHECK_TRUE(error.s3_code.size() <= 110);
  name.key = "a\nb\x1b[2J";
  check_says(answer(404, ""), "/a b?[2J: HTTP 404");
}

TEST(Explain, ReadsRetryAfter) {
  const struct {
    const char* text;
    int seconds;
  } rows[] = {
      {"", 0},
      {"0", 0},
      {"7", 7},
      {"120", 120},
      {"99999999999999999999", 86400},
      {"-5", 0},
      {"5s", 0},
      {"1.5", 0},
      {"Fri, 04 May 2018 18:40:46 GMT", 30},
      {"Fri, 04 May 2018 18:40:00 GMT", 0},  // past
      {"Fri, 04 May 2038 18:40:00 GMT", 86400},
  };
  for (const auto& row : rows) {
    response.headers["retry-after"] = row.text;
    LONGS_EQUAL(row.seconds, retry_after_s(response, name.now));
  }
  LONGS_EQUAL(0, retry_after_s({}, name.now));
}

// Whatever is answered, and whatever libcurl or this machine says: there is something to do about
// it.
TEST(Explain, HasAHintForEverything) {
  const char* const bodies[] = {"", "<html/>", "text", "<?xml version=\"1.0\"?><X/>"};
  const char* const calls[] = {"HeadObject",
                               "GetObject",
                               "PutObject",
                               "UploadPart",
                               "DeleteObject",
                               "DeleteObjects",
                               "ListObjectsV2",
                               "CreateMultipartUpload",
                               "CompleteMultipartUpload"};
  for (const char* call : calls) {
    name.call = call;
    for (long status = 100; status < 600; ++status) {
      if (status / 100 == 2 && status != 200) continue;
      for (const char* body : bodies) {
        if (status == 200 && *body == '\0') continue;
        const Error error = answer(status, body);
        CHECK_TEXT(!error.hint.empty(), error.message.c_str());
      }
      const Error error = answer(status, "<Error><Code>NeverHeardOf</Code></Error>");
      CHECK_TEXT(!error.hint.empty(), error.message.c_str());
    }
    for (int code = 1; code < 130; ++code) {
      const Error network{ErrorKind::kRemote, "https://s3.example.com: it failed", "", true, code};
      const Error error = explain_network(name, network, {});
      CHECK_TEXT(!error.hint.empty(), std::to_string(code).c_str());
    }
  }
}
