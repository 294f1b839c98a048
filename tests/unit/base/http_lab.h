// A client against a server in the process: what libcurl does is what counts here.
#pragma once

#include "base/http.h"

#include <stdlib.h>
#include <unistd.h>

#include "loopback_server.h"

#include <CppUTest/TestHarness.h>

namespace etcd_snapshot {

struct Text final : ByteSink {
  Result<void> write(Bytes bytes) override {
    text += as_text(bytes);
    return {};
  }
  std::string text;
};

inline std::string pattern(size_t bytes) {
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

// Takes the body and answers 200.
inline bool take(Wire& wire, SeenRequest& request) {
  if (request.expects_continue() && !wire.send("HTTP/1.1 100 Continue\r\n\r\n")) return false;
  return wire.read_body(request) && wire.answer(200, "ok", "ETag: \"e\"\r\n");
}

TEST_BASE(HttpBase) {
  std::unique_ptr<HttpClient> http_;
  HttpRequest request_;
  HttpResponse response_;
  Text body_;
  std::atomic<bool> expect_refused_{false};

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
    request_.expect_refused = &expect_refused_;
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

}  // namespace etcd_snapshot
