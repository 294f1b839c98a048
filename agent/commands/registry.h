// The table of commands, and the command line that it makes. Beside the files of the commands this
// is all that knows CLI11. A new command is a file with its options and its function, and a row.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "config/configuration.h"
#include "run/context.h"

namespace CLI {
class App;
}

namespace etcd_snapshot {

// What a command that starts is given.
struct Call {
  Context& context;
  Settings& settings;  // those of `context`, for a command whose options override them
  const ConfigPaths& paths;
  const std::optional<Error>& config_error;  // Configuration::error
};

// What is there although the command cannot start.
struct FailedStart {
  const ConfigPaths& paths;
  const std::string& host;  // its name
  const Clock& clock;
  Log& log;
};

// One command as it was called, with its options. Made before the command line is parsed.
struct Command {
  std::function<int(const Call&)> run;  // returns the exit code
  // Reports why it cannot start; returns the exit code. Empty: print_error() does.
  std::function<int(const Error&, const FailedStart&)> fail{};
  std::function<void()> begin{};  // before the configuration is read; may be empty
};

struct CommandRow {
  std::string_view name, help;
  Needs needs;
  LastGood last_good;
  bool logs;  // reports through the log and shows its progress; the others print their answer
  // Adds the options of the command to `app`, which fills them in while it parses.
  Command (*make)(CLI::App& app);
};

// In the order of --help.
std::span<const CommandRow> commands();

// What the command line asks for.
struct Invocation {
  const CommandRow* row = nullptr;  // null: nothing more, --help or --version was answered
  Command command{};
  ConfigPaths paths{};
};
// kUsage. Prints the answers to --help and --version.
Result<Invocation> parse_command_line(int argc, const char* const* argv);

}  // namespace etcd_snapshot
