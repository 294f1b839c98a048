#include "etcd/grpc.h"
#include "etcd/refusal.h"

#include <optional>
#include <string>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using std::string_literals::operator""s;

TEST_GROUP(Grpc){};

TEST(Grpc, FramesAMessageWithFlagsAndLength) {
  CHECK_TRUE(grpc_frame("") == "\0\0\0\0\0"s);
  CHECK_TRUE(grpc_frame("abc") == "\0\0\0\0\3abc"s);
  const std::string large(0x010203, 'x');
  CHECK_TRUE(grpc_frame(large) == "\0\0\1\2\3"s + large);
}

TEST(Grpc, NamesTheCodes) {
  STRCMP_EQUAL("OK", grpc_code_name(0).c_str());
  STRCMP_EQUAL("UNAVAILABLE", grpc_code_name(14).c_str());
  STRCMP_EQUAL("UNAUTHENTICATED", grpc_code_name(16).c_str());
  STRCMP_EQUAL("code 17", grpc_code_name(17).c_str());
  STRCMP_EQUAL("code -1", grpc_code_name(-1).c_str());
}

TEST(Grpc, DecodesMessages) {
  const struct {
    const char *encoded, *text;
  } rows[] = {
      {"", ""},
      {"plain text", "plain text"},
      {"etcdserver%3A%20no%20leader", "etcdserver: no leader"},
      {"%C3%A4%c3%b6", "äö"},
      {"one%0Atwo", "one\ntwo"},
      {"100%25", "100%"},
      {"%2541", "%41"},  // once, not twice
      {"%", "%"},
      {"%4", "%4"},
      {"%zz", "%zz"},
      {"%4z%41", "%4zA"},
      {"%%41", "%A"},
      {"50% of", "50% of"},
      {"end%4", "end%4"},
  };
  for (const auto& row : rows) {
    STRCMP_EQUAL_TEXT(row.text, decode_grpc_message(row.encoded).c_str(), row.encoded);
  }
}

TEST_GROUP(GrpcResponse) {
  HttpResponse response;
  void setup() override {
    response.status = 200;
    response.headers["content-type"] = "application/grpc";
    response.trailers["grpc-status"] = "0";
  }
  Result<void> check() {
    return check_grpc_response(response, "https://h:2379");
  }
};

TEST(GrpcResponse, IsGoodWithStatusZero) {
  CHECK_TRUE(check().ok());
}

TEST(GrpcResponse, IsGoodWithASubtypeOfTheContent) {
  response.headers["content-type"] = "application/grpc+proto";
  CHECK_TRUE(check().ok());
}

TEST(GrpcResponse, MayHaveItsTrailersAmongTheHeaders) {
  response.trailers.clear();
  response.headers["grpc-status"] = "0";
  CHECK_TRUE(check().ok());
  response.headers["grpc-status"] = "14";
  response.headers["grpc-message"] = "etcdserver: no leader";
  const auto result = check();
  CHECK_FALSE(result.ok());
  STRCMP_EQUAL("https://h:2379: etcdserver: no leader (UNAVAILABLE)",
               result.error().message.c_str());
}

// The status of the trailers counts: what the headers said came before the body.
TEST(GrpcResponse, BelievesTheTrailersBeforeTheHeaders) {
  response.headers["grpc-status"] = "0";
  response.trailers["grpc-status"] = "13";
  CHECK_FALSE(check().ok());
}

TEST(GrpcResponse, IsNoneWhereItIsNotGrpc) {
  const struct {
    const char* what;
    long status;
    const char* type;
    const char* grpc_status;  // nullptr: none
    bool retryable;
    const char* part;
  } rows[] = {
      {"not found", 404, "text/plain", nullptr, false, "HTTP status 404"},
      {"forbidden", 403, "application/grpc", "0", false, "HTTP status 403"},
      {"service unavailable", 503, "text/html", nullptr, true, "HTTP status 503"},
      {"bad gateway", 502, "application/grpc", "0", true, "HTTP status 502"},
      {"no answer at all", 0, "", nullptr, false, "HTTP status 0"},
      {"a page", 200, "text/html", "0", false, "content type 'text/html'"},
      {"no type", 200, "", "0", false, "content type ''"},
      {"no status", 200, "application/grpc", nullptr, true, "without grpc-status"},
      {"empty status", 200, "application/grpc", "", true, "without grpc-status"},
      {"status in words", 200, "application/grpc", "OK", true, "grpc-status 'OK'"},
      {"status with a tail", 200, "application/grpc", "0x", true, "grpc-status '0x'"},
      {"negative status", 200, "application/grpc", "-3", true, "grpc-status '-3'"},
      {"status beyond int", 200, "application/grpc", "99999999999", true, "99999999999"},
  };
  for (const auto& row : rows) {
    response.status = row.status;
    response.headers["content-type"] = row.type;
    response.trailers.clear();
    if (row.grpc_status != nullptr) response.trailers["grpc-status"] = row.grpc_status;
    const auto result = check();
    CHECK_FALSE_TEXT(result.ok(), row.what);
    CHECK_TRUE_TEXT(result.error().kind == ErrorKind::kUnavailable, row.what);
    LONGS_EQUAL_TEXT(0, result.error().grpc_code, row.what);
    CHECK_EQUAL_TEXT(row.retryable, result.error().retryable, row.what);
    CHECK_TEXT(result.error().message.find(row.part) != std::string::npos,
               result.error().message.c_str());
    CHECK_TEXT(result.error().message.starts_with("https://h:2379: "),
               result.error().message.c_str());
  }
}

