// What systemd says of units: over its private socket for root, which works without a message bus,
// and over the system bus for everybody else. Changes nothing. Waits five seconds at most to be let
// in, and as long for an answer; after one that does not come nothing else is asked.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"

namespace etcd_snapshot {

// A timer, in systemd's own words (org.freedesktop.systemd1(5)).
struct TimerState {
  std::string load_state;           // "loaded", "not-found", "masked", ...
  std::string active_state;         // "active", "inactive", "failed", ...
  std::string sub_state;            // "waiting", "running"; "elapsed": nothing will follow
  std::string file_state;           // "enabled", "disabled", ...
  bool needs_reload = false;        // changed on disk, or what it was generated from did
  std::optional<UnixSeconds> next;  // nullopt: none is planned, as while the service runs
};

// The oneshot service that it starts.
struct ServiceState {
  std::string active_state;             // "activating" while it runs
  std::string status_text;              // STATUS= of the run, or of the one before
  std::string result;                   // "success", "exit-code", "signal", "oom-kill", ...
  int exit_status = 0;                  // of the last run; a signal's number where one ended it
  std::optional<UnixSeconds> started;   // of the run under way, else of the last one
  std::optional<UnixSeconds> finished;  // of the last run; nullopt: none since boot, or it runs
  std::string load_state{};             // "loaded", "masked", ...

  bool running() const { return active_state == "activating" || active_state == "deactivating"; }
};

struct ScheduleState {
  TimerState timer;
  ServiceState service;
};

// NAME.timer and NAME.service; nullopt: this is no systemd host, or it does not answer.
std::optional<ScheduleState> read_schedule(const std::string& name);

}  // namespace etcd_snapshot
