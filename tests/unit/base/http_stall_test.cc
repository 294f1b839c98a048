// What is a stall, and what ends a transfer to which bytes come all the time.
#include "base/stop.h"
#include "http_lab.h"

#include <curl/curl.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP_BASE(HttpStall, HttpBase) {
  RealClock clock_;
  std::atomic<bool> over_{false};

  void setup() override {
    HttpBase::setup();
    request_.stall_timeout_s = 1;
  }
  // Sends the same again and again, as long as the client is there.
  LoopbackServer::Handler repeating(std::string first, std::string again,
                                    Nanoseconds pause = 50ms) {
    return [=, this](Wire& wire, SeenRequest&) {
      bool there = wire.send(first);
      for (int i = 0; i < 600 && there && !over_; ++i) {
        clock_.sleep_for(pause);
        there = wire.send(again);
      }
      return false;
    };
  }
  Error stall_at(const std::string& url) {
    request_.url = url;
    const Nanoseconds begin = clock_.monotonic();
    Error error = failure();
    over_ = true;
    CHECK_TRUE_TEXT(clock_.monotonic() - begin < 10s, error.message.c_str());
    LONGS_EQUAL_TEXT(CURLE_OPERATION_TIMEDOUT, error.code, error.message.c_str());
    CHECK_TRUE(error.kind == ErrorKind::kRemote);
    return error;
  }
  // A peer that is alive does the same again, so it is not asked again.
  void check_is_a_stall(const LoopbackServer& server, const char* words) {
    const Error error = stall_at(server.url());
    STRCMP_CONTAINS(words, error.message.c_str());
    CHECK_FALSE_TEXT(error.retryable, error.message.c_str());
    STRCMP_CONTAINS("is alive", error.hint.c_str());
  }
};

constexpr char kChunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr char kNothing[] = "nothing that was asked for";

// Such is a gateway in trouble, or one that holds its clients (aws/aws-sdk-js-v3#7729).
TEST(HttpStall, ABodyThatComesByteByByte) {
  LoopbackServer server(repeating(kChunked, "1\r\nx\r\n"));
  check_is_a_stall(server, "too slow");
  CHECK_TRUE(body_.text.size() < 1024);
}

TEST(HttpStall, ABodyThatBeginsFastAndThenComesByteByByte) {
  const std::string first = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + pattern(500000);
  LoopbackServer server(repeating(first, "x"));
  check_is_a_stall(server, "too slow");
}

// A member that is busy answers the handshake, and then nothing until the time is over.
TEST(HttpStall, SilenceBehindAHandshakeIsAskedAgain) {
  request_.stall_timeout_s = 60;
  request_.total_timeout_s = 3;
  LoopbackServer server([this](Wire& wire, SeenRequest&) {
    // Later than the first look at the connection.
    clock_.sleep_for(600ms);
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    for (int i = 0; i < 100 && !over_; ++i) clock_.sleep_for(100ms);
    return false;
  });
  CHECK_TRUE(stall_at(server.url()).retryable);
}

TEST(HttpStall, SilenceIsAskedAgain) {
  request_.stall_timeout_s = 2;
  LoopbackServer server([this](Wire& wire, SeenRequest&) {
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    for (int i = 0; i < 100 && !over_; ++i) clock_.sleep_for(100ms);
    return false;
  });
  const Error error = stall_at(server.url());
  STRCMP_CONTAINS("no byte moved for 2 seconds", error.message.c_str());
  CHECK_TRUE(error.retryable);
}

TEST(HttpStall, HeadersThatDoNotEnd) {
  LoopbackServer server(repeating("HTTP/1.1 200 OK\r\nX-Long: ", "x"));
  check_is_a_stall(server, kNothing);
}

TEST(HttpStall, HeaderAfterHeader) {
  LoopbackServer server(repeating("HTTP/1.1 200 OK\r\n", "X-Header: value\r\n"));
  check_is_a_stall(server, kNothing);
}

TEST(HttpStall, InterimAnswerAfterInterimAnswer) {
  for (const char* answer :
       {"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"}) {
    over_ = false;
    LoopbackServer server(repeating("", answer));
    check_is_a_stall(server, kNothing);
  }
}

TEST(HttpStall, ExtensionsOfAChunk) {
  LoopbackServer server(repeating(std::string(kChunked) + "5;name=", "x"));
  check_is_a_stall(server, kNothing);
}

TEST(HttpStall, TrailersThatDoNotEnd) {
  LoopbackServer server(
      repeating(std::string(kChunked) + "1\r\nx\r\n0\r\n", "X-Trailer: value\r\n"));
  const Error error = stall_at(server.url());
  CHECK_FALSE(error.retryable);
}

