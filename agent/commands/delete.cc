#include <fmt/format.h>

#include "base/exit_code.h"
#include "commands/commands.h"
#include "commands/delete_object.h"
#include "store/directory.h"
#include "store/lock.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

Error not_found(const std::string& wanted, const std::string& where) {
  return {ErrorKind::kUsage, "no snapshot '" + wanted + "' in " + where,
          "names are exact, as `etcd-snapshot list` prints them", false, 0};
}

// The one snapshot that is called exactly so, by file name or by name without extension; nullptr:
// none.
Result<const StoredSnapshot*> find(const std::vector<StoredSnapshot>& snapshots,
                                   const std::string& wanted) {
  const StoredSnapshot* found = nullptr;
  for (const StoredSnapshot& snapshot : snapshots) {
    if (!snapshot.name) continue;
    if (snapshot.file_name == wanted) return &snapshot;
    if (snapshot.name->base != wanted) continue;
    if (found != nullptr) return ambiguous(wanted, found->file_name, snapshot.file_name);
    found = &snapshot;
  }
  return found;
}

// As for the retention, what another host took or what is dated in the future stands for nothing.
bool has_newer(const Context& context, const std::vector<StoredSnapshot>& snapshots,
               const StoredSnapshot& snapshot) {
  const UnixSeconds now = context.clock.now();
  const std::string own_host = sanitize_host(context.host);
  const auto line_of = [&](const StoredSnapshot& one) {
    return one.name->host.empty() ? own_host : one.name->host;
  };
  return std::any_of(snapshots.begin(), snapshots.end(), [&](const StoredSnapshot& other) {
    return &other != &snapshot && other.name && other.manifest &&
           other.name->time > snapshot.name->time && other.name->time <= now &&
           line_of(other) == line_of(snapshot);
  });
}

Result<void> remove_one(Context& context, const std::string& wanted, bool force, bool remote) {
  ES_ASSIGN(lock, take_run_lock(runtime_directory()));
  ES_ASSIGN(directory, SnapshotDirectory::open(context.settings.host.snapshots.directory, false));
  ES_ASSIGN(snapshots, directory.list());
  ES_ASSIGN(here, find(snapshots, wanted));
  if (!remote && here == nullptr) return not_found(wanted, directory.path());
  if (here != nullptr && here->manifest && !force && !has_newer(context, snapshots, *here)) {
    return Error{ErrorKind::kUsage,
                 "no proven snapshot of this host is newer than '" + here->file_name + "'",
                 "take another first (etcd-snapshot save), or say --force", false, 0};
  }
  if (remote) {
    // There first: what only lies here would be uploaded again.
    UniqueFd fd;
    std::optional<LocalCopy> copy;
    if (here != nullptr) {
      ES_ASSIGN(opened, directory.open_file(here->file_name));
      fd = std::move(opened);
      copy = LocalCopy{here->file_name, here->name->base, fd.get(), here->size_bytes};
    }
    ES_ASSIGN(deleted, delete_object(context, wanted, copy, force));
    if (!deleted && here == nullptr) {
      return not_found(wanted, directory.path() + " or the bucket");
    }
  }
  if (here == nullptr) return {};
  ES_TRY(directory.remove(here->file_name));
  context.log.write({.message = "Deleted local backup",
                     .fields = {{"name", here->name->base}},
                     .message_id = kDeletedLocal});
  return {};
}

}  // namespace

int command_delete(Context& context, const std::string& name, bool force, bool remote) {
  const auto done = remove_one(context, name, force, remote);
  return done ? kExitOk : print_error(done.error());
}

}  // namespace etcd_snapshot
