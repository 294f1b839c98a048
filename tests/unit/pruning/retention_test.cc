#include "pruning/retention.h"

#include <algorithm>
#include <random>
#include <set>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

constexpr std::chrono::seconds kHour{3600};
const UnixSeconds kNow{std::chrono::seconds{1525459216}};

RetentionEntry rolling(std::chrono::seconds age, bool proven = true) {
  RetentionEntry entry;
  entry.file_name = std::to_string((kNow - age).time_since_epoch().count()) + "_etcd.zip";
  entry.parses = true;
  entry.time = kNow - age;
  entry.proven = proven;
  return entry;
}

RetentionPolicy keep_for(Nanoseconds retention) {
  RetentionPolicy policy;
  policy.retention = retention;
  policy.host = "here";
  return policy;
}

RetentionPolicy keep_newest(int64_t count) {
  RetentionPolicy policy;
  policy.unit = RetentionUnit::kSnapshots;
  policy.count = count;
  policy.host = "here";
  return policy;
}

// A cycle in which all went well.
RetentionState good_cycle() {
  RetentionState state;
  state.now = kNow;
  state.proven_this_cycle = true;
  return state;
}

std::vector<RetentionReason> reasons(const std::vector<RetentionEntry>& entries,
                                     const RetentionPolicy& policy, const RetentionState& state) {
  std::vector<RetentionReason> result;
  for (const RetentionDecision& decision : decide_retention(entries, policy, state)) {
    result.push_back(decision.reason);
  }
  return result;
}

std::set<size_t> deleted(const std::vector<RetentionEntry>& entries, const RetentionPolicy& policy,
                         const RetentionState& state) {
  std::set<size_t> result;
  for (const RetentionDecision& decision : decide_retention(entries, policy, state)) {
    if (!decision.keep) result.insert(decision.index);
  }
  return result;
}

using R = RetentionReason;
#define CHECK_REASONS(actual, ...)                                     \
  do {                                                                 \
    const std::vector<R> expected_reasons = {__VA_ARGS__};             \
    const std::vector<R> actual_reasons = (actual);                    \
    LONGS_EQUAL(expected_reasons.size(), actual_reasons.size());       \
    for (size_t i = 0; i < expected_reasons.size(); ++i) {             \
      STRCMP_EQUAL(std::string(describe(expected_reasons[i])).c_str(), \
                   std::string(describe(actual_reasons[i])).c_str());  \
    }                                                                  \
  } while (false)

}  // namespace

TEST_GROUP(Retention){};

TEST(Retention, DeletesWhatIsOlderThanTheRetention) {
  CHECK_REASONS(reasons({rolling(kHour * 0), rolling(kHour), rolling(kHour * 3)},
                        keep_for(kHour * 2), good_cycle()),
                R::kNewestProven, R::kYoung, R::kExpired);
}

TEST(Retention, KeepsWhatIsExactlyAsOldAsTheRetention) {
  const std::chrono::seconds second(1);
  CHECK_REASONS(reasons({rolling(kHour * 0), rolling(kHour), rolling(kHour + second)},
                        keep_for(kHour), good_cycle()),
                R::kNewestProven, R::kYoung, R::kExpired);
  CHECK_REASONS(reasons({rolling(kHour * 0), rolling(kHour), rolling(kHour + second)},
                        keep_for(Nanoseconds(kHour) + Nanoseconds(1)), good_cycle()),
                R::kNewestProven, R::kYoung, R::kExpired);
}

TEST(Retention, KeepsTheNewestWhenAllHaveExpired) {
  CHECK_REASONS(reasons({rolling(kHour * 9), rolling(kHour * 7), rolling(kHour * 8)},
                        keep_for(kHour), good_cycle()),
                R::kExpired, R::kNewestProven, R::kExpired);
}

TEST(Retention, OfZeroKeepsTheNewestOnly) {
  CHECK_REASONS(reasons({rolling(kHour * 0), rolling(std::chrono::seconds(1))},
                        keep_for(Nanoseconds::zero()), good_cycle()),
                R::kNewestProven, R::kExpired);
}