TEST(GrpcResponse, SaysWhichCodesAreWorthARetryAndWhatToDo) {
  const struct {
    const char *code, *message;
    bool retryable;
    const char* hint;  // part of it; nullptr: none
  } rows[] = {
      {"1", "cancelled", true, nullptr},
      {"2", "odd", true, nullptr},
      {"2", "etcdserver: user name is empty", false, "set [etcd] username and password_file"},
      {"3", "etcdserver: user name is empty", false, "set [etcd] username and password_file"},
      {"3", "etcdserver: authentication failed, invalid user ID or password", false,
       "check [etcd] username and password_file"},
      {"3", "etcdserver: key is not provided", false, nullptr},
      {"4", "deadline", true, nullptr},
      {"7", "etcdserver: permission denied", false, "role root"},
      {"8", "etcdserver: too many requests", true, nullptr},
      {"9", "etcdserver: authentication is not enabled", false, nullptr},
      {"12", "unknown service etcdserverpb.Maintenance", false, "client port"},
      {"13", "internal", true, nullptr},
      {"14", "etcdserver: leader changed", true, nullptr},
      {"15", "corrupt", true, nullptr},
      {"16", "etcdserver: invalid auth token", false, "--auth-token"},
      {"99", "new", true, nullptr},
  };
  for (const auto& row : rows) {
    response.trailers["grpc-status"] = row.code;
    response.trailers["grpc-message"] = row.message;
    const auto result = check();
    CHECK_FALSE_TEXT(result.ok(), row.code);
    const Error& error = result.error();
    CHECK_TRUE_TEXT(error.kind == ErrorKind::kUnavailable, row.code);
    CHECK_EQUAL_TEXT(row.retryable, error.retryable, row.code);
    const std::string expected =
        "https://h:2379: "s + row.message + " (" + grpc_code_name(atoi(row.code)) + ")";
    STRCMP_EQUAL(expected.c_str(), error.message.c_str());
    if (row.hint == nullptr) {
      STRCMP_EQUAL_TEXT("", error.hint.c_str(), row.message);
    } else {
      CHECK_TEXT(error.hint.find(row.hint) != std::string::npos, error.hint.c_str());
    }
  }
}

TEST(GrpcResponse, KeepsTheCodeOfWhatIsNoQuestionOfPermission) {
  for (const int code : {1, 2, 3, 5, 9, 12, 13, 14, 15, 99}) {
    response.trailers["grpc-status"] = std::to_string(code);
    response.trailers["grpc-message"] = "etcdserver: no leader";
    LONGS_EQUAL(code, check().error().grpc_code);
    CHECK_FALSE(permission_denied(check().error()));
  }
}

// The wordings of 3.4.23, 3.5.16, 3.5.30 and 3.6.14 (etcd-io/etcd#9554, #9816, #9008,
// bitnami/charts#8920).
TEST(GrpcResponse, KnowsARefusalBecauseOfWhoAskedInEveryWording) {
  const struct {
    const char *code, *message;
    const char* hint;
  } rows[] = {
      {"2", "auth: permission denied", "etcdctl user grant-role bk root"},
      {"7", "etcdserver: permission denied", "etcdctl user grant-role bk root"},
      {"7", "", "role root"},
      {"2", "auth: user not found", "etcdctl user add bk, then etcdctl user grant-role bk root"},
      {"9", "etcdserver: user name not found", "etcdctl user grant-role bk root"},
      {"9", "auth: user name is empty", "set [etcd] username and password_file"},
      {"2", "auth: user name is empty", "set [etcd] username and password_file"},
      {"3", "etcdserver: user name is empty", "role root"},
      {"2", "auth: invalid auth token", "--auth-token"},
      {"16", "etcdserver: invalid auth token", "--auth-token"},
      {"16", "", "--auth-token"},
      {"2", "auth: authentication failed, invalid user ID or password", "password_file"},
  };
  for (const auto& row : rows) {
    response.trailers["grpc-status"] = row.code;
    response.trailers["grpc-message"] = row.message;
    const auto result = check_grpc_response(response, "https://h:2379", "bk");
    CHECK_FALSE_TEXT(result.ok(), row.message);
    CHECK_TRUE_TEXT(permission_denied(result.error()), row.message);
    CHECK_FALSE_TEXT(result.error().retryable, row.message);
    CHECK_TEXT(result.error().hint.find(row.hint) != std::string::npos,
               result.error().hint.c_str());
  }
}

