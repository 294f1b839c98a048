#include "pruning/local_prune.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/exit_code.h"
#include "base/human.h"
#include "commands/commands.h"
#include "commands/registry.h"
#include "commands/table.h"
#include "offsite/offsite.h"
#include "run/announcements.h"
#include "run/report.h"
#include "store/lock.h"
#include "store/run_state.h"

namespace etcd_snapshot {
namespace {

struct PruneOptions {
  bool dry_run = false;
  bool accept_history = false;
};

void print_plan(const PrunePlan& plan, UnixSeconds now) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "AGE", "SIZE", "ACTION", "REASON"}};
  for (size_t i = 0; i < plan.snapshots.size(); ++i) {
    const StoredSnapshot& snapshot = plan.snapshots[i];
    rows.push_back({snapshot.file_name, snapshot.name ? human_age(now - snapshot.name->time) : "-",
                    human_bytes(snapshot.size_bytes), plan.deletes(i) ? "delete" : "keep",
                    std::string(describe(plan.decisions[i].reason))});
  }
  fmt::print("{}", format_table(rows));
}

// Without a word about the retention in cluster.yml there is nothing to prune by: a file that was
// moved away for a minute must not make a day of what was a month.
Result<void> check_retention_is_set(const Settings& settings) {
  const Policy& policy = settings.policy;
  if (settings.policy_present && (policy.recurring || !policy.retention_text.empty())) return {};
  return Error{
      ErrorKind::kConfig,
      settings.policy_present ? "no retention is set: " + policy.off_reason
                              : std::string("no retention is set: cluster.yml is not there"),
      "nothing is pruned by a default; write backup_config.retention into cluster.yml", false, 0};
}

// Nothing is deleted in doubt, and no break in the history accepted.
Result<void> check_no_doubt(const Settings& settings) {
  if (settings.doubts.empty()) return {};
  Error error = doubt_error(settings.doubts.front());
  error.message = "nothing is deleted: " + error.message;
  return error;
}

// Asked when the ages are. Whoever has the run lock notes what it finds, as a cycle does: where
// none runs, pruning would wait without end. Where the state cannot be read nothing is written
// either: a run does that.
Result<bool> clock_holds(Context& context, bool locked) {
  ES_ASSIGN(state, read_run_state(runtime_directory()));
  if (!locked) return clock_hold(context, state) > 0;
  const int64_t noted = state.prune_hold_until_s;
  const bool holds = watch_clock(context, state) > 0;
  if (state.prune_hold_until_s != noted) {
    // What cannot be written costs a longer wait.
    if (auto written = write_run_state(runtime_directory(), state); !written) return true;
  }
  return holds;
}

// No snapshot is taken here, so "proven in this cycle" is not asked for: what goes is older than a
// proven one that stays, whenever that one was taken. The cluster is not asked either.
Result<PruneState> state_by_hand(Context& context, bool locked) {
  ES_ASSIGN(holds, clock_holds(context, locked));
  return PruneState{.cluster_healthy = true, .making_room = true, .clock_hold = holds};
}

// Shows the break that was found and, unless `dry_run`, lets it count as known from now on.
Result<void> accept(const SnapshotDirectory& directory, const PrunePlan& plan,
                    const PruneState& state, bool dry_run) {
  if (!plan.history_break) {
    if (plan.unknown) return *plan.unknown;
    fmt::print("the history of these snapshots is unbroken, there is nothing to accept\n");
    // Written anew all the same: as it is, it keeps everything from being pruned.
    return state.forget_accepted && !dry_run ? accept_history(directory, UnixSeconds())
                                             : Result<void>();
  }
  fmt::print("{}\n", describe(*plan.history_break));
  if (dry_run) {
    fmt::print("without --dry-run this would be accepted, and what follows done\n");
    return {};
  }
  ES_TRY(accept_history(directory, parse_snapshot_name(plan.history_break->newer)->time));
  fmt::print("accepted: what was taken before is pruned by the retention again\n");
  return {};
}

// What `prune` found in the bucket, to be printed below what it found here.
struct BucketHalf {
  std::vector<std::vector<std::string>> rows;  // --dry-run
  RemotePruner::Outcome outcome;
};

