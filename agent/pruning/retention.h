// Which snapshots to keep: a pure function of entries, policy and time. Deletes nothing itself.
//
// Whatever the policy and the state say, these hold: what is not a recurring snapshot of this host
// is kept; so is what is dated in the future; the keep_last newest proven ones stay; and nothing
// goes unless a proven one that is strictly newer (and not dated in the future) stays. A clock that
// jumps can therefore cost old snapshots, but never the newest good one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/settings.h"

namespace etcd_snapshot {

// What the policy looks at, of one file.
struct RetentionEntry {
  std::string file_name;
  bool parses = false;  // by the grammar of store/names.h
  bool one_time = false;
  UnixSeconds time;       // from the name; meaningless where it does not parse
  std::string host;       // from the name
  bool proven = false;    // carries a manifest, or was proven just now
  bool in_bucket = true;  // false only where S3 is configured and the bucket lacks it
  bool unread = false;    // what tells whether it may go could not be read
};

struct RetentionPolicy {
  RetentionUnit unit = RetentionUnit::kHours;
  Nanoseconds retention{};  // kHours
  int64_t count = 0;        // kSnapshots
  int keep_last = 1;        // newest proven rolling snapshots that always stay; at least 1
  // Of this host, sanitize_host()ed, whether or not its own names carry it. Several hosts may share
  // a directory or folder: names that carry another host are kept as foreign, and each host counts
  // only its own. Names without a host count as its own.
  std::string host;
};

// What is known of this cycle.
struct RetentionState {
  UnixSeconds now;
  bool proven_this_cycle = false;  // the newest snapshot was taken and proven just now
  bool cluster_healthy = true;
  bool frozen = false;       // the history guard (pruning/history.h)
  bool doubt = false;        // the configuration, or something all decisions rest on, is in doubt
  bool clock_hold = false;   // the clock was set ahead a while ago: ages are not to be trusted
  bool space_short = false;  // entries the bucket lacks may go too
  bool making_room = false;  // before the stream: proven_this_cycle is not asked for
};

enum class RetentionReason {
  kForeign,       // keep: not a name of ours, or another host's
  kOneTime,       // keep: taken by hand
  kFuture,        // keep: dated in the future; does not count as the newest of anything
  kNewestProven,  // keep: one of the keep_last newest proven ones
  kNothingNewer,  // keep: no proven snapshot is newer
  kNotProven,     // keep: the newest snapshot was not proven in this cycle
  kUnhealthy,     // keep: the cluster is unhealthy
  kFrozen,        // keep: the history guard
  kDoubt,         // keep: what decides about all of them is in doubt
  kUnread,        // keep: what decides about this one could not be read
  kNotInBucket,   // keep: the bucket lacks it and there is room
  kYoung,         // keep: not older than the retention
  kCounted,       // keep: among the newest `count` rolling ones, proven or not
  kClockHold,     // keep: it would go, but for the hold after the clock was set ahead
  kExpired,       // delete: older than the retention
  kBeyondCount,   // delete: beyond the newest `count`
};

struct RetentionDecision {
  size_t index = 0;  // into the entries
  bool keep = true;
  RetentionReason reason = RetentionReason::kForeign;
};

// One decision per entry, in the order of the entries. The reasons are rules in the order above:
// the first that applies wins.
std::vector<RetentionDecision> decide_retention(const std::vector<RetentionEntry>& entries,
                                                const RetentionPolicy& policy,
                                                const RetentionState& state);

// The reason as an operator reads it in `prune --dry-run`.
std::string_view describe(RetentionReason reason);

}  // namespace etcd_snapshot
