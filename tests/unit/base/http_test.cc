// Against a real server in the process: what libcurl does is what counts here.
#include "base/http.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/stop.h"
#include "loopback_server.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {

struct Text final : ByteSink {
  Result<void> write(Bytes bytes) override {
    text += as_text(bytes);
    return {};
  }
  std::string text;
};

std::string pattern(size_t bytes) {
  std::string text(bytes, '\0');
  uint32_t state = 1;
  for (char& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return text;
}

// A file that ends with the object.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& text) {
    fd.reset(mkstemp(path));
    CHECK_TRUE(static_cast<bool>(fd));
    LONGS_EQUAL(text.size(), write(fd.get(), text.data(), text.size()));
  }
  ~TemporaryFile() { unlink(path); }
  char path[32] = "/tmp/http_test.XXXXXX";
  UniqueFd fd;
};

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

// Takes the body and answers 200.
bool take(Wire& wire, SeenRequest& request) {
  if (request.expects_continue() && !wire.send("HTTP/1.1 100 Continue\r\n\r\n")) return false;
  return wire.read_body(request) && wire.answer(200, "ok", "ETag: \"e\"\r\n");
}

UnixSeconds in_days(int days) {
  return RealClock().now() + std::chrono::days(days);
}

FakeCertificate valid_for(const std::string& name) {
  return make_certificate(name, in_days(-1), in_days(1));
}

template <typename T, typename Read>
T* from_pem(const std::string& pem, Read read) {
  const std::unique_ptr<BIO, void (*)(BIO*)> bio(BIO_new_mem_buf(pem.data(), -1), BIO_free_all);
  return read(bio.get(), nullptr, nullptr, nullptr);
}

// The same certificate, issued by another's key.
void issue(FakeCertificate& own, const FakeCertificate& issuer) {
  X509* const leaf = from_pem<X509>(own.certificate, PEM_read_bio_X509);
  X509* const authority = from_pem<X509>(issuer.certificate, PEM_read_bio_X509);
  EVP_PKEY* const key = from_pem<EVP_PKEY>(issuer.key, PEM_read_bio_PrivateKey);
  CHECK_TRUE(X509_set_issuer_name(leaf, X509_get_subject_name(authority)) == 1);
  CHECK_TRUE(X509_sign(leaf, key, nullptr) != 0);
  BIO* const out = BIO_new(BIO_s_mem());
  CHECK_TRUE(PEM_write_bio_X509(out, leaf) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  own.certificate.assign(data, static_cast<size_t>(size));
  BIO_free_all(out);
  EVP_PKEY_free(key);
  X509_free(authority);
  X509_free(leaf);
}

// The same certificate with a subjectAltName: "DNS:a,IP:::1".
void name_hosts(FakeCertificate& own, const std::string& names) {
  X509* const certificate = from_pem<X509>(own.certificate, PEM_read_bio_X509);
  X509_EXTENSION* const extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
  CHECK_TRUE(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
  EVP_PKEY* const key = from_pem<EVP_PKEY>(own.key, PEM_read_bio_PrivateKey);
  CHECK_TRUE(X509_sign(certificate, key, nullptr) != 0);
  EVP_PKEY_free(key);
  BIO* const out = BIO_new(BIO_s_mem());
  CHECK_TRUE(PEM_write_bio_X509(out, certificate) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  own.certificate.assign(data, static_cast<size_t>(size));
  BIO_free_all(out);
  X509_free(certificate);
}

}  // namespace

TEST_BASE(HttpBase) {
  std::unique_ptr<HttpClient> http_;
  HttpRequest request_;
  HttpResponse response_;
  Text body_;

  void setup() override {
    renew();
    request_.error_kind = ErrorKind::kRemote;
    request_.total_timeout_s = 30;  // a test that hangs is one that failed
  }
  void renew() {
    auto made = make_curl_client("test/1");
    CHECK_TRUE(made.ok());
    http_ = std::move(*made);
  }
  void put(const std::string& url, const FileRange& file) {
    request_.method = "PUT";
    request_.url = url;
    request_.file_body = file;
  }
  // "" or the error's message.
  std::string perform() {
    body_.text.clear();
    auto done = http_->perform(request_, response_, body_);
    return done ? "" : done.error().message;
  }
  Error failure() {
    auto done = http_->perform(request_, response_, body_);
    CHECK_FALSE(done.ok());
    return done ? Error{} : done.take_error();
  }
};

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

TEST_GROUP_BASE(HttpRate, HttpBase) {
  RealClock clock_;
};

TEST(HttpRate, HoldsAndIsNoStall) {
  LoopbackServer server(take);
  RateLimit limit(clock_, 150000);
  const std::string text = pattern(330000);
  const TemporaryFile file(text);
  put(server.url(), {file.fd.get(), 0, 330000});
  request_.rate = &limit;
  request_.stall_timeout_s = 1;
  const Nanoseconds begin = clock_.monotonic();
  STRCMP_EQUAL("", perform().c_str());
  const Nanoseconds took = clock_.monotonic() - begin;
  CHECK_TRUE(took > 1700ms);
  CHECK_TRUE(took < 15s);
  CHECK_TRUE(server.seen().back().body == text);
}

TEST(HttpRate, ASlowerOneThanTheStallTimeoutIsNoStall) {
  LoopbackServer server(take);
  RateLimit limit(clock_, 1);
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) limit.take(1);
  });
  const TemporaryFile file(pattern(2));
  put(server.url(), {file.fd.get(), 0, 2});
  request_.rate = &limit;
  request_.stall_timeout_s = 1;
  const std::string message = perform();
  done = true;
  other.join();
  STRCMP_EQUAL("", message.c_str());
}

