#include "commands/status/bucket.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "offsite/ledger.h"
#include "offsite/offsite.h"
#include "store/lock.h"
#include "store/ownership.h"

namespace etcd_snapshot {
namespace {

// Monitoring systems give a check a minute, most of them.
constexpr std::chrono::seconds kBucketTime{30};
constexpr int kStallS = 5;
constexpr int kRetries = 1;

// Of so many snapshots, the newest ones, the object is compared where only its name and size speak
// for it.
constexpr int kMaxCompared = 10;

class BucketLook {
 public:
  BucketLook(const Context& context, Offsite& offsite, const SnapshotDirectory* directory,
             std::vector<Wanted>& wanted, const StatusFacts& facts)
      : bucket_(offsite.bucket()),
        directory_(directory),
        ledger_(UploadLedger::read(runtime_directory(), offsite.bucket().display())),
        wanted_(wanted),
        own_host_(sanitize_host(context.host)),
        now_(facts.now) {
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

  // The one pass over the list: what of `wanted` is there, or looks so, and the names that are
  // newer than the newest one here.
  Result<void> go_through() {
    return bucket_.list([&](std::vector<RemoteObject> page) -> Result<void> {
      answered_ = true;
      for (RemoteObject& object : page) take(std::move(object));
      return {};
    });
  }

  // Hosts that share a folder may use the same names, and their archives may be of the same size.
  // As a cycle does, the last bytes are compared then, of the newest few; beyond them name and size
  // count.
  Result<void> compare() {
    int compared = 0;
    for (Wanted& one : wanted_) {
      if (one.there || one.alike.empty()) continue;
      if (++compared > kMaxCompared) {
        one.there = true;
      } else {
        ES_TRY(compare(one));
      }
    }
    return {};
  }

  // The newest one that lies only there. Only a manifest tells whose it is.
  Result<std::optional<StoredSnapshot>> newest_there() {
    for (Newer& candidate : newer_) {
      auto manifest = bucket_.manifest(candidate.object);
      if (!manifest && is_unreadable(manifest.error())) {
        all_told_ = false;
        continue;
      }
      if (!manifest) return manifest.take_error();
      if (!*manifest) {
        // A bare database has none, whoever took it.
        if (candidate.name.compression == Compression::kNone) all_told_ = false;
        continue;
      }
      if (!is_of_host(own_host_, candidate.name, *manifest)) continue;
      return std::optional(StoredSnapshot{candidate.object.file_name, std::move(candidate.name),
                                          candidate.object.size_bytes, std::move(*manifest)});
    }
    return std::optional<StoredSnapshot>();
  }

  int64_t count() const { return count_; }
  bool answered() const { return answered_; }
  bool all_told() const { return all_told_; }

 private:
  struct Newer {
    RemoteObject object;
    SnapshotName name;
  };

  void take(RemoteObject object) {
    auto name = parse_snapshot_name(object.file_name);
    if (name) ++count_;
    const auto known = by_name_.find(object.file_name);
    if (known != by_name_.end() && is_known(wanted_[known->second], object, name)) return;
    if (!name || name->time > now_ || name->time <= newest_here_ ||
        !is_of_host(own_host_, *name, std::nullopt)) {
      return;
    }
    newer_.push_back({std::move(object), std::move(*name)});
    std::sort(newer_.begin(), newer_.end(),
              [](const Newer& a, const Newer& b) { return a.name.time > b.name.time; });
    if (newer_.size() <= StatusFacts::Bucket::kAsked) return;
    newer_.pop_back();
    all_told_ = false;
  }

  // Whether the object is the snapshot here, as far as can be said without a look into it: no other
  // host writes this one's name, and the ledger has what a cycle uploaded or compared.
  bool is_known(Wanted& one, const RemoteObject& object, const std::optional<SnapshotName>& name) {
    if (one.snapshot->size_bytes != object.size_bytes) return false;
    const LedgerEntry* const noted = ledger_.find(one.snapshot->file_name);
    const bool same =
        (name && !name->host.empty()) ||
        (noted != nullptr && noted->object == object.file_name && noted->etag == object.etag);
    if (same) {
      one.there = true;
    } else {
      one.alike.push_back(object.file_name);
    }
    return same;
  }

  Result<void> compare(Wanted& one) {
    auto fd = directory_->open_file(one.snapshot->file_name);
    if (!fd && fd.error().code == ENOENT) {  // deleted meanwhile
      one.expired = true;
      return {};
    }
    if (!fd) return fd.take_error();
    for (const std::string& object : one.alike) {
      auto same = bucket_.holds(object, fd->get(), one.snapshot->size_bytes);
      // There, but nobody can read it: a cycle leaves it at that, too.
      one.there = same ? same->has_value()
                       : same.error().kind == ErrorKind::kRemote && is_unreadable(same.error());
      if (one.there) break;
      if (!same) return same.take_error();
    }
    return {};
  }

  // Archived, say. What may pass is no answer that counts.
  bool is_unreadable(const Error& error) const {
    return !error.retryable && bucket_.only_this_object(error);
  }

  Bucket& bucket_;
  const SnapshotDirectory* const directory_;
  const UploadLedger ledger_;
  std::vector<Wanted>& wanted_;
  const std::string own_host_;
  const UnixSeconds now_;
  UnixSeconds newest_here_ = UnixSeconds::min();
  std::map<std::string, size_t> by_name_;
  std::vector<Newer> newer_;  // newest first
  int64_t count_ = 0;
  bool answered_ = false, all_told_ = true;
};

// `answered`: whether there came anything of the list.
Result<void> ask_bucket(Context& context, const SnapshotDirectory* directory, Nanoseconds deadline,
                        std::vector<Wanted>& wanted, StatusFacts& facts, bool& answered) {
  ES_ASSIGN(offsite, Offsite::open(context, {.deadline = deadline}));
  StatusFacts::Bucket& found = *facts.bucket;
  BucketLook look(context, *offsite, directory, wanted, facts);
  auto listed = look.go_through();
  found.url = offsite->bucket().display();  // the first answer settles which part names the bucket
  answered = look.answered();
  if (!listed) return listed;
  found.count = look.count();
  ES_TRY(look.compare());
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
  ES_ASSIGN(newest, look.newest_there());
  if (newest) facts.newest = {std::move(*newest), false, true};
  found.all_told = look.all_told();
  return {};
}

}  // namespace

// Whoever waits for a check has no patience: fewer retries, shorter stalls.
void note_bucket(const Context& context, const SnapshotDirectory* directory,
                 std::vector<Wanted>& wanted, StatusFacts& facts) {
  Settings settings = context.settings;
  settings.host.s3.retries = std::min(settings.host.s3.retries, kRetries);
  settings.host.s3.stall_timeout_s = std::min(settings.host.s3.stall_timeout_s, kStallS);
  Context hurried{settings,          context.clock,    context.log,  context.http,
                  context.make_http, context.progress, context.host, std::nullopt};
  StatusFacts::Bucket& bucket = facts.bucket.emplace();
  const Nanoseconds deadline = context.clock.monotonic() + kBucketTime;
  bool answered = false;
  auto asked = ask_bucket(hurried, directory, deadline, wanted, facts, answered);
  if (asked) return;
  bucket.error = asked.take_error();
  if (bucket.error->kind != ErrorKind::kRemote || context.clock.monotonic() < deadline) return;
  bucket.error->hint = fmt::format(
      "it came to no end in {} seconds: etcd-snapshot check takes longer", kBucketTime.count());
  if (!answered) return;
  // Nothing is wrong with a long list; a check cannot wait for the end of it.
  bucket.out_of_time = true;
  bucket.error->message = fmt::format("the list took longer than {} s", kBucketTime.count());
}

}  // namespace etcd_snapshot
