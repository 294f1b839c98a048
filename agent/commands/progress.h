// The two places where progress is seen: a bar on a terminal, and the status line of the service.
#pragma once

#include <string>

#include "context.h"

namespace etcd_snapshot {

// A bar on standard error; clears itself for log lines and at the end. Colours unless NO_COLOR is
// set (no-color.org) or the terminal is dumb.
class TerminalProgress final : public Progress {
 public:
  TerminalProgress(const Clock& clock, Log& log);
  ~TerminalProgress() override;
  void phase(Phase phase, std::string_view text) override;
  void advance(int64_t done_bytes, int64_t total_bytes) override;
  void finish(std::string_view text) override;

 private:
  void draw();
  void clear();

  const Clock& clock_;
  Log& log_;
  bool colours_;
  std::string phase_;
  int64_t done_ = 0, total_ = 0;
  Nanoseconds phase_start_{}, drawn_{};
  bool visible_ = false;
};

// STATUS= of the service, at most twice a second; nothing where no service manager listens.
class ServiceProgress final : public Progress {
 public:
  explicit ServiceProgress(const Clock& clock) : clock_(clock) {}
  void phase(Phase phase, std::string_view text) override;
  void advance(int64_t done_bytes, int64_t total_bytes) override;
  void finish(std::string_view text) override;

 private:
  const Clock& clock_;
  std::string phase_;
  Nanoseconds phase_start_{}, told_{};
};

// "45% of 2.0 GiB, 190.0 MiB/s"; a whole percentage, never above 100.
std::string describe_progress(int64_t done_bytes, int64_t total_bytes, Nanoseconds elapsed);

}  // namespace etcd_snapshot
