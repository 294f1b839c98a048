// The two places where progress is seen: a bar on a terminal, and the status line of the service.
#pragma once

#include <string>

#include "run/context.h"

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

// Nowhere.
class NoProgress final : public Progress {
 public:
  void phase(Phase, std::string_view) override {}
  void advance(int64_t, int64_t) override {}
  void finish(std::string_view) override {}
};

// The longest time within a phase that brings no progress although all is well: what the agent
// itself allows for one wait, and some more. A hang that goes on for longer is nothing that it
// knows of, and systemd ends it.
Nanoseconds longest_silence(Phase phase, const HostSettings& settings);

// STATUS= of the service, at most twice a second, and the extension of its TimeoutStartSec= with
// each progress of the work: a new phase, more bytes. The same figure twice is none. Nothing where
// no service manager listens.
class ServiceProgress final : public Progress {
 public:
  ServiceProgress(const Clock& clock, const HostSettings& settings)
      : clock_(clock), settings_(settings) {}
  void phase(Phase phase, std::string_view text) override;
  void advance(int64_t done_bytes, int64_t total_bytes) override;
  void finish(std::string_view text) override;

 private:
  const Clock& clock_;
  const HostSettings& settings_;
  Phase phase_ = Phase::kOther;
  std::string text_;
  int64_t done_ = 0;
  Nanoseconds phase_start_{}, told_{};
};

// The clients for the bucket of a service: an answer of the 2xx kind (a part that was taken, a page
// of a list, an object that was deleted) is progress, too. `settings` must outlive them.
HttpFactory extending_factory(HttpFactory inner, const HostSettings& settings);

// "45% of 2.0 GiB, 190.0 MiB/s"; a whole percentage, never above 100.
std::string describe_progress(int64_t done_bytes, int64_t total_bytes, Nanoseconds elapsed);

}  // namespace etcd_snapshot
