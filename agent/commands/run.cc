#include "base/exit_code.h"
#include "commands/commands.h"
#include "cycle.h"
#include "metrics/run_metrics.h"
#include "store/lock.h"
#include "store/run_state.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {

namespace {

int record_off(Context& context, int code) {
  clear_unfinished(runtime_directory());
  Metrics figures;
  figures.exit_code = code;
  figures.last_good = context.settings.replaced.has_value();
  record_run(context.settings.host, &context.settings.policy, context.host, context.clock,
             context.log, std::move(figures));
  return code;
}

}  // namespace

int command_run(Context& context) {
  const Policy& policy = context.settings.policy;
  if (!policy.recurring && context.settings.replaced) {
    // Off they are, as far as is known; that a file cannot be used was told.
    return record_off(context, kExitConfig);
  }
  if (!policy.recurring) {
    // Where nothing is deleted anyway, a doubt is no more than a warning.
    for (const ConfigWarning& doubt : context.settings.doubts) {
      context.log.write({.level = LogLevel::kWarning,
                         .message = "Configuration warning",
                         .fields = {{"warning", doubt.message}},
                         .message_id = kConfigWarning});
    }
    context.log.write({.message = "Recurring backups are turned off",
                       .fields = {{"reason", policy.off_reason}},
                       .message_id = kRecurringOff});
    return record_off(context, kExitOk);
  }
  if (policy.timeout) context.deadline = context.clock.monotonic() + *policy.timeout;
  return run_cycle(context);
}

}  // namespace etcd_snapshot
