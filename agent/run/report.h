// The log records that the cycle and the commands share: the wording of the container, and one line
// per failure that says what to do.
#pragma once

#include "base/result.h"
#include "run/take_snapshot.h"
#include "systemd/log.h"

namespace etcd_snapshot {

// level=info msg="Created backup" name=... runtime=...
void report_created(Log& log, const SnapshotOutcome& outcome);

// A warning for an alarm, one for a learner and one for any other trouble; `consequence` ends the
// text
// (", nothing is pruned").
void report_health(Log& log, const ClusterHealth& health, const std::string& consequence);

// A warning for each endpoint that did not answer, refused, or was not the best.
void report_passed_over(Log& log, const std::vector<std::string>& reasons);

// Removes what killed runs left behind and says so. False: something could not be read or removed,
// which is a warning.
bool sweep_leftovers(Context& context, SnapshotDirectory& directory);

// level=error msg=<message> error=... hint=...
void report_error(Log& log, const std::string& message, const Error& error,
                  std::string_view message_id);

// One error for each of them. To be told in every cycle, as it changes what a cycle does.
void report_doubts(Log& log, const Settings& settings);

// report_error with the message and the id that fit the kind of the error.
void report_failure(Log& log, const Error& error);

}  // namespace etcd_snapshot
