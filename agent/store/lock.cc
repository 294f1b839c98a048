#include "store/lock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>

#include "base/files.h"

namespace etcd_snapshot {
namespace {

constexpr char kLockFile[] = "lock";
constexpr size_t kMaxLockBytes = 32;

Error cannot(std::string_view operation, const std::string& subject) {
  Error error = system_error(ErrorKind::kStorage, operation, subject);
  if (error.code == EACCES || error.code == EPERM) error.hint = "run as root";
  return error;
}

Error busy(int dir_fd) {
  const auto text = read_file_at(dir_fd, kLockFile, ErrorKind::kBusy, kMaxLockBytes);
  const std::string pid = text ? text->substr(0, text->find('\n')) : "";
  const bool known = !pid.empty() && pid.find_first_not_of("0123456789") == std::string::npos;
  Error error;
  error.kind = ErrorKind::kBusy;
  error.message = "another run is in progress" + (known ? " (pid " + pid + ")" : std::string());
  error.hint = "wait until it has ended (systemctl status etcd-snapshot.service" +
               (known ? ", ps " + pid : std::string()) + ")";
  error.retryable = true;
  error.code = EWOULDBLOCK;
  return error;
}

}  // namespace

std::string runtime_directory() {
  const char* set = getenv("RUNTIME_DIRECTORY");
  const std::string_view list = set != nullptr ? set : "";
  const std::string_view first = list.substr(0, list.find(':'));
  return first.empty() ? "/run/etcd-snapshot" : std::string(first);
}

Result<UniqueFd> take_run_lock(const std::string& runtime_dir) {
  const std::string path = runtime_dir + "/" + kLockFile;
  if (mkdir(runtime_dir.c_str(), 0755) != 0) {
    if (errno != EEXIST) return cannot("cannot create", runtime_dir);
  } else if (chmod(runtime_dir.c_str(), 0755) != 0) {
    return cannot("cannot set the permissions of", runtime_dir);
  }
  const UniqueFd dir_fd(open(runtime_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir_fd) return cannot("cannot open", runtime_dir);
  UniqueFd lock(openat(dir_fd.get(), kLockFile, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return cannot("cannot open", path);
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return busy(dir_fd.get());
    if (errno != EINTR) return cannot("cannot lock", path);
  }
  // The pid is for the message of the next one; the lock holds without it.
  if (ftruncate(lock.get(), 0) != 0) return cannot("cannot write", path);
  ES_TRY(write_all(lock.get(), as_bytes(std::to_string(getpid()) + "\n"), path));
  return lock;
}

}  // namespace etcd_snapshot
