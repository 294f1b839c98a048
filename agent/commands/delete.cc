#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/exit_code.h"
#include "commands/commands.h"
#include "commands/delete_object.h"
#include "commands/registry.h"
#include "store/directory.h"
#include "store/lock.h"
#include "store/ownership.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

struct DeleteOptions {
  std::string name{};   // exactly as `list` prints it, with or without its extension
  bool force = false;   // also the newest proven one
  bool remote = false;  // in the bucket, too
};

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
    if (!snapshot.name) {
      // A name that was given by hand only its manifest shows to be one of ours.
      if (snapshot.unread && (snapshot.file_name + ".").starts_with(wanted + "."))
        return *snapshot.unread;
      continue;
    }
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
    const std::string owner = owner_of(*one.name, one.manifest);
    return owner.empty() ? own_host : owner;
  };
  return std::any_of(snapshots.begin(), snapshots.end(), [&](const StoredSnapshot& other) {
    return &other != &snapshot && other.name && other.manifest &&
           other.name->time > snapshot.name->time && other.name->time <= now &&
           line_of(other) == line_of(snapshot);
  });
}

// The file that is meant, where it may go; nullopt: none is.
Result<std::optional<StoredSnapshot>> look_here(const Context& context,
                                                const SnapshotDirectory& directory,
                                                const std::string& wanted, bool force) {
  ES_ASSIGN(snapshots, directory.list());
  ES_ASSIGN(here, find(snapshots, wanted));
  if (here == nullptr) return std::optional<StoredSnapshot>();
  // One that cannot be read may be the only good one.
  if ((here->manifest || here->unread) && !force && !has_newer(context, snapshots, *here)) {
    return Error{ErrorKind::kUsage,
                 "no proven snapshot of this host is newer than '" + here->file_name + "'",
                 "take another first (etcd-snapshot save), or say --force", false, 0};
  }
  return std::optional<StoredSnapshot>(*here);
}

Result<void> remove_here(Context& context, SnapshotDirectory& directory,
                         const StoredSnapshot& here) {
  ES_TRY(directory.remove(here.file_name));
  context.log.write({.message = "Deleted local backup",
                     .fields = {{"name", here.name->base}},
                     .message_id = kDeletedLocal});
  return {};
}

Result<void> remove_one(Context& context, const std::string& wanted, bool force) {
  ES_ASSIGN(lock, take_run_lock(runtime_directory()));
  ES_ASSIGN(directory, SnapshotDirectory::open(context.settings.host.snapshots.directory, false));
  ES_ASSIGN(here, look_here(context, directory, wanted, force));
  if (!here) return not_found(wanted, directory.path());
  return remove_here(context, directory, *here);
}

// The bucket's lock until both are gone: a cycle would upload again what only lies here. That of
// the directory is not held while a bucket is waited for.
Result<void> remove_both(Context& context, const std::string& wanted, bool force) {
  ES_ASSIGN(bucket_lock, take_bucket_lock(runtime_directory()));
  ES_ASSIGN(lock, take_run_lock(runtime_directory()));
  ES_ASSIGN(directory, SnapshotDirectory::open(context.settings.host.snapshots.directory, false));
  ES_ASSIGN(before, look_here(context, directory, wanted, force));
  UniqueFd fd;
  std::optional<LocalCopy> copy;
  if (before) {
    ES_ASSIGN(opened, directory.open_file(before->file_name));
    fd = std::move(opened);
    copy = LocalCopy{before->file_name, before->name->base, fd.get(), before->size_bytes};
  }
  lock.reset();
  ES_ASSIGN(deleted, delete_object(context, wanted, copy, force));
  if (!before) {
    if (deleted) return {};
    return not_found(wanted, directory.path() + " or the bucket");
  }
  auto again = wait_for_lock(take_run_lock, runtime_directory(), context.clock,
                             context.clock.monotonic() + kLockPatience);
  if (!again && again.error().kind == ErrorKind::kBusy) {
    Error error = again.take_error();
    error.message = "'" + before->file_name + "' is not in the bucket any more, but still in " +
                    directory.path() + ": " + error.message;
    error.hint = "run it again when that one has ended, or a cycle uploads it anew";
    return error;
  }
  if (!again) return again.take_error();
  // What stood for it may be gone, or it itself: the directory was everybody's meanwhile.
  ES_ASSIGN(here, look_here(context, directory, before->file_name, force));
  return here ? remove_here(context, directory, *here) : Result<void>();
}

int command_delete(Context& context, const DeleteOptions& options) {
  const auto done = options.remote ? remove_both(context, options.name, options.force)
                                   : remove_one(context, options.name, options.force);
  return done ? kExitOk : print_error(done.error());
}

}  // namespace

Command make_delete(CLI::App& app) {
  const auto options = std::make_shared<DeleteOptions>();
  app.add_option("NAME", options->name, "its exact name, as `list` prints it")->required();
  app.add_flag("--force", options->force, "delete even the newest proven one");
  app.add_flag("--s3", options->remote, "delete it in the bucket, too");
  return {.run = [options](const Call& call) { return command_delete(call.context, *options); }};
}

}  // namespace etcd_snapshot
