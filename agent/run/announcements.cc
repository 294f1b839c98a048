#include "run/announcements.h"

#include <algorithm>

#include "base/go_duration.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

// A clock that was set ahead makes everything look old; pruning waits for the retention, at most so
// long, to give somebody the time to read the warning.
constexpr int64_t kMaxClockHoldS = 24 * 3600;

int64_t whole_seconds(Nanoseconds duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

// Once, and again when they change.
void announce_warnings(Context& context, RunState& state) {
  std::string all;
  for (const ConfigWarning& warning : context.settings.warnings) all += warning.message + "\n";
  if (all == state.warnings) return;
  state.warnings = all;
  for (const ConfigWarning& warning : context.settings.warnings) {
    context.log.write({.level = LogLevel::kWarning,
                       .message = "Configuration warning",
                       .fields = {{"warning", warning.message}},
                       .message_id = kConfigWarning});
  }
}

// The hold, and by how many seconds the clock was found to be set ahead now.
struct ClockLook {
  int64_t hold_s, jump_s;
};

int64_t longest_hold_s(const Context& context) {
  return std::min(whole_seconds(context.settings.policy.retention), kMaxClockHoldS);
}

ClockLook look_at_clock(const Context& context, RunState& state) {
  const int64_t since_boot_s = whole_seconds(context.clock.monotonic());
  const int64_t jump_s = note_clock(state, context.clock.now().time_since_epoch().count(),
                                    since_boot_s, longest_hold_s(context));
  return {std::max<int64_t>(state.prune_hold_until_s - since_boot_s, 0), jump_s};
}

}  // namespace

// The container said this when it started; a timer's activations say it when there is news in it.
void announce_settings(Context& context, RunState& state) {
  const Policy& policy = context.settings.policy;
  const std::string creation = format_go_duration(policy.interval);
  const bool counted = context.settings.host.snapshots.retention_unit == RetentionUnit::kSnapshots;
  const std::string retention =
      counted ? std::to_string(policy.retention_number) : format_go_duration(policy.retention);
  if (creation != state.creation || retention != state.retention) {
    state.creation = creation;
    state.retention = retention;
    context.log.write({.message = "Initializing Rolling Backups",
                       .fields = {{"creation", creation}, {"retention", retention}},
                       .message_id = kInitializing});
  }
  announce_warnings(context, state);
}

int64_t watch_clock(Context& context, RunState& state) {
  const ClockLook look = look_at_clock(context, state);
  if (look.jump_s != 0) {
    context.log.write(
        {.level = LogLevel::kWarning,
         .message = "The clock was set ahead",
         .fields = {{"reason",
                     "set ahead by " + format_go_duration(std::chrono::seconds(look.jump_s))},
                    {"wait", format_go_duration(std::chrono::seconds(look.hold_s))}},
         .message_id = kPruneSkipped});
  }
  return look.hold_s;
}

RunState lost_state(const Context& context) {
  return lost_run_state(whole_seconds(context.clock.monotonic()), longest_hold_s(context));
}

int64_t clock_hold(const Context& context, RunState state) {
  return look_at_clock(context, state).hold_s;
}

}  // namespace etcd_snapshot
