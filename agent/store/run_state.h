// What the last run left behind in /run/etcd-snapshot: gone after a reboot, which is what "the
// first activation after boot" rests on. It tells whether the clock was set ahead since the last
// run, so pruning rests on it: what is there and cannot be read holds pruning.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace etcd_snapshot {

struct RunState {
  // As the line "Initializing Rolling Backups" told them last.
  std::string creation, retention;
  // The warnings about the configuration that were logged last, a line each.
  std::string warnings;
  // Wall clock minus time since boot at the last run, seconds: changes when the clock is set.
  std::optional<int64_t> clock_offset_s;
  // Time since boot until which nothing is pruned because the clock was set ahead; 0 = no such
  // hold.
  int64_t prune_hold_until_s = 0;
  // The last run: RFC 3339 time, exit code, name of the snapshot that was taken (or empty).
  std::string finished;
  int exit_code = 0;
  std::string snapshot;
  // What etcd was like when that snapshot was taken: all empty, a healthy cluster. nullopt: none
  // was taken, or it is not known.
  struct Cluster {
    std::string alarms, reason;
    bool learner = false;  // the snapshot came from a learner
  };
  std::optional<Cluster> cluster;
};

// What the last run wrote; a default one if there is none. kStorage where it cannot be read or is
// damaged in what tells of the clock: then nothing is known of the clock, and nothing may be
// pruned. Damage elsewhere reads as unset.
Result<RunState> read_run_state(const std::string& runtime_dir);

// The mark of a run that has no snapshot, or none yet: etcd-snapshot-retry.timer starts only where
// it is there. A run that fails early or is killed leaves it; one that has failed for a reason that
// a second one would share, or that has its snapshot, does not. The file of the mark is empty;
// where it cannot be made, the next cycle comes at its time.
inline constexpr char kUnfinishedFile[] = "unfinished";
void mark_unfinished(const std::string& runtime_dir);
void clear_unfinished(const std::string& runtime_dir);

// kStorage.
Result<void> write_run_state(const std::string& runtime_dir, const RunState& state);

// Looks for a clock that was set ahead by more than an hour since the last run: age would be
// counted wrongly. Updates the offset, and holds pruning for `hold_s` of time since boot. Returns
// by how many seconds the clock jumped while the hold lasts and it was found now, else 0.
int64_t note_clock(RunState& state, int64_t now_s, int64_t since_boot_s, int64_t hold_s);

// The state to go on with where the last one is lost. That may have held pruning, or have told of a
// jump that nobody can see any more: pruning is held for as long as either could.
RunState lost_run_state(int64_t since_boot_s, int64_t hold_s);

}  // namespace etcd_snapshot
