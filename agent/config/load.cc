#include "config/load.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/files.h"
#include "base/go_duration.h"
#include "config/host_ini.h"
#include "config/network.h"
#include "config/value.h"

namespace etcd_snapshot {
namespace {

using Warnings = std::vector<ConfigWarning>;

// A cluster.yml with every addon inline is some 100 KiB. The generator delays every boot and reload
// while yaml-cpp reads, and that takes seconds from a few MiB on.
constexpr size_t kMaxConfigBytes = 1 << 20;

Error config_error(std::string message, std::string hint) {
  Error error;
  error.kind = ErrorKind::kConfig;
  error.message = std::move(message);
  error.hint = std::move(hint);
  return error;
}

// The text of a file that may be missing unless it is required.
Result<std::optional<std::string>> read_optional(const std::string& path, bool required) {
  ES_ASSIGN(text, read_config_file(path));
  if (!text && required) {
    Error error = system_error(ErrorKind::kConfig, "cannot read", path, ENOENT);
    error.hint = "give the path of an existing file, or leave the option out for the default";
    return error;
  }
  return text;
}

// The files that etcd-snapshot.conf names.
struct NamedFile {
  std::string_view section, key;
  const std::string& path;
  mode_t exposed;  // the mode bits of a secret that others can read; 0: no secret
  // Nothing can be done without it. Those of the bucket may lie on a mount that is away: that is
  // the bucket's failure, told by who reads them, and costs no snapshot.
  bool needed = true;
};

std::vector<NamedFile> named_files(const HostSettings& host) {
  // The key of a certificate is often shared with a group on purpose (the etcd user's).
  const mode_t others = S_IROTH;
  const mode_t anybody = S_IRGRP | S_IROTH;
  const std::vector<NamedFile> all = {
      {"etcd", "ca_file", host.etcd.ca_file, 0},
      {"etcd", "cert_file", host.etcd.cert_file, 0},
      {"etcd", "key_file", host.etcd.key_file, others},
      {"etcd", "password_file", host.etcd.password_file, anybody},
      {"s3", "secret_key_file", host.s3.secret_key_file, anybody, false},
  };
  return all;
}

void warn_if_exposed(const std::string& path, mode_t bits, Warnings& warnings) {
  struct stat status = {};
  // One that cannot be looked at is told of by whoever reads it.
  if (stat(path.c_str(), &status) != 0 || (status.st_mode & bits) == 0) return;
  warnings.push_back(
      {fmt::format("{}: holds a secret, and {} can read it (mode {:04o}); run: "
                   "chmod 600 {}",
                   path, (status.st_mode & S_IROTH) != 0 ? "everybody" : "its group",
                   status.st_mode & 07777, path)});
}

Result<void> check_readable(const Place& place, const std::string& path) {
  constexpr std::string_view kAccepted = "the absolute path of a readable file";
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) {
    return bad_value(place, fmt::format("cannot be read ({}):", strerror(errno)), path, kAccepted);
  }
  struct stat status = {};
  if (fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return bad_value(place, "not a regular file:", path, kAccepted);
  }
  return {};
}

Result<void> check_named_files(const std::string& host_file, const HostSettings& host,
                               const KeyLines& lines, Warnings& warnings) {
  for (const NamedFile& file : named_files(host)) {
    if (file.path.empty()) continue;
    const auto line = lines.find(fmt::format("{}.{}", file.section, file.key));
    const Place place{host_file, line == lines.end() ? 0 : line->second,
                      fmt::format("[{}] {}", file.section, file.key)};
    if (file.needed) ES_TRY(check_readable(place, file.path));
    if (file.exposed != 0) warn_if_exposed(file.path, file.exposed, warnings);
  }
  return {};
}

// What takes both files to see.
Result<void> check_together(const Policy& policy, const HostSettings& host, Warnings& warnings) {
  const bool counts = host.snapshots.retention_unit == RetentionUnit::kSnapshots;
  if (counts && !policy.retention_countable) {
    return config_error(
        fmt::format("{}a duration, '{}', while etcd-snapshot.conf says retention_unit = snapshots; "
                    "accepted: a whole number in backup_config.retention",
                    policy.retention_place, shown(policy.retention_text)),
        "write how many snapshots to keep, or remove retention_unit from [snapshots]");
  }
  if (!policy.recurring) return {};
  if (counts ? policy.retention_number == 0 : policy.retention == Nanoseconds(0)) {
    warnings.push_back({policy.retention_place +
                        "zero: every cycle deletes all older snapshots; only the newest proven "
                        "one stays"});
  } else if (!counts && policy.retention < policy.interval) {
    warnings.push_back({fmt::format(
        "{}shorter than the interval ({} and {}): legal, but older snapshots expire before the "
        "next one is taken; the newest proven one always stays",
        policy.retention_place, format_go_duration(policy.retention),
        format_go_duration(policy.interval))});
  }
  return {};
}

// What an http:// endpoint does with settings that were meant for https://.
void warn_of_plain_endpoints(const std::string& host_file, const EtcdSettings& etcd, int line,
                             Warnings& warnings) {
  for (const std::string& url : etcd.endpoints) {
    if (!url.starts_with("http://")) continue;
    const std::string place = fmt::format("{}:{}: [etcd] endpoints: {}", host_file, line, url);
    if (!etcd.ca_file.empty() || !etcd.cert_file.empty()) {
      warnings.push_back({place + " is without TLS: ca_file, cert_file and key_file are not used"});
    }
    if (!etcd.username.empty() && !is_loopback_url(url)) {
      warnings.push_back(
          {place + " is without TLS: the password crosses the network in the clear"});
    }
  }
}

}  // namespace

