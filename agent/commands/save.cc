#include "base/exit_code.h"
#include "commands/commands.h"
#include "offsite/offsite.h"
#include "run/report.h"
#include "run/take_snapshot.h"
#include "store/lock.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

Result<SnapshotOutcome> save(Context& context, const std::string& name, Offsite* offsite) {
  if (!name.empty()) ES_TRY(check_one_time_name(name));
  // Not beyond the snapshot: a bucket that hangs must not keep the timer's cycles away.
  const std::string& path = context.settings.host.snapshots.directory;
  ES_ASSIGN(lock, take_snapshot_lock(runtime_directory(), path));
  ES_ASSIGN(directory, SnapshotDirectory::open(path, true));
  if (lock.unsafe) {
    // The snapshot harms nobody; whose leftovers those are is not known.
    report_error(context.log, "Leftovers stay: another run cannot be ruled out", *lock.unsafe,
                 kUnread);
  } else {
    sweep_leftovers(context, directory);
  }
  SnapshotRequest request;
  request.kind = SnapshotKind::kOneTime;
  request.follower = offsite;
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

int command_save(Context& context, const std::string& name, bool upload) {
  if (context.settings.policy.timeout) {
    context.deadline = context.clock.monotonic() + *context.settings.policy.timeout;
  }
  // What keeps the bucket from being asked costs no snapshot: it is told where the upload is due.
  std::unique_ptr<Offsite> offsite;
  Result<void> uploaded;
  if (upload && !context.settings.policy.s3) {
    uploaded = doubt_error({context.settings.policy.s3_error});
  } else if (upload) {
    auto opened = Offsite::open(context, {.deadline = context.deadline});
    if (opened) {
      offsite = std::move(*opened);
    } else {
      uploaded = opened.take_error();
    }
  }
  const auto outcome = save(context, name, offsite.get());
  if (outcome) {
    report_created(context.log, *outcome);
    report_passed_over(context.log, outcome->passed_over);
    report_health(context.log, outcome->health, "");
    if (offsite) uploaded = offsite->upload(*outcome);
    if (uploaded) return kExitOk;
    report_failure(context.log, uploaded.error());
    return exit_code(uploaded.error().kind);
  }
  // A word of the command line is answered on the command line.
  if (outcome.error().kind == ErrorKind::kUsage) return print_error(outcome.error());
  report_failure(context.log, outcome.error());
  return exit_code(outcome.error().kind);
}

}  // namespace etcd_snapshot
