#include "base/exit_code.h"
#include "commands/commands.h"
#include "report.h"
#include "snapshot.h"
#include "store/lock.h"

namespace etcd_snapshot {
namespace {

Result<SnapshotOutcome> save(Context& context, const std::string& name) {
  if (!name.empty()) ES_TRY(check_one_time_name(name));
  ES_ASSIGN(lock, take_run_lock(runtime_directory()));
  ES_ASSIGN(directory, SnapshotDirectory::open(context.settings.host.snapshots.directory, true));
  sweep_leftovers(context, directory);
  SnapshotRequest request;
  request.kind = SnapshotKind::kOneTime;
  if (name.empty()) {
    ES_ASSIGN(free, find_free_name(context.clock, directory, [&](UnixSeconds time) {
                return one_time_name(time, context.settings.policy.safe_timestamp);
              }));
    request.base = free.base;
    request.time = free.time;
  } else {
    ES_ASSIGN(taken, directory.taken(name));
    if (taken) {
      return Error{ErrorKind::kUsage,
                   "there is already a snapshot '" + name + "' in " + directory.path(),
                   "choose another name; nothing is overwritten", false, EEXIST};
    }
    request.base = name;
    request.time = context.clock.now();
  }
  return take_snapshot(context, directory, request);
}

}  // namespace

int command_save(Context& context, const std::string& name) {
  if (context.settings.policy.timeout) {
    context.deadline = context.clock.monotonic() + *context.settings.policy.timeout;
  }
  const auto outcome = save(context, name);
  if (outcome) {
    report_created(context.log, *outcome);
    report_passed_over(context.log, outcome->passed_over);
    report_health(context.log, outcome->health, "");
    return kExitOk;
  }
  // A word of the command line is answered on the command line.
  if (outcome.error().kind == ErrorKind::kUsage) return print_error(outcome.error());
  report_failure(context.log, outcome.error());
  return exit_code(outcome.error().kind);
}

}  // namespace etcd_snapshot
