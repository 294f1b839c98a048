#include "prune.h"

#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/human.h"
#include "commands/commands.h"
#include "commands/table.h"
#include "store/lock.h"

namespace etcd_snapshot {
namespace {

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

Result<void> prune(Context& context, bool dry_run, bool accept) {
  // No snapshot is taken here, so "proven in this cycle" is not asked for: what goes is older than
  // a proven one that stays, whenever that one was taken. The cluster is not asked either.
  constexpr PruneState kByHand{.cluster_healthy = true, .making_room = true};
  UniqueFd lock;
  if (!dry_run) {
    ES_ASSIGN(taken, take_run_lock(runtime_directory()));
    lock = std::move(taken);
  }
  ES_ASSIGN(directory, SnapshotDirectory::open(context.settings.host.snapshots.directory, false));
  if (accept && !dry_run && !read_accepted_history(directory)) {
    // Damaged: nothing is known to be accepted, and the operator says so now.
    ES_TRY(accept_history(directory, context.clock.now()));
  }
  ES_ASSIGN(plan, plan_prune(context, directory, kByHand));
  if (accept && plan.history_break) {
    fmt::print("{}\n", describe(*plan.history_break));
    if (dry_run) {
      fmt::print("without --dry-run this would be accepted\n");
    } else {
      ES_TRY(accept_history(directory, parse_snapshot_name(plan.history_break->newer)->time));
      fmt::print("accepted: what was taken before is pruned by the retention again\n");
      ES_ASSIGN(again, plan_prune(context, directory, kByHand));
      plan = std::move(again);
    }
  } else if (accept) {
    fmt::print("the history of these snapshots is unbroken, there is nothing to accept\n");
  } else if (plan.history_break) {
    fmt::print(
        "{}\nnothing is pruned until you accept that: etcd-snapshot prune --accept-history\n",
        describe(*plan.history_break));
  }
  if (dry_run) {
    print_plan(plan, context.clock.now());
    return {};
  }
  ES_TRY(carry_out(context, directory, plan));
  size_t deleted = 0;
  for (size_t i = 0; i < plan.snapshots.size(); ++i) deleted += plan.deletes(i) ? 1 : 0;
  fmt::print("{} deleted, {} kept (see why: etcd-snapshot prune --dry-run)\n", deleted,
             plan.snapshots.size() - deleted);
  return {};
}

}  // namespace

int command_prune(Context& context, bool dry_run, bool accept) {
  const auto done = prune(context, dry_run, accept);
  return done ? kExitOk : print_error(done.error());
}

}  // namespace etcd_snapshot
