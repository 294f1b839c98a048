#include "cycle.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/exit_code.h"
#include "base/human.h"
#include "metrics/run_metrics.h"
#include "offsite/offsite.h"
#include "pruning/local_prune.h"
#include "run/announcements.h"
#include "run/report.h"
#include "run/take_snapshot.h"
#include "store/lock.h"
#include "store/pki_bundle.h"
#include "store/run_state.h"
#include "store/space.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

// So long before the next cycle is due the bucket has had its time: an upload that is aborted then
// (10 s at most), the pruning here and the end of the process come after it. systemd starts nothing
// while the service still runs: the next cycle would be late, and all after it.
constexpr Nanoseconds kMargin = std::chrono::seconds(30);
constexpr int kMarginOfInterval = 4;  // the part of an interval that it is at most
// For the pruning here alone.
constexpr Nanoseconds kRest = std::chrono::seconds(5);

// Backups that the bucket lacks outlive the retention while more than this is free: below 15
// percent a kubelet on the same file system begins to evict (its default for imagefs.available).
constexpr int kRoomyPercent = 15;

class Cycle {
 public:
  Cycle(Context& context, Metrics& figures)
      : context_(context), policy_(context.settings.policy), figures_(figures) {}

  int run() {
    started_ = context_.clock.monotonic();
    figures_.local.pruned = 0;
    auto lock = take_snapshot_lock(runtime_dir_, context_.settings.host.snapshots.directory);
    if (!lock) return fail(lock.error());
    (lock->unsafe ? directory_lock_ : lock_) = std::move(lock->fd);
    if (lock->unsafe) hold(*lock->unsafe);
    load_state();
    announce_settings(context_, state_);
    report_doubts(context_.log, context_.settings);
    const bool first = !state_.clock_offset_s;
    clock_hold_s_ = watch_clock(context_, state_);
    if (first) begin_state();
    snapshot_and_prune();
    context_.progress.finish(summary_.empty() ? "no snapshot was taken" : summary_);
    remember_run();
    settle(late_code_);
    tell_of_bucket();
    return exit_code_;
  }

 private:
  // The state is written by whoever has the lock: two runs, one of which was with its bucket, must
  // not undo what the other noted. Where another run has it now, that one tells of itself.
  void remember_run() {
    if (!lock_) {
      auto lock = wait_for_lock(take_run_lock, runtime_dir_, context_.clock, patience(kRest));
      if (!lock) return;
      lock_ = std::move(*lock);
      load_state();
    }
    settle(late_code_);
    state_.finished = format_utc(context_.clock.now());
    state_.exit_code = exit_code_;
    state_.snapshot = snapshot_;
    state_.cluster = cluster_;
    save_state();
  }

  // What was known before stays known where it cannot be read again: a jump of the clock shows
  // against it as well.
  void load_state() {
    auto read = read_run_state(runtime_dir_);
    if (read) {
      state_ = std::move(*read);
      state_known_ = true;
      return;
    }
    if (!state_known_) state_ = lost_state(context_);
    hold(read.error());
  }

  // The guard of the clock compares with the run before. Where none has left its state and this one
  // cannot either, no run would ever see a jump.
  void begin_state() {
    if (!lock_ || !state_known_) return;
    if (const auto written = write_run_state(runtime_dir_, state_); !written) hold(written.error());
  }

  void save_state() {
    if (!lock_) return;  // somebody else may write it
    if (!state_known_) {
      // What hindered may have passed; then nothing is lost.
      if (auto read = read_run_state(runtime_dir_)) {
        RunState known = std::move(*read);
        known.creation = state_.creation;
        known.retention = state_.retention;
        known.warnings = state_.warnings;
        known.finished = state_.finished;
        known.exit_code = state_.exit_code;
        known.snapshot = state_.snapshot;
        known.cluster = state_.cluster;
        state_ = std::move(known);
        state_known_ = true;
        watch_clock(context_, state_);
      }
    }
    const auto written = write_run_state(runtime_dir_, state_);
    if (written || state_failed_) return;
    state_failed_ = true;
    // Costs no more than a line too many at the next run.
    warn("Couldn't save state", {{"error", written.error().message}});
  }