Result<std::optional<std::string>> read_config_file(const std::string& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return std::optional<std::string>();
    Error error = system_error(ErrorKind::kConfig, "cannot read", path);
    if (error.code == EACCES) error.hint = "run as root";
    return error;
  }
  // A character device is let through: a file linked to /dev/null is how units are masked.
  if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode)) {
    return config_error(fmt::format("cannot read {}: not a regular file", path),
                        "put a regular file there");
  }
  ES_ASSIGN(text, read_file(path, ErrorKind::kConfig, kMaxConfigBytes));
  return std::optional<std::string>(std::move(text));
}

namespace {

// Whatever is wrong with a file keeps nobody from taking a snapshot: `save` does without
// cluster.yml, and without etcd-snapshot.conf where the defaults fit. `config`: for --config.
Error with_way_out(Error error, const std::string& config) {
  if (error.kind != ErrorKind::kConfig) return error;
  if (!error.hint.empty()) error.hint += "; ";
  error.hint += "to take a snapshot now: etcd-snapshot ";
  if (config != kDefaultHostFile) error.hint += "--config " + config + " ";
  error.hint += "save";
  return error;
}

Result<void> load_host(const ConfigPaths& paths, Settings& settings, KeyLines& lines) {
  ES_ASSIGN(text, read_optional(paths.host_file, paths.host_required));
  if (!text) return {};
  ES_ASSIGN(host, read_host_ini(paths.host_file, *text, lines));
  settings.host = std::move(host);
  settings.host_text = std::move(text);
  return {};
}

// A file linked to /dev/null is turned off on purpose, as units are masked.
bool is_masked(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode);
}

Result<void> load_policy(const ConfigPaths& paths, Settings& settings) {
  if (paths.cluster_file.empty()) return {};
  ES_ASSIGN(text, read_optional(paths.cluster_file, paths.cluster_required));
  settings.policy_present = text.has_value();
  if (!text) return {};
  if (is_masked(paths.cluster_file)) {
    settings.policy.off_on_purpose = true;
    settings.policy.off_reason = paths.cluster_file + " is linked to a device";
    return {};
  }
  ES_ASSIGN(policy,
            parse_cluster_yaml(paths.cluster_file, *text, settings.warnings, settings.doubts));
  settings.policy = std::move(policy);
  settings.cluster_text = std::move(text);
  return check_together(settings.policy, settings.host, settings.warnings);
}

void look_at_settings(const ConfigPaths& paths, Settings& settings, KeyLines& lines) {
  constexpr mode_t kAnybody = S_IRGRP | S_IROTH;
  if (settings.policy.s3 && !settings.policy.s3->secret_key.empty()) {
    warn_if_exposed(paths.cluster_file, kAnybody, settings.warnings);
  }
  if (holds_user_info(settings.host.s3.proxy)) {
    warn_if_exposed(paths.host_file, kAnybody, settings.warnings);
  }
  if (const std::string& textfile = settings.host.metrics_textfile;
      !textfile.empty() && !textfile.ends_with(".prom")) {
    settings.warnings.push_back({fmt::format(
        "{}:{}: [metrics] textfile: '{}' does not end in .prom; node_exporter's textfile collector "
        "reads no other files",
        paths.host_file, lines["metrics.textfile"], shown(textfile))});
  }
  warn_of_plain_endpoints(paths.host_file, settings.host.etcd, lines["etcd.endpoints"],
                          settings.warnings);
}

constexpr char kNoConfig[] = "/dev/null";

}  // namespace

Result<Settings> load_settings(const ConfigPaths& paths) {
  Settings settings;
  KeyLines lines;
  if (auto host = load_host(paths, settings, lines); !host) {
    return with_way_out(host.take_error(), kNoConfig);
  }
  if (auto policy = load_policy(paths, settings); !policy) {
    return with_way_out(policy.take_error(), paths.host_file);
  }
  look_at_settings(paths, settings, lines);
  if (!paths.check_files) return settings;
  auto files = check_named_files(paths.host_file, settings.host, lines, settings.warnings);
  if (!files) return with_way_out(files.take_error(), kNoConfig);
  return settings;
}

}  // namespace etcd_snapshot
