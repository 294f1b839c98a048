#include "base/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <memory>

namespace etcd_snapshot {
namespace {

Result<std::string> read_fd(int fd, const std::string& subject, ErrorKind kind, size_t max_bytes) {
  struct stat status = {};
  if (uninterrupted([&] { return fstat(fd, &status); }) != 0) {
    return system_error(kind, "cannot read", subject);
  }
  if (S_ISDIR(status.st_mode)) return system_error(kind, "cannot read", subject, EISDIR);
  // Opened without waiting, it would read as an empty file.
  if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) {
    Error error;
    error.kind = kind;
    error.message = "cannot read " + subject + ": it is a pipe or socket, not a file";
    return error;
  }
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t count = uninterrupted([&] { return read(fd, buffer, sizeof buffer); });
    if (count < 0) return system_error(kind, "cannot read", subject);
    if (count == 0) return content;
    content.append(buffer, static_cast<size_t>(count));
    if (content.size() > max_bytes) {
      Error error;
      error.kind = kind;
      error.message = "cannot read " + subject + ": larger than " + std::to_string(max_bytes) +
                      " bytes, which no file of this sort is";
      return error;
    }
  }
}

enum class Lock { kTaken, kHeld, kNone, kUnknown };

// kNone: the file system has no locks (NFS without lockd, some FUSE). kUnknown: errno says why.
Lock try_lock(int fd) {
  if (uninterrupted([&] { return flock(fd, LOCK_EX | LOCK_NB); }) == 0) return Lock::kTaken;
  if (errno == EWOULDBLOCK) return Lock::kHeld;
  const bool none = errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL;
  return none ? Lock::kNone : Lock::kUnknown;
}

constexpr time_t kHeldWithoutLocks_s = 24 * 60 * 60;

}  // namespace

Result<std::string> read_file(const std::string& path, ErrorKind kind, size_t max_bytes) {
  // O_NONBLOCK: a FIFO put where a file belongs must not hang the agent.
  UniqueFd fd(uninterrupted(
      [&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); }));
  if (!fd) {
    Error error = system_error(kind, "cannot read", path);
    if (error.code == EACCES) error.hint = "run as root, or let this user read it";
    return error;
  }
  return read_fd(fd.get(), path, kind, max_bytes);
}