  // A bucket may take its time; what others do here meanwhile is theirs.
  void leave_directory() {
    save_state();
    lock_.reset();
  }

  // Until when another process is waited for: so long, but not until the next cycle is due.
  Nanoseconds patience(Nanoseconds longest) const {
    const Nanoseconds until =
        std::min(context_.clock.monotonic() + longest, started_ + policy_.interval - kRest);
    return context_.deadline ? std::min(until, *context_.deadline) : until;
  }

  // Waits for a snapshot that is being taken meanwhile. False: it is still being taken, or the
  // process was asked to stop.
  bool return_to_directory() {
    auto lock = wait_for_lock(take_run_lock, runtime_dir_, context_.clock, patience(kLockPatience));
    if (!lock && lock.error().kind == ErrorKind::kBusy) {
      warn("Nothing is pruned in this cycle, the next one does it",
           {{"reason", lock.error().message}}, kPruneSkipped);
    } else if (!lock && lock.error().kind == ErrorKind::kCancelled) {
      fail(lock.error());
    } else if (!lock) {
      prune_failed(lock.error());
    }
    if (!lock) return false;
    lock_ = std::move(*lock);
    load_state();  // another run may have written it
    return true;
  }

  void snapshot_and_prune() {
    auto directory = SnapshotDirectory::open(context_.settings.host.snapshots.directory, true);
    if (!directory) {
      fail(directory.error());
      return;
    }
    // Beside another run its leftovers cannot be told from its work.
    if (lock_ && !sweep_leftovers(context_, *directory)) settle_late(kExitStorage);
    open_offsite();
    take_and_tidy(*directory);
  }

  // May read the whole directory: only where somebody wants to know.
  void tell_of_bucket() {
    const HostSettings& host = context_.settings.host;
    if (!offsite_ || host.metrics_textfile.empty()) return;
    figures_.bucket = {offsite_->figures().kept, offsite_->figures().pruned};
    const auto directory = SnapshotDirectory::open(host.snapshots.directory, false);
    if (directory) figures_.backlog = offsite_->backlog(*directory);
  }

  void take_and_tidy(SnapshotDirectory& directory) {
    auto outcome = take(directory);
    if (outcome) {
      snapshot_ = outcome->base;
      const ClusterHealth& health = outcome->health;
      cluster_ = {health.alarms, health.reason, health.learner};
      figures_.cluster_healthy = health.current();
      summary_ = fmt::format("{}, {} in {}", outcome->base, human_bytes(outcome->size_bytes),
                             context_.settings.host.snapshots.directory);
      report_created(context_.log, *outcome);
      clear_unfinished(runtime_dir_);
      report_passed_over(context_.log, outcome->passed_over);
      if (offsite_) record_snapshot(context_.settings.host, policy_, context_.host, context_.clock);
    } else {
      fail(outcome.error());
      if (outcome.error().kind == ErrorKind::kCancelled) return;
    }
    // Only now: what keeps the snapshot from being taken is more urgent.
    if (!context_.settings.doubts.empty()) settle(kExitConfig);
    bundle(directory);
    if (offsite_error_) settle_remote(*offsite_error_, outcome.ok());
    if (offsite_) {
      // Before pruning here: what the bucket lacks is known only then.
      const bool locked = static_cast<bool>(lock_);
      leave_directory();
      if (!to_bucket(directory, outcome, locked)) return;
      if (!outcome || !locked || !return_to_directory()) return;
    }
    if (outcome) prune(directory, *outcome);
  }

