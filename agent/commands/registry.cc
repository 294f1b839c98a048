#include "commands/registry.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/http.h"
#include "commands/commands.h"

namespace etcd_snapshot {

// Each in the file of its name.
std::unique_ptr<Command> make_run(CLI::App&), make_save(CLI::App&), make_list(CLI::App&),
    make_prune(CLI::App&), make_delete(CLI::App&), make_check(CLI::App&), make_status(CLI::App&);

namespace {

constexpr CommandRow kCommands[] = {
    {.name = "run",
     .help = "run one cycle: snapshot, verify, upload, prune; the timer starts it",
     .needs = Needs::kPolicy,
     .last_good = LastGood::kReplaces,
     .logs = true,
     .make = make_run},
    // Takes its snapshot whatever is wrong with cluster.yml.
    {.name = "save",
     .help = "take a one-time snapshot, which is never pruned by age",
     .needs = Needs::kHostAndFiles,
     .last_good = LastGood::kIgnored,
     .logs = true,
     .make = make_save},
    // At three in the morning it has to answer, whatever is wrong with the policy.
    {.name = "list",
     .help = "list the snapshots on this host and in the bucket, newest first",
     .needs = Needs::kHost,
     .last_good = LastGood::kReplaces,
     .logs = false,
     .make = make_list},
    {.name = "prune",
     .help = "apply the retention now, on this host and in the bucket",
     .needs = Needs::kPolicy,
     .last_good = LastGood::kIgnored,
     .logs = false,
     .make = make_prune},
    {.name = "delete",
     .help = "delete one snapshot on this host",
     .needs = Needs::kPolicy,
     .last_good = LastGood::kIgnored,
     .logs = false,
     .make = make_delete},
    {.name = "check",
     .help =
         "read the configuration, try etcd and the bucket, report what is wrong; changes nothing",
     .needs = Needs::kHost,
     .last_good = LastGood::kIgnored,
     .logs = false,
     .make = make_check},
    {.name = "status",
     .help = "report the age of the newest verified snapshot and what is wrong; for monitoring",
     .needs = Needs::kNothing,
     .last_good = LastGood::kReplaces,
     .logs = false,
     .make = make_status},
};

constexpr char kFooter[] =
    "Exit status: 0 done; 64 usage; 65 the snapshot failed verification; 69 etcd not reachable or\n"
    "refused; 74 local storage; 75 another run in progress; 76 safe on this host, but something\n"
    "about the bucket failed; 78 configuration; 143 asked to stop; 1 anything else. What to do\n"
    "about each: man etcd-snapshot. Of `status`: 0 ok, 1 warning, 2 critical, 3 unknown.\n";

Error usage_error(std::string message) {
  return {ErrorKind::kUsage, std::move(message), "see: etcd-snapshot --help", false, 0};
}

// "which command? run, save, ... or status"
std::string which_command() {
  std::string text = "which command? ";
  for (const CommandRow& row : kCommands) {
    if (&row == std::end(kCommands) - 1) {
      text += " or ";
    } else if (&row != kCommands) {
      text += ", ";
    }
    text += row.name;
  }
  return text;
}

}  // namespace

int Command::fail(const Error& error, const FailedStart&) {
  return print_error(error);
}

std::span<const CommandRow> commands() {
  return kCommands;
}

Result<Invocation> parse_command_line(int argc, const char* const* argv) {
  Invocation invocation;
  ConfigPaths& paths = invocation.paths;
  CLI::App app("etcd-snapshot keeps verified snapshots of the local etcd member.", "etcd-snapshot");
  app.require_subcommand(0, 1);  // none: told below, after what is unknown
  app.fallthrough();
  app.set_version_flag("--version", std::string("etcd-snapshot ") + ETCD_SNAPSHOT_VERSION + "\n" +
                                        curl_version_text());
  app.add_option("--config", paths.host_file, "this host's settings")
      ->capture_default_str()
      ->type_name("FILE");
  app.add_option("--cluster-file", paths.cluster_file, "the policy, in RKE's form")
      ->capture_default_str()
      ->type_name("FILE");
  std::vector<std::unique_ptr<Command>> made;
  for (const CommandRow& row : kCommands) {
    made.push_back(row.make(*app.add_subcommand(std::string(row.name), std::string(row.help))));
  }
  app.footer(kFooter);  // after the commands, which would inherit it
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return usage_error(error.what());
    app.exit(error);  // --help, --version
    return invocation;
  }
  for (size_t i = 0; i < made.size(); ++i) {
    if (!app.got_subcommand(std::string(kCommands[i].name))) continue;
    invocation.row = &kCommands[i];
    invocation.command = std::move(made[i]);
  }
  if (invocation.row == nullptr) return usage_error(which_command());
  paths.host_required = app.count("--config") > 0;
  paths.cluster_required = app.count("--cluster-file") > 0;
  return invocation;
}

}  // namespace etcd_snapshot