Result<BucketHalf> prune_bucket(Context& context, SnapshotDirectory& directory, Offsite& offsite,
                                bool dry_run) {
  BucketHalf half;
  Offsite::State state;
  std::optional<Error> unknown;
  state.clock_holds = [&] {
    auto holds = clock_holds(context, false);
    if (!holds) unknown = holds.take_error();
    return !holds || *holds;
  };
  state.cluster_healthy = true;
  const UnixSeconds now = context.clock.now();
  if (dry_run) {
    state.dry_run = [&](const RemoteObject& object, const RetentionDecision& decision) {
      const auto name = parse_snapshot_name(object.file_name);
      half.rows.push_back({object.file_name, name ? human_age(now - name->time) : "-",
                           human_bytes(object.size_bytes), decision.keep ? "keep" : "delete",
                           std::string(describe(decision.reason))});
    };
  }
  ES_ASSIGN(outcome, offsite.prune(directory, state));
  half.outcome = std::move(outcome);
  if (!half.outcome.error) half.outcome.error = std::move(unknown);
  std::sort(half.rows.begin(), half.rows.end(), [](const auto& a, const auto& b) { return a > b; });
  return half;
}

// A bucket was asked, and a run may be taking its snapshot meanwhile. `undone`: what is not, then.
Result<UniqueFd> wait_for_directory(Context& context, const std::string& undone) {
  auto lock = wait_for_lock(take_run_lock, runtime_directory(), context.clock,
                            context.clock.monotonic() + kLockPatience);
  if (lock || lock.error().kind != ErrorKind::kBusy) return lock;
  Error error = lock.take_error();
  error.message = undone + ": " + error.message;
  error.hint = "run it again when that one has ended";
  return error;
}

// The same, and once more where the operator accepts what holds it.
Result<BucketHalf> prune_bucket_accepting(Context& context, SnapshotDirectory& directory,
                                          Offsite& offsite, const PruneOptions& options) {
  ES_ASSIGN(half, prune_bucket(context, directory, offsite, options.dry_run));
  if (!options.accept_history || !half.outcome.history_break) return half;
  fmt::print("in the bucket: {}\n", describe(*half.outcome.history_break));
  if (options.dry_run) {
    fmt::print("without --dry-run this would be accepted, and what follows done\n");
    return half;
  }
  // Up to the snapshot that it was measured by, and no further.
  const auto newer = parse_snapshot_name(half.outcome.history_break->newer);
  ES_ASSIGN(lock, wait_for_directory(context, "nothing was accepted"));
  ES_TRY(accept_history(directory, newer ? newer->time : context.clock.now()));
  lock.reset();
  fmt::print("accepted: what was taken before is pruned by the retention again\n");
  return prune_bucket(context, directory, offsite, options.dry_run);
}

Result<void> print_bucket(const Offsite& offsite, BucketHalf half, bool dry_run) {
  const RemotePruner::Outcome& outcome = half.outcome;
  if (dry_run) {
    half.rows.insert(half.rows.begin(), {"IN THE BUCKET", "AGE", "SIZE", "ACTION", "REASON"});
    fmt::print("\n{}", format_table(half.rows));
  } else {
    fmt::print("{} deleted in {}, {} kept\n", outcome.deleted, offsite.bucket().display(),
               outcome.kept);
  }
  if (outcome.history_break) {
    fmt::print(
        "in the bucket: {}\nnothing is pruned there until you accept that: etcd-snapshot prune "
        "--accept-history\n",
        describe(*outcome.history_break));
  }
  if (!outcome.nothing_goes.empty()) {
    fmt::print("nothing is pruned in the bucket: {}\n", outcome.nothing_goes);
  }
  if (outcome.locked > 0) {
    fmt::print("{} stay, because the bucket locks them (such as {})\n", outcome.locked,
               outcome.locked_example);
  }
  if (outcome.error) return *outcome.error;
  return {};
}

