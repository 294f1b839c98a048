#include "pruning/retention.h"

#include <algorithm>

namespace etcd_snapshot {
namespace {

class Decider {
 public:
  Decider(const std::vector<RetentionEntry>& entries, const RetentionPolicy& policy,
          const RetentionState& state)
      : entries_(entries), policy_(policy), state_(state) {
    rank();
  }

  RetentionDecision decide(size_t index) const {
    const RetentionReason reason = reason_of(index);
    const bool keep =
        reason != RetentionReason::kExpired && reason != RetentionReason::kBeyondCount;
    return {index, keep, reason};
  }

 private:
  bool is_own(const RetentionEntry& entry) const {
    return entry.parses && (entry.host.empty() || entry.host == policy_.host);
  }
  bool is_future(const RetentionEntry& entry) const { return entry.time > state_.now; }

  // Finds the newest own rolling snapshots. Those dated in the future take no place among them:
  // after a clock that ran ahead was set back, they would stand for the newest for a long time, and
  // what is really the newest would lose its protection.
  void rank() {
    std::vector<size_t> newest_first;
    for (size_t i = 0; i < entries_.size(); ++i) {
      const RetentionEntry& entry = entries_[i];
      if (is_own(entry) && !entry.one_time && !is_future(entry)) newest_first.push_back(i);
    }
    std::sort(newest_first.begin(), newest_first.end(), [this](size_t a, size_t b) {
      const RetentionEntry &left = entries_[a], &right = entries_[b];
      return left.time != right.time ? left.time > right.time : left.file_name > right.file_name;
    });
    position_.assign(entries_.size(), entries_.size());
    floor_.assign(entries_.size(), false);
    size_t position = 0;
    int left = std::max(policy_.keep_last, 1);
    for (const size_t i : newest_first) {
      position_[i] = position++;
      if (!entries_[i].proven) continue;
      newest_proven_ = std::max(newest_proven_, entries_[i].time);
      if (left > 0) {
        floor_[i] = true;
        --left;
      }
    }
  }

  RetentionReason reason_of(size_t index) const {
    const RetentionEntry& entry = entries_[index];
    if (!is_own(entry)) return RetentionReason::kForeign;
    if (entry.one_time) return RetentionReason::kOneTime;
    if (is_future(entry)) return RetentionReason::kFuture;
    if (floor_[index]) return RetentionReason::kNewestProven;
    if (newest_proven_ <= entry.time) return RetentionReason::kNothingNewer;
    if (!state_.proven_this_cycle && !state_.making_room) return RetentionReason::kNotProven;
    if (!state_.cluster_healthy) return RetentionReason::kUnhealthy;
    if (state_.frozen) return RetentionReason::kFrozen;
    if (state_.doubt) return RetentionReason::kDoubt;
    if (entry.unread) return RetentionReason::kUnread;
    if (!entry.in_bucket && !state_.space_short) return RetentionReason::kNotInBucket;
    if (policy_.unit == RetentionUnit::kSnapshots) {
      const auto count = static_cast<uint64_t>(std::max<int64_t>(policy_.count, 0));
      if (position_[index] < count) return RetentionReason::kCounted;
      return state_.clock_hold ? RetentionReason::kClockHold : RetentionReason::kBeyondCount;
    }
    // RKE's rule: beyond the retention, not at it. In whole seconds, as the age is, and because
    // nanoseconds would overflow after 292 years of a clock gone wrong.
    const auto limit = std::chrono::floor<std::chrono::seconds>(policy_.retention);
    if (state_.now - entry.time <= limit) return RetentionReason::kYoung;
    return state_.clock_hold ? RetentionReason::kClockHold : RetentionReason::kExpired;
  }

  const std::vector<RetentionEntry>& entries_;
  const RetentionPolicy& policy_;
  const RetentionState& state_;
  std::vector<size_t> position_;  // among the own rolling snapshots, 0 = newest
  std::vector<bool> floor_;       // one of the keep_last newest proven
  UnixSeconds newest_proven_ = UnixSeconds::min();
};

}  // namespace

std::vector<RetentionDecision> decide_retention(const std::vector<RetentionEntry>& entries,
                                                const RetentionPolicy& policy,
                                                const RetentionState& state) {
  const Decider decider(entries, policy, state);
  std::vector<RetentionDecision> decisions;
  decisions.reserve(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) decisions.push_back(decider.decide(i));
  return decisions;
}

std::string_view describe(RetentionReason reason) {
  switch (reason) {
    case RetentionReason::kForeign:
      return "not a recurring snapshot of this host";
    case RetentionReason::kOneTime:
      return "taken by hand";
    case RetentionReason::kFuture:
      return "dated in the future";
    case RetentionReason::kNewestProven:
      return "among the newest proven ones, which always stay";
    case RetentionReason::kNothingNewer:
      return "no proven snapshot is newer";
    case RetentionReason::kNotProven:
      return "no new snapshot was proven in this run";
    case RetentionReason::kUnhealthy:
      return "the cluster is unhealthy";
    case RetentionReason::kFrozen:
      return "pruning is frozen: the history of the cluster changed";
    case RetentionReason::kDoubt:
      return "pruning is held: the configuration is in doubt, or state could not be read";
    case RetentionReason::kUnread:
      return "it could not be read";
    case RetentionReason::kNotInBucket:
      return "not in the bucket yet";
    case RetentionReason::kYoung:
      return "younger than the retention";
    case RetentionReason::kCounted:
      return "among the newest that the retention counts";
    case RetentionReason::kClockHold:
      return "expired, but the clock was set ahead: pruning waits";
    case RetentionReason::kExpired:
      return "older than the retention";
    case RetentionReason::kBeyondCount:
      return "beyond the number that the retention counts";
  }
  return "unknown";
}

}  // namespace etcd_snapshot
