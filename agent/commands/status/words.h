// The words of `status` for what has a name of its own: what a run ended with, and what to do then.
// Decides nothing.
#pragma once

#include <string>

#include "commands/status/verdict.h"

namespace etcd_snapshot {

// How to read the agent's log.
inline constexpr char kReadLog[] = "journalctl -t etcd-rolling-snapshots -e";

// What to do about a run that failed, or that was stopped before it had a snapshot.
std::string advice(const StatusFacts::LastRun& run);

}  // namespace etcd_snapshot
