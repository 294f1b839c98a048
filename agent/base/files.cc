#include "base/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

namespace etcd_snapshot {
namespace {

Result<std::string> read_fd(int fd, const std::string& subject, ErrorKind kind, size_t max_bytes) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) return system_error(kind, "cannot read", subject);
  if (S_ISDIR(status.st_mode)) return system_error(kind, "cannot read", subject, EISDIR);
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
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

}  // namespace

Result<std::string> read_file(const std::string& path, ErrorKind kind, size_t max_bytes) {
  // O_NONBLOCK: a FIFO put where a file belongs must not hang the agent.
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return system_error(kind, "cannot read", path);
  return read_fd(fd.get(), path, kind, max_bytes);
}

Result<std::string> read_file_at(int dir_fd, const std::string& name, ErrorKind kind,
                                 size_t max_bytes) {
  UniqueFd fd(
      openat(dir_fd, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return system_error(kind, "cannot read", name);
  return read_fd(fd.get(), name, kind, max_bytes);
}

Result<void> write_all(int fd, Bytes bytes, std::string_view subject) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(ErrorKind::kStorage, "cannot write", subject);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

Result<void> replace_file_at(int dir_fd, const std::string& name, Bytes content, mode_t mode) {
  const std::string temporary = "." + name + ".new";
  // A leftover of a killed run is ours alone (callers hold the lock): start afresh, never reuse.
  unlinkat(dir_fd, temporary.c_str(), 0);
  UniqueFd fd(openat(dir_fd, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return system_error(ErrorKind::kStorage, "cannot create", temporary);
  auto written = write_all(fd.get(), content, temporary);
  if (written) written = sync_fd(fd.get(), temporary);
  if (written && renameat(dir_fd, temporary.c_str(), dir_fd, name.c_str()) != 0) {
    written = system_error(ErrorKind::kStorage, "cannot rename to", name);
  }
  if (!written) {
    unlinkat(dir_fd, temporary.c_str(), 0);
    return written.take_error();
  }
  return sync_fd(dir_fd, "the directory of " + name);
}

Result<std::vector<std::string>> list_directory(int dir_fd, std::string_view subject) {
  UniqueFd copy(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy) return system_error(ErrorKind::kStorage, "cannot list", subject);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(copy.get()), closedir);
  if (!stream) return system_error(ErrorKind::kStorage, "cannot list", subject);
  copy.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
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

}  // namespace etcd_snapshot