TEST(Retention, KeepLastCountsProvenOnesOnly) {
  RetentionPolicy policy = keep_for(kHour);
  policy.keep_last = 2;
  CHECK_REASONS(reasons({rolling(kHour * 5), rolling(kHour * 6, false), rolling(kHour * 7),
                         rolling(kHour * 8)},
                        policy, good_cycle()),
                R::kNewestProven, R::kExpired, R::kNewestProven, R::kExpired);
}

TEST(Retention, KeepLastIsAtLeastOne) {
  for (const int keep_last : {0, -1, -2147483647 - 1}) {
    RetentionPolicy policy = keep_for(kHour);
    policy.keep_last = keep_last;
    CHECK_REASONS(reasons({rolling(kHour * 5), rolling(kHour * 6)}, policy, good_cycle()),
                  R::kNewestProven, R::kExpired);
  }
}

TEST(Retention, KeepsWhatNoProvenOneIsNewerThan) {
  CHECK_REASONS(reasons({rolling(kHour * 5, false), rolling(kHour * 6), rolling(kHour * 7, false)},
                        keep_for(kHour), good_cycle()),
                R::kNothingNewer, R::kNewestProven, R::kExpired);
  // Nothing is proven at all: RKE's own snapshots on the day of the change.
  CHECK_REASONS(reasons({rolling(kHour * 5, false), rolling(kHour * 6, false)}, keep_for(kHour),
                        good_cycle()),
                R::kNothingNewer, R::kNothingNewer);
}

TEST(Retention, StrictlyNewerMeansALaterSecond) {
  // The same moment in another form: neither vouches for the other.
  std::vector<RetentionEntry> entries = {rolling(kHour * 5), rolling(kHour * 5, false)};
  entries[1].file_name = "copy_etcd";
  CHECK_REASONS(reasons(entries, keep_for(kHour), good_cycle()), R::kNewestProven,
                R::kNothingNewer);
}

TEST(Retention, NeverTouchesForeignNames) {
  RetentionEntry foreign = rolling(kHour * 1000);
  foreign.parses = false;
  RetentionEntry other_host = rolling(kHour * 1000);
  other_host.host = "there";
  CHECK_REASONS(reasons({rolling(kHour * 0), foreign, other_host}, keep_for(kHour), good_cycle()),
                R::kNewestProven, R::kForeign, R::kForeign);
}

TEST(Retention, OfEachHostIsItsOwn) {
  // Another host's proven snapshot is newer; here the newest proven one stays all the same.
  RetentionEntry theirs = rolling(kHour * 0);
  theirs.host = "there";
  RetentionEntry ours = rolling(kHour * 5), ours_older = rolling(kHour * 6);
  ours.host = ours_older.host = "here";
  CHECK_REASONS(
      reasons({theirs, ours, ours_older, rolling(kHour * 7)}, keep_for(kHour), good_cycle()),
      R::kForeign, R::kNewestProven, R::kExpired, R::kExpired);
  CHECK_REASONS(
      reasons({theirs, ours, ours_older, rolling(kHour * 7)}, keep_newest(2), good_cycle()),
      R::kForeign, R::kNewestProven, R::kCounted, R::kBeyondCount);
}

TEST(Retention, WithoutAHostOfItsOwnLeavesAllNamesWithAHost) {
  RetentionPolicy policy = keep_for(kHour);
  policy.host.clear();
  RetentionEntry theirs = rolling(kHour * 9);
  theirs.host = "there";
  CHECK_REASONS(reasons({rolling(kHour * 0), theirs, rolling(kHour * 8)}, policy, good_cycle()),
                R::kNewestProven, R::kForeign, R::kExpired);
}

TEST(Retention, NeverTouchesOneTimeSnapshotsNorCountsThem) {
  RetentionEntry by_hand = rolling(kHour * 2);
  by_hand.one_time = true;
  CHECK_REASONS(
      reasons({by_hand, rolling(kHour * 5), rolling(kHour * 6)}, keep_for(kHour), good_cycle()),
      R::kOneTime, R::kNewestProven, R::kExpired);
  CHECK_REASONS(
      reasons({by_hand, rolling(kHour * 5), rolling(kHour * 6)}, keep_newest(1), good_cycle()),
      R::kOneTime, R::kNewestProven, R::kBeyondCount);
}

