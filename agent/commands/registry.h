// The table of commands, and the command line that it makes. Beside the files of the commands this
// is all that knows CLI11. A new command is a file that has a class derived from Command, and a
// row.
#pragma once

#include <memory>
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
class Command {
 public:
  virtual ~Command() = default;
  // Before the configuration is read.
  virtual void begin() {}
  // Reports why it cannot start; returns the exit code. print_error(), if a command has no better
  // way.
  virtual int fail(const Error& error, const FailedStart& start);
  // Returns the exit code.
  virtual int run(const Call& call) = 0;
};

struct CommandRow {
  std::string_view name, help;
  Needs needs;
  LastGood last_good;
  bool logs;  // reports through the log and shows its progress; the others print their answer
  // Adds the options of the command to `app`, which fills them in while it parses.
  std::unique_ptr<Command> (*make)(CLI::App& app);
};

// In the order of --help.
std::span<const CommandRow> commands();

// What the command line asks for.
struct Invocation {
  const CommandRow* row = nullptr;  // null: nothing more, --help or --version was answered
  std::unique_ptr<Command> command{};
  ConfigPaths paths{};
};
// kUsage. Prints the answers to --help and --version.
Result<Invocation> parse_command_line(int argc, const char* const* argv);

}  // namespace etcd_snapshot
