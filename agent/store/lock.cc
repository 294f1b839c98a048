#include "store/lock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "base/files.h"
#include "base/stop.h"

namespace etcd_snapshot {
namespace {

constexpr size_t kMaxLockBytes = 32;
constexpr Nanoseconds kBetweenLooks = std::chrono::seconds(1);

// One of the two, and what to say where another process has it.
struct Lock {
  const char* file;
  std::string_view busy;
};
constexpr Lock kRunLock{"lock", "another run is in progress"};
constexpr Lock kBucketLock{"bucket.lock", "another process is at work in the bucket"};

Error cannot(std::string_view operation, const std::string& subject) {
  Error error = system_error(ErrorKind::kStorage, operation, subject);
  if (error.code == EACCES || error.code == EPERM) {
    error.hint = "run as root";
  } else if (error.code == ENOSPC || error.code == EDQUOT) {
    error.hint = "make room there (df -h -i /run)";
  }
  return error;
}

Error busy(const Lock& lock, int dir_fd) {
  const auto text = read_file_at(dir_fd, lock.file, ErrorKind::kBusy, kMaxLockBytes);
  const std::string pid = text ? text->substr(0, text->find('\n')) : "";
  const bool known = !pid.empty() && pid.find_first_not_of("0123456789") == std::string::npos;
  Error error;
  error.kind = ErrorKind::kBusy;
  error.message = std::string(lock.busy) + (known ? " (pid " + pid + ")" : std::string());
  error.hint = "wait until it has ended (systemctl status etcd-snapshot.service" +
               (known ? ", ps " + pid : std::string()) + ")";
  error.retryable = true;
  error.code = EWOULDBLOCK;
  return error;
}

Result<UniqueFd> take(const Lock& which, const std::string& runtime_dir) {
  const std::string path = runtime_dir + "/" + which.file;
  if (mkdir(runtime_dir.c_str(), 0755) == 0) {
    // Where the umask took something away.
    [[maybe_unused]] const int ignored = chmod(runtime_dir.c_str(), 0755);
  } else if (errno != EEXIST) {
    return cannot("cannot create", runtime_dir);
  }
  const UniqueFd dir_fd(
      uninterrupted([&] { return open(runtime_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!dir_fd) return cannot("cannot open", runtime_dir);
  UniqueFd lock(uninterrupted([&] {
    return openat(dir_fd.get(), which.file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  }));
  if (!lock) return cannot("cannot open", path);
  if (uninterrupted([&] { return flock(lock.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno == EWOULDBLOCK) return busy(which, dir_fd.get());
    return cannot("cannot lock", path);
  }
  // The pid is for the message of the next one; the lock holds without it, in a full /run, say.
  if (ftruncate(lock.get(), 0) == 0) {
    [[maybe_unused]] const auto written =
        write_all(lock.get(), as_bytes(std::to_string(getpid()) + "\n"), path);
  }
  return lock;
}

}  // namespace

std::string runtime_directory() {
  const char* set = getenv("RUNTIME_DIRECTORY");
  const std::string_view list = set != nullptr ? set : "";
  const std::string_view first = list.substr(0, list.find(':'));
  return first.empty() ? "/run/etcd-snapshot" : std::string(first);
}

Result<UniqueFd> take_run_lock(const std::string& runtime_dir) {
  return take(kRunLock, runtime_dir);
}

Result<UniqueFd> take_bucket_lock(const std::string& runtime_dir) {
  return take(kBucketLock, runtime_dir);
}

Result<SnapshotLock> take_snapshot_lock(const std::string& runtime_dir,
                                        const std::string& snapshot_directory) {
  auto lock = take(kRunLock, runtime_dir);
  if (lock) return SnapshotLock{std::move(*lock), std::nullopt};
  if (lock.error().kind != ErrorKind::kStorage) return lock.take_error();
  SnapshotLock instead{UniqueFd(), lock.take_error()};
  instead.fd.reset(uninterrupted(
      [&] { return open(snapshot_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (instead.fd &&
      uninterrupted([&] { return flock(instead.fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno == EWOULDBLOCK) {
      return Error{ErrorKind::kBusy, std::string(kRunLock.busy),
                   "wait until it has ended (systemctl status etcd-snapshot.service)", true,
                   EWOULDBLOCK};
    }
    instead.fd.reset();
  }
  return instead;
}

Result<UniqueFd> wait_for_lock(Result<UniqueFd> (*take)(const std::string&),
                               const std::string& runtime_dir, Clock& clock, Nanoseconds until) {
  for (;;) {
    auto taken = take(runtime_dir);
    if (taken || taken.error().kind != ErrorKind::kBusy) return taken;
    const Nanoseconds left = until - clock.monotonic();
    if (left <= Nanoseconds(0)) return taken;
    if (!clock.sleep_for(std::min(left, kBetweenLooks))) return cancelled_error();
  }
}

}  // namespace etcd_snapshot
