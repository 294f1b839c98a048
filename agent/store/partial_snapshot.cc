// A snapshot while it is written: into a hidden, locked file, and then to its name or not at all.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "store/directory.h"

namespace etcd_snapshot {
namespace {

constexpr int64_t kMiB = 1 << 20;
// Small enough that little is left for the sync at the end, large enough for whole disk requests.
constexpr int64_t kFlushStep_bytes = 8 * kMiB;
constexpr int64_t kSpaceCheckStep_bytes = 16 * kMiB;
constexpr char kMakeRoom[] =
    "free space on that file system, shorten the retention, or move the snapshots with "
    "[snapshots] directory= in etcd-snapshot.conf";

std::string mebibytes(int64_t bytes) {
  char text[32] = {};
  snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / kMiB);
  return text;
}

Error storage_error(std::string message, const char* hint, int code) {
  return {ErrorKind::kStorage, std::move(message), hint, false, code};
}

Error taken_error(const std::string& directory, const std::string& file_name) {
  const auto name = parse_snapshot_name(file_name);
  const bool chosen = !name || name->kind != SnapshotKind::kRolling;
  return storage_error(
      "cannot create " + directory + "/" + file_name + ": a file of this name exists",
      chosen ? "nothing was replaced; choose another name, or delete that file first"
             : "nothing was replaced; another agent may write to this directory, or the clock went "
               "back (timedatectl); the next cycle takes a name of its own",
      EEXIST);
}

// rename(2) that replaces nothing. NFS and some FUSE file systems do not know the flag (EINVAL); a
// hard link replaces nothing either.
bool rename_without_replacing(int dir_fd, const std::string& from, const std::string& to) {
  if (renameat2(dir_fd, from.c_str(), dir_fd, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  if (linkat(dir_fd, from.c_str(), dir_fd, to.c_str(), 0) != 0) return false;
  // Where this fails, the snapshot has two names and the next sweep removes the hidden one.
  unlinkat(dir_fd, from.c_str(), 0);
  return true;
}

}  // namespace

PartialSnapshot::PartialSnapshot(UniqueFd dir_fd, UniqueFd fd, std::string file_name,
                                 std::string directory)
    : dir_fd_(std::move(dir_fd)),
      fd_(std::move(fd)),
      file_name_(std::move(file_name)),
      partial_name_(partial_file_name(file_name_)),
      directory_(std::move(directory)) {}

PartialSnapshot::~PartialSnapshot() {
  if (committed_) {
    // Advice only: a file system that ignores it costs nothing but memory.
    posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
  } else {
    // What cannot be removed now, the next sweep removes.
    unlinkat(dir_fd_.get(), partial_name_.c_str(), 0);
  }
}

Error PartialSnapshot::no_space_error(int errnum, std::string_view what) const {
  struct statvfs space = {};
  std::string free = "unknown";
  if (fstatvfs(fd_.get(), &space) == 0) {
    free = mebibytes(static_cast<int64_t>(space.f_bavail * space.f_frsize));
    if (space.f_files > 0 && space.f_favail == 0) free += " and no inode";
  }
  return storage_error("cannot write " + directory_ + "/" + file_name_ + " beyond " +
                           mebibytes(size_) + ": " + std::string(what) + " (free there: " + free +
                           ")",
                       kMakeRoom, errnum);
}

Error PartialSnapshot::explain(Error error) const {
  if (error.code == ENOSPC) return no_space_error(ENOSPC, "the file system is full");
  if (error.code == EDQUOT) return no_space_error(EDQUOT, "the disk quota is used up");
  return error;
}

Result<void> PartialSnapshot::check_space(int64_t wanted_bytes) {
  struct statvfs status = {};
  if (uninterrupted([&] { return fstatvfs(fd_.get(), &status); }) != 0) {
    // What is not known costs no snapshot; a full disk tells itself.
    allowance_ = std::max(wanted_bytes, kSpaceCheckStep_bytes);
    return {};
  }
  const FreeSpace space{static_cast<int64_t>(status.f_bavail * status.f_frsize),
                        static_cast<int64_t>(status.f_blocks * status.f_frsize)};
  const int64_t reserve = SnapshotDirectory::reserve_bytes(space);
  if (space.free_bytes - wanted_bytes < reserve) {
    return no_space_error(ENOSPC, "the file system is nearly full, and " + mebibytes(reserve) +
                                      " of it are left to etcd");
  }
  // Where less than a step is left above the reserve, sooner.
  allowance_ = std::min(space.free_bytes - reserve, kSpaceCheckStep_bytes);
  return {};
}

Result<void> PartialSnapshot::write(Bytes bytes) {
  const auto count = static_cast<int64_t>(bytes.size());
  if (allowance_ < count) ES_TRY(check_space(count));
  if (auto written = write_all(fd_.get(), bytes, directory_ + "/" + file_name_); !written) {
    return explain(written.take_error());
  }
  size_ += count;
  allowance_ -= count;
  if (size_ - flushed_ >= kFlushStep_bytes) {
    // Starts writing and does not wait. File systems that do not know it sync at the end only.
    sync_file_range(fd_.get(), flushed_, size_ - flushed_, SYNC_FILE_RANGE_WRITE);
    flushed_ = size_;
  }
  return {};
}

Result<void> PartialSnapshot::commit(const std::optional<Manifest>& sidecar) {
  const std::string path = directory_ + "/" + file_name_;
  struct stat status = {};
  // Network file systems tell only now that there was no room.
  if (auto synced = sync_fd(fd_.get(), path); !synced) return explain(synced.take_error());
  if (uninterrupted([&] { return fstat(fd_.get(), &status); }) != 0) {
    return system_error(ErrorKind::kStorage, "cannot read", path);
  }
  if (status.st_size != size_) {
    return storage_error("cannot keep " + path + ": " + std::to_string(size_) +
                             " bytes were written, but the file holds " +
                             std::to_string(status.st_size),
                         errno_hint(EIO), EIO);
  }
  // Asked before the sidecar is written, which would otherwise vouch for somebody else's file. The
  // locked partial file keeps other agents away from the name in between.
  const auto look = [&] {
    return fstatat(dir_fd_.get(), file_name_.c_str(), &status, AT_SYMLINK_NOFOLLOW);
  };
  if (uninterrupted(look) == 0) return taken_error(directory_, file_name_);
  const bool known_free = errno == ENOENT;
  const auto put_sidecar = [&] {
    return replace_file_at(dir_fd_.get(), sidecar_file_name(file_name_),
                           as_bytes(to_json(*sidecar) + "\n"), 0600);
  };
  if (sidecar && known_free) ES_TRY(put_sidecar());
  if (!rename_without_replacing(dir_fd_.get(), partial_name_, file_name_)) {
    const int errnum = errno;
    if (sidecar && known_free) unlinkat(dir_fd_.get(), sidecar_file_name(file_name_).c_str(), 0);
    if (errnum == EEXIST) return taken_error(directory_, file_name_);
    return system_error(ErrorKind::kStorage, "cannot rename to", path, errnum);
  }
  committed_ = true;
  // Where it was not known, the rename has told: it replaces nothing.
  if (sidecar && !known_free) ES_TRY(put_sidecar());
  return sync_directory(dir_fd_.get(), directory_);
}

Result<std::unique_ptr<PartialSnapshot>> SnapshotDirectory::create(const std::string& file_name) {
  if (file_name.empty() || file_name.starts_with('.') || file_name.find('/') != std::string::npos) {
    return storage_error("'" + file_name +
                             "' cannot be the name of a snapshot: it is empty, hidden "
                             "or a path",
                         "give a name without '/' and without '.' in front", EINVAL);
  }
  struct stat status = {};
  if (fstatat(fd_.get(), file_name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    return taken_error(path_, file_name);
  }
  UniqueFd dir_fd(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!dir_fd) return system_error(ErrorKind::kStorage, "cannot open", path_);
  auto fd = create_locked_at(fd_.get(), partial_file_name(file_name), 0600);
  if (!fd) {
    Error error = fd.take_error().within("snapshot directory " + path_);
    if (error.code == ENOSPC || error.code == EDQUOT) error.hint = kMakeRoom;
    if (error.code == EEXIST) error.hint = "another process writes it: wait until that one is done";
    return error;
  }
  return std::unique_ptr<PartialSnapshot>(
      new PartialSnapshot(std::move(dir_fd), std::move(*fd), file_name, path_));
}

}  // namespace etcd_snapshot
