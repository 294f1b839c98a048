// The commands of the command line, one file each. Every function returns the exit code of the
// program (base/exit_code.h). `run` and `save` report through the log; the others print their
// answer to standard output and errors, with what to do, to standard error.
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

// A one-time snapshot; `name` empty: rke_etcd_snapshot_<time>. `upload`: to the bucket of the
// settings, too.
int command_save(Context& context, const std::string& name, bool upload);

// Here and in the bucket side by side. A bucket that does not answer costs its half of the table
// and the exit code 76.
int command_list(Context& context, bool json);

int command_prune(Context& context, bool dry_run, bool accept);

// `name` exactly as `list` prints it, with or without its extension. `force`: also the newest
// proven one. `remote`: in the bucket, too.
int command_delete(Context& context, const std::string& name, bool force, bool remote);

// The doctor. Changes nothing; `write`: but objects of its own in the bucket, which go again.
// `config_error`: why the settings in `context` are not all of them.
int command_check(Context& context, const ConfigPaths& paths,
                  const std::optional<Error>& config_error, bool write = false);

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

// Where `status` cannot even begin: says so in its own form; its exit code.
int status_unknown(const Error& error, bool json);

// "etcd-snapshot: <message>" and the hint on a line of its own, on standard error; the exit code.
int print_error(const Error& error);

}  // namespace etcd_snapshot
