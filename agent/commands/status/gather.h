// Looks for what `status` tells: in the directory, in the bucket, in what the last run left behind,
// and in what systemd says. Takes no lock, changes nothing, and keeps no list of the bucket.
#pragma once

#include "commands/status/verdict.h"
#include "run/context.h"

namespace etcd_snapshot {

// What cannot be found out is in the facts as an error. `schedule` comes from read_schedule();
// nullopt: it has nothing to do with these settings, or there is none.
StatusFacts gather_status(Context& context, std::optional<Nanoseconds> max_age,
                          const std::optional<Error>& config_error,
                          std::optional<ScheduleState> schedule);

}  // namespace etcd_snapshot
