#include "metrics/metrics.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/files.h"

namespace etcd_snapshot {
namespace {

// Those that a later run reads, too.
constexpr std::string_view kLastRun = "etcd_snapshot_last_run_timestamp_seconds";
constexpr std::string_view kLastSuccess = "etcd_snapshot_last_success_timestamp_seconds";
constexpr std::string_view kExitCode = "etcd_snapshot_last_run_exit_code";
constexpr std::string_view kHealthy = "etcd_snapshot_last_run_cluster_healthy";
constexpr std::string_view kLastGood = "etcd_snapshot_last_run_used_last_good_configuration";
constexpr std::string_view kDuration = "etcd_snapshot_last_run_duration_seconds";
constexpr std::string_view kPhases = "etcd_snapshot_last_run_phase_duration_seconds";
constexpr std::string_view kKept = "etcd_snapshot_kept_snapshots";
constexpr std::string_view kPruned = "etcd_snapshot_last_run_pruned_snapshots";
constexpr std::string_view kBacklog = "etcd_snapshot_backlog_snapshots";
constexpr std::string_view kInterval = "etcd_snapshot_interval_seconds";

constexpr std::string_view kLocal = R"({place="local"})";
constexpr std::string_view kBucket = R"({place="bucket"})";

// As many as the kernel follows, path_resolution(7).
constexpr int kMaxLinks = 40;

std::string_view label_of(Phase phase) {
  switch (phase) {
    case Phase::kConnect:
      return "connect";
    case Phase::kStream:
      return "stream";
    case Phase::kStore:
      return "store";
    case Phase::kWait:
      return "wait";
    case Phase::kUpload:
      return "upload";
    case Phase::kBucket:
      return "bucket";
    case Phase::kCatchUp:
      return "catch_up";
    case Phase::kPrune:
      return "prune";
    case Phase::kOther:
      break;
  }
  return "other";
}

std::string label_set(Phase phase) {
  return fmt::format("{{phase=\"{}\"}}", label_of(phase));
}

std::string number(int64_t value) {
  return std::to_string(value);
}

std::string number(UnixSeconds time) {
  return std::to_string(time.time_since_epoch().count());
}

// Seconds, to the microsecond.
std::string number(Nanoseconds duration) {
  const int64_t us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  if (us % 1000000 == 0) return std::to_string(us / 1000000);
  return fmt::format("{}.{:06}", us / 1000000, us % 1000000);
}

// The text as it grows. A family without a sample is not there at all.
class Page {
 public:
  template <typename T>
  void gauge(std::string_view name, std::string_view help, const std::optional<T>& value) {
    if (!value) return;
    family(name, help);
    sample(name, "", number(*value));
  }

  void places(std::string_view name, std::string_view help, const std::optional<int64_t>& local,
              const std::optional<int64_t>& bucket) {
    if (!local && !bucket) return;
    family(name, help);
    if (local) sample(name, kLocal, number(*local));
    if (bucket) sample(name, kBucket, number(*bucket));
  }

