#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "base/exit_code.h"
#include "base/go_duration.h"
#include "base/human.h"
#include "commands/check_bucket.h"
#include "commands/commands.h"
#include "commands/findings.h"
#include "commands/registry.h"
#include "commands/status/verdict.h"
#include "etcd/connect.h"
#include "pruning/history.h"
#include "pruning/local_prune.h"
#include "run/announcements.h"
#include "run/certificates.h"
#include "run/report.h"
#include "store/directory.h"
#include "store/lock.h"
#include "store/ownership.h"
#include "store/pki_bundle.h"
#include "store/run_state.h"
#include "store/space.h"
#include "systemd/unit_state.h"

namespace etcd_snapshot {
namespace {

std::string yes_no(bool value) {
  return value ? "yes" : "no";
}

void check_policy(const Context& context, const ConfigPaths& paths,
                  const std::optional<Error>& config_error, Findings& findings) {
  findings.section("Configuration");
  const Policy& policy = context.settings.policy;
  if (config_error) {
    findings.fail(*config_error);
    return;
  }
  const bool host_there = access(paths.host_file.c_str(), F_OK) == 0;
  findings.ok(paths.host_file + (host_there ? "" : " is not there: every setting has its default"));
  if (!context.settings.policy_present) {
    findings.fail({ErrorKind::kConfig, paths.cluster_file + " is not there: nothing is scheduled",
                   "an example is in /usr/share/doc/etcd-snapshot/examples", false, 0});
    return;
  }
  findings.ok(paths.cluster_file);
  if (!policy.recurring) {
    findings.warn("recurring snapshots are turned off: " + policy.off_reason);
  } else {
    const bool counted =
        context.settings.host.snapshots.retention_unit == RetentionUnit::kSnapshots;
    findings.ok(fmt::format("a snapshot every {}, kept {}", format_go_duration(policy.interval),
                            counted ? fmt::format("the newest {}", policy.retention_number)
                                    : "for " + format_go_duration(policy.retention)));
  }
  for (const ConfigWarning& doubt : context.settings.doubts) findings.fail(doubt_error(doubt));
  for (const ConfigWarning& warning : context.settings.warnings) findings.warn(warning.message);
  if (!policy.recurring || paths.cluster_file != kDefaultClusterFile) return;
  const auto schedule = read_schedule("etcd-snapshot");
  if (!schedule) return;
  if (const auto problem = timer_problem(*schedule)) {
    findings.warn(problem->state + ": nothing starts the cycles", problem->hint);
  }
}

void check_directory(const Context& context, Findings& findings) {
  const std::string& path = context.settings.host.snapshots.directory;
  findings.section("Snapshots");
  const auto directory = SnapshotDirectory::open(path, false);
  if (!directory && directory.error().code == ENOENT) {
    findings.fail({ErrorKind::kStorage, path + " does not exist",
                   "mount it, if it is to be a file system of its own; else install -d -m 0700 " +
                       path + " (the service may write there, but not make it)",
                   false, ENOENT});
    return;
  }
  if (!directory) {
    findings.fail(directory.error());
    return;
  }
  if (faccessat(directory->fd(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    findings.fail(system_error(ErrorKind::kStorage, "cannot write to", path));
  }
  if (const auto bits = directory->permissive_bits(); bits && *bits != 0) {
    findings.warn(path + " can be opened by other users", "chmod 0700 " + path);
  }
  const auto snapshots = directory->list();
  if (!snapshots) {
    findings.fail(snapshots.error());
    return;
  }
  int count = 0;
  const UnixSeconds now = context.clock.now();
  for (const StoredSnapshot& snapshot : *snapshots) {
    if (snapshot.unread) findings.warn(snapshot.unread->message, snapshot.unread->hint);
    if (!snapshot.name) continue;
    ++count;
    if (snapshot.name->time > now) {
      findings.warn(snapshot.file_name + " is dated in the future",
                    "check the clock (timedatectl); it stays until its time has come and gone");
    }
  }
  const std::string own_host = sanitize_host(context.host);
  if (const auto* newest = newest_proven(*snapshots, own_host, now, Kinds::kAll)) {
    findings.ok(fmt::format("{} in {}, the newest proven one is {} old: {}", count, path,
                            human_age(now - newest->name->time), newest->file_name));
  } else {
    findings.note(fmt::format("{} in {}, none of them proven by this agent on this host ({})",
                              count, path, context.host));
  }
  if (const OthersSnapshots others = proven_of_others(*snapshots, own_host); others.count > 0) {
    findings.note(fmt::format(
        "{} of other hosts in {}, the newest of {}: they stay until somebody deletes them",
        others.count, path, others.newest_owner));
  }
  const auto state = read_run_state(runtime_directory());
  if (!state) findings.warn("nothing is pruned: " + state.error().message, state.error().hint);
  if (const int64_t hold_s = state ? clock_hold(context, *state) : 0; hold_s > 0) {
    findings.warn("the clock was set ahead: nothing is pruned for " +
                      human_age(std::chrono::seconds(hold_s)) + " more",
                  "see that the clock is right (timedatectl)");
  }
  const auto accepted = read_accepted_history(*directory);
  if (!accepted) {
    findings.fail(accepted.error());
  } else if (const auto unread = find_unread(*snapshots, now)) {
    findings.warn("nothing is pruned: the history is not known, as long as that is not read",
                  unread->hint);
  } else if (const auto broken =
                 find_history_break(*snapshots, *accepted, now, sanitize_host(context.host))) {
    findings.warn(
        "nothing is pruned: " + describe(*broken),
        "if you restored or rebuilt the cluster on purpose: etcd-snapshot prune --accept-history");
  }
}

void check_space(const Context& context, const MemberStatus& status, Findings& findings) {
  const auto directory = SnapshotDirectory::open(context.settings.host.snapshots.directory, false);
  if (!directory) return;  // told already
  const auto snapshots = directory->list();
  const auto space = directory->free_space();
  if (!space) findings.fail(space.error());
  if (!snapshots || !space) return;
  const int64_t needed = estimate_archive_bytes(
      status.database_bytes, context.settings.host.snapshots.compression, *snapshots);
  const int64_t missing = missing_bytes(*space, needed);
  const std::string text =
      fmt::format("{} free, the next snapshot needs about {}, {} are left for others",
                  human_bytes(space->free_bytes), human_bytes(needed),
                  human_bytes(SnapshotDirectory::reserve_bytes(*space)));
  if (missing <= 0) return findings.ok(text);
  const auto plan = plan_prune(context, *directory, {.making_room = true, .space_short = true});
  int64_t expired = 0;
  for (size_t i = 0; plan && i < plan->snapshots.size(); ++i) {
    if (plan->deletes(i)) expired += plan->snapshots[i].size_bytes;
  }
  const std::string hint =
      fmt::format("free {} there, or move [snapshots] directory", human_bytes(missing));
  if (expired >= missing) {
    findings.warn(text + "; expired ones have to go first", hint);
  } else {
    findings.fail({ErrorKind::kStorage, "not enough space: " + text, hint, false, ENOSPC});
  }
}

// Until when the certificates in the candidate's files are valid.
void check_validity(const Candidate& candidate, UnixSeconds now, Findings& findings) {
  Settings settings;
  EtcdSettings& etcd = settings.host.etcd;
  etcd.endpoints = {candidate.endpoint.url};
  etcd.ca_file = candidate.endpoint.tls.ca_file;
  etcd.cert_file = candidate.endpoint.tls.cert_file;
  etcd.key_file = candidate.endpoint.tls.key_file;
  for (const UsedCertificate& certificate : used_certificates(settings, now)) {
    const std::string warning = expiry_warning(certificate, now);
    if (warning.empty()) {
      findings.ok(fmt::format("{} is valid until {}", certificate.place,
                              format_utc(certificate.valid_until)));
    } else {
      findings.warn(warning, "renew it, or set the clock (timedatectl)");
    }
  }
}

// Which of the candidates the next run asks, and what is known of them without asking.
void list_candidates(const std::vector<Candidate>& candidates, Findings& findings) {
  for (const Candidate& candidate : candidates) {
    const std::string& certificate = candidate.endpoint.tls.cert_file;
    findings.note(fmt::format("{} (from {}{})", candidate.endpoint.url, candidate.source,
                              certificate.empty() ? "" : ", certificate " + certificate));
    for (const std::string& note : candidate.notes) findings.note(note);
  }
}

bool same_place(const Endpoint& a, const Endpoint& b) {
  return a.url == b.url && a.tls.cert_file == b.tls.cert_file;
}

// As far as run goes before it writes: a member that answers may still refuse its snapshot, and
// then the next one is asked.
void check_stream(MemberChoice& choice, Connection first, Findings& findings) {
  std::optional<Connection> connection(std::move(first));
  for (;;) {
    const auto announced_bytes = connection->member.try_snapshot();
    if (announced_bytes) {
      return findings.ok(fmt::format("{} sends its snapshot: {}", connection->member.url(),
                                     human_bytes(*announced_bytes)));
    }
    choice.pass_over(announced_bytes.error(), MemberChoice::Then::kAny);
    auto next = choice.next();
    if (!next) return findings.fail(next.error());
    findings.note("not taken: " + announced_bytes.error().message);
    connection.emplace(std::move(*next));
  }
}

void check_etcd(const Context& context, Findings& findings) {
  findings.section("etcd");
  const EtcdSettings& etcd = context.settings.host.etcd;
  const auto candidates = endpoint_candidates(etcd);
  if (!candidates) {
    findings.fail(candidates.error());
    return;
  }
  const UnixSeconds now = context.clock.now();
  list_candidates(*candidates, findings);
  MemberChoice choice(context.http, *candidates,
                      {.connect_timeout_s = etcd.connect_timeout_s,
                       .stall_timeout_s = etcd.stall_timeout_s,
                       .deadline = {}},
                      now);
  auto connection = choice.next();
  if (!connection) {
    findings.fail(connection.error());
    for (const Candidate& candidate : *candidates) check_validity(candidate, now, findings);
    return;
  }
  for (const Candidate& candidate : *candidates) {
    if (same_place(candidate.endpoint, connection->member.endpoint())) {
      check_validity(candidate, now, findings);
    } else if (const auto note = check_certificates(candidate.endpoint, now);
               note && !note->empty()) {
      findings.note("not used: " + *note);  // nobody renews what nobody needs
    }
  }
  for (const std::string& reason : connection->passed_over) findings.note("not taken: " + reason);
  const MemberStatus& status = connection->status;
  findings.ok(
      fmt::format("{} answers: etcd {}, cluster {:x}, member {:x}, revision {}, database {}",
                  connection->member.url(), status.version, status.cluster_id, status.member_id,
                  status.revision, human_bytes(status.database_bytes)));
  if (status.is_learner) {
    findings.warn(
        "the member is a learner: it may lag behind, etcd before 3.5 refuses its snapshot, and "
        "nothing "
        "is pruned",
        "promote it, or name a voting member in [etcd] endpoints");
  }
  if (connection->health.current()) {
    findings.ok("the cluster serves linearizable reads and has no alarm");
  } else if (!connection->health.healthy) {
    findings.warn("the cluster is unhealthy: " + connection->health.summary(),
                  "snapshots go on, but nothing is pruned until it is well");
  }
  check_space(context, status, findings);
  check_stream(choice, std::move(*connection), findings);
}

void check_bundle(const Context& context, Findings& findings) {
  const PkiSettings& pki = context.settings.host.pki;
  const bool wanted = pki.bundle == BundleMode::kYes ||
                      (pki.bundle == BundleMode::kAuto && context.settings.policy.older_form);
  findings.section("Certificates beside the snapshots");
  findings.note("kept as " + std::string(kPkiBundleName) + ": " + yes_no(wanted));
  if (!wanted) return;
  const std::string source = pki.directory.empty() ? find_pki_directory() : pki.directory;
  if (source.empty() && pki.bundle == BundleMode::kAuto) {
    findings.note("neither /etc/kubernetes/ssl nor /etc/kubernetes/pki exists: nothing to bundle");
    return;
  }
  const std::string directory = source.empty() ? "/etc/kubernetes/ssl" : source;
  if (const auto files = read_pki_sources(directory)) {
    findings.ok(fmt::format("{} files taken from {}", *files, directory));
  } else {
    findings.fail(files.error());
  }
}

void check_metrics(const Context& context, Findings& findings) {
  const std::string& path = context.settings.host.metrics_textfile;
  if (path.empty()) return;
  findings.section("Metrics");
  const std::string directory = path.substr(0, path.rfind('/'));
  struct stat status = {};
  if (stat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    return findings.warn(path + " cannot be written: " + directory + " is no directory",
                         "create it, or name a file elsewhere in [metrics] textfile");
  }
  // The service is root without the right to write what is another's.
  const mode_t bit = status.st_uid == 0 ? S_IWUSR : status.st_gid == 0 ? S_IWGRP : S_IWOTH;
  if ((status.st_mode & bit) == 0) {
    return findings.warn(
        path + " cannot be written by the service: " + directory + " is another user's",
        "chown root " + directory);
  }
  findings.ok(path + " is written by each run");
}

// The doctor. Changes nothing, but for `write` objects of its own in the bucket, which go again.
int command_check(const Call& call, bool write) {
  Context& context = call.context;
  Findings findings;
  check_policy(context, call.paths, call.config_error, findings);
  check_directory(context, findings);
  check_etcd(context, findings);
  check_bundle(context, findings);
  if (context.settings.policy.s3) {
    check_bucket(context, write ? BucketCheck::kWrites : BucketCheck::kReads, findings);
  } else if (write && !call.config_error) {
    findings.warn("--write: no bucket is configured",
                  "add s3backupconfig to " + call.paths.cluster_file);
  }
  check_metrics(context, findings);
  return findings.finish();
}

}  // namespace

Command make_check(CLI::App& app) {
  const auto write = std::make_shared<bool>(false);
  app.add_flag("--write", *write, "write, read and delete objects of its own in the bucket, too");
  return {.run = [write](const Call& call) { return command_check(call, *write); }};
}

}  // namespace etcd_snapshot
