// The program: finds the row of the command, prepares what the row needs, calls the command.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "base/exit_code.h"
#include "base/stop.h"
#include "commands/commands.h"
#include "commands/registry.h"
#include "run/progress.h"
#include "systemd/journal.h"
#include "systemd/notify.h"

namespace etcd_snapshot {
namespace {

Result<std::unique_ptr<HttpClient>> make_http() {
  return make_curl_client(std::string("etcd-snapshot/") + ETCD_SNAPSHOT_VERSION);
}

std::string host_name() {
  char name[256] = "";
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

int run_command(const CommandRow& row, const Command& command, const ConfigPaths& paths) {
  RealClock clock;
  const std::string host = host_name();
  if (command.begin) command.begin();
  auto loaded = load_configuration(paths, row.needs, row.last_good);
  const auto log = make_log(loaded ? loaded->settings.host.log_level : LogLevel::kInfo, clock);
  const auto fail = [&](const Error& error) {
    return command.fail ? command.fail(error, {paths, host, clock, *log}) : print_error(error);
  };
  if (!loaded) return fail(loaded.error());
  if (auto handlers = install_stop_handlers(); !handlers) return fail(handlers.error());
  auto http = make_http();
  if (!http) return fail(http.error());
  Settings& settings = loaded->settings;
  HttpFactory for_bucket = make_http;
  std::optional<ExtensionKeeper> keeper;
  std::unique_ptr<Progress> progress = std::make_unique<NoProgress>();
  if (row.logs && isatty(STDERR_FILENO) != 0) {
    progress = std::make_unique<TerminalProgress>(clock, *log);
  } else if (row.logs) {
    keeper.emplace();
    progress = std::make_unique<ServiceProgress>(clock, settings.host);
    for_bucket = extending_factory(make_http, settings.host);
  }
  Context context{settings, clock, *log, **http, for_bucket, *progress, host, std::nullopt};
  return command.run({context, settings, paths, loaded->error});
}

int main_checked(int argc, char** argv) {
  const auto invocation = parse_command_line(argc, argv);
  if (!invocation) return print_error(invocation.error());
  if (invocation->row == nullptr) return kExitOk;
  const int code = run_command(*invocation->row, invocation->command, invocation->paths);
  // `list > /full/disk` must not pass for a success.
  if (fflush(stdout) != 0 || ferror(stdout) != 0) {
    return print_error(system_error(ErrorKind::kStorage, "cannot write to", "standard output"));
  }
  return code;
}

}  // namespace
}  // namespace etcd_snapshot

int main(int argc, char** argv) {
  try {
    return etcd_snapshot::main_checked(argc, argv);
  } catch (const std::exception& error) {
    // Nothing of ours throws; what is left is memory and libraries.
    fprintf(stderr, "etcd-snapshot: %s\n", error.what());
    return etcd_snapshot::kExitInternal;
  }
}