TEST(HttpRate, AServerThatStopsReadingIsAStall) {
  std::atomic<bool> done{false};
  LoopbackServer server([&](Wire& wire, SeenRequest& request) {
    wire.read_body(request, 100000);
    for (int i = 0; i < 1000 && !done; ++i) RealClock().sleep_for(10ms);
    return false;
  });
  RateLimit limit(clock_, 1LL << 40);
  const TemporaryFile file("");
  LONGS_EQUAL(0, ftruncate(file.fd.get(), 64 << 20));
  put(server.url(), {file.fd.get(), 0, 64 << 20});
  request_.headers = {"Expect:"};
  request_.stall_timeout_s = 1;
  request_.rate = &limit;
  const Error error = failure();
  CHECK_TRUE(error.kind == ErrorKind::kRemote);
  CHECK_TRUE(error.retryable);
  LONGS_EQUAL(28, error.code);  // CURLE_OPERATION_TIMEDOUT
  done = true;
}

TEST(HttpRate, WaitingForItEndsWithCancelAndDeadline) {
  LoopbackServer server(take);
  RateLimit limit(clock_, 10);
  std::atomic<bool> cancel{false};
  const TemporaryFile file(pattern(1000));
  put(server.url(), {file.fd.get(), 0, 1000});
  request_.rate = &limit;
  request_.cancel = &cancel;
  request_.deadline = clock_.monotonic() + 300ms;
  Error error = failure();
  CHECK_TRUE(error.kind == ErrorKind::kRemote);
  STRCMP_CONTAINS("the time for the whole cycle is over", error.message.c_str());
  request_.deadline.reset();
  std::thread canceller([&] {
    RealClock().sleep_for(300ms);
    cancel = true;
  });
  error = failure();
  canceller.join();
  CHECK_TRUE(error.kind == ErrorKind::kCancelled);
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

TEST_GROUP_BASE(HttpTls, HttpBase) {
  const FakeCertificate server_certificate_ = valid_for("localhost");
  const FakeCertificate other_ = valid_for("other.example");
};

TEST(HttpTls, ExtraRootsAreTrusted) {
  LoopbackServer server(take, &server_certificate_);
  request_.url = server.url("/", "localhost");
  const TemporaryFile other_ca(other_.certificate);
  for (const std::string& roots :
       {server_certificate_.certificate, other_.certificate + server_certificate_.certificate,
        server_certificate_.certificate + "\n# more\n" + other_.certificate,
        server_certificate_.certificate + server_certificate_.certificate}) {
    for (const char* ca_file : {"", other_ca.path}) {
      renew();
      request_.extra_roots = roots;
      request_.tls.ca_file = ca_file;
      STRCMP_EQUAL("", perform().c_str());
      LONGS_EQUAL(200, response_.status);
    }
  }
}

TEST(HttpTls, ExtraRootsAddToTheCaFile) {
  LoopbackServer server(take, &server_certificate_);
  request_.url = server.url("/", "localhost");
  const TemporaryFile ca(server_certificate_.certificate);
  request_.tls.ca_file = ca.path;
  request_.extra_roots = other_.certificate;
  STRCMP_EQUAL("", perform().c_str());
}

// Neither by an open connection, nor a TLS session, nor a store that libcurl keeps.
TEST(HttpTls, ExtraRootsAreOfTheirRequestAlone) {
  LoopbackServer server(take, &server_certificate_);
  const TemporaryFile ca(valid_for("unrelated").certificate);
  for (const char* ca_file : {"", ca.path}) {
    request_.tls.ca_file = ca_file;
    request_.url = server.url("/", "localhost");
    for (int turn = 0; turn < 3; ++turn) {
      request_.extra_roots = server_certificate_.certificate;
      STRCMP_EQUAL("", perform().c_str());
      request_.extra_roots.clear();
      CHECK_TRUE(perform().find("not accepted") != std::string::npos);
      request_.extra_roots = other_.certificate;
      CHECK_TRUE(perform().find("not accepted") != std::string::npos);
    }
  }
}

TEST(HttpTls, ExtraRootsThatAreNoneAreAConfigError) {
  request_.url = "https://127.0.0.1:1/";
  const std::string damaged = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
  for (const std::string& roots :
       {std::string("nothing"), damaged, other_.key, other_.certificate + damaged}) {
    request_.extra_roots = roots;
    for (int turn = 0; turn < 2; ++turn) {
      const Error error = failure();
      CHECK_TRUE(error.kind == ErrorKind::kConfig);
      CHECK_FALSE(error.retryable);
      STRCMP_CONTAINS("the additional root certificates", error.message.c_str());
    }
  }
}

TEST(HttpTls, NamesTheIssuerThatIsNotTrusted) {
  FakeCertificate issued = valid_for("localhost");
  issue(issued, valid_for("Company Root"));
  LoopbackServer server(take, &issued);
  request_.url = server.url("/", "localhost");
  const Error error = failure();
  CHECK_TRUE(error.kind == ErrorKind::kRemote);
  CHECK_FALSE(error.retryable);
  STRCMP_CONTAINS(
      "local issuer certificate (CN=localhost was issued by CN=Company Root, which is "
      "not trusted)",
      error.message.c_str());
  STRCMP_EQUAL("it is checked against the system's roots: name the authority that signed it",
               error.hint.c_str());
}

TEST(HttpTls, NamesACertificateThatSignedItself) {
  LoopbackServer server(take, &server_certificate_);
  request_.url = server.url("/", "localhost");
  request_.extra_roots = other_.certificate;
  const Error error = failure();
  STRCMP_CONTAINS("(CN=localhost signed itself and is not trusted)", error.message.c_str());
  STRCMP_CONTAINS("additional root certificates", error.hint.c_str());
}

TEST(HttpTls, NamesTheHostsThatACertificateIsFor) {
  const struct {
    const char *names, *text;
  } cases[] = {
      {"DNS:a.example", "(it is for a.example)"},
      {"DNS:a.example,email:x@y.example,IP:10.1.2.3,IP:2001:db8::1,URI:http://z.example/,DNS:*.b",
       "(it is for a.example, 10.1.2.3, 2001:db8::1, *.b)"},
      {"DNS:a,DNS:b,DNS:c,DNS:d,DNS:e,DNS:f,DNS:g", "(it is for a, b, c, d, e, ...)"},
      {"DNS:evil\x1b[2Jx y", "(it is for evil?[2Jx?y)"},
  };
  for (const auto& test : cases) {
    FakeCertificate certificate = valid_for("localhost");
    name_hosts(certificate, test.names);
    LoopbackServer server(take, &certificate);
    request_.url = server.url("/", "localhost");
    request_.extra_roots = certificate.certificate;
    const Error error = failure();
    STRCMP_CONTAINS("its certificate is not accepted: ", error.message.c_str());
    STRCMP_CONTAINS(test.text, error.message.c_str());
    STRCMP_CONTAINS("use a host name or address", error.hint.c_str());
  }
}

TEST(HttpTls, TellsExpiredFromEarlyFromAWrongHost) {
  const struct {
    FakeCertificate certificate;
    const char *first, *second;
  } cases[] = {
      {make_certificate("localhost", in_days(-9), in_days(-2)), "certificate has expired",
       "it expired on "},
      {make_certificate("localhost", in_days(2), in_days(9)), "certificate is not yet valid",
       "it is not valid before "},
      // "host name" in libcurl 7.88, "hostname" in 8.14.
      {valid_for("elsewhere.example"), "does not match target host", "'elsewhere.example'"},
  };
  for (const auto& test : cases) {
    LoopbackServer server(take, &test.certificate);
    request_.url = server.url("/", "localhost");
    request_.extra_roots = test.certificate.certificate;
    const Error error = failure();
    CHECK_FALSE(error.retryable);
    STRCMP_CONTAINS(test.first, error.message.c_str());
    STRCMP_CONTAINS(test.second, error.message.c_str());
  }
}