TEST(Retention, DeletesNothingBeforeTheNewestIsProven) {
  RetentionState state = good_cycle();
  state.proven_this_cycle = false;
  CHECK_REASONS(reasons({rolling(kHour * 5), rolling(kHour * 6)}, keep_for(kHour), state),
                R::kNewestProven, R::kNotProven);
}

TEST(Retention, MakesRoomBeforeTheNewestIsTakenButKeepsTheFloor) {
  RetentionState state = good_cycle();
  state.proven_this_cycle = false;
  state.making_room = true;
  CHECK_REASONS(
      reasons({rolling(kHour * 5), rolling(kHour * 6), rolling(kHour / 2)}, keep_for(kHour), state),
      R::kExpired, R::kExpired, R::kNewestProven);
  CHECK_REASONS(reasons({rolling(kHour * 5)}, keep_for(kHour), state), R::kNewestProven);
  state.cluster_healthy = false;
  CHECK_REASONS(reasons({rolling(kHour * 5), rolling(kHour * 6)}, keep_for(kHour), state),
                R::kNewestProven, R::kUnhealthy);
  state.cluster_healthy = true;
  state.frozen = true;
  CHECK_REASONS(reasons({rolling(kHour * 5), rolling(kHour * 6)}, keep_for(kHour), state),
                R::kNewestProven, R::kFrozen);
}

TEST(Retention, DeletesNothingWhileUnhealthyOrFrozen) {
  RetentionState state = good_cycle();
  state.cluster_healthy = false;
  CHECK_REASONS(reasons({rolling(kHour * 5), rolling(kHour * 6)}, keep_for(kHour), state),
                R::kNewestProven, R::kUnhealthy);
  state = good_cycle();
  state.frozen = true;
  CHECK_REASONS(reasons({rolling(kHour * 5), rolling(kHour * 6)}, keep_newest(1), state),
                R::kNewestProven, R::kFrozen);
}

TEST(Retention, HoldsOnlyWhatWouldGoWhileTheClockIsInDoubt) {
  RetentionEntry foreign = rolling(kHour * 9), by_hand = rolling(kHour * 9),
                 missing = rolling(kHour * 9);
  foreign.host = "there";
  by_hand.one_time = true;
  missing.in_bucket = false;
  const std::vector<RetentionEntry> entries = {foreign,
                                               by_hand,
                                               rolling(-kHour),
                                               rolling(kHour * 1),
                                               rolling(kHour * 2),
                                               missing,
                                               rolling(kHour * 5),
                                               rolling(kHour * 6, false)};
  const RetentionPolicy hours = keep_for(kHour * 2), snapshots = keep_newest(2);
  const struct {
    const RetentionPolicy& policy;
    R within, gone;
  } rows[] = {{hours, R::kYoung, R::kExpired}, {snapshots, R::kCounted, R::kBeyondCount}};
  for (const auto& row : rows) {
    RetentionState state = good_cycle();
    CHECK_REASONS(reasons(entries, row.policy, state), R::kForeign, R::kOneTime, R::kFuture,
                  R::kNewestProven, row.within, R::kNotInBucket, row.gone, row.gone);
    state.clock_hold = true;
    CHECK_REASONS(reasons(entries, row.policy, state), R::kForeign, R::kOneTime, R::kFuture,
                  R::kNewestProven, row.within, R::kNotInBucket, R::kClockHold, R::kClockHold);
    CHECK_TRUE(deleted(entries, row.policy, state).empty());
    // What holds it beside that is told first.
    state.frozen = true;
    LONGS_EQUAL(2, std::ranges::count(reasons(entries, row.policy, good_cycle()), row.gone));
    LONGS_EQUAL(0, std::ranges::count(reasons(entries, row.policy, state), R::kClockHold));
  }
}

