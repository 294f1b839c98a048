// cluster.yml: the two forms in which RKE's users write when to take snapshots and how long to keep
// them. Everything else in the file is RKE's business and is not looked at.
#include <yaml-cpp/yaml.h>

#include <array>
#include <exception>

#include <fmt/format.h>

#include "base/go_duration.h"
#include "config/load.h"
#include "config/nearest_key.h"
#include "config/s3_policy.h"
#include "config/yaml_map.h"

namespace etcd_snapshot {
namespace {

using Warnings = std::vector<ConfigWarning>;

constexpr std::array<std::string_view, 6> kBackupConfigKeys = {
    "enabled", "interval_hours", "retention", "s3backupconfig", "safe_timestamp", "timeout"};
constexpr std::array<std::string_view, 7> kS3Keys = {
    "access_key", "bucket_name", "custom_ca", "endpoint", "folder", "region", "secret_key"};

void warn_of_unknown_keys(const YamlMap& map, std::span<const std::string_view> known,
                          Warnings& warnings) {
  for (const YamlMap::Entry& entry : map.entries()) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    Place place = map.place_of(entry.key);
    place.key = shown(place.key);
    warnings.push_back({fmt::format("{}unknown key, ignored; the nearest known one is '{}'",
                                    at(place), nearest_key(entry.key, known))});
  }
}

// `creation` or `retention` of the older form.
Result<Nanoseconds> read_go_duration(const Place& place, const std::string& text, Zero zero) {
  auto parsed = parse_go_duration(text);
  if (!parsed) {
    Error error = bad_setting(place, "", "");
    error.message = at(place) + parsed.error().message;
    return error;
  }
  if (*parsed < Nanoseconds(0)) {
    return bad_value(place, "a negative duration:", text, "a Go duration such as 5m0s or 24h");
  }
  if (zero == Zero::kAllowed) return *parsed;
  if (*parsed == Nanoseconds(0) || *parsed % std::chrono::milliseconds(1) != Nanoseconds(0)) {
    return bad_value(place, "zero or a fraction of a millisecond:", text,
                     "a positive Go duration in whole milliseconds such as 5m0s or 24h");
  }
  return *parsed;
}

Result<bool> read_boolean(const YamlMap& map, std::string_view key, bool unset) {
  ES_ASSIGN(text, map.text(key));
  if (!text) return unset;
  return parse_boolean(map.place_of(key), *text);
}

void set_retention(Policy& policy, const Place& place, const std::string& text) {
  policy.retention_place = at(place);
  policy.retention_text = text;
}

// etcd.creation and etcd.retention. With a backup_config that sets its own, a bad value here does
// no harm: it must not stop backups, so it is only warned about.
Result<void> read_older_durations(const YamlMap& etcd, const YamlMap* backup_config, Policy& policy,
                                  Warnings& warnings) {
  const auto read = [&](std::string_view key, std::string_view wins, Zero zero,
                        Nanoseconds& out) -> Result<bool> {
    auto text = etcd.text(key);
    Result<Nanoseconds> value = Nanoseconds(0);
    if (!text) {
      value = text.take_error();
    } else if (!*text) {
      return false;
    } else {
      value = read_go_duration(etcd.place_of(key), **text, zero);
    }
    if (backup_config != nullptr && backup_config->is_set(wins)) {
      if (!value) {
        warnings.push_back(
            {fmt::format("{} (not used: backup_config.{} is set)", value.error().message, wins)});
      }
      return false;
    }
    if (!value) return value.take_error();
    out = *value;
    return true;
  };
  ES_TRY(read("creation", "interval_hours", Zero::kRefused, policy.interval));
  ES_ASSIGN(retention_used, read("retention", "retention", Zero::kAllowed, policy.retention));
  if (retention_used) {
    set_retention(policy, etcd.place_of("retention"), etcd.find("retention")->value.Scalar());
    policy.retention_countable = false;
  }
  return {};
}

Result<void> read_backup_config(const YamlMap& map, Policy& policy, Warnings& warnings) {
  warn_of_unknown_keys(map, kBackupConfigKeys, warnings);

  ES_ASSIGN(enabled, read_boolean(map, "enabled", true));
  policy.recurring = enabled;
  policy.off_on_purpose = !enabled;
  if (!enabled) policy.off_reason = at(map.place_of("enabled")) + "false";

  ES_ASSIGN(interval, map.text("interval_hours"));
  if (interval) {
    ES_ASSIGN(value,
              parse_hours_or_minutes(map.place_of("interval_hours"), *interval, Zero::kRefused));
    policy.interval = value.duration;
  }

  ES_ASSIGN(retention, map.text("retention"));
  if (retention) {
    const Place place = map.place_of("retention");
    ES_ASSIGN(value, parse_hours_or_minutes(place, *retention, Zero::kAllowed));
    set_retention(policy, place, *retention);
    policy.retention = value.duration;
    policy.retention_number = value.number;
    policy.retention_countable = !value.minutes;
  }

  ES_ASSIGN(timeout, map.text("timeout"));
  if (timeout) {
    constexpr int64_t kMaxTimeout = 31'536'000;  // a year
    ES_ASSIGN(seconds, parse_whole_number(map.place_of("timeout"), *timeout, 1, kMaxTimeout));
    policy.timeout = std::chrono::seconds(seconds);
  }

  ES_ASSIGN(safe_timestamp, read_boolean(map, "safe_timestamp", false));
  policy.safe_timestamp = safe_timestamp;

  // An empty map asks for S3 without saying where; only null or nothing means no S3.
  if (map.is_set("s3backupconfig")) {
    ES_ASSIGN(s3_map, map.map("s3backupconfig"));
    warn_of_unknown_keys(s3_map, kS3Keys, warnings);
    ES_ASSIGN(s3, read_s3_policy(s3_map, warnings));
    policy.s3 = s3;
  }
  return {};
}

Result<Policy> read_policy(const std::string& path, const YAML::Node& root, Warnings& warnings) {
  Policy policy;
  ES_ASSIGN(document, YamlMap::read({path, 1, ""}, root));
  ES_ASSIGN(services, document.map("services"));
  ES_ASSIGN(etcd, services.map("etcd"));

  if (etcd.is_set("backup_config")) {
    policy.retention_place = path + ": services.etcd.backup_config.retention: ";
    ES_ASSIGN(backup_config, etcd.map("backup_config"));
    ES_TRY(read_backup_config(backup_config, policy, warnings));
    ES_TRY(read_older_durations(etcd, &backup_config, policy, warnings));
    const auto snapshot = read_boolean(etcd, "snapshot", true);
    if (policy.recurring && snapshot && !*snapshot) {
      warnings.push_back(
          {at(etcd.place_of("snapshot")) +
           "false has no effect beside backup_config; recurring snapshots are turned "
           "off by backup_config.enabled: false"});
    }
    return policy;
  }

  policy.older_form =
      etcd.is_set("snapshot") || etcd.is_set("creation") || etcd.is_set("retention");
  if (!policy.older_form) {
    policy.off_reason = path +
                        ": no services.etcd.backup_config; add it, for example with "
                        "`interval_hours: 12` and `retention: 72` below it";
    return policy;
  }
  policy.retention_place = path + ": services.etcd.retention: ";
  ES_TRY(read_older_durations(etcd, nullptr, policy, warnings));
  ES_ASSIGN(snapshot, read_boolean(etcd, "snapshot", false));
  policy.recurring = snapshot;
  policy.off_on_purpose = !snapshot && etcd.is_set("snapshot");
  if (!snapshot) {
    policy.off_reason = at(etcd.place_of("snapshot")) +
                        (etcd.is_set("snapshot") ? "false" : "not set, which means false");
  }
  return policy;
}

}  // namespace

Result<Policy> parse_cluster_yaml(const std::string& path, const std::string& text,
                                  std::vector<ConfigWarning>& warnings) {
  try {
    ES_ASSIGN(root, parse_first_document(path, text));
    return read_policy(path, root, warnings);
  } catch (const std::exception& error) {
    // Not known to happen: node access of yaml-cpp on a tree whose shapes were looked at.
    Error failure;
    failure.kind = ErrorKind::kConfig;
    failure.message = path + ": cannot be read as YAML: " + error.what();
    return failure;
  }
}

}  // namespace etcd_snapshot
