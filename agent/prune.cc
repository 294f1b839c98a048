#include "prune.h"

#include "systemd/message_ids.h"

namespace etcd_snapshot {

Result<PrunePlan> plan_prune(const Context& context, const SnapshotDirectory& directory,
                             const PruneState& state) {
  PrunePlan plan;
  ES_ASSIGN(snapshots, directory.list());
  plan.snapshots = std::move(snapshots);
  ES_ASSIGN(accepted, read_accepted_history(directory));
  plan.history_break = find_history_break(plan.snapshots, accepted, context.clock.now());

  std::vector<RetentionEntry> entries;
  entries.reserve(plan.snapshots.size());
  for (const StoredSnapshot& snapshot : plan.snapshots) {
    RetentionEntry entry;
    entry.file_name = snapshot.file_name;
    entry.proven = snapshot.manifest.has_value();
    // Nothing is uploaded yet: the bucket, where there is one, lacks everything.
    entry.in_bucket = !context.settings.policy.s3.has_value();
    if (snapshot.name) {
      entry.parses = true;
      entry.one_time = snapshot.name->kind == SnapshotKind::kOneTime;
      entry.time = snapshot.name->time;
      entry.host = snapshot.name->host;
    }
    entries.push_back(std::move(entry));
  }

  RetentionPolicy policy;
  policy.unit = context.settings.host.snapshots.retention_unit;
  policy.retention = context.settings.policy.retention;
  policy.count = context.settings.policy.retention_number;
  policy.keep_last = context.settings.host.snapshots.keep_last;
  policy.host = sanitize_host(context.host);

  RetentionState retention;
  retention.now = context.clock.now();
  retention.proven_this_cycle = state.proven_this_cycle;
  retention.cluster_healthy = state.cluster_healthy;
  retention.frozen = plan.history_break.has_value();
  retention.space_short = state.space_short;
  retention.making_room = state.making_room;
  plan.decisions = decide_retention(entries, policy, retention);
  return plan;
}

Result<void> carry_out(Context& context, SnapshotDirectory& directory, const PrunePlan& plan,
                       const std::function<bool()>& enough) {
  std::optional<Error> first;
  for (size_t i = plan.snapshots.size(); i-- > 0;) {
    if (!plan.deletes(i)) continue;
    if (enough && enough()) break;
    const StoredSnapshot& snapshot = plan.snapshots[i];
    auto removed = directory.remove(snapshot.file_name);
    if (removed) {
      context.log.write({.message = "Deleted local backup",
                         .fields = {{"name", snapshot.name->base}},
                         .message_id = kDeletedLocal});
    } else if (!first) {
      first = removed.take_error();
    }
  }
  if (first) return std::move(*first);
  return {};
}

}  // namespace etcd_snapshot
