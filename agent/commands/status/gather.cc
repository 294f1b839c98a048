#include "commands/status/gather.h"

#include <algorithm>

#include "base/go_duration.h"
#include "commands/status/bucket.h"
#include "pruning/local_prune.h"
#include "run/announcements.h"
#include "run/certificates.h"
#include "store/lock.h"
#include "store/ownership.h"
#include "store/run_state.h"
#include "store/space.h"

namespace etcd_snapshot {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

// Hosts that share a directory need not have the same second.
constexpr seconds kOthersClock{60};

// The directory as the policy sees it.
Result<PrunePlan> look_here(const Context& context, const SnapshotDirectory& directory,
                            StatusFacts& facts) {
  ES_ASSIGN(plan, plan_prune(context, directory, {.making_room = true}));
  facts.here.history_break = plan.history_break;
  facts.here.history_error = plan.unknown;
  return plan;
}

void note_space(const Context& context, const SnapshotDirectory& directory, const PrunePlan& plan,
                StatusFacts& facts) {
  StatusFacts::Here& here = facts.here;
  if (const auto space = directory.free_space()) here.space = *space;
  for (const StoredSnapshot& snapshot : plan.snapshots) {
    if (!snapshot.manifest) continue;
    here.next_bytes =
        estimate_archive_bytes(snapshot.manifest->database_bytes,
                               context.settings.host.snapshots.compression, plan.snapshots);
    break;
  }
  for (size_t i = 0; i < plan.snapshots.size(); ++i) {
    if (plan.deletes(i)) here.expired_bytes += plan.snapshots[i].size_bytes;
  }
}

std::vector<Wanted> note_snapshots(const PrunePlan& plan, const std::string& own_host,
                                   StatusFacts& facts) {
  std::vector<Wanted> wanted;
  for (size_t i = 0; i < plan.snapshots.size(); ++i) {
    const StoredSnapshot& snapshot = plan.snapshots[i];
    if (!snapshot.name) continue;
    ++facts.here.count;
    facts.here.size_bytes += snapshot.size_bytes;
    if (snapshot.unread) {
      ++facts.here.unread;
      if (!facts.here.unread_error) facts.here.unread_error = snapshot.unread;
    } else if (!snapshot.manifest) {
      ++facts.here.unproven;
    }
    if (snapshot.name->time > facts.now + kOthersClock) {
      ++facts.here.future;
      facts.here.future_example = snapshot.file_name;
    }
    if (!snapshot.manifest || !is_of_host(own_host, snapshot)) continue;
    wanted.push_back({.snapshot = &snapshot, .expired = plan.deletes(i)});
  }
  facts.here.others = proven_of_others(plan.snapshots, own_host);
  if (const auto* newest = newest_proven(plan.snapshots, own_host, facts.now, Kinds::kAll)) {
    facts.newest = {*newest, true, false};
  }
  return wanted;
}

// What the configuration does not say any more the last run may have left behind.
void note_last_interval(const RunState& state, StatusFacts& facts) {
  const auto interval = parse_go_duration(state.creation);
  facts.interval_known = interval && *interval > Nanoseconds(0);
  facts.interval = facts.interval_known ? *interval : Nanoseconds(hours(24));
}

void note_last_run(const RunState& state, StatusFacts& facts) {
  if (const auto finished = parse_rfc3339(state.finished)) {
    facts.last_run = {*finished, state.exit_code, false, state.snapshot};
    if (state.cluster) {
      facts.cluster = {state.cluster->alarms, state.cluster->reason, state.cluster->learner};
    }
  }
  if (!facts.schedule || !facts.schedule->service.finished) return;
  // What ends before there is a state to write, or is killed, only systemd knows.
  const ServiceState& service = facts.schedule->service;
  if (facts.last_run && facts.last_run->finished > *service.finished) return;
  const bool same =
      facts.last_run && service.started && facts.last_run->finished >= *service.started;
  const bool killed =
      service.result != "success" && service.result != "exit-code" && service.exit_status < 128;
  facts.last_run = {*service.finished, service.exit_status, killed, same ? state.snapshot : ""};
}

}  // namespace

StatusFacts gather_status(Context& context, std::optional<Nanoseconds> max_age,
                          const std::optional<Error>& config_error,
                          std::optional<ScheduleState> schedule) {
  const Policy& policy = context.settings.policy;
  StatusFacts facts;
  facts.host = context.host;
  facts.since_boot = context.clock.monotonic();
  facts.config_error = config_error;
  for (const ConfigWarning& doubt : context.settings.doubts) facts.doubts.push_back(doubt.message);
  facts.bucket_aside = !policy.s3_error.empty();
  facts.recurring = policy.recurring && !config_error;
  facts.off_on_purpose = policy.off_on_purpose;
  facts.off_reason = policy.off_reason;
  facts.interval = policy.interval;
  facts.max_age = max_age;
  facts.schedule = std::move(schedule);
  facts.here.directory = context.settings.host.snapshots.directory;

  Result<SnapshotDirectory> directory = Error{};
  PrunePlan plan;
  std::vector<Wanted> wanted;
  const std::string own_host = sanitize_host(context.host);
  if (!facts.here.directory.empty()) {
    directory = SnapshotDirectory::open(facts.here.directory, false);
    auto looked =
        directory ? look_here(context, *directory, facts) : Result<PrunePlan>(directory.error());
    // After the directory was read: what was taken meanwhile is none of the future.
    facts.now = context.clock.now();
    if (looked) {
      plan = std::move(*looked);
      wanted = note_snapshots(plan, own_host, facts);
      note_space(context, *directory, plan, facts);
    } else if (looked.error().code == ENOENT) {
      facts.here.missing = true;
    } else {
      facts.here.error = looked.take_error();
    }
  }
  facts.now = context.clock.now();
  if (!config_error) {
    for (const UsedCertificate& certificate : used_certificates(context.settings, facts.now)) {
      std::string warning = expiry_warning(certificate, facts.now);
      if (!warning.empty()) facts.certificates.push_back(std::move(warning));
    }
  }
  if (policy.s3) note_bucket(context, directory ? &*directory : nullptr, wanted, facts);
  auto read = read_run_state(runtime_directory());
  const RunState state = read ? std::move(*read) : RunState();
  if (!read) facts.here.state_error = read.take_error();
  if (config_error) note_last_interval(state, facts);
  note_last_run(state, facts);
  facts.here.clock_hold_s = clock_hold(context, state);
  return facts;
}

}  // namespace etcd_snapshot
