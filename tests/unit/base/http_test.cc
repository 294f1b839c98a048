#include "http_lab.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "base/digest.h"
#include "base/stop.h"

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {

// An environment variable for a while; nullptr: not set.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* const old = getenv(name)) old_ = old;
    set(value);
  }
  ~Environment() { set(old_ ? old_->c_str() : nullptr); }

 private:
  void set(const char* value) {
    LONGS_EQUAL(0, value != nullptr ? setenv(name_, value, 1) : unsetenv(name_));
  }
  const char* name_;
  std::optional<std::string> old_;
};

}  // namespace

TEST_GROUP_BASE(Http, HttpBase){};

TEST(Http, PutSendsARangeOfAFileByteForByte) {
  LoopbackServer server(take);
  const std::string text = pattern(3 << 20);
  const TemporaryFile file(text);
  for (const auto& [offset, size] : std::vector<std::pair<size_t, size_t>>{
           {0, text.size()}, {1000, 2 << 20}, {text.size() - 1, 1}, {5, 0}, {17, 100000}}) {
    put(server.url("/key?partNumber=1"),
        {file.fd.get(), static_cast<int64_t>(offset), static_cast<int64_t>(size)});
    STRCMP_EQUAL("", perform().c_str());
    LONGS_EQUAL(200, response_.status);
    STRCMP_EQUAL("\"e\"", response_.headers["etag"].c_str());
    STRCMP_EQUAL("ok", body_.text.c_str());
    const SeenRequest seen = server.seen().back();
    STRCMP_EQUAL("PUT", seen.method.c_str());
    STRCMP_EQUAL("/key?partNumber=1", seen.target.c_str());
    CHECK_FALSE(seen.headers.contains("transfer-encoding"));
    STRCMP_EQUAL(std::to_string(size).c_str(), seen.headers.at("content-length").c_str());
    CHECK_TRUE(seen.body == text.substr(offset, size));
  }
  LONGS_EQUAL(1, server.connections());
}

// A socket that cannot be made is "Couldn't connect to server" to libcurl.
TEST(Http, NamesWhatThisHostLacks) {
  request_.url = "http://127.0.0.1:1/";
  STRCMP_CONTAINS("connect", perform().c_str());  // libcurl opens what it keeps
  rlimit before = {};
  LONGS_EQUAL(0, getrlimit(RLIMIT_NOFILE, &before));
  const int next = dup(0);
  close(next);
  const rlimit none = {static_cast<rlim_t>(next), before.rlim_max};
  LONGS_EQUAL(0, setrlimit(RLIMIT_NOFILE, &none));
  const Error error = failure();
  LONGS_EQUAL(0, setrlimit(RLIMIT_NOFILE, &before));
  LONGS_EQUAL(EMFILE, error.code);
  CHECK_TRUE(error.retryable);
  STRCMP_CONTAINS("http://127.0.0.1:1: Too many open files", error.message.c_str());
  STRCMP_CONTAINS("LimitNOFILE", error.hint.c_str());
}

TEST(Http, PutSendsABodyFromMemory) {
  LoopbackServer server(take);
  request_.method = "PUT";
  request_.url = server.url();
  for (const size_t size : {0UL, 1UL, 300000UL}) {
    request_.body = pattern(size);
    STRCMP_EQUAL("", perform().c_str());
    CHECK_TRUE(server.seen().back().body == request_.body);
  }
}

TEST(Http, DeleteHeadGetAndPostAreWhatTheySay) {
  LoopbackServer server([](Wire& wire, SeenRequest& request) {
    if (!wire.read_body(request)) return false;
    if (request.method == "DELETE") return wire.send("HTTP/1.1 204 No Content\r\n\r\n");
    if (request.method == "HEAD") return wire.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    return wire.answer(200, request.body);
  });
  request_.url = server.url("/x");
  request_.body = "posted";
  for (const char* method : {"DELETE", "HEAD", "GET", "POST", "DELETE"}) {
    request_.method = method;
    STRCMP_EQUAL("", perform().c_str());
    STRCMP_EQUAL(method, server.seen().back().method.c_str());
    const bool post = std::string_view(method) == "POST";
    STRCMP_EQUAL(post ? "posted" : "", body_.text.c_str());
    LONGS_EQUAL(std::string_view(method) == "DELETE" ? 204 : 200, response_.status);
  }
  LONGS_EQUAL(1, server.connections());
}

