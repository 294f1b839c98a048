#include <fmt/format.h>

#include "base/exit_code.h"
#include "commands/commands.h"
#include "offsite.h"
#include "store/directory.h"
#include "store/lock.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

// The one snapshot that is called exactly so, by file name or by name without extension.
Result<const StoredSnapshot*> find(const std::vector<StoredSnapshot>& snapshots,
                                   const std::string& wanted, const std::string& where) {
  const StoredSnapshot* found = nullptr;
  for (const StoredSnapshot& snapshot : snapshots) {
    if (!snapshot.name) continue;
    if (snapshot.file_name == wanted) return &snapshot;
    if (snapshot.name->base != wanted) continue;
    if (found != nullptr) {
      return Error{ErrorKind::kUsage,
                   "'" + wanted + "' could be " + found->file_name + " or " + snapshot.file_name,
                   "write it with its extension", false, 0};
    }
    found = &snapshot;
  }
  if (found != nullptr) return found;
  return Error{ErrorKind::kUsage, "no snapshot '" + wanted + "' in " + where,
               "names are exact, as `etcd-snapshot list` prints them", false, 0};
}

Result<void> remove_one(Context& context, const std::string& name, bool force) {
  ES_ASSIGN(lock, take_run_lock(runtime_directory()));
  ES_ASSIGN(directory, SnapshotDirectory::open(context.settings.host.snapshots.directory, false));
  ES_ASSIGN(snapshots, directory.list());
  ES_ASSIGN(snapshot, find(snapshots, name, directory.path()));
  if (snapshot->manifest && !force) {
    bool newer = false;
    const UnixSeconds now = context.clock.now();
    const std::string own_host = sanitize_host(context.host);
    for (const StoredSnapshot& other : snapshots) {
      // As for the retention, what another host took or what is dated in the future stands for
      // nothing.
      newer = newer || (&other != snapshot && other.name && other.manifest &&
                        other.name->time > snapshot->name->time && other.name->time <= now &&
                        (other.name->host.empty() || other.name->host == own_host));
    }
    if (!newer) {
      return Error{ErrorKind::kUsage,
                   "no proven snapshot of this host is newer than '" + snapshot->file_name + "'",
                   "take another first (etcd-snapshot save), or say --force", false, 0};
    }
  }
  ES_TRY(directory.remove(snapshot->file_name));
  context.log.write({.message = "Deleted local backup",
                     .fields = {{"name", snapshot->name->base}},
                     .message_id = kDeletedLocal});
  return {};
}

// The objects that `wanted` may mean, and the newest snapshot of this host that is not one of them.
struct RemoteSearch {
  std::vector<RemoteObject> found;
  UnixSeconds newest_other = UnixSeconds::min();
};

Result<RemoteSearch> search_bucket(const Context& context, Bucket& bucket,
                                   const std::string& wanted) {
  RemoteSearch search;
  const std::string own_host = sanitize_host(context.host);
  const UnixSeconds now = context.clock.now();
  ES_TRY(bucket.list([&](std::vector<RemoteObject> page) -> Result<void> {
    for (RemoteObject& object : page) {
      const auto name = parse_snapshot_name(object.file_name);
      const bool exact = object.file_name == wanted;
      if (exact) search.found.clear();
      const bool same_base =
          object.file_name.starts_with(wanted) &&
          (object.file_name == wanted + ".zip" || object.file_name == wanted + ".zst");
      const bool exact_known = search.found.size() == 1 && search.found[0].file_name == wanted;
      if (exact || (same_base && !exact_known)) {
        search.found.push_back(std::move(object));
      } else if (name && name->time <= now && (name->host.empty() || name->host == own_host)) {
        search.newest_other = std::max(search.newest_other, name->time);
      }
    }
    return {};
  }));
  return search;
}

Result<void> remove_object(Context& context, const std::string& wanted, bool force) {
  if (!context.settings.policy.s3) {
    return Error{ErrorKind::kUsage, "--s3: no bucket is configured",
                 "write s3backupconfig into cluster.yml", false, 0};
  }
  ES_ASSIGN(lock, take_run_lock(runtime_directory()));
  ES_ASSIGN(offsite, Offsite::open(context, std::nullopt));
  Bucket& bucket = offsite->bucket();
  ES_ASSIGN(search, search_bucket(context, bucket, wanted));
  if (search.found.empty()) {
    return Error{ErrorKind::kUsage, "no snapshot '" + wanted + "' in " + bucket.display(),
                 "names are exact, as `etcd-snapshot list` prints them", false, 0};
  }
  if (search.found.size() > 1) {
    return Error{ErrorKind::kUsage,
                 "'" + wanted + "' could be " + search.found[0].file_name + " or " +
                     search.found[1].file_name,
                 "write it with its extension", false, 0};
  }
  const RemoteObject& object = search.found.front();
  const auto name = parse_snapshot_name(object.file_name);
  ES_ASSIGN(manifest, bucket.manifest(object));
  if (!name && !manifest) {
    return Error{ErrorKind::kUsage,
                 "'" + object.file_name + "' in " + bucket.display() + " is no snapshot",
                 "delete what is not this agent's with the tools of the bucket", false, 0};
  }
  if (name && name->kind == SnapshotKind::kRolling && search.newest_other <= name->time && !force) {
    return Error{ErrorKind::kUsage,
                 "no snapshot of this host in the bucket is newer than '" + object.file_name + "'",
                 "let a cycle upload another first, or say --force", false, 0};
  }
  ES_ASSIGN(faults, bucket.remove({object.file_name}));
  if (!faults.empty()) {
    return Error{ErrorKind::kRemote,
                 "cannot delete " + bucket.display() + "/" + object.file_name + ": " +
                     faults[0].code + ": " + faults[0].message,
                 "allow s3:DeleteObject on the folder, or look at the bucket's policy and locks",
                 false, 0};
  }
  context.log.write({.message = "Deleted remote backup",
                     .fields = {{"name", name ? name->base : object.file_name}},
                     .message_id = kDeletedRemote});
  return {};
}

}  // namespace

int command_delete(Context& context, const std::string& name, bool force, bool remote) {
  const auto done = remote ? remove_object(context, name, force) : remove_one(context, name, force);
  return done ? kExitOk : print_error(done.error());
}

}  // namespace etcd_snapshot
