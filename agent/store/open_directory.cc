// Opening the snapshot directory, and saying exactly why it cannot be opened.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/files.h"
#include "store/directory.h"

namespace etcd_snapshot {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

// `component` is the part of `path` that is at fault; `reason` follows its name.
Error refusal(const std::string& path, const std::string& component, const std::string& reason,
              std::string hint, int code) {
  Error error;
  error.kind = ErrorKind::kStorage;
  error.message = "snapshot directory " + path +
                  (component == path ? std::string() : ": " + component) + reason;
  error.hint = std::move(hint);
  error.code = code;
  return error;
}

// The error of a system call on `component`.
Error failed_call(const std::string& path, const std::string& component, std::string_view operation,
                  int errnum) {
  const std::string failed = ": cannot be " + std::string(operation) + ": ";
  switch (errnum) {
    case EACCES:
    case EPERM:
      return refusal(path, component, failed + "permission denied",
                     "run as root, or as the user that owns the snapshots", errnum);
    case EROFS:
      // The service's sandbox shows everything but the directory itself read-only.
      if (operation == "created") {
        return refusal(path, component, " does not exist, and its file system is read-only here",
                       "look whether it is mounted (findmnt), or make it: install -d -m 0700 " +
                           path + " (the service may write there, but not make it)",
                       errnum);
      }
      return refusal(path, component, " is on a read-only file system",
                     "mount it read-write (findmnt -T " + component +
                         "); for a directory that was moved, `systemctl daemon-reload` also lets "
                         "the service write there",
                     errnum);
    case ENOTDIR:
      return refusal(path, component, " is not a directory",
                     "move that file away, or set [snapshots] directory= in etcd-snapshot.conf",
                     errnum);
    case ELOOP:
      return refusal(path, component, " is a symbolic link that leads back to itself",
                     "make the link point to a directory", errnum);
    default:
      return refusal(
          path, component, failed + strerror(errnum),
          "set [snapshots] directory= in etcd-snapshot.conf to a directory on a local disk",
          errnum);
  }
}

// The text of a symbolic link; empty if `name` is none.
std::string link_target(int dir_fd, const std::string& name) {
  std::array<char, 4096> target = {};
  const ssize_t length = readlinkat(dir_fd, name.c_str(), target.data(), target.size());
  return length > 0 ? std::string(target.data(), static_cast<size_t>(length)) : std::string();
}

// Makes one missing directory, with exactly `mode`; one that another process made meanwhile is
// good.
Result<void> make_directory(int parent_fd, const std::string& name, mode_t mode,
                            const std::string& path, const std::string& component) {
  if (mkdirat(parent_fd, name.c_str(), mode) != 0) {
    if (errno == EEXIST) return {};
    return failed_call(path, component, "created", errno);
  }
  if (fchmodat(parent_fd, name.c_str(), mode, 0) != 0) {
    return failed_call(path, component, "given its permissions", errno);
  }
  return sync_directory(parent_fd, "the directory of " + component);
}

// Walks the path a component at a time; finds the one that is at fault, or makes what is missing.
Result<UniqueFd> walk(const std::string& path, bool create) {
  UniqueFd at(open(path.starts_with('/') ? "/" : ".", kDirectoryFlags));
  if (!at) return failed_call(path, path.starts_with('/') ? "/" : ".", "opened", errno);
  for (size_t begin = 0; begin < path.size();) {
    begin = path.find_first_not_of('/', begin);
    if (begin == std::string::npos) break;
    const size_t end = std::min(path.find('/', begin), path.size());
    const bool last = path.find_first_not_of('/', end) == std::string::npos;
    const std::string name = path.substr(begin, end - begin), component = path.substr(0, end);
    // A parent that may be passed through but not listed is good enough.
    const int flags = last ? kDirectoryFlags : O_PATH | O_DIRECTORY | O_CLOEXEC;
    UniqueFd next(openat(at.get(), name.c_str(), flags));
    if (!next && errno == ENOENT) {
      const std::string target = link_target(at.get(), name);
      if (!target.empty()) {
        return refusal(path, component,
                       " is a symbolic link to " + target + ", which does not exist",
                       "mount the file system that it points to, or make that directory", ENOTDIR);
      }
      if (!create) {
        return refusal(path, component, " does not exist",
                       "look whether it is mounted (findmnt), make it (install -d -m 0700 " + path +
                           "), or set [snapshots] directory= in "
                           "etcd-snapshot.conf",
                       ENOENT);
      }
      // O_PATH descriptors cannot be synced.
      UniqueFd parent(openat(at.get(), ".", kDirectoryFlags));
      if (!parent) return failed_call(path, component, "created", errno);
      ES_TRY(make_directory(parent.get(), name, last ? 0700 : 0755, path, component));
      next.reset(openat(at.get(), name.c_str(), flags));
    }
    if (!next) return failed_call(path, component, "opened", errno);
    at = std::move(next);
    begin = end;
  }
  return at;
}

}  // namespace

Result<SnapshotDirectory> SnapshotDirectory::open(const std::string& path, bool create) {
  if (path.empty()) {
    return refusal("''", "''", ": the path is empty",
                   "set [snapshots] directory= in etcd-snapshot.conf to an absolute path", EINVAL);
  }
  UniqueFd fd(uninterrupted([&] { return ::open(path.c_str(), kDirectoryFlags); }));
  if (!fd) {
    ES_ASSIGN(walked, walk(path, create));
    fd = std::move(walked);
  }
  const auto writable = [&] { return faccessat(fd.get(), ".", W_OK | X_OK, AT_EACCESS); };
  if (create && uninterrupted(writable) != 0) {
    // Any other failure of the question is no answer: the snapshot itself finds out.
    if (errno == EACCES || errno == EPERM || errno == EROFS) {
      return failed_call(path, path, "written to", errno);
    }
  }
  return SnapshotDirectory(std::move(fd), path);
}

}  // namespace etcd_snapshot