TEST(Http, PutBeginsAnewWhereAKeptConnectionIsClosed) {
  LoopbackServer server([](Wire& wire, SeenRequest& request) {
    if (!wire.read_body(request)) return false;
    // The second request of the first connection gets no answer.
    if (request.connection == 1 && request.method == "PUT") return false;
    return wire.answer(200);
  });
  const std::string text = pattern(700000);
  const TemporaryFile file(text);
  request_.url = server.url();
  STRCMP_EQUAL("", perform().c_str());
  put(server.url(), {file.fd.get(), 100, 600000});
  STRCMP_EQUAL("", perform().c_str());
  LONGS_EQUAL(2, server.connections());
  const auto seen = server.seen();
  LONGS_EQUAL(3, seen.size());
  for (size_t i = 1; i < 3; ++i) CHECK_TRUE(seen[i].body == text.substr(100, 600000));
}

TEST(Http, ARedirectIsAnAnswerAndStopsTheUpload) {
  LoopbackServer server([](Wire& wire, SeenRequest& request) {
    if (!request.expects_continue()) return false;
    wire.answer(307, "elsewhere", "Location: http://127.0.0.1:1/\r\n");
    return false;
  });
  const TemporaryFile file(pattern(2 << 20));
  put(server.url(), {file.fd.get(), 0, 2 << 20});
  STRCMP_EQUAL("", perform().c_str());
  LONGS_EQUAL(307, response_.status);
  STRCMP_EQUAL("elsewhere", body_.text.c_str());
  LONGS_EQUAL(1, server.seen().size());
}

TEST(Http, AServerThatNeverAnswersExpectIsAskedOnce) {
  LoopbackServer server(
      [](Wire& wire, SeenRequest& request) { return wire.read_body(request) && wire.answer(200); });
  const std::string text = pattern(1200000);
  const TemporaryFile file(text);
  put(server.url(), {file.fd.get(), 0, 1200000});
  for (int i = 0; i < 3; ++i) STRCMP_EQUAL("", perform().c_str());
  const auto seen = server.seen();
  LONGS_EQUAL(3, seen.size());
  for (size_t i = 0; i < 3; ++i) {
    CHECK_EQUAL(i == 0, seen[i].expects_continue());
    CHECK_TRUE(seen[i].body == text);
  }
}

// RFC 9110, 10.1.1: a client repeats the request without the expectation. Seen of proxies and of
// lighttpd (turnkeylinux/tracker#94, duplicati/duplicati#378, haiwen/seafile#1230).
TEST(Http, AServerThatRefusesExpectGetsTheBodyWithoutAndIsNotAskedAgain) {
  LoopbackServer server([](Wire& wire, SeenRequest& request) {
    if (request.expects_continue()) return wire.answer(417, "no expectations here");
    return wire.read_body(request) && wire.answer(200, "taken");
  });
  const std::string text = pattern(1200000);
  const TemporaryFile file(text);
  put(server.url(), {file.fd.get(), 0, 1200000});
  for (int i = 0; i < 2; ++i) {
    STRCMP_EQUAL("", perform().c_str());
    LONGS_EQUAL(200, response_.status);
    STRCMP_EQUAL("taken", body_.text.c_str());
  }
  renew();  // another client of the same server
  STRCMP_EQUAL("", perform().c_str());
  const auto seen = server.seen();
  LONGS_EQUAL(4, seen.size());
  for (size_t i = 0; i < 4; ++i) {
    CHECK_EQUAL(i == 0, seen[i].expects_continue());
    CHECK_TRUE(i == 0 || seen[i].body == text);
  }
}

// A server that says 417 of a request without the question means something else by it.
TEST(Http, ARefusedExpectationThatNobodyHadIsAnAnswer) {
  LoopbackServer server([](Wire& wire, SeenRequest& request) {
    return wire.read_body(request) && wire.answer(417, "all the same");
  });
  const TemporaryFile file(pattern(1200000));
  put(server.url(), {file.fd.get(), 0, 1200000});
  expect_refused_ = true;
  STRCMP_EQUAL("", perform().c_str());
  LONGS_EQUAL(417, response_.status);
  STRCMP_EQUAL("all the same", body_.text.c_str());
  LONGS_EQUAL(1, server.seen().size());
}

// libcurl 7.88 would ask before every PUT.
TEST(Http, ASmallBodyIsSentWithoutExpect) {
  LoopbackServer server(take);
  const TemporaryFile file(pattern(1 << 20));
  for (const char* method : {"PUT", "POST"}) {
    put(server.url(), {file.fd.get(), 0, 1 << 20});
    request_.method = method;
    STRCMP_EQUAL("", perform().c_str());
    CHECK_FALSE(server.seen().back().expects_continue());
  }
}

