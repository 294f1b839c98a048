// Pruning the local directory: what the policy says of what lies there, and doing it. `run` and
// `prune` both use it; the rules themselves are in pruning/retention.h and pruning/history.h.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "etcd/client.h"
#include "pruning/history.h"
#include "pruning/retention.h"
#include "run/context.h"
#include "store/directory.h"

namespace etcd_snapshot {

struct PrunePlan {
  std::vector<StoredSnapshot> snapshots;     // newest first
  std::vector<RetentionDecision> decisions;  // one per snapshot
  std::optional<HistoryBreak> history_break;
  // Why the history is not known: it could not be read in full. Nothing goes then.
  std::optional<Error> unknown{};

  bool deletes(size_t i) const { return !decisions[i].keep; }
  // The first thing that could not be read: of the history, else of a file with a name of ours.
  Result<void> unread() const;
};

// What is known beside directory and settings.
struct PruneState {
  bool proven_this_cycle = false;
  bool cluster_healthy = true;
  bool making_room = false;
  bool space_short = false;
  bool clock_hold = false;
  bool doubt = false;                           // something else all rests on could not be read
  bool forget_accepted = false;                 // look for a break as if none had been accepted
  std::optional<UnixSeconds> as_if_accepted{};  // beside what was accepted
  // Whether the bucket has no need of the file here (any more); empty: no bucket is configured.
  std::function<bool(const StoredSnapshot&)> in_bucket{};
  // What the member just said of itself, before its snapshot is there: part of the history.
  const MemberStatus* member = nullptr;
};

// The policy as decide_retention() wants it, and one name as it sees it.
RetentionPolicy retention_policy(const Context& context);
RetentionEntry retention_entry(const std::string& file_name,
                               const std::optional<SnapshotName>& name, bool proven);

// Reads the directory and decides. Deletes nothing. What could not be read keeps everything, see
// PrunePlan::unknown; an error only where the directory itself could not be listed.
Result<PrunePlan> plan_prune(const Context& context, const SnapshotDirectory& directory,
                             const PruneState& state);

struct Pruned {
  int64_t deleted = 0;
  std::optional<Error> error;  // of the first that could not be deleted, or of `enough`
};

// Deletes what the plan says, oldest first; one that cannot be deleted does not keep the others.
// `enough` ends it early (may be empty), its error too. Logs each deletion.
Pruned carry_out(Context& context, SnapshotDirectory& directory, const PrunePlan& plan,
                 const std::function<Result<bool>()>& enough = {});

// Warnings of what keeps a plan from deleting: a break in the history, a clock that was set ahead
// and holds pruning for so many seconds.
void report_holds(Log& log, const PrunePlan& plan, int64_t clock_hold_s);

// The clock went back, or was ahead when they were taken: they stay, but sort before the newest.
void report_future(Log& log, const PrunePlan& plan);

}  // namespace etcd_snapshot
