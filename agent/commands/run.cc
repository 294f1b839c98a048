#include <unistd.h>

#include "base/exit_code.h"
#include "commands/commands.h"
#include "commands/registry.h"
#include "config/last_good.h"
#include "cycle.h"
#include "metrics/run_metrics.h"
#include "run/report.h"
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

// For the next cycle that cannot use its configuration. Only what has been of use is kept: the one
// that a snapshot was taken with, or that says that none is to be taken.
void keep_settings(const Call& call, int code) {
  // The mark is gone where the cycle has its snapshot, or none is asked for.
  const std::string mark = runtime_directory() + "/" + kUnfinishedFile;
  const bool finished = access(mark.c_str(), F_OK) != 0 && errno == ENOENT;
  const bool of_use = code == kExitOk || code == kExitRemote || (code != kExitBusy && finished);
  const Settings& settings = call.settings;
  if (!of_use || !settings.doubts.empty() || !settings.cluster_text || !has_last_good(call.paths)) {
    return;
  }
  const auto kept = keep_last_good(state_directory(), call.paths, settings);
  if (kept) return;
  call.context.log.write(
      {.level = LogLevel::kWarning,
       .message = "Couldn't keep the configuration for a cycle that cannot read it",
       .fields = {{"error", kept.error().message}}});
}

// Whoever watches the figures of this host shall see that its configuration is wrong, as long as
// the file that names their place can be read.
int fail_run(const Error& error, const FailedStart& start) {
  report_failure(start.log, error);
  const int code = exit_code(error.kind);
  const auto host = load_host_only(start.paths);
  if (!host) return code;
  Metrics figures;
  figures.exit_code = code;
  figures.last_good = false;
  record_run(*host, nullptr, start.host, start.clock, start.log, std::move(figures));
  return code;
}

int run_run(const Call& call) {
  Context& context = call.context;
  // `run` is somebody's only if the file that asks for it is there.
  if (!call.settings.policy_present) {
    clear_unfinished(runtime_directory());
    return fail_run(policy_missing(call.paths),
                    {call.paths, context.host, context.clock, context.log});
  }
  if (const auto& replaced = call.settings.replaced) {
    report_error(context.log, "The configuration cannot be used, going on with the last good one",
                 *replaced, kLastGoodUsed);
  }
  const int code = command_run(context);
  keep_settings(call, code);
  return code;
}

}  // namespace

Command make_run(CLI::App&) {
  return {.run = run_run, .fail = fail_run, .begin = [] { mark_unfinished(runtime_directory()); }};
}

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
