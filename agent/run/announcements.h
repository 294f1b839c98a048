// What has changed since the last run, told once: the settings, the warnings about them, a clock
// that was set ahead. The state is of the last run and is brought up to date; writing it is the
// caller's.
#pragma once

#include "run/context.h"
#include "store/run_state.h"

namespace etcd_snapshot {

// "Initializing Rolling Backups", as the container said when it started; and what deserves a look
// in the configuration, which `check` always tells.
void announce_settings(Context& context, RunState& state);

// For how many seconds nothing is pruned because the clock was set ahead; 0: it was not. Says so
// where it is news.
int64_t watch_clock(Context& context, RunState& state);

// The state to go on with where that of the last run cannot be read: it holds pruning as long as
// that could have.
RunState lost_state(const Context& context);

// The same as watch_clock() at any later moment, with the state as it is now; tells nobody and
// leaves the news to the next watch_clock().
int64_t clock_hold(const Context& context, RunState state);

}  // namespace etcd_snapshot