// bbolt opens the database once more to stream it, and its errno comes in the message.
TEST(GrpcResponse, TakesTheWordsOfAFileSystemForNoRefusal) {
  const struct {
    const char *code, *message;
  } rows[] = {{"2", "open /var/lib/etcd/member/snap/db: permission denied"},
              {"2", "permission denied"},
              {"13", "etcdserver: cannot read: permission denied"},
              {"2", "etcdserver: role of user not found"}};
  for (const auto& row : rows) {
    response.trailers["grpc-status"] = row.code;
    response.trailers["grpc-message"] = row.message;
    CHECK_FALSE_TEXT(permission_denied(check().error()), row.message);
    CHECK_TRUE_TEXT(check().error().retryable, row.message);
  }
}

TEST(GrpcResponse, NamesTheCertificateWhereThereIsNoUserName) {
  response.trailers["grpc-status"] = "7";
  response.trailers["grpc-message"] = "etcdserver: permission denied";
  CHECK_TEXT(check().error().hint.find("CN") != std::string::npos, check().error().hint.c_str());
}

// etcd-io/etcd#12789: a learner of 3.4 answers UNAVAILABLE for as long as it is one.
TEST(GrpcResponse, KnowsALearnerAndDoesNotAskItAgain) {
  response.trailers["grpc-status"] = "14";
  response.trailers["grpc-message"] = "etcdserver: rpc not supported for learner";
  CHECK_FALSE(check().error().retryable);
  CHECK_FALSE(permission_denied(check().error()));
  CHECK_TRUE(check().error().hint.find("from 3.5 on") != std::string::npos);
}

TEST(GrpcResponse, NamesTheHttpOnlyClientPortToo) {
  response.status = 404;
  CHECK_TRUE(check().error().hint.find("--listen-client-http-urls") != std::string::npos);
}

TEST(GrpcResponse, SaysRefusedWhereEtcdGivesNoReason) {
  response.trailers["grpc-status"] = "7";
  STRCMP_EQUAL("https://h:2379: refused (PERMISSION_DENIED)", check().error().message.c_str());
}

TEST_GROUP(UnaryMessage) {
  HttpResponse response;
  void setup() override {
    response.status = 200;
    response.headers["content-type"] = "application/grpc";
  }
  // The message of a body that arrives in pieces of that size, or the error's text.
  std::string take(const std::string& body, size_t piece) {
    UnaryMessage message(response);
    for (size_t at = 0; at < body.size(); at += piece) {
      const std::string copy = body.substr(at, piece);
      if (auto written = message.write(as_bytes(copy)); !written) return written.error().message;
    }
    auto taken = message.take("h");
    if (taken) return *taken;
    CHECK_TRUE(taken.error().kind == ErrorKind::kUnavailable);
    return taken.error().message;
  }
};

TEST(UnaryMessage, IsTheSameInPiecesOfAnySize) {
  const std::string body = grpc_frame("some answer");
  for (size_t piece = 1; piece <= body.size(); ++piece) {
    STRCMP_EQUAL("some answer", take(body, piece).c_str());
  }
  STRCMP_EQUAL("", take(grpc_frame(""), 1).c_str());
}

TEST(UnaryMessage, RefusesWhatIsNotOneWholeMessage) {
  STRCMP_EQUAL("h: an empty answer", take("", 1).c_str());
  STRCMP_EQUAL("h: an empty answer", take("\0\0\0\0"s, 1).c_str());
  STRCMP_EQUAL("h: a message of 3 bytes was announced, 2 came", take("\0\0\0\0\3ab"s, 2).c_str());
  STRCMP_EQUAL("h: a message of 3 bytes was announced, 4 came", take("\0\0\0\0\3abcd"s, 2).c_str());
  STRCMP_EQUAL("h: a message of 4294967295 bytes was announced, 1 came", take("\0\xff\xff\xff\xff"
                                                                              "a"s,
                                                                              9)
                                                                             .c_str());
  STRCMP_EQUAL("h: a compressed message, which was not asked for", take("\1\0\0\0\1a"s, 9).c_str());
}

TEST(UnaryMessage, TakesFourMebibytesAndNotMore) {
  const std::string most(4 << 20, 'x');
  CHECK_TRUE(take(grpc_frame(most), 100000) == most);
  const std::string error = take(grpc_frame(most + "x"), 100000);
  CHECK_TEXT(error.find("larger than 4 MiB") != std::string::npos, error.substr(0, 100).c_str());
}

TEST(UnaryMessage, DoesNotKeepAnErrorPage) {
  const std::string page(8 << 20, 'x');
  response.status = 503;
  UnaryMessage with_status(response);
  CHECK_TRUE(with_status.write(as_bytes(page)).ok());
  response.status = 200;
  response.headers["content-type"] = "text/html";
  UnaryMessage with_type(response);
  CHECK_TRUE(with_type.write(as_bytes(page)).ok());
}