Result<std::string> read_file_at(int dir_fd, const std::string& name, ErrorKind kind,
                                 size_t max_bytes) {
  UniqueFd fd(uninterrupted([&] {
    return openat(dir_fd, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
  }));
  if (!fd) return system_error(kind, "cannot read", name);
  return read_fd(fd.get(), name, kind, max_bytes);
}

Result<void> write_all(int fd, Bytes bytes, std::string_view subject) {
  while (!bytes.empty()) {
    const ssize_t count = uninterrupted([&] { return write(fd, bytes.data(), bytes.size()); });
    if (count < 0) return system_error(ErrorKind::kStorage, "cannot write", subject);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

Result<UniqueFd> create_locked_at(int dir_fd, const std::string& name, mode_t mode) {
  // Another process that sweeps may remove the file between its creation and the lock, or look at
  // it just then: a few attempts settle that.
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (attempt > 0) poll(nullptr, 0, 10);
    UniqueFd fd(uninterrupted(
        [&] { return openat(dir_fd, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode); }));
    if (!fd) {
      if (errno != EEXIST) return system_error(ErrorKind::kStorage, "cannot create", name);
      if (auto removed = remove_unlocked_at(dir_fd, name); !removed) return removed.take_error();
      continue;
    }
    if (try_lock(fd.get()) == Lock::kHeld) continue;
    struct stat status = {};
    if (fchmod(fd.get(), mode) != 0 || fstat(fd.get(), &status) != 0) {
      Error error = system_error(ErrorKind::kStorage, "cannot create", name);
      unlinkat(dir_fd, name.c_str(), 0);
      return error;
    }
    if (status.st_nlink > 0) return fd;
  }
  Error error;
  error.kind = ErrorKind::kStorage;
  error.message = "cannot create " + name + ": another process is writing it";
  error.code = EEXIST;
  error.retryable = true;
  return error;
}

Result<bool> remove_unlocked_at(int dir_fd, const std::string& name) {
  // For writing, because flock over NFS asks for it.
  UniqueFd fd(uninterrupted(
      [&] { return openat(dir_fd, name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); }));
  if (!fd) {
    if (errno == ENOENT || errno == ELOOP || errno == EISDIR || errno == ENXIO) return false;
    return system_error(ErrorKind::kStorage, "cannot open", name);
  }
  struct stat opened = {}, named = {};
  if (uninterrupted([&] { return fstat(fd.get(), &opened); }) != 0) {
    return system_error(ErrorKind::kStorage, "cannot read", name);
  }
  if (!S_ISREG(opened.st_mode)) return false;
  const Lock lock = try_lock(fd.get());
  if (lock == Lock::kHeld) return false;
  if (lock == Lock::kUnknown) return system_error(ErrorKind::kStorage, "cannot lock", name);
  if (lock == Lock::kNone && time(nullptr) - opened.st_mtime < kHeldWithoutLocks_s) return false;
  // With the lock in hand, the name must still mean this file: its writer may have renamed it.
  const auto look = [&] { return fstatat(dir_fd, name.c_str(), &named, AT_SYMLINK_NOFOLLOW); };
  if (uninterrupted(look) != 0) {
    if (errno == ENOENT) return false;
    return system_error(ErrorKind::kStorage, "cannot read", name);
  }
  if (named.st_ino != opened.st_ino || named.st_dev != opened.st_dev) return false;
  if (unlinkat(dir_fd, name.c_str(), 0) != 0) {
    if (errno == ENOENT) return false;
    return system_error(ErrorKind::kStorage, "cannot remove", name);
  }
  return true;
}

std::string temporary_name(std::string_view name) {
  return "." + std::string(name) + ".new";
}

Result<void> replace_file_at(int dir_fd, const std::string& name, Bytes content, mode_t mode) {
  const std::string temporary = temporary_name(name);
  ES_ASSIGN(fd, create_locked_at(dir_fd, temporary, mode));
  auto written = write_all(fd.get(), content, temporary);
  if (written) written = sync_fd(fd.get(), temporary);
  if (written && renameat(dir_fd, temporary.c_str(), dir_fd, name.c_str()) != 0) {
    written = system_error(ErrorKind::kStorage, "cannot rename to", name);
  }
  if (!written) {
    unlinkat(dir_fd, temporary.c_str(), 0);
    return written.take_error();
  }
  return sync_directory(dir_fd, "the directory of " + name);
}

Result<std::vector<std::string>> list_directory(int dir_fd, std::string_view subject) {
  UniqueFd copy(
      uninterrupted([&] { return openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!copy) return system_error(ErrorKind::kStorage, "cannot list", subject);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(copy.get()), closedir);
  if (!stream) return system_error(ErrorKind::kStorage, "cannot list", subject);
  copy.release();
  std::vector<std::string> names;
  for (int interrupted = 0;;) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr && errno == EINTR && ++interrupted < 100) continue;
    if (entry == nullptr) {
      if (errno != 0) return system_error(ErrorKind::kStorage, "cannot list", subject);
      return names;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
}

Result<void> sync_fd(int fd, std::string_view subject) {
  if (fsync(fd) != 0) return system_error(ErrorKind::kStorage, "cannot write to disk", subject);
  return {};
}

Result<void> sync_directory(int dir_fd, std::string_view subject) {
  if (fsync(dir_fd) != 0 && errno != EINVAL && errno != EOPNOTSUPP) {
    return system_error(ErrorKind::kStorage, "cannot write to disk", subject);
  }
  return {};
}

}  // namespace etcd_snapshot
