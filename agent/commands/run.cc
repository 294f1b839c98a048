#include "base/exit_code.h"
#include "commands/commands.h"
#include "cycle.h"
#include "run_metrics.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {

int command_run(Context& context) {
  const Policy& policy = context.settings.policy;
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
    Metrics figures;
    figures.exit_code = kExitOk;
    record_run(context.settings.host, &policy, context.host, context.clock, context.log,
               std::move(figures));
    return kExitOk;
  }
  if (policy.timeout) context.deadline = context.clock.monotonic() + *policy.timeout;
  return run_cycle(context);
}

}  // namespace etcd_snapshot
