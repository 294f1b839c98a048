#include "run/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/human.h"
#include "store/lock.h"
#include "systemd/notify.h"

namespace etcd_snapshot {
namespace {

constexpr int kBarColumns = 24;
constexpr Nanoseconds kRedraw = std::chrono::milliseconds(100);
constexpr Nanoseconds kTell = std::chrono::milliseconds(500);

double fraction(int64_t done, int64_t total) {
  return total > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total)) : 0.0;
}

void extend_for(Phase phase, const HostSettings& settings) {
  using std::chrono::duration_cast;
  using std::chrono::microseconds;
  const auto silence = duration_cast<microseconds>(longest_silence(phase, settings));
  extend_timeout(static_cast<uint64_t>(silence.count()));
}

class ExtendingHttp final : public HttpClient {
 public:
  ExtendingHttp(std::unique_ptr<HttpClient> inner, const HostSettings& settings)
      : inner_(std::move(inner)), settings_(settings) {}
  Result<void> perform(const HttpRequest& request, HttpResponse& response,
                       ByteSink& body) override {
    HttpRequest watched = request;
    watched.on_progress = [this] { extend_for(Phase::kBucket, settings_); };
    auto done = inner_->perform(watched, response, body);
    if (done && response.status / 100 == 2) extend_for(Phase::kBucket, settings_);
    return done;
  }

 private:
  std::unique_ptr<HttpClient> inner_;
  const HostSettings& settings_;
};

bool wants_colours() {
  const char* const no_color = getenv("NO_COLOR");
  const char* const term = getenv("TERM");
  return (no_color == nullptr || *no_color == '\0') && term != nullptr &&
         std::string_view(term) != "dumb";
}

}  // namespace

std::string describe_progress(int64_t done_bytes, int64_t total_bytes, Nanoseconds elapsed) {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  const auto rate =
      seconds > 0 ? static_cast<int64_t>(static_cast<double>(done_bytes) / seconds) : 0;
  if (total_bytes <= 0) return fmt::format("{}, {}/s", human_bytes(done_bytes), human_bytes(rate));
  return fmt::format("{}% of {}, {}/s", static_cast<int>(fraction(done_bytes, total_bytes) * 100),
                     human_bytes(total_bytes), human_bytes(rate));
}

TerminalProgress::TerminalProgress(const Clock& clock, Log& log)
    : clock_(clock), log_(log), colours_(wants_colours()) {
  log_.set_line_guard([this] { clear(); }, [this] { draw(); });
}

TerminalProgress::~TerminalProgress() {
  log_.set_line_guard({}, {});
  clear();
}

void TerminalProgress::phase(Phase, std::string_view text) {
  phase_ = text;
  done_ = total_ = 0;
  phase_start_ = drawn_ = clock_.monotonic();
  draw();
}

void TerminalProgress::advance(int64_t done_bytes, int64_t total_bytes) {
  done_ = done_bytes;
  total_ = total_bytes;
  const Nanoseconds now = clock_.monotonic();
  if (now - drawn_ < kRedraw) return;
  drawn_ = now;
  draw();
}

// The log line says it already.
void TerminalProgress::finish(std::string_view) {
  clear();
  phase_.clear();
}

void TerminalProgress::draw() {
  if (phase_.empty()) return;
  clear();
  std::string line = phase_;
  if (total_ > 0) {
    const int full = static_cast<int>(fraction(done_, total_) * kBarColumns);
    const std::string bar =
        std::string(static_cast<size_t>(full), '#') + std::string(kBarColumns - full, '-');
    line += colours_ ? fmt::format(" [\033[32m{}\033[0m] ", bar) : fmt::format(" [{}] ", bar);
    line += describe_progress(done_, total_, clock_.monotonic() - phase_start_);
  } else {
    line += " ...";
  }
  fputs(line.c_str(), stderr);
  fflush(stderr);
  visible_ = true;
}

void TerminalProgress::clear() {
  if (!visible_) return;
  fputs("\r\033[K", stderr);
  fflush(stderr);
  visible_ = false;
}

Nanoseconds longest_silence(Phase phase, const HostSettings& settings) {
  using std::chrono::minutes;
  using std::chrono::seconds;
  const EtcdSettings& etcd = settings.etcd;
  switch (phase) {
    case Phase::kConnect: {
      // Each endpoint in turn, and two questions to the one that answers; where none is configured,
      // as many as are found on a host.
      constexpr int64_t kFound = 4;
      const auto endpoints = std::max(static_cast<int64_t>(etcd.endpoints.size()), kFound);
      return seconds(etcd.connect_timeout_s) * 2 * endpoints + minutes(1);
    }
    case Phase::kStream:
      return seconds(etcd.stall_timeout_s) + seconds(30);
    case Phase::kWait:
      return seconds(etcd.retry_interval_s) + minutes(1);
    case Phase::kUpload:
    case Phase::kBucket:
    case Phase::kCatchUp: {
      // One call with all its attempts and the time between them; or another process that is at
      // work in the bucket.
      constexpr int kSilentCompleteS = 300;  // while the server assembles an upload
      const Nanoseconds call =
          (settings.s3.retries + 1) *
          seconds(std::max(settings.s3.stall_timeout_s, kSilentCompleteS) + 30);
      return std::max<Nanoseconds>(call, kBucketPatience) + minutes(2);
    }
    case Phase::kStore:
    case Phase::kPrune:
    case Phase::kOther:
      break;
  }
  return minutes(5);  // a slow disk
}

void ServiceProgress::phase(Phase phase, std::string_view text) {
  phase_ = phase;
  text_ = text;
  done_ = 0;
  phase_start_ = told_ = clock_.monotonic();
  notify_status(text_);
  extend_for(phase_, settings_);
}

void ServiceProgress::advance(int64_t done_bytes, int64_t total_bytes) {
  const Nanoseconds now = clock_.monotonic();
  if (now - told_ < kTell || done_bytes == done_) return;
  told_ = now;
  done_ = done_bytes;
  notify_status(text_ + " " + describe_progress(done_bytes, total_bytes, now - phase_start_));
  extend_for(phase_, settings_);
}

void ServiceProgress::finish(std::string_view text) {
  notify_status(text);
}

HttpFactory extending_factory(HttpFactory inner, const HostSettings& settings) {
  return [inner = std::move(inner), &settings]() -> Result<std::unique_ptr<HttpClient>> {
    ES_ASSIGN(client, inner());
    return std::unique_ptr<HttpClient>(
        std::make_unique<ExtendingHttp>(std::move(client), settings));
  };
}

}  // namespace etcd_snapshot
