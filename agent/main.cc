// The program: reads the command line, wires the real parts, calls the command.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/exit_code.h"
#include "base/stop.h"
#include "base/x509.h"
#include "commands/commands.h"
#include "config/last_good.h"
#include "config/s3_policy.h"
#include "metrics/run_metrics.h"
#include "run/progress.h"
#include "run/report.h"
#include "store/lock.h"
#include "store/run_state.h"
#include "systemd/journal.h"
#include "systemd/message_ids.h"
#include "systemd/notify.h"

namespace etcd_snapshot {
namespace {

class NoProgress final : public Progress {
 public:
  void phase(Phase, std::string_view) override {}
  void advance(int64_t, int64_t) override {}
  void finish(std::string_view) override {}
};

struct Options {
  ConfigPaths paths;
  std::string name, max_age;
  bool name_given = false;
  bool json = false, dry_run = false, accept = false, force = false, remote = false, write = false;
  bool max_age_given = false;
  S3Flags s3;
};

constexpr char kFooter[] =
    "Exit status: 0 done; 64 usage; 65 the snapshot did not prove good; 69 etcd not reachable or\n"
    "refused; 74 local storage; 75 another run in progress; 76 safe here, but something about the\n"
    "bucket failed; 78 configuration; 143 asked to stop; 1 anything else. What to do about each:\n"
    "man etcd-snapshot. Of `status`: 0 ok, 1 warning, 2 critical, 3 unknown.\n";

Result<std::unique_ptr<HttpClient>> make_http() {
  return make_curl_client(std::string("etcd-snapshot/") + ETCD_SNAPSHOT_VERSION);
}

std::string host_name() {
  char name[256] = "";
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

// custom_ca is checked here and not where the file is read: the systemd generator reads it too and
// links no OpenSSL.
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

// `save` takes its snapshot whatever is wrong with cluster.yml: the host's settings are all that it
// needs. What is wrong with those is returned.
Result<Settings> load_for_save(const ConfigPaths& paths, std::optional<Error>& policy_error) {
  auto settings = load_checked(paths);
  if (settings) return settings;
  ConfigPaths host_only = paths;
  host_only.cluster_file.clear();
  auto partly = load_settings(host_only);
  if (!partly) return settings;
  policy_error = settings.take_error();
  partly->policy.s3_error = policy_error->message;
  return partly;
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
// text stands in for the file that is wrong, or for both where the two do not go together; a file
// that does not exist is no mistake, one that asks for nothing and turns nothing off is one.
// Settings::replaced says that it was so. Without a last good
// one the error is that of the files, with a word on why.
Result<Settings> load_or_last_good(const ConfigPaths& paths) {
  auto live = load_checked(paths);
  // A policy of which nothing can be read is no better than none.
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
    // That none was kept yet is no news.
    if (settings.error().message.starts_with(state_dir) && !why) why = settings.take_error();
  }
  if (silent) return live;
  if (why)
    error.message += fmt::format("; the last good configuration is ignored: {}", why->message);
  return error;
}

// For the next cycle that cannot use its configuration. Only what has been of use is kept: the one
// that a snapshot was taken with, or that says that none is to be taken.
void keep_settings(const ConfigPaths& paths, const Settings& settings, int code, Log& log) {
  // The mark is gone where the cycle has its snapshot, or none is asked for.
  const std::string mark = runtime_directory() + "/" + kUnfinishedFile;
  const bool finished = access(mark.c_str(), F_OK) != 0 && errno == ENOENT;
  const bool of_use = code == kExitOk || code == kExitRemote || (code != kExitBusy && finished);
  if (!of_use || !settings.doubts.empty() || !settings.cluster_text || !has_last_good(paths)) {
    return;
  }
  const auto kept = keep_last_good(state_directory(), paths, settings);
  if (kept) return;
  log.write({.level = LogLevel::kWarning,
             .message = "Couldn't keep the configuration for a cycle that cannot read it",
             .fields = {{"error", kept.error().message}}});
}

// For the commands that only look: what can be known although the policy, or a file that the host's
// settings name, is wrong. At three in the morning `list` has to answer.
Result<Settings> load_host_only(ConfigPaths paths) {
  paths.cluster_file.clear();
  paths.check_files = false;
  return load_settings(paths);
}

// `run` is somebody's only if the file that asks for it is there.
Result<void> check_policy_present(const Settings& settings, const ConfigPaths& paths) {
  if (settings.policy_present) return {};
  return Error{ErrorKind::kConfig, paths.cluster_file + " is not there",
               "write it (an example is in /usr/share/doc/etcd-snapshot/examples), or take a "
               "snapshot by hand: etcd-snapshot save",
               false, 0};
}

// Whoever watches the figures of this host shall see that its configuration is wrong, as long as
// the file that names their place can be read.
void record_failed_start(const ConfigPaths& paths, const Clock& clock, Log& log, int code) {
  const auto settings = load_host_only(paths);
  if (!settings) return;
  Metrics figures;
  figures.exit_code = code;
  figures.last_good = false;
  record_run(settings->host, nullptr, host_name(), clock, log, std::move(figures));
}

// The flags of `save --s3` over what cluster.yml says of the bucket.
Result<void> apply_flags(const S3Flags& flags, Settings& settings) {
  if (!flags.upload && flags.any_detail()) {
    return Error{ErrorKind::kUsage, "flags of the bucket without --s3",
                 "add --s3 to upload the snapshot", false, 0};
  }
  if (!flags.upload) return {};
  // Told when the snapshot is safe: it does not depend on the bucket.
  if (!settings.policy.s3 && !flags.bucket_name && !settings.policy.s3_error.empty()) return {};
  ES_ASSIGN(policy, apply_s3_flags(settings.policy.s3, flags));
  if (!policy.custom_ca.empty()) {
    auto parsed = parse_certificates(policy.custom_ca, policy.custom_ca_place);
    if (!parsed) return parsed.take_error();
  }
  settings.policy.s3 = std::move(policy);
  return {};
}

// What `status` is asked for beside its settings. Another policy than the host's own says nothing
// of the host's timer.
Result<StatusOptions> status_options(const Options& options) {
  StatusOptions status{.json = options.json};
  if (options.max_age_given) {
    ES_ASSIGN(max_age, parse_max_age(options.max_age));
    status.max_age = max_age;
  }
  if (options.paths.cluster_file == kDefaultClusterFile) {
    status.schedule = read_schedule("etcd-snapshot");
  }
  return status;
}

// `status` answers whatever is wrong: with all of the settings, with those of the host, or, where
// not even they can be read, with none, not even a directory.
int run_status(const Options& options) {
  const auto fail = [&](const Error& error) { return status_unknown(error, options.json); };
  auto status = status_options(options);
  if (!status) return fail(status.error());
  auto loaded = load_or_last_good(options.paths);
  std::optional<Error> config_error;
  Settings settings;
  if (loaded) {
    settings = std::move(*loaded);
    // Whoever asks for an age needs no policy for it.
    auto present = check_policy_present(settings, options.paths);
    if (!present && !status->max_age) config_error = present.take_error();
  } else {
    config_error = loaded.take_error();
    auto partly = load_host_only(options.paths);
    if (partly) settings = std::move(*partly);
    if (!partly) settings.host.snapshots.directory.clear();
  }
  if (auto handlers = install_stop_handlers(); !handlers) return fail(handlers.error());
  auto http = make_http();
  if (!http) return fail(http.error());
  RealClock clock;
  const auto log = make_log(settings.host.log_level, clock);
  NoProgress progress;
  Context context{settings, clock, *log, **http, make_http, progress, host_name(), std::nullopt};
  return command_status(context, *status, config_error);
}

int run_command(const std::string& command, const Options& options) {
  if (command == "status") return run_status(options);
  RealClock clock;
  const bool logs = command == "run" || command == "save";
  if (command == "run") mark_unfinished(runtime_directory());
  std::optional<Error> policy_error;
  auto settings = command == "save" ? load_for_save(options.paths, policy_error)
                  : command == "run" || command == "list" ? load_or_last_good(options.paths)
                                                          : load_checked(options.paths);
  if (settings && command == "run") {
    if (auto present = check_policy_present(*settings, options.paths); !present) {
      clear_unfinished(runtime_directory());
      settings = present.take_error();
    }
  }
  std::optional<Error> config_error;
  if (settings && settings->replaced) config_error = settings->replaced;
  if (!settings && (command == "list" || command == "check")) {
    if (auto partly = load_host_only(options.paths)) {
      config_error = settings.take_error();
      settings = std::move(partly);
    }
  }
  if (settings && command == "save") {
    if (auto applied = apply_flags(options.s3, *settings); !applied) {
      return print_error(applied.error());
    }
  }
  const auto log = make_log(settings ? settings->host.log_level : LogLevel::kInfo, clock);
  if (!settings) {
    if (!logs) return print_error(settings.error());
    const Error error = settings.take_error();
    report_failure(*log, error);
    const int code = exit_code(error.kind);
    if (command == "run") record_failed_start(options.paths, clock, *log, code);
    return code;
  }
  if (command == "run" && settings->replaced) {
    report_error(*log, "The configuration cannot be used, going on with the last good one",
                 *settings->replaced, kLastGoodUsed);
  }
  if (auto handlers = install_stop_handlers(); !handlers) return print_error(handlers.error());
  auto http = make_http();
  if (!http) return print_error(http.error());

  HttpFactory for_bucket = make_http;
  std::optional<ExtensionKeeper> keeper;
  std::unique_ptr<Progress> progress = std::make_unique<NoProgress>();
  if (logs && isatty(STDERR_FILENO) != 0) {
    progress = std::make_unique<TerminalProgress>(clock, *log);
  } else if (logs) {
    keeper.emplace();
    progress = std::make_unique<ServiceProgress>(clock, settings->host);
    for_bucket = extending_factory(make_http, settings->host);
  }
  Context context{*settings, clock, *log, **http, for_bucket, *progress, host_name(), std::nullopt};
  if (command == "run") {
    const int code = command_run(context);
    keep_settings(options.paths, *settings, code, *log);
    return code;
  }
  if (command == "save" && options.name_given && options.name.empty()) {
    return print_error({ErrorKind::kUsage, "--name is empty",
                        "give a name, or leave the option out for rke_etcd_snapshot_<time>", false,
                        0});
  }
  if (policy_error) {
    log->write({.level = LogLevel::kWarning,
                .message = "The snapshot is taken without cluster.yml, which cannot be read",
                .fields = {{"warning", policy_error->message}},
                .message_id = kConfigWarning});
  }
  if (command == "save") return command_save(context, options.name, options.s3.upload);
  if (command == "list") {
    const int code = command_list(context, options.json);
    return config_error ? print_error(*config_error) : code;
  }
  if (command == "prune") return command_prune(context, options.dry_run, options.accept);
  if (command == "delete")
    return command_delete(context, options.name, options.force, options.remote);
  return command_check(context, options.paths, config_error, options.write);
}

void add_commands(CLI::App& app, Options& options) {
  app.add_subcommand("run", "one cycle: snapshot, verify, upload, prune; what the timer starts");
  CLI::App* const save =
      app.add_subcommand("save", "take a one-time snapshot, never pruned by age");
  save->add_option("--name", options.name, "its name; without it rke_etcd_snapshot_<time>")
      ->type_name("NAME");
  save->add_flag("--s3", options.s3.upload, "upload it too; the flags below override cluster.yml");
  const auto s3_option = [save](const char* flag, std::optional<std::string>& into,
                                const char* help, const char* type) {
    save->add_option(flag, into, help)->type_name(type);
  };
  s3_option("--bucket-name", options.s3.bucket_name, "the bucket", "NAME");
  s3_option("--folder", options.s3.folder, "the folder in it", "PATH");
  s3_option("--region", options.s3.region, "the bucket's region", "REGION");
  s3_option("--s3-endpoint", options.s3.endpoint, "the server", "HOST[:PORT]");
  s3_option("--s3-endpoint-ca", options.s3.endpoint_ca,
            "certificates of its CA, beside the system's", "FILE");
  s3_option("--access-key", options.s3.access_key, "the access key; ps shows it", "KEY");
  s3_option("--secret-key", options.s3.secret_key,
            "the secret key; ps shows it, better: [s3] secret_key_file or AWS_SECRET_ACCESS_KEY",
            "KEY");
  CLI::App* const list =
      app.add_subcommand("list", "the snapshots here and in the bucket, newest first");
  list->add_flag("--json", options.json, "as a JSON array");
  CLI::App* const prune =
      app.add_subcommand("prune", "apply the retention now, here and in the bucket");
  prune->add_flag("--dry-run", options.dry_run,
                  "print what would go and why what stays, delete nothing");
  prune->add_flag("--accept-history", options.accept,
                  "prune again after the cluster changed or its revision went back");
  CLI::App* const remove = app.add_subcommand("delete", "delete one snapshot here");
  remove->add_option("NAME", options.name, "its exact name, as `list` prints it")->required();
  remove->add_flag("--force", options.force, "even the newest proven one");
  remove->add_flag("--s3", options.remote, "in the bucket too");
  CLI::App* const check = app.add_subcommand(
      "check",
      "read the configuration, try etcd and the bucket, say what is wrong; changes nothing");
  check->add_flag("--write", options.write,
                  "write, read and delete objects of its own in the bucket, too");
  CLI::App* const status = app.add_subcommand(
      "status", "how old the newest proven snapshot is, and what is wrong; for monitoring");
  status->add_flag("--json", options.json, "as a JSON object");
  status
      ->add_option("--max-age", options.max_age,
                   "critical where it is older (30m, 12h); else the interval decides")
      ->type_name("DURATION");
}

int main_checked(int argc, char** argv) {
  Options options;
  CLI::App app("etcd-snapshot keeps proven snapshots of the local etcd member.", "etcd-snapshot");
  app.require_subcommand(0, 1);  // none: told below, after what is unknown
  app.fallthrough();
  app.set_version_flag("--version", std::string("etcd-snapshot ") + ETCD_SNAPSHOT_VERSION + "\n" +
                                        curl_version_text());
  app.add_option("--config", options.paths.host_file, "this host's settings")
      ->capture_default_str()
      ->type_name("FILE");
  app.add_option("--cluster-file", options.paths.cluster_file, "the policy, in RKE's form")
      ->capture_default_str()
      ->type_name("FILE");
  add_commands(app, options);
  app.footer(kFooter);  // after the commands, which would inherit it
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return print_error({ErrorKind::kUsage, error.what(), "see: etcd-snapshot --help", false, 0});
  }
  if (app.get_subcommands().empty()) {
    return print_error({ErrorKind::kUsage,
                        "which command? run, save, list, prune, delete, check or status",
                        "see: etcd-snapshot --help", false, 0});
  }
  options.name_given = app.get_subcommand("save")->count("--name") > 0;
  options.max_age_given = app.get_subcommand("status")->count("--max-age") > 0;
  options.paths.host_required = app.count("--config") > 0;
  options.paths.cluster_required = app.count("--cluster-file") > 0;
  const int code = run_command(app.get_subcommands().front()->get_name(), options);
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
