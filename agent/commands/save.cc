#include <CLI/CLI.hpp>

#include "base/exit_code.h"
#include "base/x509.h"
#include "commands/commands.h"
#include "commands/registry.h"
#include "config/configuration.h"
#include "config/s3_policy.h"
#include "offsite/offsite.h"
#include "run/report.h"
#include "run/take_snapshot.h"
#include "store/lock.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

Result<SnapshotOutcome> save(Context& context, const std::string& name, Offsite* offsite) {
  if (!name.empty()) ES_TRY(check_one_time_name(name));
  // Not beyond the snapshot: a bucket that hangs must not keep the timer's cycles away.
  const std::string& path = context.settings.host.snapshots.directory;
  ES_ASSIGN(lock, take_snapshot_lock(runtime_directory(), path));
  ES_ASSIGN(directory, SnapshotDirectory::open(path, true));
  if (lock.unsafe) {
    // The snapshot harms nobody; whose leftovers those are is not known.
    report_error(context.log, "Leftovers stay: another run cannot be ruled out", *lock.unsafe,
                 kUnread);
  } else {
    sweep_leftovers(context, directory);
  }
  SnapshotRequest request;
  request.kind = SnapshotKind::kOneTime;
  request.follower = offsite;
  if (name.empty()) {
    ES_ASSIGN(free, find_free_name(context.clock, directory, [&](UnixSeconds time) {
                return one_time_name(time, context.settings.policy.safe_timestamp);
              }));
    request.base = free.base;
    request.time = free.time;
  } else {
    ES_ASSIGN(taken, directory.taken(name));
    if (taken) {
      return Error{ErrorKind::kUsage,
                   "there is already a snapshot '" + name + "' in " + directory.path(),
                   "choose another name; nothing is overwritten", false, EEXIST};
    }
    request.base = name;
    request.time = context.clock.now();
  }
  return take_snapshot(context, directory, request);
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

// What the command line says of the snapshot and of the bucket.
struct SaveFlags {
  std::optional<std::string> name;
  S3Flags s3;
};

int run_save(const Call& call, const SaveFlags& flags) {
  if (call.config_error) call.settings.policy.s3_error = call.config_error->message;
  if (auto applied = apply_flags(flags.s3, call.settings); !applied) {
    return print_error(applied.error());
  }
  if (flags.name && flags.name->empty()) {
    return print_error({ErrorKind::kUsage, "--name is empty",
                        "give a name, or leave the option out for rke_etcd_snapshot_<time>", false,
                        0});
  }
  if (call.config_error) {
    call.context.log.write(
        {.level = LogLevel::kWarning,
         .message = "The snapshot is taken without cluster.yml, which cannot be read",
         .fields = {{"warning", call.config_error->message}},
         .message_id = kConfigWarning});
  }
  return command_save(call.context, {.name = flags.name.value_or(""), .upload = flags.s3.upload});
}

}  // namespace

Command make_save(CLI::App& app) {
  const auto flags = std::make_shared<SaveFlags>();
  app.add_option_function<std::string>(
         "--name", [flags](const std::string& name) { flags->name = name; },
         "its name; without it rke_etcd_snapshot_<time>")
      ->type_name("NAME");
  S3Flags& s3 = flags->s3;
  app.add_flag("--s3", s3.upload, "upload it to the bucket; the flags below override cluster.yml");
  const auto option = [&app](const char* flag, std::optional<std::string>& into, const char* help,
                             const char* type) {
    app.add_option(flag, into, help)->type_name(type);
  };
  option("--bucket-name", s3.bucket_name, "the bucket", "NAME");
  option("--folder", s3.folder, "the folder in it", "PATH");
  option("--region", s3.region, "the bucket's region", "REGION");
  option("--s3-endpoint", s3.endpoint, "the server", "HOST[:PORT]");
  option("--s3-endpoint-ca", s3.endpoint_ca, "certificates of its CA, in addition to the system's",
         "FILE");
  option("--access-key", s3.access_key, "the access key; ps shows it", "KEY");
  option("--secret-key", s3.secret_key,
         "the secret key; ps shows it, better: [s3] secret_key_file or AWS_SECRET_ACCESS_KEY",
         "KEY");
  return {.run = [flags](const Call& call) { return run_save(call, *flags); },
          .fail =
              [](const Error& error, const FailedStart& start) {
                report_failure(start.log, error);
                return exit_code(error.kind);
              }};
}

int command_save(Context& context, const SaveOptions& options) {
  if (context.settings.policy.timeout) {
    context.deadline = context.clock.monotonic() + *context.settings.policy.timeout;
  }
  // What keeps the bucket from being asked costs no snapshot: it is told where the upload is due.
  std::unique_ptr<Offsite> offsite;
  Result<void> uploaded;
  if (options.upload && !context.settings.policy.s3) {
    uploaded = doubt_error({context.settings.policy.s3_error});
  } else if (options.upload) {
    auto opened = Offsite::open(context, {.deadline = context.deadline});
    if (opened) {
      offsite = std::move(*opened);
    } else {
      uploaded = opened.take_error();
    }
  }
  const auto outcome = save(context, options.name, offsite.get());
  if (outcome) {
    report_created(context.log, *outcome);
    report_passed_over(context.log, outcome->passed_over);
    report_health(context.log, outcome->health, "");
    if (offsite) uploaded = offsite->upload(*outcome);
    if (uploaded) return kExitOk;
    report_failure(context.log, uploaded.error());
    return exit_code(uploaded.error().kind);
  }
  // A word of the command line is answered on the command line.
  if (outcome.error().kind == ErrorKind::kUsage) return print_error(outcome.error());
  report_failure(context.log, outcome.error());
  return exit_code(outcome.error().kind);
}

}  // namespace etcd_snapshot
