#include "run/progress.h"

#include "store/lock.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "../lab.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(Progress) {
  FakeClock clock;
  FakeLog log;
  void setup() override {
    setenv("NO_COLOR", "1", 1);
  }
  void teardown() override {
    unsetenv("NO_COLOR");
  }
};

TEST(Progress, IsDescribedInWholePercentAndNeverBeyondAHundred) {
  constexpr int64_t kGiB = 1 << 30;
  const struct {
    int64_t done, total;
    Nanoseconds elapsed;
    const char* text;
  } rows[] = {
      {0, 2 * kGiB, 0ns, "0% of 2.0 GiB, 0 B/s"},
      {kGiB, 2 * kGiB, 1s, "50% of 2.0 GiB, 1.0 GiB/s"},
      {2 * kGiB - 1, 2 * kGiB, 2s, "99% of 2.0 GiB, 1.0 GiB/s"},
      {2 * kGiB, 2 * kGiB, 2s, "100% of 2.0 GiB, 1.0 GiB/s"},
      {3 * kGiB, 2 * kGiB, 3s, "100% of 2.0 GiB, 1.0 GiB/s"},
      {100, 200, 0ns, "50% of 200 B, 0 B/s"},
      {512, 1024, 500ms, "50% of 1.0 KiB, 1.0 KiB/s"},
      {5, 100, 1h, "5% of 100 B, 0 B/s"},
  };
  for (const auto& row : rows) {
    STRCMP_EQUAL(row.text, describe_progress(row.done, row.total, row.elapsed).c_str());
  }
}

TEST(Progress, DrawsABarThatClearsItself) {
  const Printed printed = capture([&] {
    TerminalProgress progress(clock, log);
    progress.phase(Phase::kConnect, "asking etcd");
    progress.phase(Phase::kStream, "streaming");
    clock.pass(1s);
    progress.advance(512, 1024);
    return 0;
  });
  STRCMP_EQUAL(
      "asking etcd ...\r\033[Kstreaming ...\r\033[K"
      "streaming [############------------] 50% of 1.0 KiB, 512 B/s\r\033[K",
      printed.err.c_str());
}

TEST(Progress, LeavesNothingOnTheTerminalAtTheEnd) {
  const Printed printed = capture([&] {
    TerminalProgress progress(clock, log);
    progress.phase(Phase::kOther, "p");
    progress.finish("the log line says it");
    return 0;
  });
  STRCMP_EQUAL("p ...\r\033[K", printed.err.c_str());
}

TEST(Progress, DrawsAtMostTenTimesASecond) {
  const Printed printed = capture([&] {
    TerminalProgress progress(clock, log);
    progress.phase(Phase::kOther, "p");
    for (int i = 0; i < 1000; ++i) {
      clock.pass(1ms);
      progress.advance(i, 1000);
    }
    return 0;
  });
  int drawn = 0;
  for (size_t at = 0; (at = printed.err.find('%', at)) != std::string::npos; ++at) ++drawn;
  LONGS_EQUAL(10, drawn);
}

TEST(Progress, DrawsNoBarWhereTheSizeIsNotKnown) {
  const Printed printed = capture([&] {
    TerminalProgress progress(clock, log);
    progress.phase(Phase::kOther, "p");
    clock.pass(1s);
    progress.advance(100, 0);
    return 0;
  });
  STRCMP_EQUAL("p ...\r\033[Kp ...\r\033[K", printed.err.c_str());
}