TEST(Retention, WaitsForTheBucketUnlessSpaceIsShort) {
  RetentionEntry missing = rolling(kHour * 6);
  missing.in_bucket = false;
  RetentionState state = good_cycle();
  CHECK_REASONS(reasons({rolling(kHour * 5), missing}, keep_for(kHour), state), R::kNewestProven,
                R::kNotInBucket);
  state.space_short = true;
  CHECK_REASONS(reasons({rolling(kHour * 5), missing}, keep_for(kHour), state), R::kNewestProven,
                R::kExpired);
}

TEST(Retention, CountsTheNewest) {
  const std::vector<RetentionEntry> entries = {
      rolling(kHour * 3), rolling(kHour * 1), rolling(kHour * 4, false), rolling(kHour * 2, false)};
  CHECK_REASONS(reasons(entries, keep_newest(3), good_cycle()), R::kCounted, R::kNewestProven,
                R::kBeyondCount, R::kCounted);
  for (const int64_t count : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    CHECK_REASONS(reasons(entries, keep_newest(count), good_cycle()), R::kBeyondCount,
                  R::kNewestProven, R::kBeyondCount, R::kBeyondCount);
  }
  CHECK_TRUE(deleted(entries, keep_newest(INT64_MAX), good_cycle()).empty());
}

TEST(Retention, AfterAClockThatRanAheadKeepsTheReallyNewest) {
  // The clock was a year ahead for one cycle and came back. That snapshot stays, but it takes
  // neither the place of the newest proven one, nor a place in the count, nor does it make others
  // deletable.
  const RetentionEntry ahead = rolling(kHour * -8760);
  CHECK_REASONS(
      reasons({ahead, rolling(kHour * 5), rolling(kHour * 6)}, keep_for(kHour), good_cycle()),
      R::kFuture, R::kNewestProven, R::kExpired);
  CHECK_REASONS(reasons({ahead, rolling(kHour * 5, false), rolling(kHour * 6, false)},
                        keep_for(kHour), good_cycle()),
                R::kFuture, R::kNothingNewer, R::kNothingNewer);
  CHECK_REASONS(
      reasons({ahead, rolling(kHour * 5), rolling(kHour * 6)}, keep_newest(2), good_cycle()),
      R::kFuture, R::kNewestProven, R::kCounted);
}

TEST(Retention, WhileTheClockIsAheadKeepsTheFloor) {
  // All seems ancient. The one taken just now, and as many as keep_last says, are what is left.
  RetentionState state = good_cycle();
  state.now = kNow + kHour * 8760;
  RetentionPolicy policy = keep_for(kHour);
  policy.keep_last = 3;
  CHECK_REASONS(
      reasons({rolling(kHour * -8760), rolling(kHour * 1), rolling(kHour * 2), rolling(kHour * 3)},
              policy, state),
      R::kNewestProven, R::kNewestProven, R::kNewestProven, R::kExpired);
}

TEST(Retention, WithAClockThatWentBackDeletesNothing) {
  RetentionState state = good_cycle();
  state.now = UnixSeconds{};
  const std::vector<RetentionEntry> entries = {rolling(kHour * 5), rolling(kHour * 6),
                                               rolling(kHour * 7, false)};
  CHECK_REASONS(reasons(entries, keep_for(Nanoseconds::zero()), state), R::kFuture, R::kFuture,
                R::kFuture);
  CHECK_REASONS(reasons(entries, keep_newest(1), state), R::kFuture, R::kFuture, R::kFuture);
}

TEST(Retention, BearsClocksCenturiesAway) {
  RetentionState state = good_cycle();
  state.now = UnixSeconds{std::chrono::seconds{253402300799}};
  CHECK_REASONS(
      reasons({rolling(kHour * 1), rolling(kHour * 2)}, keep_for(Nanoseconds::max()), state),
      R::kNewestProven, R::kExpired);
}

TEST(Retention, OfNothingIsNothing) {
  CHECK_TRUE(decide_retention({}, keep_for(kHour), good_cycle()).empty());
}

