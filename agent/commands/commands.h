// What several commands share, and those that the tests start with more than their command line.
// Every function returns the exit code of the program (base/exit_code.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "run/context.h"
#include "systemd/unit_state.h"

namespace etcd_snapshot {

// One cycle, unless cluster.yml turns recurring snapshots off.
int command_run(Context& context);

// A one-time snapshot.
struct SaveOptions {
  std::string name{};   // empty: rke_etcd_snapshot_<time>
  bool upload = false;  // to the bucket of the settings, too
};
int command_save(Context& context, const SaveOptions& options);

// How it stands, for people, programs and monitoring systems; its exit codes are theirs: 0 ok, 1
// warning, 2 critical, 3 unknown (commands/status/verdict.h). Changes nothing. `config_error`: why
// the settings in `context` are not all of them; without any, its directory is empty.
struct StatusOptions {
  bool json = false;
  std::optional<Nanoseconds> max_age{};     // critical where the newest snapshot is older
  std::optional<ScheduleState> schedule{};  // read_schedule(), where it goes by these settings
};
int command_status(Context& context, const StatusOptions& options,
                   const std::optional<Error>& config_error);

// "30m", "1h30m", "12" (hours). kUsage.
Result<Nanoseconds> parse_max_age(std::string_view text);

// "etcd-snapshot: <message>" and the hint on a line of its own, on standard error; the exit code.
int print_error(const Error& error);

}  // namespace etcd_snapshot
