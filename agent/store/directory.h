// The snapshot directory: what lies in it, and how a new snapshot gets there whole or not at all.
//
// Opened once; every operation goes through its descriptor. A new snapshot is written to
// ".etcd-snapshot.<file>.partial" (0600, locked), synced, renamed without replacing anything, and the
// directory is synced. Files of others are never touched. All errors are kStorage.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/manifest.h"
#include "base/bytes.h"
#include "base/fd.h"
#include "store/names.h"

namespace etcd_snapshot {

struct StoredSnapshot {
  std::string file_name;
  std::optional<SnapshotName> name;  // nullopt: somebody else's, unless `manifest` says it is ours
  int64_t size_bytes = 0;
  std::optional<Manifest> manifest;  // present: proven when it was written
};

struct FreeSpace {
  int64_t free_bytes = 0;   // for this process (f_bavail, or f_bfree for root's reserve: f_bavail)
  int64_t total_bytes = 0;
};

class SnapshotDirectory;

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
  // name without replacing anything, syncs the directory. kStorage, code EEXIST, if the name is taken.
  Result<void> commit(const std::optional<Manifest>& sidecar);

 private:
  friend class SnapshotDirectory;
  PartialSnapshot(int dir_fd, std::string file_name, std::string directory);
  int dir_fd_;
  UniqueFd fd_;
  std::string file_name_, partial_name_, directory_;
  int64_t size_ = 0, flushed_ = 0, reserve_bytes_ = 0;
  bool committed_ = false;
};

class SnapshotDirectory {
 public:
  // Opens it, or creates it (0700) where only the last components are missing. Symbolic links are
  // followed. The error says what is wrong (missing and not creatable, not a directory, dangling
  // link, read-only file system) and what to do.
  static Result<SnapshotDirectory> open(const std::string& path, bool create);

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

  // Regular files, newest name first, then the names that do not parse; hidden files are left out.
  // Reads the manifest of each (a few bytes at the end of the file, or the sidecar).
  Result<std::vector<StoredSnapshot>> list() const;

  // Whether any file with this base name and any archive extension is there.
  Result<bool> taken(const std::string& base) const;

  Result<std::unique_ptr<PartialSnapshot>> create(const std::string& file_name);

  // Removes one snapshot and its sidecar; not found is an error.
  Result<void> remove(const std::string& file_name);

  // Removes partial files that no living process holds (they are locked while written), sidecars
  // without their snapshot, and temporary files of ours. Returns what was removed.
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