  void family(std::string_view name, std::string_view help) {
    text_ += fmt::format("# HELP {} {}\n# TYPE {} gauge\n", name, help, name);
  }
  void sample(std::string_view name, std::string_view labels, std::string_view value) {
    text_ += fmt::format("{}{} {}\n", name, labels, value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// The number behind the sample, in a file that may hold anything.
std::optional<double> find_number(std::string_view text, const std::string& sample) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.starts_with(sample)) continue;
    line.remove_prefix(sample.size());
    if (!line.starts_with(' ')) continue;
    line.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc() || end != line.data() + line.size()) return std::nullopt;
    constexpr double kMost = 9e9;  // seconds; nanoseconds of it fit into 64 bits
    if (!(value >= 0 && value < kMost)) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

std::optional<int64_t> find_count(std::string_view text, std::string_view name,
                                  std::string_view labels = {}) {
  const auto value = find_number(text, fmt::format("{}{}", name, labels));
  if (!value || *value != std::floor(*value)) return std::nullopt;
  return static_cast<int64_t>(*value);
}

std::optional<Nanoseconds> find_duration(std::string_view text, std::string_view name,
                                         std::string_view labels = {}) {
  const auto value = find_number(text, fmt::format("{}{}", name, labels));
  if (!value) return std::nullopt;
  return std::chrono::microseconds(std::llround(*value * 1e6));
}

std::optional<UnixSeconds> find_time(std::string_view text, std::string_view name) {
  const auto value = find_number(text, std::string(name));
  if (!value || *value < 1) return std::nullopt;
  return UnixSeconds(std::chrono::seconds(std::llround(*value)));
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  const size_t slash = path.rfind('/');
  return {path.substr(0, slash), path.substr(slash + 1)};
}

Error explain(Error error, const std::string& path, const std::string& directory) {
  if (error.code == ENOENT) {
    error.hint = "create " + directory + ", or name a file elsewhere in [metrics] textfile";
  } else if (error.code == EROFS) {
    error.hint =
        "if [metrics] textfile is new: systemctl daemon-reload lets the service write to " +
        directory;
  } else if (error.code == ELOOP) {
    error.hint = "name the directory itself in [metrics] textfile, or make the link as root";
  } else if (error.code == EACCES || error.code == EPERM) {
    error.hint = "the service writes only where root itself may: chown root " + directory;
  }
  return std::move(error).within(path);
}

bool planted(int fd) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) return true;
  return status.st_uid != 0 && status.st_uid != geteuid();
}

// Step by step: links are followed, but not those of another user. Who may write to a directory
// on the way could lead root with one to any place. O_PATH waits for nothing, not even on a FIFO.
Result<UniqueFd> open_directory(const std::string& directory) {
  const auto refused = [&](int code) {
    return system_error(ErrorKind::kStorage, "cannot open", directory, code);
  };
  constexpr int kStep = O_PATH | O_CLOEXEC;
  UniqueFd fd(open("/", kStep));
  std::string rest = directory;
  int links = 0;
  while (fd && !rest.empty()) {
    const size_t slash = std::min(rest.find('/'), rest.size());
    const std::string step = rest.substr(0, slash);
    rest.erase(0, slash + 1);
    if (step.empty()) continue;
    UniqueFd next(openat(fd.get(), step.c_str(), kStep | O_NOFOLLOW));
    if (!next) return refused(errno);
    char target[PATH_MAX];
    // With an empty name: the link that is open, readlink(2). What is none fails.
    const ssize_t length = readlinkat(next.get(), "", target, sizeof target);
    if (length < 0) {
      fd = std::move(next);
      continue;
    }
    if (++links > kMaxLinks) return refused(ELOOP);
    if (planted(next.get())) {
      Error error = refused(ELOOP);
      error.message = "cannot open " + directory + ": the link " + step + " is another user's";
      return error;
    }
    rest = std::string(target, static_cast<size_t>(length)) + "/" + rest;
    if (target[0] == '/') fd.reset(open("/", kStep));
  }
  if (fd) fd.reset(openat(fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return refused(errno);
  return fd;
}

}  // namespace

std::string escape_label(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string format_metrics(const Metrics& metrics) {
  Page page;
  constexpr std::string_view kBuild = "etcd_snapshot_build_info";
  page.family(kBuild, "The version of etcd-snapshot; the value is always 1.");
  page.sample(kBuild, fmt::format("{{version=\"{}\"}}", escape_label(metrics.version)), "1");

  page.gauge(kLastRun, "When the last run ended.", metrics.last_run);
  page.gauge(kLastSuccess, "When the newest proven recurring snapshot of this host was taken.",
             metrics.last_success);
  page.gauge<int64_t>(kExitCode, "The exit status of the last run; 0 is success.",
                      metrics.exit_code);
  page.gauge<int64_t>(
      kHealthy,
      "Whether the last run's snapshot came from a healthy voting member, without an "
      "alarm in the cluster.",
      metrics.cluster_healthy);
  page.gauge<int64_t>(kLastGood,
                      "1 where the last run could not use a file of the configuration and went on "
                      "with the last good one.",
                      metrics.last_good);
  page.gauge(kDuration, "How long the last run took.", metrics.duration);
  if (!metrics.phases.empty()) {
    page.family(kPhases, "How long each phase of the last run took, all attempts together.");
    for (const auto& [phase, duration] : metrics.phases) {
      page.sample(kPhases, label_set(phase), number(duration));
    }
  }

  page.gauge("etcd_snapshot_database_size_bytes",
             "The size of the database in the newest proven snapshot.", metrics.database_bytes);
  page.gauge("etcd_snapshot_archive_size_bytes",
             "The size of the file of the newest proven snapshot.", metrics.archive_bytes);
  page.gauge("etcd_snapshot_revision", "The revision of etcd in the newest proven snapshot.",
             metrics.revision);

  page.places(kKept, "How many snapshots there are.", metrics.local.kept, metrics.bucket.kept);
  page.places(kPruned, "How many the last run deleted.", metrics.local.pruned,
              metrics.bucket.pruned);
  page.gauge(kBacklog, "How many proven snapshots of this host are not known to be in the bucket.",
             metrics.backlog);

  page.gauge(kInterval, "The time between two snapshots, as configured.", metrics.interval);
  page.gauge("etcd_snapshot_retention_seconds", "How long a snapshot is kept, as configured.",
             metrics.retention);
  page.gauge("etcd_snapshot_retention_snapshots",
             "How many snapshots are kept, where that is configured instead of a time.",
             metrics.retention_snapshots);
  if (!metrics.certificates.empty()) {
    constexpr std::string_view kExpiry = "etcd_snapshot_certificate_expiry_timestamp_seconds";
    page.family(kExpiry, "When the certificate expires that a run needs.");
    for (const auto& [use, valid_until] : metrics.certificates) {
      page.sample(kExpiry, fmt::format("{{certificate=\"{}\"}}", use), number(valid_until));
    }
  }
  page.gauge("etcd_snapshot_directory_free_bytes",
             "What is free on the file system of the snapshots.", metrics.free_bytes);
  page.gauge("etcd_snapshot_directory_size_bytes", "The size of the file system of the snapshots.",
             metrics.total_bytes);
  return page.take();
}

Metrics parse_former_metrics(std::string_view text) {
  Metrics former;
  former.last_run = find_time(text, kLastRun);
  if (const auto code = find_count(text, kExitCode); code && *code < 256) {
    former.exit_code = static_cast<int>(*code);
  }
  if (const auto healthy = find_count(text, kHealthy)) former.cluster_healthy = *healthy != 0;
  if (const auto used = find_count(text, kLastGood)) former.last_good = *used != 0;
  former.duration = find_duration(text, kDuration);
  for (int i = 0; i <= static_cast<int>(Phase::kOther); ++i) {
    const auto phase = static_cast<Phase>(i);
    const auto duration = find_duration(text, kPhases, label_set(phase));
    if (duration) former.phases[phase] = *duration;
  }
  former.last_success = find_time(text, kLastSuccess);
  former.local.pruned = find_count(text, kPruned, kLocal);
  former.bucket = {find_count(text, kKept, kBucket), find_count(text, kPruned, kBucket)};
  former.backlog = find_count(text, kBacklog);
  former.interval = find_duration(text, kInterval);
  if (former.interval == Nanoseconds()) former.interval.reset();
  return former;
}

Metrics read_former_metrics(const std::string& path) {
  const auto [directory, name] = split_path(path);
  const auto fd = open_directory(directory);
  if (!fd) return {};
  const auto text = read_file_at(fd->get(), name, ErrorKind::kStorage, 64 << 10);
  return text ? parse_former_metrics(*text) : Metrics();
}

Result<void> write_metrics(const std::string& path, const Metrics& metrics) {
  const auto [directory, name] = split_path(path);
  auto fd = open_directory(directory);
  if (!fd) return explain(fd.take_error(), path, directory);
  auto written = replace_file_at(fd->get(), name, as_bytes(format_metrics(metrics)), 0644);
  if (!written) return explain(written.take_error(), path, directory);
  return {};
}

}  // namespace etcd_snapshot