  void open_offsite() {
    if (!policy_.s3) return;
    bucket_deadline_ =
        started_ + policy_.interval - std::min(kMargin, policy_.interval / kMarginOfInterval);
    Offsite::Patience patience;
    if (context_.deadline && *context_.deadline <= bucket_deadline_) {
      bucket_deadline_ = *context_.deadline;
    } else {
      patience.hint =
          "the bucket was too slow for the time between two snapshots: the next cycle goes on; "
          "raise interval_hours, or find out what slows the way to it";
    }
    patience.deadline = bucket_deadline_;
    auto opened = Offsite::open(context_, std::move(patience));
    if (opened) {
      offsite_ = std::move(*opened);
    } else {
      offsite_error_ = opened.take_error();  // the snapshot comes first
    }
  }

  // False: the process was asked to stop.
  bool to_bucket(SnapshotDirectory& directory, const Result<SnapshotOutcome>& outcome,
                 bool locked) {
    if (outcome) {
      if (auto uploaded = offsite_->upload(*outcome); !uploaded) {
        return settle_remote(uploaded.error(), true);
      }
    }
    if (!locked) return true;  // told: who else is there is not known
    const auto lock = enter_bucket();
    if (!lock) return settle_remote(lock.error(), false);
    auto tidied =
        offsite_->tidy(directory, {.proven_this_cycle = outcome.ok(),
                                   .cluster_healthy = outcome && outcome->health.current(),
                                   .held = held_,
                                   .clock_holds = [this] { return clock_holds(); },
                                   .backlog_until = bucket_deadline_});
    if (offsite_->prune_failed()) settle(kExitRemote);
    if (offsite_->unknown()) hold(*offsite_->unknown());
    if (tidied && context_.settings.host.pki.upload) tidied = offsite_->upload_bundle(directory);
    return tidied || settle_remote(tidied.error(), false);
  }

  // The upload, or another process, may have taken hours. The news is told where we prune here.
  bool clock_holds() const { return clock_hold(context_, state_) > 0; }

  // Waits for another process, but not longer than the bucket has time.
  Result<UniqueFd> enter_bucket() {
    auto lock = take_bucket_lock(runtime_dir_);
    if (lock || lock.error().kind != ErrorKind::kBusy) return lock;
    context_.progress.phase(Phase::kBucket, "waiting: " + lock.error().message);
    lock = wait_for_lock(take_bucket_lock, runtime_dir_, context_.clock,
                         std::min(bucket_deadline_, context_.clock.monotonic() + kBucketPatience));
    if (lock || lock.error().kind != ErrorKind::kBusy) return lock;
    Error error = lock.take_error();
    error.hint = "the next cycle goes on; if that process hangs, end it";
    return error;
  }

  // `ours`: it is this cycle's backup that the bucket lacks. False where the process was asked to
  // stop.
  bool settle_remote(Error error, bool ours) {
    if (error.kind == ErrorKind::kCancelled) {
      fail(error);
      return false;
    }
    // What cannot be read here is not the bucket's failure, and the snapshot is safe all the same.
    const int code = error.kind == ErrorKind::kStorage ? kExitStorage : kExitRemote;
    error.kind = ErrorKind::kRemote;
    if (ours) {
      report_failure(context_.log, error);
    } else {
      report_error(context_.log, "The bucket is not up to date", error, kBucketBehind);
    }
    settle(code);
    return true;
  }

  Result<SnapshotOutcome> take(SnapshotDirectory& directory) {
    const SnapshotSettings& settings = context_.settings.host.snapshots;
    const std::string host = settings.include_host ? context_.host : "";
    ES_ASSIGN(name, find_free_name(context_.clock, directory, [&](UnixSeconds time) {
                return rolling_name(time, host, policy_.safe_timestamp);
              }));
    SnapshotRequest request;
    request.base = name.base;
    request.time = name.time;
    request.follower = offsite_.get();
    request.make_room = [&](const Connection& connection, int64_t needed) {
      return make_room(directory, connection, needed);
    };
    return take_snapshot(context_, directory, request);
  }

