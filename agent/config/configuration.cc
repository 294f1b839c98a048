#include "config/configuration.h"

#include <fmt/format.h>

#include "base/files.h"
#include "base/x509.h"
#include "config/last_good.h"
#include "config/value.h"

namespace etcd_snapshot {
namespace {

Result<Settings> load_checked(const ConfigPaths& paths) {
  ES_ASSIGN(settings, load_settings(paths));
  if (settings.policy.s3 && !settings.policy.s3->custom_ca.empty()) {
    const S3Policy& s3 = *settings.policy.s3;
    if (auto parsed = parse_certificates(s3.custom_ca, s3.custom_ca_place); !parsed) {
      set_bucket_aside(settings.policy, parsed.error().message, settings.doubts);
    }
  }
  return settings;
}

// Which of the two files are replaced by their last good ones.
struct Replaced {
  bool host, cluster;
};

Result<Settings> load_kept(ConfigPaths paths, const std::string& state_dir, Replaced which) {
  const auto replace = [](const std::string& kept, std::string& path,
                          bool& required) -> Result<void> {
    ES_TRY(check_last_good(kept, path));
    path = kept;
    required = true;
    return {};
  };
  if (which.host) {
    ES_TRY(replace(kept_host_file(state_dir), paths.host_file, paths.host_required));
  }
  if (which.cluster) {
    ES_TRY(replace(kept_cluster_file(state_dir), paths.cluster_file, paths.cluster_required));
  }
  return load_checked(paths);
}

// What a configuration that cannot be used must not cost: a snapshot and its upload. The last good
// text replaces the file that is wrong, or both where the two do not go together. A file that does
// not exist is not a mistake; one that asks for nothing and turns nothing off is. Without a last
// good one the error is that of the files, with the reason why the kept ones are of no use.
Result<Settings> load_or_last_good(const ConfigPaths& paths) {
  auto live = load_checked(paths);
  // A policy in which nothing can be read counts as broken.
  const bool silent = live && live->policy.assumed;
  if ((live && !silent) || !has_last_good(paths)) return live;
  Error error = silent ? doubt_error(live->doubts.front()) : live.take_error();
  const std::string state_dir = state_directory();
  const auto policy = read_config_file(paths.cluster_file);
  const bool cluster_exists = !policy || policy->has_value();
  std::optional<Error> why;
  for (const Replaced which :
       {Replaced{false, true}, Replaced{true, false}, Replaced{true, true}}) {
    if (which.cluster && !cluster_exists) continue;
    if (silent && which.host) continue;
    auto settings = load_kept(paths, state_dir, which);
    // What asks for nothing has its snapshots taken in doubt; an "off" of old must not end that.
    if (settings && silent && !settings->policy.recurring) continue;
    if (settings) {
      settings->doubts.insert(settings->doubts.begin(),
                              {error.message + "; the last good configuration is used instead"});
      settings->replaced = std::move(error);
      return settings;
    }
    why = settings.take_error();
  }
  if (silent) return live;
  // The last attempt had no file but kept ones: its error is theirs. None was kept yet: not told.
  if (why && !is_absent(*why)) {
    error.message += fmt::format("; the last good configuration is ignored: {}", why->message);
  }
  return error;
}

}  // namespace

Result<Configuration> load_configuration(const ConfigPaths& paths, Needs needs,
                                         LastGood last_good) {
  auto settings = last_good == LastGood::kReplaces ? load_or_last_good(paths) : load_checked(paths);
  if (settings) return Configuration{std::move(*settings), std::nullopt};
  Error error = settings.take_error();
  if (needs == Needs::kPolicy) return error;
  ConfigPaths host_only = paths;
  host_only.cluster_file.clear();
  host_only.check_files = needs == Needs::kHostAndFiles;
  if (auto partly = load_settings(host_only)) {
    return Configuration{std::move(*partly), std::move(error)};
  }
  if (needs != Needs::kNothing) return error;
  Configuration nothing{{}, std::move(error)};
  nothing.settings.host.snapshots.directory.clear();
  return nothing;
}

Result<HostSettings> load_host_only(const ConfigPaths& paths) {
  ES_ASSIGN(settings, load_settings({.host_file = paths.host_file,
                                     .host_required = paths.host_required,
                                     .cluster_file = "",
                                     .check_files = false}));
  return std::move(settings.host);
}

Error policy_missing(const ConfigPaths& paths) {
  return {
      ErrorKind::kConfig, paths.cluster_file + " is not there",
      "write it (an example is in /usr/share/doc/etcd-snapshot/examples), or take a snapshot by "
      "hand: etcd-snapshot save",
      false, 0};
}

Error doubt_error(const ConfigWarning& doubt) {
  return {ErrorKind::kConfig, doubt.message,
          std::string(kHowToCorrect) + "; to take a snapshot now: etcd-snapshot save", false, 0};
}

}  // namespace etcd_snapshot
