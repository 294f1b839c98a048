#include "s3/explain.h"

#include <map>
#include <string>
#include <vector>

#include "s3/wire_text.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

std::string fault(const std::string& code, const std::string& message,
                  const std::string& more = "") {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" + code + "</Code><Message>" +
         message + "</Message>" + more + "<RequestId>4442587FB7D0A2F9</RequestId></Error>";
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_GROUP(Explain) {
  S3CallName name{"PutObject",
                  "https://s3.example.com/bucket",
                  "key",
                  "bucket",
                  "us-east-1",
                  "cluster.yml",
                  UnixSeconds(std::chrono::seconds(1525459216))};  // 2018-05-04T18:40:16Z
  HttpResponse response;

  Error answer(long status, const std::string& body) {
    response.status = status;
    return explain_answer(name, response, body);
  }
  void check_says(const Error& error, const std::string& part) {
    CHECK_TEXT(holds(error.message, part), ("'" + error.message + "' lacks: " + part).c_str());
  }
  void check_hints(const Error& error, const std::string& part) {
    CHECK_TEXT(holds(error.hint, part), ("'" + error.hint + "' lacks: " + part).c_str());
  }
};

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
      {403, "InvalidAccessKeyId", "", "which comes from cluster.yml", false},
      {403, "InvalidAccessKeyId", "Failed to retrieve the actual key, kms-keyid: no-such-key",
       "sse_kms_key_id", false},
      {403, "SignatureDoesNotMatch", "", "the secret key, which comes from cluster.yml", false},
      {403, "RequestTimeTooSkewed", "", "timedatectl", false},
      {400, "ExpiredToken", "", "have expired", false},
      {400, "InvalidToken", "", "session token of cluster.yml", false},
      {403, "InvalidClientTokenId", "", "session token", false},
      {403, "AccessDenied", "Access Denied.",
       "allow s3:PutObject on arn:aws:s3:::bucket/* to cluster.yml", false},
      {403, "AccessDenied", "Access Denied because object protected by Object Lock.", "locked",
       false},
      {403, "AccessDenied", "User: x is not authorized to perform: kms:GenerateDataKey",
       "sse_kms_key_id", false},
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
      {400, "KMS.ThrottlingException", "", "patience", true},
      {400, "KMS.NotFoundException", "", "sse_kms_key_id", false},
      {403, "QuotaExceeded", "", "full", false},
      {507, "XMinioStorageFull", "", "full", false},
      {412, "PreconditionFailed", "", "is there already", false},
      {409, "OperationAborted", "", "somebody else", true},
      {409, "ConditionalRequestConflict", "", "somebody else", true},
      {503, "SlowDown", "", "concurrency", true},
      {400, "ThrottlingException", "", "concurrency", true},
      {503, "ServiceUnavailable", "", "patience", true},
      {500, "InternalError", "", "server", true},
      {200, "InternalError", "", "server", true},  // of CompleteMultipartUpload
      {200, "AccessDenied", "", "s3:PutObject", false},
      {400, "RequestTimeout", "", "slowly", true},
      // Not in the table: the status decides.
      {400, "Unheard", "", "", false},
      {503, "Unheard", "", "patience", true},
      {599, "Unheard", "", "", true},
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
      {429, "", "HTTP 429", "patience", true},
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

// --- the network

TEST(Explain, NamesTheCallWithoutSayingTheHostTwice) {
  Error error{ErrorKind::kRemote,
              "https://bucket.s3.example.com:8443: Could not resolve host: bucket.s3.example.com",
              "a hint of below", true, 6};
  error = explain_network(name, error, false, {});
  STRCMP_EQUAL(
      "PutObject https://s3.example.com/bucket/key: Could not resolve host: bucket.s3.example.com",
      error.message.c_str());
  CHECK_TRUE(error.retryable);
  LONGS_EQUAL(6, error.code);
  check_hints(error, "check endpoint");
  check_hints(error, "lookup = path");
}

TEST(Explain, HintsByWhatTheNetworkDid) {
  constexpr char kProxy[] = "http://user:pass%40word@proxy.example.com:3128";
  const struct {
    int code;
    const char* text;
    bool roots;
    const char *proxy, *hints;
  } rows[] = {
      {5, "Could not resolve proxy: proxy.example.com", false, kProxy,
       "the proxy proxy.example.com:3128 ([s3] proxy)"},
      {5, "Could not resolve proxy: x", false, "", "https_proxy"},
      {1, "Received HTTP/0.9 when not allowed", false, "", "no HTTP server: check endpoint"},
      {6, "Could not resolve host: s3.example.com", false, "", "getent hosts"},
      {7, "Connection refused", false, "", "nothing listens there"},
      {7, "Connection refused", false, kProxy, "is the proxy proxy.example.com:3128"},
      {28, "Operation timed out", false, "", "stall_timeout_s"},
      {28, "Operation timed out", false, kProxy, "over the proxy proxy.example.com:3128"},
      {35, "wrong version number", false, "", "write http:// in endpoint"},
      {60, "its certificate is not accepted: unable to get local issuer certificate", false, "",
       "custom_ca of cluster.yml"},
      {60, "its certificate is not accepted: self-signed certificate", true, "",
       "the authority that signed it"},
      {60, "its certificate is not accepted: certificate has expired", true, "", "renew it there"},
      {60, "its certificate is not accepted: certificate is not yet valid", true, "",
       "timedatectl"},
      {60,
       "its certificate is not accepted: SSL: no alternative certificate subject name matches "
       "target host name 'bucket.s3.example.com'",
       true, "", "lookup = path"},
      {60,
       "its certificate is not accepted: SSL: no alternative certificate subject name matches "
       "target host name '10.0.0.1' (it is for expired.example.com)",
       true, "", "must be a name that the server's certificate holds"},
      {18, "transfer closed with 5 bytes remaining to read", false, "", "ended the connection"},
      {52, "Empty reply from server", false, "", "ended the connection"},
      {55, "Send failure: Broken pipe", false, "", "ended the connection"},
      {56, "Recv failure: Connection reset by peer", false, "", "ended the connection"},
      {56, "CONNECT tunnel failed, response 407", false, kProxy, "wants credentials"},
      {56, "Received HTTP code 407 from proxy after CONNECT", false, kProxy, "wants credentials"},
      {56, "CONNECT tunnel failed, response 403", false, kProxy,
       "does not let the request through"},
      {97, "cannot complete SOCKS5 connection", false, kProxy, "SOCKS"},
      {92, "stream 1 was not closed cleanly", false, "", "a hint of below"},
  };
  for (const auto& row : rows) {
    Error error{ErrorKind::kRemote, std::string("https://s3.example.com: ") + row.text,
                "a hint of below", true, row.code};
    const ProxyInUse proxy{row.proxy, *row.proxy != '\0' ? "[s3] proxy" : ""};
    error = explain_network(name, error, row.roots, proxy);
    check_says(error, std::string("PutObject https://s3.example.com/bucket/key: ") + row.text);
    check_hints(error, row.hints);
    CHECK_FALSE_TEXT(holds(error.hint, "word@p"), error.hint.c_str());
    CHECK_FALSE_TEXT(holds(error.hint, "user:pass%"), error.hint.c_str());
  }
}

TEST(Explain, DoesNotTakeTheCertificatesNameForTheBuckets) {
  const Error error = explain_network(
      name,
      {ErrorKind::kRemote,
       "https://a.test: its certificate is not accepted: SSL: no alternative certificate subject "
       "name matches target host name 'a.test' (it is for bucket.example.com)",
       "", false, 60},
      true, {});
  CHECK_FALSE_TEXT(holds(error.hint, "lookup"), error.hint.c_str());
}

TEST(Explain, TellsOfTlsBehindAPlainEndpoint) {
  for (const int code : {52, 55, 56}) {
    const Error reset{ErrorKind::kRemote, "http://s3.example.com: ended", "", true, code};
    CHECK_FALSE(holds(explain_network(name, reset, false, {}).hint, "http://"));
    S3CallName plain = name;
    plain.where = "http://s3.example.com/bucket";
    check_hints(explain_network(plain, reset, false, {}),
                "if that port speaks TLS, take http:// out of endpoint");
  }
}

// libcurl-env(3).
TEST(Explain, KnowsWhichProxyIsUsed) {
  std::map<std::string, std::string> set;
  const auto check = [&](const char* url, const char* setting, const char* set_in) {
    const ProxyInUse proxy = proxy_for(url, setting, [&](const char* variable) {
      const auto found = set.find(variable);
      return found == set.end() ? std::string() : found->second;
    });
    STRCMP_EQUAL(set_in, proxy.set_in.c_str());
    CHECK_EQUAL(proxy.set_in.empty(), proxy.url.empty());
  };
  check("https://s3.test", "", "");
  check("https://s3.test", "http://p", "[s3] proxy");
  set["ALL_PROXY"] = "http://d";
  check("https://s3.test", "", "ALL_PROXY of the environment");
  set["all_proxy"] = "http://c";
  check("http://s3.test", "", "all_proxy of the environment");
  set["HTTPS_PROXY"] = set["HTTP_PROXY"] = "http://b";
  check("https://s3.test", "", "HTTPS_PROXY of the environment");
  check("http://s3.test", "", "all_proxy of the environment");  // never HTTP_PROXY
  set["https_proxy"] = set["http_proxy"] = "http://a";
  check("https://s3.test", "", "https_proxy of the environment");
  check("http://s3.test", "", "http_proxy of the environment");
  check("https://s3.test", "http://p", "[s3] proxy");
  for (const char* none : {"*", "s3.test", "a.test, .test", "x,S3.TEST", "test"}) {
    set["no_proxy"] = none;
    check("https://s3.test:9000/backups?list", "", "");
  }
  set["no_proxy"] = "::1,127.0.0.1";
  check("https://[::1]:9000/", "", "");
  check("https://127.0.0.1/", "", "");
  for (const char* other : {"3.test", "s3.test.example", "", ",", "est"}) {
    set["no_proxy"] = other;
    check("https://s3.test/", "", "https_proxy of the environment");
  }
}

TEST(Explain, TellsAProxyWithoutItsPassword) {
  for (const char* url : {"http://user:pass@word@p.test:1/", "user:pass@p.test:1", "p.test:1",
                          "socks5://us/er:pa/ss@p.test:1/x"}) {
    for (const int code : {5, 7, 28, 97}) {
      const Error error = explain_network(name, {ErrorKind::kRemote, "x", "", true, code}, false,
                                          {url, "https_proxy of the environment"});
      check_hints(error, "the proxy p.test:1 (https_proxy of the environment)");
      CHECK_FALSE_TEXT(holds(error.hint, "pa"), error.hint.c_str());
    }
  }
}

TEST(Explain, LeavesWhatIsNotTheNetworksFault) {
  for (const ErrorKind kind : {ErrorKind::kCancelled, ErrorKind::kStorage}) {
    const Error error = explain_network(name, Error{kind, "stopped", "why", false, 4}, false, {});
    STRCMP_EQUAL("stopped", error.message.c_str());
    STRCMP_EQUAL("why", error.hint.c_str());
    CHECK_TRUE(error.kind == kind);
  }
}

// --- how long to wait

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

TEST_GROUP(WireText){};

TEST(WireText, ReadsTheDatesThatServersMustSend) {
  const auto seconds = [](const char* text) {
    const auto time = parse_http_date(text);
    return time ? time->time_since_epoch().count() : -1;
  };
  LONGS_EQUAL(784111777, seconds("Sun, 06 Nov 1994 08:49:37 GMT"));
  LONGS_EQUAL(951782400, seconds("Tue, 29 Feb 2000 00:00:00 GMT"));
  LONGS_EQUAL(1483228800, seconds("Sat, 31 Dec 2016 23:59:60 GMT"));  // a leap second
  for (const char* bad : {"", "GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
                          "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 nov 1994 08:49:37 GMT",
                          "Sun, 30 Feb 2000 00:00:00 GMT", "Sun, 06 anF 1994 08:49:37 GMT",
                          "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
                          "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, +6 Nov 1994 08:49:37 GMT"}) {
    LONGS_EQUAL_TEXT(-1, seconds(bad), bad);
  }
}

TEST(WireText, MakesAPeersWordsFitForAMessage) {
  const struct {
    std::string text, fit;
  } rows[] = {
      {"plain", "plain"},
      {"  two\r\n\t lines ", "two lines"},
      {"\x1b[31m\x07", "?[31m?"},
      {std::string("a\0b", 3), "a?b"},
      {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
       "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xc3", "?"},
      {"\xff\xfe", "??"},
      {"\xc2\x9b", "??"},       // CSI
      {"\xc0\xaf", "??"},       // overlong
      {"\xed\xa0\x80", "???"},  // a surrogate
      {"\xf4\x90\x80\x80", "????"},
      {"0123456789abc", "0123456789..."},
      {"012345678\xc3\xbc", "012345678..."},  // not in the middle of a character
  };
  for (const auto& row : rows) {
    const size_t most = row.text.starts_with("012") ? 10 : 300;
    STRCMP_EQUAL(row.fit.c_str(), peer_text(row.text, most).c_str());
  }
}

TEST(WireText, TakesTheOriginOffAMessage) {
  const auto check = [](const char* message, const char* rest) {
    STRCMP_EQUAL(rest, std::string(without_origin(message)).c_str());
  };
  check("https://a.example:8443: refused: no", "refused: no");
  check("http://[::1]:9000: refused", "refused");
  check("refused: by all", "refused: by all");
  check("https://a.example is gone: 404", "https://a.example is gone: 404");
}