  // Expired snapshots may go before the new one is there, but the newest proven one never does.
  // What cannot be deleted is told; whether there is room now is the caller's to see.
  Result<void> make_room(SnapshotDirectory& directory, const Connection& connection,
                         int64_t needed) {
    warn("Not enough space, looking for expired backups to prune first",
         {{"directory", directory.path()}, {"needed", human_bytes(needed)}}, kSpaceShort);
    clock_hold_s_ = watch_clock(context_, state_);
    const auto plan = plan_prune(context_, directory,
                                 {.cluster_healthy = connection.health.current(),
                                  .making_room = true,
                                  .space_short = true,
                                  .clock_hold = clock_hold_s_ > 0,
                                  .doubt = held_,
                                  .in_bucket = in_bucket(),
                                  .member = &connection.status});
    if (!plan) {
      prune_failed(plan.error());
      return {};
    }
    report(*plan);
    note_pruned(carry_out(context_, directory, *plan, [&]() -> Result<bool> {
      ES_ASSIGN(space, directory.free_space());
      return missing_bytes(space, needed) <= 0;
    }));
    return {};
  }

  void bundle(const SnapshotDirectory& directory) {
    const PkiSettings& pki = context_.settings.host.pki;
    const bool wanted =
        pki.bundle == BundleMode::kYes || (pki.bundle == BundleMode::kAuto && policy_.older_form);
    if (!wanted) return;
    const std::string source = pki.directory.empty() ? find_pki_directory() : pki.directory;
    // Older settings without a Kubernetes host's certificates: nothing to bundle, nothing to tell.
    if (source.empty() && pki.bundle == BundleMode::kAuto) return;
    auto outcome = update_pki_bundle(directory, source.empty() ? "/etc/kubernetes/ssl" : source);
    if (!outcome) {
      report_error(context_.log, "Couldn't bundle the certificates", outcome.error(),
                   kBundleFailed);
      settle(exit_code(outcome.error().kind));
    } else if (outcome->written) {
      context_.log.write(
          {.message = "Created certificate bundle",
           .fields = {{"name", kPkiBundleName}, {"files", std::to_string(outcome->files)}},
           .message_id = kBundleUpdated});
    }
  }

  // Whether the bucket has no need of a file here.
  std::function<bool(const StoredSnapshot&)> in_bucket() const {
    if (!policy_.s3) return {};
    return [this](const StoredSnapshot& snapshot) {
      return offsite_ != nullptr && offsite_->released(snapshot);
    };
  }

  // With a bucket that is away, what it lacks stays until room gets scarce.
  bool is_scarce(const SnapshotDirectory& directory, const SnapshotOutcome& outcome) {
    if (!policy_.s3) return false;
    const auto space = directory.free_space();
    if (!space) {
      report_error(context_.log,
                   "What the bucket lacks stays here: whether there is room for it is not known",
                   space.error(), kUnread);
      settle_late(kExitStorage);
      return false;
    }
    return space->free_bytes / kRoomyPercent < space->total_bytes / 100 ||
           missing_bytes(*space, 2 * outcome.size_bytes) > 0;
  }

  void prune(SnapshotDirectory& directory, const SnapshotOutcome& outcome) {
    report_health(context_.log, outcome.health, ", nothing is pruned");
    context_.progress.phase(Phase::kPrune, "pruning");
    clock_hold_s_ = watch_clock(context_, state_);  // it may have been set meanwhile
    // Somebody may have deleted it while the bucket was waited for.
    const auto still_there = directory.taken(outcome.base);
    if (!still_there) {
      prune_failed(still_there.error());
      return;
    }
    const auto plan = plan_prune(context_, directory,
                                 {.proven_this_cycle = *still_there,
                                  .cluster_healthy = outcome.health.current(),
                                  .space_short = is_scarce(directory, outcome),
                                  .clock_hold = clock_hold_s_ > 0,
                                  .doubt = held_,
                                  .in_bucket = in_bucket()});
    if (!plan) {
      prune_failed(plan.error());
      return;
    }
    report(*plan);
    report_future(context_.log, *plan);
    note_pruned(carry_out(context_, directory, *plan));
  }