TEST(Http, AServerThatAnswersExpectIsAskedAgain) {
  LoopbackServer server(take);
  const TemporaryFile file(pattern(1200000));
  put(server.url(), {file.fd.get(), 0, 1200000});
  for (int i = 0; i < 2; ++i) STRCMP_EQUAL("", perform().c_str());
  LONGS_EQUAL(2, server.seen().size());
  for (const SeenRequest& seen : server.seen()) CHECK_TRUE(seen.expects_continue());
}

// libcurl says "Couldn't connect to server".
TEST(Http, NamesThisMachineWhereItHasNoDescriptorLeft) {
  LoopbackServer server(take);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    auto http = make_curl_client("test/1");
    const rlimit none{0, 0};
    if (!http || setrlimit(RLIMIT_NOFILE, &none) != 0) _exit(100);
    HttpRequest request;
    request.url = server.url();
    const auto done = (*http)->perform(request, response_, body_);
    if (done) _exit(101);
    if (done.error().code != EMFILE) _exit(102);
    if (done.error().message.find("Too many open files") == std::string::npos) _exit(103);
    _exit(done.error().hint.find("LimitNOFILE=") == std::string::npos ? 104 : 0);
  }
  int status = 0;
  LONGS_EQUAL(child, waitpid(child, &status, 0));
  CHECK_TRUE(WIFEXITED(status));
  LONGS_EQUAL(0, WEXITSTATUS(status));
}

TEST(Http, AShortFileIsAStorageError) {
  LoopbackServer server(take);
  const TemporaryFile file(pattern(1000));
  put(server.url(), {file.fd.get(), 100, 1000});
  const Error error = failure();
  CHECK_TRUE(error.kind == ErrorKind::kStorage);
  STRCMP_EQUAL("the file to be sent is shorter than it was: 900 of 1000 bytes from byte 100 on",
               error.message.c_str());
}

TEST(Http, AFileThatCannotBeReadIsAStorageError) {
  LoopbackServer server(take);
  put(server.url(), {-1, 0, 1000});
  const Error error = failure();
  CHECK_TRUE(error.kind == ErrorKind::kStorage);
  LONGS_EQUAL(EBADF, error.code);
}

// Not the URL is wrong, but what listens there.
TEST(Http, WhatSpeaksNoHttpIsNoConfigError) {
  LoopbackServer server(
      [](Wire& wire, SeenRequest&) { return wire.send("SSH-2.0-OpenSSH_9.2\r\n") && false; });
  request_.url = server.url();
  const Error error = failure();
  CHECK_TRUE(error.kind == ErrorKind::kRemote);
  LONGS_EQUAL(1, error.code);
  STRCMP_CONTAINS("HTTP/0.9", error.message.c_str());
  STRCMP_CONTAINS("speaks HTTP", error.hint.c_str());
}

// libcurl 7.88 refused an option of the request that came after it.
TEST(Http, ANameThatCannotBeResolvedIsTheSameErrorEachTime) {
  request_.url =
      "http://" + std::string(64, 'a') + ".invalid/";  // too long a label for any name server
  const std::string first = perform();
  CHECK_TRUE_TEXT(first.find("resolve") != first.npos, first.c_str());
  STRCMP_EQUAL(first.c_str(), perform().c_str());
  LoopbackServer server(take);
  request_.url = server.url() + "/";
  STRCMP_EQUAL("", perform().c_str());
}

TEST(Http, CancelEndsATransferInTheMiddle) {
  std::atomic<bool> cancel{false}, done{false};
  // Reads a part and then nothing more.
  LoopbackServer server([&](Wire& wire, SeenRequest& request) {
    wire.read_body(request, 100000);
    cancel = true;
    for (int i = 0; i < 1000 && !done; ++i) RealClock().sleep_for(10ms);
    return false;
  });
  // More than the sockets hold.
  const TemporaryFile file("");
  LONGS_EQUAL(0, ftruncate(file.fd.get(), 64 << 20));
  put(server.url(), {file.fd.get(), 0, 64 << 20});
  request_.headers = {"Expect:"};
  request_.cancel = &cancel;
  const Error error = failure();
  done = true;
  CHECK_TRUE(error.kind == ErrorKind::kCancelled);
  // Nor does the next one begin.
  CHECK_TRUE(failure().kind == ErrorKind::kCancelled);
  LONGS_EQUAL(1, server.connections());
}

