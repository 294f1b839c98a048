// What the commands do, with their options: the whole of them but the command line
// (commands/registry.h). Every function returns the exit code of the program (base/exit_code.h).
// `run` and `save` report through the log; the others print their answer to standard output and
// errors, with what to do, to standard error.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/load.h"
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

// The snapshots of this host and of the bucket side by side. A bucket that does not answer costs
// its half of the table and the exit code 76.
struct ListOptions {
  bool json = false;
};
int command_list(Context& context, const ListOptions& options);

struct PruneOptions {
  bool dry_run = false;
  bool accept_history = false;
};
int command_prune(Context& context, const PruneOptions& options);

struct DeleteOptions {
  std::string name{};   // exactly as `list` prints it, with or without its extension
  bool force = false;   // also the newest proven one
  bool remote = false;  // in the bucket, too
};
int command_delete(Context& context, const DeleteOptions& options);

// The doctor. Changes nothing.
struct CheckOptions {
  bool write = false;  // but objects of its own in the bucket, which go again
};
// `config_error`: why the settings in `context` are not all of them.
int command_check(Context& context, const CheckOptions& options, const ConfigPaths& paths,
                  const std::optional<Error>& config_error);

// How it stands, for people, programs and monitoring systems; its exit codes are theirs: 0 ok, 1
// warning, 2 critical, 3 unknown (commands/status/verdict.h). Changes nothing. `config_error` as
// above; without any settings at all, the directory in `context` is empty.
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
