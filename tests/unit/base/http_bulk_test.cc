// What comes of a bulk response, of which OpenSSL takes more from the socket than libcurl asks for.
#include "http_lab.h"

#include <curl/curl.h>

#include "base/stop.h"

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP_BASE(HttpBulk, HttpBase) {
  const FakeCertificate certificate_ =
      make_certificate("localhost", RealClock().now() - 24h, RealClock().now() + 24h);
  const std::string content_ = pattern(40'000);
  // Of the content; what goes before the client has begun to read ahead.
  static constexpr size_t kFirst = 1000;

  void setup() override {
    HttpBase::setup();
    request_.bulk_response = true;
    request_.stall_timeout_s = 4;  // less than the server's patience, which would end the silence
    request_.extra_roots = certificate_.certificate;
  }
  std::string head_and_first() const {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(content_.size()) + "\r\n\r\n" +
           content_.substr(0, kFirst);
  }
};

TEST(HttpBulk, EndsThoughTheSocketHasNothingMore) {
  // All the rest at once, in records of which libcurl takes one a time; and then silence.
  LoopbackServer server(
      [this](Wire& wire, SeenRequest&) {
        if (!wire.send(head_and_first())) return false;
        std::this_thread::sleep_for(100ms);
        return wire.send_sealed(wire.seal(content_.substr(kFirst), 500));
      },
      &certificate_);
  request_.url = server.url("/", "localhost");
  STRCMP_EQUAL("", perform().c_str());
  CHECK_TRUE(body_.text == content_);
}

TEST(HttpBulk, WaitsForTheRestOfARecord) {
  // Longer than it looks for it often.
  LoopbackServer server(
      [this](Wire& wire, SeenRequest&) {
        if (!wire.send(head_and_first())) return false;
        std::this_thread::sleep_for(100ms);
        const std::string sealed = wire.seal(content_.substr(kFirst), 16'000);
        const size_t cut = sealed.size() - 100;
        if (!wire.send_sealed(sealed.substr(0, cut))) return false;
        std::this_thread::sleep_for(800ms);
        return wire.send_sealed(sealed.substr(cut));
      },
      &certificate_);
  request_.url = server.url("/", "localhost");
  STRCMP_EQUAL("", perform().c_str());
  CHECK_TRUE(body_.text == content_);
}

// Half a record is held the whole time, and looked for again and again.
TEST(HttpBulk, IsAStallWhereTheRestOfARecordNeverComes) {
  LoopbackServer server(
      [this](Wire& wire, SeenRequest&) {
        if (!wire.send(head_and_first())) return false;
        std::this_thread::sleep_for(100ms);
        const std::string sealed = wire.seal(content_.substr(kFirst), 16'000);
        return wire.send_sealed(sealed.substr(0, sealed.size() - 100));
      },
      &certificate_);
  request_.url = server.url("/", "localhost");
  const Error error = failure();
  LONGS_EQUAL_TEXT(CURLE_OPERATION_TIMEDOUT, error.code, error.message.c_str());
  CHECK_TRUE(error.retryable);
}

TEST(HttpBulk, TellsOfAPeerThatEndsInTheMiddle) {
  LoopbackServer server(
      [this](Wire& wire, SeenRequest&) {
        if (!wire.send(head_and_first())) return false;
        std::this_thread::sleep_for(100ms);
        wire.send_sealed(wire.seal(content_.substr(kFirst, 20'000), 500));
        return false;
      },
      &certificate_);
  request_.url = server.url("/", "localhost");
  const Error error = failure();
  CHECK_TRUE(error.retryable);
  CHECK_TRUE(body_.text == content_.substr(0, kFirst + 20'000));
}

TEST(HttpBulk, ItsConnectionServesNobodyElse) {
  LoopbackServer server([](Wire& wire, SeenRequest&) { return wire.answer(200, "text"); },
                        &certificate_);
  request_.url = server.url("/", "localhost");
  STRCMP_EQUAL("", perform().c_str());
  request_.bulk_response = false;
  STRCMP_EQUAL("", perform().c_str());
  STRCMP_EQUAL("", perform().c_str());
  LONGS_EQUAL(2, server.connections());
}