TEST(Http, AfterAStopOnlyWhatIsSaidToGoOnGoesOn) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    const bool installed = install_stop_handlers().ok();
    int result = 1;
    {
      RealClock clock;
      RateLimit limit(clock, 10);
      LoopbackServer server(take);
      const TemporaryFile file(pattern(1000));
      raise(SIGTERM);
      request_.url = server.url();
      auto refused = http_->perform(request_, response_, body_);
      request_.after_stop = true;
      auto went = http_->perform(request_, response_, body_);
      put(server.url(), {file.fd.get(), 0, 1000});
      request_.rate = &limit;
      auto sent = http_->perform(request_, response_, body_);
      if (!installed)
        result = 2;
      else if (refused || refused.error().kind != ErrorKind::kCancelled)
        result = 3;
      else if (!went || !sent || response_.status != 200)
        result = 4;
      else
        result = server.seen().size() == 2 ? 0 : 5;
    }
    _exit(result);
  }
  int status = 0;
  LONGS_EQUAL(child, waitpid(child, &status, 0));
  CHECK_TRUE(WIFEXITED(status));
  LONGS_EQUAL(0, WEXITSTATUS(status));
}
TEST_GROUP_BASE(HttpProxy, HttpBase) {
  Environment upper_{"HTTP_PROXY", nullptr}, lower_{"http_proxy", nullptr},
      all_{"all_proxy", nullptr}, all_upper_{"ALL_PROXY", nullptr}, none_{"no_proxy", nullptr},
      none_upper_{"NO_PROXY", nullptr};
};

TEST(HttpProxy, TakesTheRequest) {
  LoopbackServer proxy(take);
  const TemporaryFile file(pattern(1000));
  put("http://bucket.example/key", {file.fd.get(), 0, 1000});
  request_.proxy = "http://user:s3cret@" + proxy.url().substr(7);
  const Environment none("no_proxy", "*");  // what is configured counts
  STRCMP_EQUAL("", perform().c_str());
  const SeenRequest seen = proxy.seen().back();
  STRCMP_EQUAL("http://bucket.example/key", seen.target.c_str());
  STRCMP_EQUAL(("Basic " + to_base64("user:s3cret")).c_str(),
               seen.headers.at("proxy-authorization").c_str());
  LONGS_EQUAL(1000, seen.body.size());
}

TEST(HttpProxy, OfTheEnvironmentIsUsedOnlyWhereWanted) {
  LoopbackServer proxy([](Wire& wire, SeenRequest&) { return wire.answer(200, "proxy"); });
  LoopbackServer direct([](Wire& wire, SeenRequest&) { return wire.answer(200, "direct"); });
  const Environment set("http_proxy", proxy.url().c_str());
  request_.url = direct.url();
  STRCMP_EQUAL("", perform().c_str());
  STRCMP_EQUAL("direct", body_.text.c_str());
  request_.proxy_from_environment = true;
  STRCMP_EQUAL("", perform().c_str());
  STRCMP_EQUAL("proxy", body_.text.c_str());
  const Environment none("no_proxy", "127.0.0.1");
  STRCMP_EQUAL("", perform().c_str());
  STRCMP_EQUAL("direct", body_.text.c_str());
}

TEST(HttpProxy, ItsAnswerToConnectIsAnError) {
  LoopbackServer proxy([](Wire& wire, SeenRequest&) {
    return wire.answer(407, "", "Proxy-Authenticate: Basic realm=\"x\"\r\n");
  });
  request_.url = "https://bucket.example/key";
  request_.proxy = "http://user:s3cret@" + proxy.url().substr(7);
  const Error error = failure();
  CHECK_TRUE(error.kind == ErrorKind::kRemote);
  STRCMP_CONTAINS("https://bucket.example: ", error.message.c_str());
  STRCMP_CONTAINS("407", error.message.c_str());
  LONGS_EQUAL(0, response_.status);
  CHECK_TRUE(response_.headers.empty());
}

TEST(HttpProxy, ItsPasswordIsInNoMessage) {
  for (const char* proxy :
       {"http://user:s3cret@127.0.0.1:1", "http://user:s3cret@no-such-host.invalid:3128",
        "gopher://user:s3cret@127.0.0.1:1", "http://user:s3cret@127.0.0.1:99999999",
        "http://user:s3cret@[::1", "user:s3cret@", "http://user:s3 cret@x y:1"}) {
    for (const bool environment : {false, true}) {
      const Environment set("http_proxy", environment ? proxy : nullptr);
      renew();
      request_.url = "http://bucket.example/";
      request_.proxy = environment ? "" : proxy;
      request_.proxy_from_environment = environment;
      const Error error = failure();
      const std::string text = error.message + error.hint;
      CHECK_FALSE(text.empty());
      CHECK_TRUE_TEXT(text.find("s3cret") == text.npos && text.find("cret@") == text.npos,
                      text.c_str());
    }
  }
}
