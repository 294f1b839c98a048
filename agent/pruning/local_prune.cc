#include "pruning/local_prune.h"

#include <algorithm>

#include "base/go_duration.h"
#include "store/ownership.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

std::optional<HistoryBreak> look_for_break(const Context& context,
                                           const std::vector<StoredSnapshot>& snapshots,
                                           std::optional<UnixSeconds> accepted,
                                           const MemberStatus* member) {
  const UnixSeconds now = context.clock.now();
  const std::string own_host = sanitize_host(context.host);
  if (member == nullptr) return find_history_break(snapshots, accepted, now, own_host);
  // The snapshot that is about to be taken, as it will stand there.
  StoredSnapshot next;
  next.name.emplace();
  next.name->base = "the member now";
  next.name->time = now;
  next.manifest.emplace();
  next.manifest->cluster_id = member->cluster_id;
  next.manifest->revision = member->revision;
  next.manifest->host = context.host;
  std::vector<StoredSnapshot> with_next = snapshots;
  with_next.push_back(std::move(next));
  return find_history_break(with_next, accepted, now, own_host);
}

}  // namespace

RetentionPolicy retention_policy(const Context& context) {
  RetentionPolicy policy;
  policy.unit = context.settings.host.snapshots.retention_unit;
  policy.retention = context.settings.policy.retention;
  policy.count = context.settings.policy.retention_number;
  policy.keep_last = context.settings.host.snapshots.keep_last;
  policy.host = sanitize_host(context.host);
  return policy;
}

RetentionEntry retention_entry(const std::string& file_name,
                               const std::optional<SnapshotName>& name, bool proven) {
  RetentionEntry entry;
  entry.file_name = file_name;
  entry.proven = proven;
  if (name) {
    entry.parses = true;
    entry.one_time = name->kind == SnapshotKind::kOneTime;
    entry.time = name->time;
    entry.host = name->host;
  }
  return entry;
}

Result<void> PrunePlan::unread() const {
  if (unknown) return *unknown;
  for (const StoredSnapshot& snapshot : snapshots) {
    if (snapshot.unread && snapshot.name) return *snapshot.unread;
  }
  return {};
}

Result<PrunePlan> plan_prune(const Context& context, const SnapshotDirectory& directory,
                             const PruneState& state) {
  PrunePlan plan;
  ES_ASSIGN(snapshots, directory.list());
  plan.snapshots = std::move(snapshots);
  std::optional<UnixSeconds> accepted;
  bool accepted_known = true;
  plan.unknown = find_unread(plan.snapshots, context.clock.now());
  if (!state.forget_accepted) {
    auto read = read_accepted_history(directory);
    if (read) {
      accepted = *read;
    } else {
      accepted_known = false;
      plan.unknown = read.take_error();
    }
  }
  if (state.as_if_accepted) {
    accepted = std::max(accepted.value_or(*state.as_if_accepted), *state.as_if_accepted);
  }
  // Against what was accepted, unknown, any break would do.
  if (accepted_known) {
    plan.history_break = look_for_break(context, plan.snapshots, accepted, state.member);
  }

  const std::string own_host = sanitize_host(context.host);
  std::vector<RetentionEntry> entries;
  entries.reserve(plan.snapshots.size());
  for (const StoredSnapshot& snapshot : plan.snapshots) {
    entries.push_back(
        retention_entry(snapshot.file_name, snapshot.name, snapshot.manifest.has_value()));
    entries.back().unread = snapshot.unread.has_value();
    // A name without a host may be another's all the same: its manifest tells.
    if (snapshot.name && !is_of_host(own_host, snapshot)) {
      const std::string owner = owner_of(*snapshot.name, snapshot.manifest);
      entries.back().host = owner == own_host ? snapshot.name->host : owner;
    }
    if (state.in_bucket) entries.back().in_bucket = state.in_bucket(snapshot);
  }

  RetentionState retention;
  retention.now = context.clock.now();
  retention.proven_this_cycle = state.proven_this_cycle;
  retention.cluster_healthy = state.cluster_healthy;
  retention.frozen = plan.history_break.has_value();
  retention.space_short = state.space_short;
  retention.making_room = state.making_room;
  retention.clock_hold = state.clock_hold;
  retention.doubt = !context.settings.doubts.empty() || state.doubt || plan.unknown.has_value();
  plan.decisions = decide_retention(entries, retention_policy(context), retention);
  return plan;
}

Pruned carry_out(Context& context, SnapshotDirectory& directory, const PrunePlan& plan,
                 const std::function<Result<bool>()>& enough) {
  Pruned pruned;
  for (size_t i = plan.snapshots.size(); i-- > 0;) {
    if (!plan.deletes(i)) continue;
    if (enough) {
      auto done = enough();
      if (!done && !pruned.error) pruned.error = done.take_error();
      if (!done || *done) break;
    }
    const StoredSnapshot& snapshot = plan.snapshots[i];
    auto removed = directory.remove(snapshot.file_name);
    if (removed) {
      ++pruned.deleted;
      context.log.write({.message = "Deleted local backup",
                         .fields = {{"name", snapshot.name->base}},
                         .message_id = kDeletedLocal});
    } else if (removed.error().code == ENOENT) {
      continue;  // another host that shares the directory was faster
    } else if (!pruned.error) {
      pruned.error = removed.take_error();
    }
  }
  return pruned;
}

void report_holds(Log& log, const PrunePlan& plan, int64_t clock_hold_s) {
  if (plan.history_break) {
    log.write({.level = LogLevel::kWarning,
               .message = "Nothing is pruned: the history of the cluster changed",
               .fields = {{"reason", describe(*plan.history_break)},
                          {"hint",
                           "if you restored or rebuilt the cluster on purpose: etcd-snapshot prune "
                           "--accept-history"}},
               .message_id = kFrozen});
  }
  const bool held = std::any_of(plan.decisions.begin(), plan.decisions.end(), [](const auto& d) {
    return d.reason == RetentionReason::kClockHold;
  });
  if (!held) return;
  log.write({.level = LogLevel::kWarning,
             .message = "Nothing is pruned for a while: the clock was set ahead",
             .fields = {{"reason", "the ages of backups cannot be trusted"},
                        {"wait", format_go_duration(std::chrono::seconds(clock_hold_s))}},
             .message_id = kPruneSkipped});
}

void report_future(Log& log, const PrunePlan& plan) {
  size_t count = 0;
  std::string example;
  for (const RetentionDecision& decision : plan.decisions) {
    if (decision.reason != RetentionReason::kFuture) continue;
    ++count;
    example = plan.snapshots[decision.index].name->base;
  }
  if (count == 0) return;
  log.write({.level = LogLevel::kWarning,
             .message = "Backups are dated in the future and stay, check the clock",
             .fields = {{"count", std::to_string(count)}, {"name", example}}});
}

}  // namespace etcd_snapshot
