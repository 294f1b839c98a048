#include <fmt/format.h>

#include "base/exit_code.h"
#include "commands/commands.h"
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

}  // namespace

int command_delete(Context& context, const std::string& name, bool force) {
  const auto done = remove_one(context, name, force);
  return done ? kExitOk : print_error(done.error());
}

}  // namespace etcd_snapshot
