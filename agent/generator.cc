// etcd-snapshot-generator: systemd runs it at boot and at every daemon-reload, before any unit. It
// reads the configuration and writes drop-ins; see systemd.generator(7) for what it may not do: use
// the network, start processes, wait, or fail on a missing file. It only wires: what is read is in
// config/, what is written in systemd/schedule.
//
// A configuration that cannot be read never turns backups off: the units get what the last good one
// says (config/last_good.h), as the cycles go on with it, too. Without one, or where /var is not
// mounted yet, the timer keeps the schedule of its static unit, and the drop-in only has systemd
// watch the file.
#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/fd.h"
#include "base/files.h"
#include "config/last_good.h"
#include "config/load.h"
#include "systemd/schedule.h"

namespace etcd_snapshot {
namespace {

constexpr char kName[] = "etcd-snapshot-generator";

constexpr char kUsage[] =
    "Usage: etcd-snapshot-generator NORMAL-DIR [EARLY-DIR LATE-DIR]\n"
    "Writes systemd drop-ins for etcd-snapshot.timer and etcd-snapshot.service into NORMAL-DIR,\n"
    "from /etc/etcd-snapshot/cluster.yml and /etc/etcd-snapshot/etcd-snapshot.conf.\n"
    "Run by systemd; by hand for a look at what it would write.\n"
    "\n"
    "  --help     this text\n"
    "  --version  the version\n"
    "\n"
    "Environment: ETCD_SNAPSHOT_ROOT is put in front of the two paths (for tests).\n"
    "See etcd-snapshot-generator(8).\n";

// Whether systemd's system manager runs this program: it says so in the first variable since
// version 251; before that, the second one at least tells systemd from an operator.
bool run_by_system_manager() {
  const char* scope = getenv("SYSTEMD_SCOPE");
  if (scope != nullptr) return std::string_view(scope) == "system";
  const char* pid = getenv("SYSTEMD_EXEC_PID");
  return pid != nullptr && pid == std::to_string(getpid());
}

// One line to the kernel's log, as the journal does not run yet; to standard error by hand.
void report(int priority, const std::string& message) {
  // The kernel takes about 1000 bytes a record; the rest would be lost with all of it.
  constexpr size_t kMaxRecord = 900;
  std::string line = fmt::format("<{}>{}[{}]: {}", priority, kName, getpid(), message);
  if (line.size() > kMaxRecord) line = line.substr(0, kMaxRecord - 3) + "...";
  line += '\n';
  if (run_by_system_manager()) {
    const UniqueFd kmsg(open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (kmsg && write_all(kmsg.get(), as_bytes(line), "/dev/kmsg")) return;
  }
  // Nothing is left to tell of a failure here.
  if (!write_all(STDERR_FILENO, as_bytes(line), "standard error")) return;
}

// What the configuration files give. An empty result is nothing to do.
struct Plan {
  std::vector<DropIn> drop_ins;
  std::vector<std::string> errors;
};

// What a file says; nullopt: there is none.
template <typename T>
Result<std::optional<T>> read_checked(const std::string& path, const std::string& name,
                                      Result<T> (*parse)(const std::string&, const std::string&)) {
  ES_ASSIGN(text, read_config_file(path));
  if (!text) return std::optional<T>();
  ES_ASSIGN(parsed, parse(name, *text));
  return std::optional<T>(std::move(parsed));
}

// `live`, or where that cannot be used `kept`, its last good text. An empty result is told.
template <typename T>
std::optional<T> read_or_last_good(const std::string& root, const std::string& live,
                                   const std::string& kept, Plan& plan, bool& watched,
                                   Result<T> (*parse)(const std::string&, const std::string&)) {
  auto now = read_checked(root + live, live, parse);
  watched = !now.ok();
  if (now) return std::move(*now);
  std::string message = now.error().message;
  auto before = check_last_good(root + kept, live);
  auto last_good = before ? read_checked(root + kept, kept, parse)
                          : Result<std::optional<T>>(before.take_error());
  if (last_good) {
    plan.errors.push_back(message +
                          "; until this is corrected and `systemctl daemon-reload` was run, the "
                          "last good configuration is used");
    return std::move(*last_good);
  }
  // Where none was kept yet, there is nothing to tell.
  if (!is_absent(last_good.error())) {
    message += "; the last good configuration is ignored: " + last_good.error().message;
  }
  plan.errors.push_back(message +
                        "; until this is corrected and `systemctl daemon-reload` was run, "
                        "the units keep their own settings and runs of etcd-snapshot fail");
  return std::nullopt;
}

// The agent logs both at every run; here they would come at every reload.
Result<Policy> parse_policy(const std::string& path, const std::string& text) {
  std::vector<ConfigWarning> warnings, doubts;
  return parse_cluster_yaml(path, text, warnings, doubts);
}

void plan_timer(const std::string& root, Plan& plan) {
  bool watched = false;
  auto policy =
      read_or_last_good(root, kDefaultClusterFile, kept_cluster_file(kDefaultStateDirectory), plan,
                        watched, parse_policy);
  if (policy && policy->assumed) {
    // The cycles go on with the last good one, and at its pace.
    const std::string kept = kept_cluster_file(kDefaultStateDirectory);
    std::optional<Policy> before;
    if (check_last_good(root + kept, kDefaultClusterFile)) {
      auto text = read_config_file(root + kept);
      auto parsed = text && *text ? parse_policy(kept, **text) : Result<Policy>(Error{});
      if (parsed && parsed->recurring) before = std::move(*parsed);
    }
    if (before) policy = std::move(before);
  }
  if (policy) {
    // Also where recurring snapshots are turned off: `run` says so, and no more often than asked
    // for.
    plan.drop_ins.push_back(timer_drop_in(policy->interval, kDefaultClusterFile));
  } else if (watched) {
    plan.drop_ins.push_back(timer_watches(kDefaultClusterFile));
  }
}

void plan_service(const std::string& root, Plan& plan) {
  bool watched = false;
  const auto host =
      read_or_last_good(root, kDefaultHostFile, kept_host_file(kDefaultStateDirectory), plan,
                        watched, parse_host_ini);
  auto drop_in = host ? service_drop_in(*host, kDefaultHostFile) : std::nullopt;
  if (!drop_in && watched) drop_in = service_watches(kDefaultHostFile);
  if (drop_in) plan.drop_ins.push_back(std::move(*drop_in));
}

// Creates DIRECTORY/FILE below the output directory; never overwrites: systemd empties the
// directory before it runs the generators, so what is there is somebody else's.
Result<void> write_drop_in(int output_fd, const DropIn& drop_in) {
  const std::string path = drop_in.directory + "/" + drop_in.file_name;
  if (mkdirat(output_fd, drop_in.directory.c_str(), 0755) != 0 && errno != EEXIST) {
    return system_error(ErrorKind::kStorage, "cannot create", drop_in.directory);
  }
  const UniqueFd directory(openat(output_fd, drop_in.directory.c_str(),
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return system_error(ErrorKind::kStorage, "cannot open", drop_in.directory);
  const UniqueFd file(openat(directory.get(), drop_in.file_name.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) return system_error(ErrorKind::kStorage, "cannot create", path);
  auto written = write_all(file.get(), as_bytes(drop_in.text), path);
  // Half a drop-in could clear the schedule without setting one.
  if (!written) unlinkat(directory.get(), drop_in.file_name.c_str(), 0);
  return written;
}

// Each for itself: one that cannot be written keeps no other from being written.
void write_plan(const char* output, Plan& plan) {
  if (plan.drop_ins.empty()) return;
  const UniqueFd output_fd(open(output, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!output_fd) {
    plan.errors.push_back(system_error(ErrorKind::kStorage, "cannot open", output).message);
    return;
  }
  for (const DropIn& drop_in : plan.drop_ins) {
    if (auto written = write_drop_in(output_fd.get(), drop_in); !written) {
      plan.errors.push_back(written.error().message);
    }
  }
}

int generate(const char* output) {
  const char* prefix = getenv("ETCD_SNAPSHOT_ROOT");
  const std::string root = prefix == nullptr ? "" : prefix;
  umask(0022);

  Plan plan;
  plan_timer(root, plan);
  plan_service(root, plan);
  write_plan(output, plan);

  for (const std::string& error : plan.errors) report(LOG_ERR, error);
  // systemd logs the failure of a generator and goes on.
  return plan.errors.empty() ? kExitOk : kExitInternal;
}

int print(std::string_view text) {
  return write_all(STDOUT_FILENO, as_bytes(text), "standard output") ? kExitOk : kExitInternal;
}

}  // namespace
}  // namespace etcd_snapshot

int main(int argc, char** argv) {
  using namespace etcd_snapshot;
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "--help" || first == "-h") return print(kUsage);
  if (first == "--version") return print(fmt::format("{} {}\n", kName, ETCD_SNAPSHOT_VERSION));
  if ((argc != 2 && argc != 4) || first.empty() || first.starts_with('-')) {
    fputs(kUsage, stderr);
    return kExitUsage;
  }
  return generate(argv[1]);
}
