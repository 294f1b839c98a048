#include "commands/status_gather.h"

#include <algorithm>
#include <map>

#include "offsite.h"
#include "prune.h"
#include "store/lock.h"
#include "store/run_state.h"
#include "store/space.h"

namespace etcd_snapshot {
namespace {

// Monitoring systems give a check a minute, most of them.
constexpr Nanoseconds kBucketTime = std::chrono::seconds(30);
constexpr int kStallS = 5;
constexpr int kRetries = 1;

// Of so many objects that are newer than all that is here the manifests are read, newest first.
constexpr size_t kMaxManifests = 10;

// A proven snapshot here that the bucket should hold.
struct Wanted {
  const StoredSnapshot* snapshot = nullptr;
  bool expired = false, there = false;
};

bool is_of(const std::string& own_host, const SnapshotName& name) {
  return name.host.empty() || name.host == own_host;
}

// The directory as the policy sees it. A history that cannot be read keeps everything, as in a
// cycle.
Result<PrunePlan> look_here(const Context& context, const SnapshotDirectory& directory,
                            StatusFacts& facts) {
  auto plan = plan_prune(context, directory, {.making_room = true});
  if (plan) {
    facts.here.history_break = plan->history_break;
    return plan;
  }
  PrunePlan unpruned;
  ES_ASSIGN(snapshots, directory.list());
  facts.here.history_error = plan.take_error();
  unpruned.snapshots = std::move(snapshots);
  unpruned.decisions.resize(unpruned.snapshots.size());
  return unpruned;
}

void note_space(const Context& context, const SnapshotDirectory& directory, const PrunePlan& plan,
                StatusFacts& facts) {
  StatusFacts::Here& here = facts.here;
  if (const auto space = directory.free_space()) here.space = *space;
  for (const StoredSnapshot& snapshot : plan.snapshots) {
    if (!snapshot.manifest) continue;
    here.next_bytes =
        estimate_archive_bytes(snapshot.manifest->database_bytes,
                               context.settings.host.snapshots.compression, plan.snapshots);
    break;
  }
  for (size_t i = 0; i < plan.snapshots.size(); ++i) {
    if (plan.deletes(i)) here.expired_bytes += plan.snapshots[i].size_bytes;
  }
}

std::vector<Wanted> note_snapshots(const PrunePlan& plan, const std::string& own_host,
                                   StatusFacts& facts) {
  std::vector<Wanted> wanted;
  for (size_t i = 0; i < plan.snapshots.size(); ++i) {
    const StoredSnapshot& snapshot = plan.snapshots[i];
    if (!snapshot.name) continue;
    ++facts.here.count;
    facts.here.size_bytes += snapshot.size_bytes;
    if (!snapshot.manifest) ++facts.here.unproven;
    const bool future = snapshot.name->time > facts.now;
    if (future) {
      ++facts.here.future;
      facts.here.future_example = snapshot.file_name;
    }
    if (!snapshot.manifest || !is_of(own_host, *snapshot.name)) continue;
    wanted.push_back({&snapshot, plan.deletes(i), false});
    if (!future && !facts.newest) facts.newest = {snapshot, true, false};
  }
  return wanted;
}

// One pass over the list: what of `wanted` is there, and the names that are newer than the newest
// one here. By name and size, as `list` has it; a cycle also compares the last bytes.
class BucketLook {
 public:
  BucketLook(const Offsite& offsite, std::vector<Wanted>& wanted, const std::string& own_host,
             const StatusFacts& facts)
      : wanted_(wanted), own_host_(own_host), now_(facts.now) {
    if (facts.newest) newest_here_ = facts.newest->snapshot.name->time;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const StoredSnapshot& snapshot = *wanted[i].snapshot;
      for (int number = 1; number <= Offsite::kNamesBeside; ++number) {
        by_name_.emplace(offsite.object_beside(snapshot.file_name, snapshot.name->base, number), i);
      }
    }
    // A name of its own goes before one beside another's.
    for (size_t i = 0; i < wanted.size(); ++i) by_name_[wanted[i].snapshot->file_name] = i;
  }

  void take(RemoteObject object) {
    auto name = parse_snapshot_name(object.file_name);
    if (name) ++count_;
    const auto known = by_name_.find(object.file_name);
    if (known != by_name_.end() &&
        wanted_[known->second].snapshot->size_bytes == object.size_bytes) {
      wanted_[known->second].there = true;
      return;
    }
    if (!name || name->time > now_ || name->time <= newest_here_ || !is_of(own_host_, *name)) {
      return;
    }
    newer_.push_back({std::move(object), std::move(*name)});
    std::sort(newer_.begin(), newer_.end(),
              [](const Newer& a, const Newer& b) { return a.name.time > b.name.time; });
    if (newer_.size() > kMaxManifests) newer_.pop_back();
  }

  // The newest one that lies only there. Hosts may share a folder and use the same names: only a
  // manifest tells whose it is.
  Result<std::optional<StoredSnapshot>> newest_there(Bucket& bucket, const std::string& host) {
    for (Newer& candidate : newer_) {
      auto manifest = bucket.manifest(candidate.object);
      // One that cannot be read (archived, say) proves nothing.
      if (!manifest && !manifest.error().retryable &&
          manifest.error().kind != ErrorKind::kCancelled) {
        continue;
      }
      if (!manifest) return manifest.take_error();
      if (!*manifest || (*manifest)->host != host) continue;
      return std::optional(StoredSnapshot{candidate.object.file_name, std::move(candidate.name),
                                          candidate.object.size_bytes, std::move(*manifest)});
    }
    return std::optional<StoredSnapshot>();
  }