  void report(const PrunePlan& plan) {
    report_holds(context_.log, plan, clock_hold_s_);
    if (plan.unknown) hold(*plan.unknown);
    for (const StoredSnapshot& snapshot : plan.snapshots) {
      if (!snapshot.unread || plan.unknown) continue;
      tell_unread("A file could not be read and stays", *snapshot.unread);
      // One that is none of ours by its name nobody would delete.
      if (snapshot.name) settle_late(kExitStorage);
    }
  }

  // Deletion rests on something that could not be read: nothing goes in this cycle, in neither
  // place.
  void hold(const Error& error) {
    held_ = true;
    tell_unread("Nothing is pruned: what decides about it could not be read", error);
    settle_late(kExitStorage);
  }

  // Several steps may come across the same.
  void tell_unread(const std::string& message, const Error& error) {
    if (told_.insert(error.message).second) report_error(context_.log, message, error, kUnread);
  }

  void note_pruned(const Pruned& pruned) {
    *figures_.local.pruned += pruned.deleted;
    if (pruned.error) prune_failed(*pruned.error);
  }

  // The backup is there and good: this is not its failure.
  void prune_failed(const Error& error) {
    report_error(context_.log, "Couldn't prune", error, kStorageFailed);
    settle(exit_code(error.kind));
  }

  void warn(const std::string& message, std::map<std::string, std::string, std::less<>> fields,
            std::string_view id = {}) {
    context_.log.write({.level = LogLevel::kWarning,
                        .message = message,
                        .fields = std::move(fields),
                        .message_id = id});
  }

  int fail(const Error& error) {
    if (summary_.empty()) summary_ = error.message;
    report_failure(context_.log, error);
    settle(exit_code(error.kind));
    return exit_code_;
  }

  // The first thing that went wrong decides the exit code.
  void settle(int code) {
    if (exit_code_ == kExitOk) exit_code_ = code;
  }

  // What only keeps things from being deleted comes after all that matters more.
  void settle_late(int code) { late_code_ = code; }

  Context& context_;
  const Policy& policy_;
  Metrics& figures_;
  const std::string runtime_dir_ = runtime_directory();
  UniqueFd lock_;            // not while the bucket is asked
  UniqueFd directory_lock_;  // instead, where that cannot be had
  RunState state_;
  bool state_known_ = false, state_failed_ = false;
  bool held_ = false;           // nothing is deleted in this cycle
  std::set<std::string> told_;  // of what could not be read
  Nanoseconds started_{}, bucket_deadline_{};
  std::unique_ptr<Offsite> offsite_;  // null: no bucket, or one that cannot be asked
  std::optional<Error> offsite_error_;
  std::string snapshot_;                      // the name of the one that was taken
  std::optional<RunState::Cluster> cluster_;  // of which it was taken
  std::string summary_;       // for the status line: the snapshot, or why there is none
  int64_t clock_hold_s_ = 0;  // for how long nothing is pruned, after the clock was set ahead
  int exit_code_ = kExitOk, late_code_ = kExitOk;
};

}  // namespace

int run_cycle(Context& context) {
  PhaseTimer timer(context.progress, context.clock);
  Context timed{context.settings,  context.clock, context.log,  context.http,
                context.make_http, timer,         context.host, context.deadline};
  Metrics figures;
  const int code = Cycle(timed, figures).run();
  // The run that has the lock tells of itself; that this one came in between is no news.
  if (code == kExitBusy) return code;
  figures.exit_code = code;
  figures.last_good = context.settings.replaced.has_value();
  figures.duration = timer.total();
  figures.phases = timer.phases();
  record_run(context.settings.host, &context.settings.policy, context.host, context.clock,
             context.log, std::move(figures));
  return code;
}

}  // namespace etcd_snapshot