// Nothing may grow with what a peer sends.
TEST(HttpStall, HeadersAtFullSpeedEndByTheirSize) {
  for (const char* again : {"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n", "X-Header: value\r\n"}) {
    std::string many;
    for (int i = 0; i < 1000; ++i) many += again;
    const std::string first = *again == 'X' ? "HTTP/1.1 200 OK\r\n" : "";
    LoopbackServer server(repeating(first, many, 0ms));
    request_.url = server.url();
    request_.stall_timeout_s = 20;
    const Error error = failure();
    // libcurl has limits of its own in newer versions (CVE-2023-38039).
    CHECK_TRUE_TEXT(error.code != CURLE_OPERATION_TIMEDOUT, error.message.c_str());
    CHECK_TRUE(response_.headers.size() < 10);
  }
}

// grpc-go sends PING frames of its own (keepalive.ServerParameters), and so do Envoy and nginx.
TEST(HttpStall, FramesOfHttp2) {
  using std::string_literals::operator""s;
  const std::string settings = "\0\0\0\x04\0\0\0\0\0"s;
  const std::string ping = "\0\0\x08\x06\0\0\0\0\0"s + "12345678";
  const std::string window = "\0\0\x04\x08\0\0\0\0\0\0\0\0\x01"s;
  const std::string unknown = "\0\0\0\x77\0\0\0\0\0"s;  // to be ignored (RFC 9113, 5.5)
  request_.version = HttpVersion::kHttp2;
  request_.method = "POST";
  request_.body = "question";
  for (const std::string& frame : {ping, window, unknown}) {
    over_ = false;
    // The preface looks like the head of a request.
    LoopbackServer server(repeating(settings, frame));
    check_is_a_stall(server, kNothing);
  }
}

TEST(HttpStall, WhatTheCallerCountsIsProgress) {
  LoopbackServer server(repeating(kChunked, "400\r\n" + pattern(1024) + "\r\n", 5ms));
  request_.progress = [] { return 7; };
  check_is_a_stall(server, kNothing);
  CHECK_TRUE(body_.text.size() > 1024);
}

// Of a server that puts an object together (ceph/ceph#68980).
TEST(HttpStall, SpacesGoOnUntilTheWholeTimeIsOver) {
  LoopbackServer server(repeating(kChunked, "1\r\n \r\n", 100ms));
  request_.least_bytes_per_s = 0;
  request_.total_timeout_s = 3;
  const Nanoseconds begin = clock_.monotonic();
  const Error error = stall_at(server.url());
  CHECK_TRUE(clock_.monotonic() - begin > 2500ms);
  CHECK_FALSE(error.retryable);
}

TEST(HttpStall, AnAnswerThatComesInTimeIsNone) {
  LoopbackServer server([this](Wire& wire, SeenRequest&) {
    clock_.sleep_for(1500ms);
    if (!wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")) return false;
    clock_.sleep_for(500ms);
    return wire.send("cd");
  });
  request_.url = server.url();
  request_.stall_timeout_s = 6;
  STRCMP_EQUAL("", perform().c_str());
  STRCMP_EQUAL("abcd", body_.text.c_str());
}

// All of it is in the kernel's buffer at once; what counts is what the server has.
TEST(HttpStall, AnUploadOverASlowLineIsNone) {
  constexpr int64_t kBytes = 2 << 20;
  LoopbackServer server([this](Wire& wire, SeenRequest& request) {
    const int small = 16 << 10;
    setsockopt(wire.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (!wire.send("HTTP/1.1 100 Continue\r\n\r\n")) return false;
    for (size_t got = 0; got < kBytes; got += 64 << 10) {
      if (!wire.read_body(request, got)) return false;
      clock_.sleep_for(80ms);
    }
    return wire.read_body(request) && wire.answer(200);
  });
  const TemporaryFile file(pattern(kBytes));
  put(server.url(), {file.fd.get(), 0, kBytes});
  request_.stall_timeout_s = 1;
  const Nanoseconds begin = clock_.monotonic();
  STRCMP_EQUAL("", perform().c_str());
  CHECK_TRUE(clock_.monotonic() - begin > 2s);
}

// The answer to CONNECT is part of the connection, which has its own time.
TEST(HttpStall, AProxyWhoseAnswerDoesNotEnd) {
  LoopbackServer proxy(repeating("HTTP/1.1 200 OK\r\nX-Long: ", "x"));
  request_.proxy = proxy.url();
  request_.connect_timeout_s = 2;
  const Error error = stall_at("https://127.0.0.1:1/");
  CHECK_TRUE(error.retryable);
}
