#include "base/exit_code.h"
#include "commands/commands.h"
#include "cycle.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {

int command_run(Context& context) {
  const Policy& policy = context.settings.policy;
  if (!policy.recurring) {
    context.log.write({.message = "Recurring backups are turned off",
                       .fields = {{"reason", policy.off_reason}},
                       .message_id = kRecurringOff});
    return kExitOk;
  }
  if (policy.timeout) context.deadline = context.clock.monotonic() + *policy.timeout;
  return run_cycle(context);
}

}  // namespace etcd_snapshot