namespace {

struct Case {
  std::vector<RetentionEntry> entries;
  RetentionPolicy policy;
  RetentionState state;
};

Case random_case(std::mt19937& random) {
  const auto below = [&random](int limit) {
    return static_cast<int>(random() % static_cast<unsigned>(limit));
  };
  Case result;
  const int size = below(12);
  for (int i = 0; i < size; ++i) {
    RetentionEntry entry = rolling(kHour * (below(12) - 2), below(3) != 0);
    entry.file_name += std::to_string(i);
    entry.parses = below(8) != 0;
    entry.one_time = below(6) == 0;
    entry.in_bucket = below(4) != 0;
    const char* hosts[] = {"", "", "here", "there"};
    entry.host = hosts[below(4)];
    result.entries.push_back(entry);
  }
  result.policy = below(2) != 0 ? keep_for(kHour * below(10)) : keep_newest(below(8));
  result.policy.keep_last = below(4);
  result.state.now = kNow;
  result.state.proven_this_cycle = below(4) != 0;
  result.state.cluster_healthy = below(5) != 0;
  result.state.frozen = below(5) == 0;
  result.state.space_short = below(3) == 0;
  result.state.making_room = below(4) == 0;
  result.state.clock_hold = below(5) == 0;
  return result;
}

}  // namespace

TEST(Retention, HoldsItsPromisesForAnyEntries) {
  std::mt19937 random(20180504);
  int deletions = 0;
  for (int round = 0; round < 20000; ++round) {
    const Case c = random_case(random);
    const auto gone = deleted(c.entries, c.policy, c.state);
    deletions += static_cast<int>(gone.size());
    int proven = 0, proven_left = 0;
    UnixSeconds newest_left = UnixSeconds::min();
    for (size_t i = 0; i < c.entries.size(); ++i) {
      const RetentionEntry& entry = c.entries[i];
      const bool own = entry.parses && entry.host != "there";
      if (own && !entry.one_time && entry.proven && entry.time <= kNow) {
        ++proven;
        if (!gone.contains(i)) {
          ++proven_left;
          newest_left = std::max(newest_left, entry.time);
        }
      }
      // Foreign, by hand, from the future: never.
      if (gone.contains(i)) CHECK_TRUE(own && !entry.one_time && entry.time <= kNow);
    }
    CHECK_TRUE(proven_left >= std::min(proven, std::max(c.policy.keep_last, 1)));
    for (const size_t i : gone) CHECK_TRUE(newest_left > c.entries[i].time);
    if (!c.state.proven_this_cycle && !c.state.making_room) CHECK_TRUE(gone.empty());
    if (!c.state.cluster_healthy || c.state.frozen || c.state.clock_hold) CHECK_TRUE(gone.empty());
  }
  CHECK_TRUE(deletions > 1000);  // or nothing was shown
}

TEST(Retention, DeletesNoMoreWhenTheRetentionGrows) {
  std::mt19937 random(16);
  for (int round = 0; round < 5000; ++round) {
    Case c = random_case(random);
    const auto gone = deleted(c.entries, c.policy, c.state);
    Case longer = c;
    longer.policy.retention += kHour;
    longer.policy.count += 1;
    Case more = c;
    more.policy.keep_last += 1;
    for (const Case& milder : {longer, more}) {
      for (const size_t i : deleted(milder.entries, milder.policy, milder.state)) {
        CHECK_TRUE(gone.contains(i));
      }
    }
  }
}

TEST(Retention, DoesNotDependOnTheOrderOfTheEntries) {
  std::mt19937 random(40);
  for (int round = 0; round < 5000; ++round) {
    Case c = random_case(random);
    std::set<std::string> before, after;
    for (const size_t i : deleted(c.entries, c.policy, c.state))
      before.insert(c.entries[i].file_name);
    std::shuffle(c.entries.begin(), c.entries.end(), random);
    for (const size_t i : deleted(c.entries, c.policy, c.state))
      after.insert(c.entries[i].file_name);
    CHECK_TRUE(before == after);
  }
}
