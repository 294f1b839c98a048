// cluster.yml: the two forms in which RKE's users write when to take snapshots and how long to keep
// them. Everything else in the file is RKE's business and is not looked at.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include "base/go_duration.h"
#include "config/key_doubts.h"
#include "config/load.h"
#include "config/nearest_key.h"
#include "config/s3_policy.h"
#include "config/yaml_map.h"

namespace etcd_snapshot {
namespace {

using Warnings = std::vector<ConfigWarning>;

// What is in doubt goes on at this pace where no key sets one: nothing is deleted meanwhile, and
// the five minutes of the documentation would fill the disk by themselves.
constexpr Nanoseconds kIntervalInDoubt = std::chrono::hours(1);

// What is near a key of ours is a doubt instead.
void warn_of_unknown_keys(const YamlMap& map, KeyLevel level, const Warnings& doubts,
                          Warnings& warnings) {
  for (const YamlMap::Entry& entry : map.entries()) {
    if (entry.ours) continue;
    Place place = map.place();
    place.line = entry.line;
    if (!entry.value.IsNull()) place.key += "." + shown_key(entry.written);
    const std::string line = fmt::format("{}:{}:", place.file, place.line);
    const bool in_doubt =
        std::any_of(doubts.begin(), doubts.end(),
                    [&](const ConfigWarning& doubt) { return doubt.message.starts_with(line); });
    if (in_doubt) continue;
    if (entry.value.IsNull()) {  // it may be a secret's second line
      warnings.push_back({at(place) + "an unknown key without a value, ignored"});
      continue;
    }
    warnings.push_back({fmt::format("{}unknown key, ignored; the nearest known one is '{}'",
                                    at(place), nearest_key(entry.key, names_of(level)))});
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

// A bad value of the older form that is no error: nothing depends on it, or it is in doubt what it
// belongs to.
enum class BadOlder { kError, kDoubt };

// etcd.creation and etcd.retention. With a backup_config that sets its own, a bad value here does
// no harm: it must not stop backups, so it is only warned about.
Result<void> read_older_durations(const YamlMap& etcd, const YamlMap* backup_config, BadOlder bad,
                                  Policy& policy, Warnings& warnings, Warnings& doubts) {
  const auto read = [&](std::string_view key, std::string_view wins, Zero zero,
                        Nanoseconds& out) -> Result<bool> {
    auto text = etcd.text(key);
    Result<Nanoseconds> value = Nanoseconds(0);
    if (!text) {
      value = text.take_error();
    } else if (!*text || (**text).empty()) {
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
    if (!value && bad == BadOlder::kDoubt) {
      doubts.push_back({value.error().message});
      return false;
    }
    if (!value) return value.take_error();
    out = *value;
    return true;
  };
  ES_ASSIGN(creation_used, read("creation", "interval_hours", Zero::kRefused, policy.interval));
  policy.interval_set = policy.interval_set || creation_used;
  ES_ASSIGN(retention_used, read("retention", "retention", Zero::kAllowed, policy.retention));
  if (retention_used) {
    set_retention(policy, etcd.place_of("retention"), etcd.find("retention")->value.Scalar());
    policy.retention_countable = false;
  }
  return {};
}

// Nothing of it can cost the local snapshot.
Result<S3Policy> read_bucket(const YamlMap& backup_config, KeyDoubts& keys, Warnings& warnings) {
  ES_ASSIGN(map, keys.read_below(backup_config, "s3backupconfig", KeyLevel::kS3));
  return read_s3_policy(map, warnings);
}

Result<void> read_backup_config(const YamlMap& map, KeyDoubts& keys, Policy& policy,
                                Warnings& warnings, Warnings& doubts) {
  ES_ASSIGN(enabled, read_boolean(map, "enabled", true));
  policy.recurring = enabled;
  policy.off_on_purpose = !enabled;
  if (!enabled) policy.off_reason = at(map.place_of("enabled")) + "false";

  ES_ASSIGN(interval, map.text("interval_hours"));
  if (interval) {
    ES_ASSIGN(value,
              parse_hours_or_minutes(map.place_of("interval_hours"), *interval, Zero::kRefused));
    policy.interval = value.duration;
    policy.interval_set = true;
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

  if (keys.is_blank(map, "retention")) {
    keys.add(map.place_of("retention"), "empty; write how long to keep, or remove the key");
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
    auto s3 = read_bucket(map, keys, warnings);
    if (s3) {
      policy.s3 = std::move(*s3);
    } else {
      set_bucket_aside(policy, s3.error().message, doubts);
    }
  }
  if (keys.is_blank(map, "s3backupconfig")) {
    keys.add(map.place_of("s3backupconfig"),
             "empty: nothing is uploaded; indent what belongs to it below it, or remove the key");
  }
  return {};
}

// The map with `services`: the document, or what Rancher exports it below.
Result<YamlMap> read_cluster(const std::string& path, const YAML::Node& root, KeyDoubts& keys) {
  ES_ASSIGN(document, keys.read({path, 1, ""}, root, KeyLevel::kRoot));
  constexpr std::string_view kWrapper = "rancher_kubernetes_engine_config";
  if (!document.is_set(kWrapper)) return document;
  if (document.is_set("services")) {
    return bad_setting(document.place_of("services"),
                       fmt::format("it is also below {}", document.find(kWrapper)->written),
                       "one of the two");
  }
  return keys.read_below(document, kWrapper, KeyLevel::kRoot);
}

// Keys of a backup_config beside it: what of the older form stands there may be meant for it, too.
bool holds_misplaced_keys(const YamlMap& etcd) {
  return std::any_of(etcd.entries().begin(), etcd.entries().end(), [](const YamlMap::Entry& entry) {
    return !entry.ours && (!key_name(KeyLevel::kBackupConfig, entry.written).empty() ||
                           !key_name(KeyLevel::kS3, entry.written).empty());
  });
}

Result<void> read_newer_form(const YamlMap& etcd, KeyDoubts& keys, Policy& policy,
                             Warnings& warnings, Warnings& doubts) {
  policy.retention_place =
      etcd.place().file + ": " + etcd.place_of("backup_config").key + ".retention: ";
  ES_ASSIGN(backup_config, keys.read_below(etcd, "backup_config", KeyLevel::kBackupConfig));
  ES_TRY(read_backup_config(backup_config, keys, policy, warnings, doubts));
  ES_TRY(read_older_durations(etcd, &backup_config, BadOlder::kError, policy, warnings, doubts));
  const auto snapshot = read_boolean(etcd, "snapshot", true);
  if (policy.recurring && snapshot && !*snapshot) {
    warnings.push_back({at(etcd.place_of("snapshot")) +
                        "false has no effect beside backup_config; recurring snapshots are turned "
                        "off by backup_config.enabled: false"});
  }
  return {};
}

Result<void> read_older_form(const YamlMap& etcd, KeyDoubts& keys, Policy& policy,
                             Warnings& warnings, Warnings& doubts) {
  policy.older_form =
      etcd.is_set("snapshot") || etcd.is_set("creation") || etcd.is_set("retention");
  policy.retention_place = etcd.place().file + ": services.etcd.retention: ";
  const bool blank = keys.is_blank(etcd, "backup_config");
  const BadOlder bad = blank || holds_misplaced_keys(etcd) ? BadOlder::kDoubt : BadOlder::kError;
  ES_TRY(read_older_durations(etcd, nullptr, bad, policy, warnings, doubts));
  ES_ASSIGN(snapshot, read_boolean(etcd, "snapshot", false));
  policy.off_on_purpose = !snapshot && etcd.is_set("snapshot");
  policy.recurring = !policy.off_on_purpose;
  policy.assumed = !snapshot && policy.recurring;
  if (policy.off_on_purpose) policy.off_reason = at(etcd.place_of("snapshot")) + "false";
  if (blank && policy.recurring) {
    keys.add(etcd.place_of("backup_config"),
             "empty; indent interval_hours and retention below it, or write `enabled: false` there "
             "if no snapshots are wanted");
  }
  return {};
}

// Only what says so turns snapshots off: `enabled: false`, `snapshot: false`, no file.
void doubt_silence(const std::string& path, const Policy& policy, KeyDoubts& keys) {
  if (!policy.assumed || keys.any()) return;
  keys.add(
      {path, 1, "services.etcd"},
      policy.older_form
          ? "`snapshot` is not set, and nothing turns snapshots off; write `snapshot: true`, or "
            "`snapshot: false`"
          : "no backup_config, and nothing turns snapshots off; add it, for example with "
            "`interval_hours: 12` and `retention: 72` below it, or write `snapshot: false`");
}

Result<Policy> read_policy(const std::string& path, std::string_view text, const YAML::Node& root,
                           Warnings& warnings, Warnings& doubts) {
  Policy policy;
  KeyDoubts keys(text, doubts);
  ES_ASSIGN(document, read_cluster(path, root, keys));
  ES_ASSIGN(services, keys.read_below(document, "services", KeyLevel::kServices));
  ES_ASSIGN(etcd, keys.read_below(services, "etcd", KeyLevel::kEtcd));
  if (etcd.is_set("backup_config")) {
    ES_TRY(read_newer_form(etcd, keys, policy, warnings, doubts));
  } else {
    ES_TRY(read_older_form(etcd, keys, policy, warnings, doubts));
  }
  keys.judge();
  for (const KeyLevel level : {KeyLevel::kBackupConfig, KeyLevel::kS3}) {
    for (const YamlMap* map : keys.maps(level)) warn_of_unknown_keys(*map, level, doubts, warnings);
  }
  doubt_silence(path, policy, keys);
  const bool interval_in_doubt =
      policy.assumed || keys.meant("interval_hours") || keys.meant("creation");
  if (interval_in_doubt && !policy.interval_set) policy.interval = kIntervalInDoubt;
  return policy;
}

}  // namespace

void set_bucket_aside(Policy& policy, const std::string& reason,
                      std::vector<ConfigWarning>& doubts) {
  policy.s3.reset();
  policy.s3_error = reason;
  doubts.push_back({reason});
}

Result<Policy> parse_cluster_yaml(const std::string& path, const std::string& text,
                                  std::vector<ConfigWarning>& warnings,
                                  std::vector<ConfigWarning>& doubts) {
  try {
    const std::string_view clean = without_byte_order_mark(text);
    ES_ASSIGN(root, parse_first_document(path, clean));
    return read_policy(path, clean, root, warnings, doubts);
  } catch (const std::exception& error) {
    // Not known to happen: node access of yaml-cpp on a tree whose shapes were looked at.
    Error failure;
    failure.kind = ErrorKind::kConfig;
    failure.message = path + ": cannot be read as YAML: " + error.what();
    return failure;
  }
}

}  // namespace etcd_snapshot
