#include "commands/registry.h"

#include <CLI/CLI.hpp>

#include "base/http.h"

namespace etcd_snapshot {

// Each in the file of its name.
Command make_run(CLI::App&), make_save(CLI::App&), make_list(CLI::App&), make_prune(CLI::App&),
    make_delete(CLI::App&), make_check(CLI::App&), make_status(CLI::App&);

namespace {

// clang-format off
constexpr CommandRow kCommands[] = {
    {"run", "run one cycle: snapshot, verify, upload, prune; the timer starts it",
     Needs::kPolicy, LastGood::kReplaces, true, make_run},
    // Takes its snapshot whatever is wrong with cluster.yml.
    {"save", "take a one-time snapshot, which is never pruned by age",
     Needs::kHostAndFiles, LastGood::kIgnored, true, make_save},
    // Answers whatever is wrong with the policy.
    {"list", "list the snapshots on this host and in the bucket, newest first",
     Needs::kHost, LastGood::kReplaces, false, make_list},
    {"prune", "apply the retention now, on this host and in the bucket",
     Needs::kPolicy, LastGood::kIgnored, false, make_prune},
    {"delete", "delete one snapshot on this host",
     Needs::kPolicy, LastGood::kIgnored, false, make_delete},
    {"check", "read the configuration, try etcd and the bucket, report what is wrong; changes nothing",
     Needs::kHost, LastGood::kIgnored, false, make_check},
    {"status", "report the age of the newest proven snapshot and what is wrong; for monitoring",
     Needs::kNothing, LastGood::kReplaces, false, make_status},
};
// clang-format on

constexpr char kFooter[] =
    "Exit status: 0 done; 64 usage; 65 the snapshot failed verification; 69 etcd not reachable or\n"
    "refused; 74 local storage; 75 another run in progress; 76 safe on this host, but something\n"
    "about the bucket failed; 78 configuration; 143 asked to stop; 1 anything else. What to do\n"
    "about each: man etcd-snapshot. Of `status`: 0 ok, 1 warning, 2 critical, 3 unknown.\n";

Error usage_error(std::string message) {
  return {ErrorKind::kUsage, std::move(message), "see: etcd-snapshot --help", false, 0};
}

// "which command? run, save, ... or status"
Error no_command() {
  std::string names;
  for (const CommandRow& row : kCommands) {
    if (!names.empty()) names += &row == std::end(kCommands) - 1 ? " or " : ", ";
    names += row.name;
  }
  return usage_error("which command? " + names);
}

}  // namespace

std::span<const CommandRow> commands() {
  return kCommands;
}

Result<Invocation> parse_command_line(int argc, const char* const* argv) {
  Invocation invocation;
  ConfigPaths& paths = invocation.paths;
  CLI::App app("etcd-snapshot keeps proven snapshots of the local etcd member.", "etcd-snapshot");
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
  std::vector<Command> made;
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
  if (invocation.row == nullptr) return no_command();
  paths.host_required = app.count("--config") > 0;
  paths.cluster_required = app.count("--cluster-file") > 0;
  return invocation;
}

}  // namespace etcd_snapshot
