// The snapshot directory: what lies in it, and how a new snapshot gets there whole or not at all.
//
// Opened once; every operation goes through its descriptor. A new snapshot is written to
// ".etcd-snapshot.<file>.partial" (0600, locked), synced, renamed without replacing anything, and
// the directory is synced. Files of others are never touched. All errors are kStorage.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archive/manifest.h"
#include "base/bytes.h"
#include "base/fd.h"
#include "store/names.h"

namespace etcd_snapshot {

struct StoredSnapshot {
  std::string file_name;
  // nullopt: somebody else's. A file of any name that carries a manifest of kind "one-time" is ours
  // (`save --name`): kOneTime, with the time of its manifest.
  std::optional<SnapshotName> name;
  int64_t size_bytes = 0;
  std::optional<Manifest> manifest;  // present: proven when it was written
  // Why it, or whether it carries a manifest, could not be read: then neither is known, and what
  // rests on it is held. A damaged archive was read: that has none.
  std::optional<Error> unread{};
};

struct FreeSpace {
  int64_t free_bytes = 0;  // f_bavail: what is left without the blocks that are reserved for root
  int64_t total_bytes = 0;
};

// ".etcd-snapshot.<file>.partial": a snapshot while it is written.
std::string partial_file_name(std::string_view file_name);
// ".<file>.manifest": the manifest of a snapshot that cannot carry one (compression = none).
std::string sidecar_file_name(std::string_view file_name);

// A snapshot while it is written. Removed on destruction unless committed.
class PartialSnapshot final : public ByteSink {
 public:
  ~PartialSnapshot() override;
  PartialSnapshot(const PartialSnapshot&) = delete;
  PartialSnapshot& operator=(const PartialSnapshot&) = delete;

  // Appends. Starts write-back as it goes, so that the sync at the end is short, and fails when the
  // file system's free space falls below the reserve (never fills the disk of an etcd host).
  Result<void> write(Bytes bytes) override;
  int64_t size_bytes() const { return size_; }

  // Syncs, writes the sidecar manifest where the archive cannot carry one, renames to the final
  // name without replacing anything, syncs the directory. kStorage, code EEXIST, if the name is
  // taken.
  Result<void> commit(const std::optional<Manifest>& sidecar);

  // To read back what was written, also after commit(). While this object lives the pages are in
  // memory; its destructor drops them, so that a backup does not push etcd's out.
  int fd() const { return fd_.get(); }

 private:
  friend class SnapshotDirectory;
  PartialSnapshot(UniqueFd dir_fd, UniqueFd fd, std::string file_name, std::string directory);
  Result<void> check_space(int64_t wanted_bytes);
  Error no_space_error(int errnum, std::string_view what) const;
  Error explain(Error error) const;  // no_space_error() where that is what it means

  UniqueFd dir_fd_;
  UniqueFd fd_;
  std::string file_name_, partial_name_, directory_;
  int64_t size_ = 0, flushed_ = 0;
  int64_t allowance_ = 0;  // bytes that may follow before the free space is looked at again
  bool committed_ = false;
};

class SnapshotDirectory {
 public:
  // Opens it. With `create` the caller means to write: it is made (0700, its parents 0755, whatever
  // the umask) where it is missing, and must be writable. Symbolic links are followed. The error
  // says what is wrong (missing, a component that is no directory or a dangling link, no
  // permission, read-only file system) and what to do; its code is ENOENT only where nothing stands
  // in the way of making it.
  static Result<SnapshotDirectory> open(const std::string& path, bool create);

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

  // Regular files; those with a name of ours newest first, then the others by name. Hidden files
  // and the certificate bundle are left out. Reads the manifest of each (a few bytes at the end of
  // the file, or the sidecar). One that cannot be read keeps none of the others from being listed:
  // see StoredSnapshot::unread.
  Result<std::vector<StoredSnapshot>> list() const;

  // Whether any file with this base name and any archive extension is there. An error: not known.
  Result<bool> taken(const std::string& base) const;

  // kStorage, code EEXIST, when the name is taken or being written. The directory may be closed or
  // moved while the partial snapshot lives.
  Result<std::unique_ptr<PartialSnapshot>> create(const std::string& file_name);

  // A file for reading; links are not followed. kStorage; code ENOENT where it is not there.
  Result<UniqueFd> open_file(const std::string& file_name) const;

  // Removes one snapshot and its sidecar; not found is an error (code ENOENT).
  Result<void> remove(const std::string& file_name);

  // Removes partial files that no living process holds (they are locked while written), sidecars
  // without their snapshot, and temporary files of ours; of what cannot be read nothing. Returns
  // what was removed, or the first error.
  Result<std::vector<std::string>> sweep();

  Result<FreeSpace> free_space() const;
  // What must stay free on that file system: 5 percent of it, at most 256 MiB.
  static int64_t reserve_bytes(const FreeSpace& space);

  // rwx bits for group and others of the directory itself, 0 if none.
  Result<mode_t> permissive_bits() const;

 private:
  SnapshotDirectory(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::string path_;
};

}  // namespace etcd_snapshot
