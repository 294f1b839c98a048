#include "http_lab.h"

#include "base/stop.h"

using namespace etcd_snapshot;
using namespace std::chrono_literals;

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

// One byte in a while is not the end of the world for a list, but gigabytes come to no end so.
TEST(HttpRate, AFileThatGoesSlowerThanAKibibyteASecondIsAStall) {
  std::atomic<bool> done{false};
  LoopbackServer server([&](Wire& wire, SeenRequest& request) {
    if (!wire.read_body(request)) return false;
    if (!wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")) return false;
    for (int i = 0; i < 100 && !done; ++i) {
      if (!wire.send("x")) return false;
      RealClock().sleep_for(50ms);
    }
    return false;
  });
  const TemporaryFile file(pattern(1000));
  put(server.url(), {file.fd.get(), 0, 1000});
  request_.headers = {"Expect:"};
  request_.stall_timeout_s = 2;
  const Error error = failure();
  LONGS_EQUAL(28, error.code);  // CURLE_OPERATION_TIMEDOUT
  CHECK_TRUE(error.retryable);
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
  STRCMP_CONTAINS("the time limit is over", error.message.c_str());
  request_.deadline.reset();
  std::thread canceller([&] {
    RealClock().sleep_for(300ms);
    cancel = true;
  });
  error = failure();
  canceller.join();
  CHECK_TRUE(error.kind == ErrorKind::kCancelled);
}