// The status line of the service, read at the other end of its socket.
TEST_GROUP(ServiceProgress) {
  Scratch scratch;
  FakeClock clock;
  UniqueFd manager;
  HostSettings settings;
  void setup() override {
    manager.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = scratch.path("notify");
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    LONGS_EQUAL(0, bind(manager.get(), reinterpret_cast<sockaddr*>(&address), sizeof address));
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  void teardown() override {
    unsetenv("NOTIFY_SOCKET");
  }
  // What came since, of one kind.
  std::vector<std::string> told(const std::string& kind = "STATUS=") {
    std::vector<std::string> texts;
    char buffer[4096];
    for (;;) {
      const ssize_t count = recv(manager.get(), buffer, sizeof buffer, 0);
      if (count < 0) return texts;
      const std::string text(buffer, static_cast<size_t>(count));
      if (!text.starts_with(kind)) continue;
      texts.push_back(text.substr(kind.size(), text.find('\n') - kind.size()));
    }
  }
  // The extensions that came since.
  std::vector<std::string> extended() {
    return told("EXTEND_TIMEOUT_USEC=");
  }
};

TEST(ServiceProgress, TellsThePhaseAtOnce) {
  ServiceProgress progress(clock, settings);
  progress.phase(Phase::kConnect, "asking etcd");
  progress.phase(Phase::kStream, "streaming");
  const auto texts = told();
  LONGS_EQUAL(2, texts.size());
  STRCMP_EQUAL("asking etcd", texts[0].c_str());
  STRCMP_EQUAL("streaming", texts[1].c_str());
}

TEST(ServiceProgress, TellsTheEndThatStays) {
  ServiceProgress progress(clock, settings);
  progress.phase(Phase::kPrune, "pruning");
  progress.finish("2018-05-04T18:40:16Z_etcd, 1.5 MiB in 1.2s");
  STRCMP_EQUAL("2018-05-04T18:40:16Z_etcd, 1.5 MiB in 1.2s", told().back().c_str());
}

TEST(ServiceProgress, TellsTheBytesTwiceASecond) {
  ServiceProgress progress(clock, settings);
  progress.phase(Phase::kStream, "streaming");
  told();
  for (int i = 1; i <= 20; ++i) {
    clock.pass(100ms);
    progress.advance(i * 1024, 20 * 1024);
  }
  const auto texts = told();
  LONGS_EQUAL(4, texts.size());
  STRCMP_EQUAL("streaming 25% of 20.0 KiB, 10.0 KiB/s", texts[0].c_str());
  STRCMP_EQUAL("streaming 100% of 20.0 KiB, 10.0 KiB/s", texts[3].c_str());
}

TEST(ServiceProgress, TellsNoPercentageOfASizeThatIsNotKnown) {
  ServiceProgress progress(clock, settings);
  progress.phase(Phase::kStream, "streaming");
  told();
  clock.pass(1s);
  progress.advance(4096, 0);
  for (const std::string& text : told()) {
    CHECK_TEXT(!holds(text, "% of 0 B"), text.c_str());
  }
}

TEST(ServiceProgress, ExtendsTheTimeWithEachProgressAndWithNothingElse) {
  settings.etcd.stall_timeout_s = 60;
  ServiceProgress progress(clock, settings);
  progress.phase(Phase::kStream, "streaming");
  auto texts = extended();
  LONGS_EQUAL(1, texts.size());
  STRCMP_EQUAL("90000000", texts[0].c_str());
  clock.pass(1s);
  progress.advance(4096, 10000);
  LONGS_EQUAL(1, extended().size());
  for (int i = 0; i < 100; ++i) {
    clock.pass(1s);
    progress.advance(4096, 10000);  // nothing came
  }
  LONGS_EQUAL(0, extended().size());
  progress.advance(4097, 10000);
  LONGS_EQUAL(1, extended().size());
  progress.finish("done");
  LONGS_EQUAL(0, extended().size());
}

// A wait that the settings allow is no hang.
TEST(ServiceProgress, IsPatientForAsLongAsTheSettingsAre) {
  CHECK(longest_silence(Phase::kStream, settings) == 90s);
  CHECK(longest_silence(Phase::kWait, settings) == 75s);
  CHECK(longest_silence(Phase::kConnect, settings) == 140s);
  CHECK(longest_silence(Phase::kPrune, settings) == 5min);
  CHECK(longest_silence(Phase::kBucket, settings) == 35min);
  settings.etcd.stall_timeout_s = 3600;
  settings.etcd.retry_interval_s = 600;
  settings.etcd.endpoints.assign(10, "https://etcd:2379");
  settings.s3.retries = 9;
  settings.s3.stall_timeout_s = 300;
  CHECK(longest_silence(Phase::kStream, settings) > 1h);
  CHECK(longest_silence(Phase::kWait, settings) > 10min);
  CHECK(longest_silence(Phase::kConnect, settings) >= 200s);
  CHECK(longest_silence(Phase::kUpload, settings) >= 10 * 5min);
  CHECK(longest_silence(Phase::kUpload, settings) > kBucketPatience);
}

namespace {

class Nowhere final : public ByteSink {
 public:
  Result<void> write(Bytes) override { return {}; }
};

// A client that gives one status after the other, and then fails.
class StatusHttp final : public HttpClient {
 public:
  explicit StatusHttp(std::vector<long> statuses) : statuses_(std::move(statuses)) {}
  Result<void> perform(const HttpRequest&, HttpResponse& response, ByteSink&) override {
    if (next_ == statuses_.size()) {
      return Error{ErrorKind::kUnavailable, "no answer", "", true, 0};
    }
    response.status = statuses_[next_++];
    return {};
  }

 private:
  std::vector<long> statuses_;
  size_t next_ = 0;
};

}  // namespace

TEST(ServiceProgress, AnAnswerOfTheBucketIsProgressWhereItIsASuccess) {
  const HttpFactory make = extending_factory(
      []() -> Result<std::unique_ptr<HttpClient>> {
        return std::unique_ptr<HttpClient>(
            std::make_unique<StatusHttp>(std::vector<long>{503, 200, 100, 404, 206, 301}));
      },
      settings);
  auto client = make();
  CHECK(client.ok());
  std::vector<size_t> counts;
  for (int i = 0; i < 7; ++i) {
    HttpResponse response;
    Nowhere body;
    [[maybe_unused]] const auto done = (*client)->perform({}, response, body);
    counts.push_back(extended().size());
  }
  CHECK(counts == (std::vector<size_t>{0, 1, 0, 0, 1, 0, 0}));
}
