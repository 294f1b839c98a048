#include "commands/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/human.h"
#include "systemd/notify.h"

namespace etcd_snapshot {
namespace {

constexpr int kBarColumns = 24;
constexpr Nanoseconds kRedraw = std::chrono::milliseconds(100);
constexpr Nanoseconds kTell = std::chrono::milliseconds(500);
constexpr uint64_t kExtendUsec = 60 * 1000 * 1000;

double fraction(int64_t done, int64_t total) {
  return total > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total)) : 0.0;
}

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

void ServiceProgress::phase(Phase, std::string_view text) {
  phase_ = text;
  phase_start_ = told_ = clock_.monotonic();
  notify_status(phase_);
  extend_timeout(kExtendUsec);
}

void ServiceProgress::advance(int64_t done_bytes, int64_t total_bytes) {
  const Nanoseconds now = clock_.monotonic();
  if (now - told_ < kTell) return;
  told_ = now;
  notify_status(phase_ + " " + describe_progress(done_bytes, total_bytes, now - phase_start_));
  extend_timeout(kExtendUsec);
}

void ServiceProgress::finish(std::string_view text) {
  notify_status(text);
}

}  // namespace etcd_snapshot