  int64_t count() const { return count_; }

 private:
  struct Newer {
    RemoteObject object;
    SnapshotName name;
  };
  std::vector<Wanted>& wanted_;
  const std::string own_host_;
  const UnixSeconds now_;
  UnixSeconds newest_here_ = UnixSeconds::min();
  std::map<std::string, size_t> by_name_;
  std::vector<Newer> newer_;  // newest first
  int64_t count_ = 0;
};

Result<void> ask_bucket(Context& context, std::vector<Wanted>& wanted, StatusFacts& facts) {
  ES_ASSIGN(offsite, Offsite::open(context, {.deadline = context.clock.monotonic() + kBucketTime}));
  StatusFacts::Bucket& found = *facts.bucket;
  found.url = offsite->bucket().display();
  BucketLook look(*offsite, wanted, sanitize_host(context.host), facts);
  ES_TRY(offsite->bucket().list([&](std::vector<RemoteObject> page) -> Result<void> {
    for (RemoteObject& object : page) look.take(std::move(object));
    return {};
  }));
  found.count = look.count();
  for (const Wanted& one : wanted) {
    if (one.there && facts.newest && one.snapshot->file_name == facts.newest->snapshot.file_name) {
      facts.newest->in_bucket = true;
    }
    if (one.there || one.expired) continue;
    if (found.missing == 0 || one.snapshot->name->time < found.oldest_missing) {
      found.oldest_missing = one.snapshot->name->time;
    }
    ++found.missing;
    found.missing_bytes += one.snapshot->size_bytes;
  }
  ES_ASSIGN(newest, look.newest_there(offsite->bucket(), context.host));
  if (newest) facts.newest = {std::move(*newest), false, true};
  return {};
}

// Whoever waits for a check has no patience: fewer retries, shorter stalls.
void note_bucket(const Context& context, std::vector<Wanted>& wanted, StatusFacts& facts) {
  Settings settings = context.settings;
  settings.host.s3.retries = std::min(settings.host.s3.retries, kRetries);
  settings.host.s3.stall_timeout_s = std::min(settings.host.s3.stall_timeout_s, kStallS);
  Context hurried{settings,          context.clock,    context.log,  context.http,
                  context.make_http, context.progress, context.host, std::nullopt};
  facts.bucket.emplace();
  const Nanoseconds start = context.clock.monotonic();
  auto asked = ask_bucket(hurried, wanted, facts);
  if (asked) return;
  facts.bucket->error = asked.take_error();
  if (context.clock.monotonic() - start >= kBucketTime) {
    facts.bucket->error->hint = "it came to no end in 30 seconds: etcd-snapshot check takes longer";
  }
}

void note_last_run(StatusFacts& facts) {
  const RunState state = read_run_state(runtime_directory());
  if (const auto finished = parse_rfc3339(state.finished)) {
    facts.last_run = {*finished, state.exit_code, false, state.snapshot};
  }
  const auto since_boot_s =
      std::chrono::duration_cast<std::chrono::seconds>(facts.since_boot).count();
  facts.here.clock_hold_s = std::max<int64_t>(state.prune_hold_until_s - since_boot_s, 0);
  if (!facts.schedule || !facts.schedule->service.finished) return;
  // What ends before there is a state to write, or is killed, only systemd knows.
  const ServiceState& service = facts.schedule->service;
  if (facts.last_run && facts.last_run->finished > *service.finished) return;
  const bool same =
      facts.last_run && service.started && facts.last_run->finished >= *service.started;
  const bool killed =
      service.result != "success" && service.result != "exit-code" && service.exit_status < 128;
  facts.last_run = {*service.finished, service.exit_status, killed, same ? state.snapshot : ""};
}

}  // namespace

StatusFacts gather_status(Context& context, std::optional<Nanoseconds> max_age,
                          const std::optional<Error>& config_error,
                          std::optional<ScheduleState> schedule) {
  const Policy& policy = context.settings.policy;
  StatusFacts facts;
  facts.since_boot = context.clock.monotonic();
  facts.config_error = config_error;
  facts.recurring = policy.recurring && !config_error;
  facts.off_on_purpose = policy.off_on_purpose;
  facts.off_reason = policy.off_reason;
  facts.interval = policy.interval;
  facts.max_age = max_age;
  facts.schedule = std::move(schedule);
  facts.here.directory = context.settings.host.snapshots.directory;

  PrunePlan plan;
  std::vector<Wanted> wanted;
  const std::string own_host = sanitize_host(context.host);
  if (!facts.here.directory.empty()) {
    const auto directory = SnapshotDirectory::open(facts.here.directory, false);
    auto looked =
        directory ? look_here(context, *directory, facts) : Result<PrunePlan>(directory.error());
    // After the directory was read: what was taken meanwhile is none of the future.
    facts.now = context.clock.now();
    if (looked) {
      plan = std::move(*looked);
      wanted = note_snapshots(plan, own_host, facts);
      note_space(context, *directory, plan, facts);
    } else if (looked.error().code == ENOENT) {
      facts.here.missing = true;
    } else {
      facts.here.error = looked.take_error();
    }
  }
  facts.now = context.clock.now();
  if (policy.s3) note_bucket(context, wanted, facts);
  note_last_run(facts);
  return facts;
}

}  // namespace etcd_snapshot
