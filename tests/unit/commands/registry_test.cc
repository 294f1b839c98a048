// The table of commands, and what the command line makes of it. That the manual and the completion
// know each option is tested against --help (tests/lint/manual_drift.py, tests/packages).
#include "commands/registry.h"

#include <set>
#include <sstream>

#include "../lab.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {

Result<Invocation> parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "etcd-snapshot");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

std::string usage_error_of(const std::vector<const char*>& arguments) {
  const auto invocation = parse(arguments);
  if (invocation) return "none";
  CHECK(invocation.error().kind == ErrorKind::kUsage);
  STRCMP_EQUAL("see: etcd-snapshot --help", invocation.error().hint.c_str());
  return invocation.error().message;
}

std::string help(std::vector<const char*> arguments) {
  arguments.push_back("--help");
  const Printed printed = capture([&] {
    const auto invocation = parse(arguments);
    return invocation && invocation->row == nullptr ? 0 : 1;
  });
  LONGS_EQUAL(0, printed.code);
  STRCMP_EQUAL("", printed.err.c_str());
  return printed.out;
}

}  // namespace

TEST_GROUP(Registry){};

TEST(Registry, EachRowIsOneCommandWithHelp) {
  std::set<std::string_view> names;
  const std::string all = help({});
  for (const CommandRow& row : commands()) {
    CHECK_TRUE(names.insert(row.name).second);
    CHECK_FALSE(row.help.empty());
    CHECK_TRUE(row.make != nullptr);
    STRCMP_CONTAINS(("\n  " + std::string(row.name) + " ").c_str(), all.c_str());
    STRCMP_CONTAINS(std::string(row.help).c_str(), all.c_str());
    STRCMP_CONTAINS(std::string(row.help).c_str(), help({row.name.data()}).c_str());
  }
}

TEST(Registry, EachOptionHasHelp) {
  constexpr size_t kHelpColumn = 30;
  int options = 0;
  for (const CommandRow& row : commands()) {
    std::istringstream text(help({row.name.data()}));
    for (std::string line; std::getline(text, line);) {
      if (!line.starts_with("  ")) continue;
      ++options;
      // Behind a long option it stands on a line of its own.
      if (line.size() < kHelpColumn) std::getline(text, line);
      CHECK_TEXT(line.size() > kHelpColumn && line[kHelpColumn] != ' ', line.c_str());
    }
  }
  CHECK_TRUE(options > 20);
}

TEST(Registry, TheCommandLineFindsItsRow) {
  for (const CommandRow& row : commands()) {
    std::vector<const char*> arguments = {row.name.data()};
    if (row.name == "delete") arguments.push_back("one");
    const auto invocation = parse(arguments);
    CHECK_TRUE(invocation.ok());
    POINTERS_EQUAL(&row, invocation->row);
    CHECK_TRUE(invocation->command.run != nullptr);
    CHECK_FALSE(invocation->paths.host_required);
    CHECK_FALSE(invocation->paths.cluster_required);
  }
}

TEST(Registry, PathsAreTakenBeforeAndBehindTheCommand) {
  const auto invocation = parse({"--config", "/a", "run", "--cluster-file", "/b"});
  CHECK_TRUE(invocation.ok());
  STRCMP_EQUAL("/a", invocation->paths.host_file.c_str());
  STRCMP_EQUAL("/b", invocation->paths.cluster_file.c_str());
  CHECK_TRUE(invocation->paths.host_required);
  CHECK_TRUE(invocation->paths.cluster_required);
}

TEST(Registry, ALineThatMakesNoSenseIsAUsageError) {
  STRCMP_EQUAL("which command? run, save, list, prune, delete, check or status",
               usage_error_of({}).c_str());
  STRCMP_CONTAINS("bogus", usage_error_of({"bogus"}).c_str());
  STRCMP_CONTAINS("NAME is required", usage_error_of({"delete"}).c_str());
  STRCMP_CONTAINS("--json", usage_error_of({"run", "--json"}).c_str());
  CHECK_FALSE(parse({"run", "list"}).ok());
}

TEST_GROUP(CallOfACommand) {
  Lab lab;
  ConfigPaths paths;
  std::optional<Error> config_error;
  Printed call(const std::vector<const char*>& arguments) {
    const auto invocation = parse(arguments);
    CHECK_TRUE(invocation.ok());
    return capture([&] {
      return invocation->command.run({lab.context, lab.settings, paths, config_error});
    });
  }
};

// An empty value is not the same as none.
TEST(CallOfACommand, AnEmptyNameIsRefused) {
  const Printed printed = call({"save", "--name", ""});
  LONGS_EQUAL(64, printed.code);
  STRCMP_CONTAINS("--name is empty", printed.err.c_str());
}

TEST(CallOfACommand, FlagsOfTheBucketNeedS3) {
  const Printed printed = call({"save", "--region", "eu"});
  LONGS_EQUAL(64, printed.code);
  STRCMP_CONTAINS("flags of the bucket without --s3", printed.err.c_str());
}

// The list is printed all the same, and then why it may lack the bucket.
TEST(CallOfACommand, ListAnswersAlthoughThePolicyIsWrong) {
  lab.add_snapshot(1h);
  config_error = Error{ErrorKind::kConfig, "cluster.yml:1: wrong", "mend it", false, 0};
  const Printed printed = call({"list"});
  LONGS_EQUAL(78, printed.code);
  STRCMP_CONTAINS("1 snapshot in ", printed.out.c_str());
  STRCMP_CONTAINS("cluster.yml:1: wrong", printed.err.c_str());
}

TEST(CallOfACommand, RunWithoutAPolicyFailsAndLeavesNoMark) {
  lab.settings.policy_present = false;
  const auto invocation = parse({"run"});
  std::filesystem::create_directory(runtime_directory());
  invocation->command.begin();
  const std::string mark = runtime_directory() + "/" + kUnfinishedFile;
  LONGS_EQUAL(0, access(mark.c_str(), F_OK));
  LONGS_EQUAL(78, call({"run"}).code);
  LONGS_EQUAL(-1, access(mark.c_str(), F_OK));
  STRCMP_CONTAINS("is not there", lab.log.records.back().fields.at("error").c_str());
}

TEST(CallOfACommand, StatusAnswersInItsOwnFormWhenItCannotStart) {
  const auto invocation = parse({"status", "--json"});
  const Error error{ErrorKind::kInternal, "no memory", "", false, 0};
  const Printed printed = capture([&] {
    return invocation->command.fail(error, {paths, lab.context.host, lab.clock, lab.log});
  });
  LONGS_EQUAL(3, printed.code);
  STRCMP_CONTAINS("\"summary\": \"no memory\"", printed.out.c_str());
}