// The half that is here. `state` knows of the bucket what there is to know.
Result<void> prune_here(Context& context, SnapshotDirectory& directory, const PruneState& state,
                        const PruneOptions& options) {
  ES_ASSIGN(plan, plan_prune(context, directory, state));
  if (plan.history_break && !options.accept_history) {
    fmt::print(
        "{}\nnothing is pruned until you accept that: etcd-snapshot prune --accept-history\n",
        describe(*plan.history_break));
  }
  if (options.dry_run) {
    print_plan(plan, context.clock.now());
    return plan.unread();
  }
  Pruned pruned = carry_out(context, directory, plan);
  if (pruned.error) return std::move(*pruned.error);
  const auto expired = std::count_if(plan.decisions.begin(), plan.decisions.end(),
                                     [](const RetentionDecision& d) { return !d.keep; });
  fmt::print("{} deleted, {} kept (see why: etcd-snapshot prune --dry-run)\n", pruned.deleted,
             static_cast<int64_t>(plan.snapshots.size()) - expired);
  return plan.unread();
}

// The bucket first: only then is it known what it lacks. Without a lock of the directory, as it may
// take its time.
Result<void> prune_both(Context& context, SnapshotDirectory& directory, PruneState state,
                        const PruneOptions& options) {
  ES_ASSIGN(offsite, Offsite::open(context, Offsite::of_a_command(context.clock)));
  auto remote = prune_bucket_accepting(context, directory, *offsite, options);
  state.in_bucket = [&](const StoredSnapshot& snapshot) { return offsite->released(snapshot); };
  if (!remote && remote.error().kind == ErrorKind::kCancelled) return remote.take_error();
  Result<UniqueFd> lock = UniqueFd();
  if (!options.dry_run) lock = wait_for_directory(context, "nothing was pruned here");
  auto here = [&]() -> Result<void> {
    if (!lock) return lock.take_error();
    ES_ASSIGN(holds, clock_holds(context, !options.dry_run));
    state.clock_hold = holds;
    return prune_here(context, directory, state, options);
  }();
  // What went wrong here goes before what went wrong there, but both halves are told.
  const auto there = remote ? print_bucket(*offsite, std::move(*remote), options.dry_run)
                            : Result<void>(remote.error());
  return here ? there : here;
}

Result<void> prune(Context& context, const PruneOptions& options) {
  if (!options.dry_run) ES_TRY(check_no_doubt(context.settings));
  ES_TRY(check_retention_is_set(context.settings));
  const bool bucket = context.settings.policy.s3.has_value();
  UniqueFd bucket_lock, lock;
  if (!options.dry_run && bucket) {
    ES_ASSIGN(taken, take_bucket_lock(runtime_directory()));
    bucket_lock = std::move(taken);
  }
  if (!options.dry_run) {
    ES_ASSIGN(taken, take_run_lock(runtime_directory()));
    lock = std::move(taken);
  }
  ES_ASSIGN(directory, SnapshotDirectory::open(context.settings.host.snapshots.directory, false));
  ES_ASSIGN(state, state_by_hand(context, !options.dry_run));
  if (options.accept_history) {
    // Damaged content says nothing, and the operator decides anew; a file that cannot be read (its
    // error has an errno) stays an error.
    const auto accepted = read_accepted_history(directory);
    state.forget_accepted = !accepted && accepted.error().code == 0;
    ES_ASSIGN(before, plan_prune(context, directory, state));
    ES_TRY(accept(directory, before, state, options.dry_run));
    state.forget_accepted = state.forget_accepted && options.dry_run;
    // The table shows what accepting would let go.
    if (options.dry_run && before.history_break) {
      state.as_if_accepted = parse_snapshot_name(before.history_break->newer)->time;
    }
  }
  if (!bucket) return prune_here(context, directory, state, options);
  lock.reset();
  return prune_both(context, directory, std::move(state), options);
}

int command_prune(Context& context, const PruneOptions& options) {
  auto done = prune(context, options);
  if (done && options.dry_run) done = check_no_doubt(context.settings);
  return done ? kExitOk : print_error(done.error());
}

}  // namespace

Command make_prune(CLI::App& app) {
  const auto options = std::make_shared<PruneOptions>();
  app.add_flag("--dry-run", options->dry_run,
               "print what would be deleted and why the rest stays, delete nothing");
  app.add_flag("--accept-history", options->accept_history,
               "prune again after the cluster changed or its revision went back");
  return {.run = [options](const Call& call) { return command_prune(call.context, *options); }};
}

}  // namespace etcd_snapshot
