// System calls that fail on purpose: a library to preload (build/tests/faults.so), and a part of
// the unit tests' programs. Does nothing unless the environment asks for it.
//
//   FAULTS_LOG=FILE           writes down each call on a path below FAULTS_UNDER: "read /path"
//   FAULTS_UNDER=PATH[:PATH]  whose files are meant; others are never touched
//   FAULT="CALL ERRNO NTH GLOB"  the NTH such call (from 1; "2+": from the second on) on a path
//   that
//                             matches (fnmatch, without regard to slashes) fails with that number
//
// What is wrapped is what the C library exports, not the system call: a new function that the agent
// begins to use belongs in here.
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace fault_injection {

constexpr size_t kPathBytes = 4096;
std::atomic<long> matched{0};

// "/dir/name" of a descriptor and a name; empty: no file.
inline void path_of(int fd, const char* name, char* path) {
  path[0] = '\0';
  if (name != nullptr && name[0] == '/') {
    snprintf(path, kPathBytes, "%s", name);
    return;
  }
  char link[64];
  snprintf(link, sizeof link, fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", fd);
  const long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, kPathBytes - 1);
  path[length > 0 ? length : 0] = '\0';
  if (name == nullptr || name[0] == '\0' || strcmp(name, ".") == 0) return;
  const size_t end = strlen(path);
  snprintf(path + end, kPathBytes - end, "/%s", name);
}

inline bool is_meant(const char* path) {
  const char* under = getenv("FAULTS_UNDER");
  while (under != nullptr && *under != '\0') {
    const size_t length = strcspn(under, ":");
    if (strncmp(path, under, length) == 0) return true;
    under += length + (under[length] == ':' ? 1 : 0);
  }
  return false;
}

inline void write_down(const char* call, const char* path) {
  const char* log = getenv("FAULTS_LOG");
  if (log == nullptr) return;
  char line[kPathBytes + 32];
  const int length = snprintf(line, sizeof line, "%s %s\n", call, path);
  const long fd =
      syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  syscall(SYS_write, fd, line, static_cast<size_t>(length));
  syscall(SYS_close, fd);
}

// The errno that this call shall fail with; 0: none.
inline int fault_of(const char* call, int fd, const char* name) {
  if (getenv("FAULTS_UNDER") == nullptr) return 0;
  const int saved = errno;
  char path[kPathBytes];
  path_of(fd, name, path);
  int wanted = 0;
  if (is_meant(path)) {
    write_down(call, path);
    const char* fault = getenv("FAULT");
    char its_call[32], nth[16], glob[kPathBytes];
    int number = 0;
    if (fault != nullptr &&
        sscanf(fault, "%31s %d %15s %4095s", its_call, &number, nth, glob) == 4 &&
        strcmp(call, its_call) == 0 && fnmatch(glob, path, 0) == 0) {
      const long count = ++matched;
      const long from = strtol(nth, nullptr, 10);
      if (count == from || (strchr(nth, '+') != nullptr && count >= from)) wanted = number;
    }
  }
  errno = saved;
  return wanted;
}

template <typename Function>
Function* real(const char* symbol) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, symbol));
}

}  // namespace fault_injection

#define FAULT_POINT(call, fd, name, failed)                                 \
  if (const int fault_number = fault_injection::fault_of(call, fd, name)) { \
    errno = fault_number;                                                   \
    return failed;                                                          \
  }
// By their names in the library: the headers give some of them others.
#define FAULT_SYMBOL(symbol) __asm__(symbol) __attribute__((visibility("default")))

extern "C" {

int fault_open(const char* path, int flags, ...) FAULT_SYMBOL("open64");
int fault_openat(int dir_fd, const char* path, int flags, ...) FAULT_SYMBOL("openat64");
int fault_open_2(const char* path, int flags) FAULT_SYMBOL("__open64_2");
int fault_openat_2(int dir_fd, const char* path, int flags) FAULT_SYMBOL("__openat64_2");
ssize_t fault_read(int fd, void* bytes, size_t size) FAULT_SYMBOL("read");
ssize_t fault_read_chk(int fd, void* bytes, size_t size, size_t room) FAULT_SYMBOL("__read_chk");
ssize_t fault_pread(int fd, void* bytes, size_t size, off64_t at) FAULT_SYMBOL("pread64");
ssize_t fault_pread_chk(int fd, void* bytes, size_t size, off64_t at, size_t room)
    FAULT_SYMBOL("__pread64_chk");
int fault_fstat(int fd, struct stat64* status) FAULT_SYMBOL("fstat64");
int fault_fstatat(int dir_fd, const char* path, struct stat64* status, int flags)
    FAULT_SYMBOL("fstatat64");
int fault_faccessat(int dir_fd, const char* path, int mode, int flags) FAULT_SYMBOL("faccessat");
struct dirent64* fault_readdir(DIR* stream) FAULT_SYMBOL("readdir64");
int fault_flock(int fd, int operation) FAULT_SYMBOL("flock");
int fault_fstatvfs(int fd, struct statvfs64* status) FAULT_SYMBOL("fstatvfs64");
int fault_ftruncate(int fd, off64_t size) FAULT_SYMBOL("ftruncate64");
ssize_t fault_write(int fd, const void* bytes, size_t size) FAULT_SYMBOL("write");
int fault_mkdir(const char* path, mode_t mode) FAULT_SYMBOL("mkdir");
int fault_renameat(int from_fd, const char* from, int to_fd, const char* to)
    FAULT_SYMBOL("renameat");

int fault_open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  FAULT_POINT("open", AT_FDCWD, path, -1);
  static const auto next = fault_injection::real<int(const char*, int, ...)>("open64");
  return next(path, flags, mode);
}
int fault_openat(int dir_fd, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  FAULT_POINT("openat", dir_fd, path, -1);
  static const auto next = fault_injection::real<int(int, const char*, int, ...)>("openat64");
  return next(dir_fd, path, flags, mode);
}
int fault_open_2(const char* path, int flags) {
  return fault_open(path, flags);
}
int fault_openat_2(int dir_fd, const char* path, int flags) {
  return fault_openat(dir_fd, path, flags);
}
ssize_t fault_read(int fd, void* bytes, size_t size) {
  FAULT_POINT("read", fd, nullptr, -1);
  static const auto next = fault_injection::real<ssize_t(int, void*, size_t)>("read");
  return next(fd, bytes, size);
}
ssize_t fault_read_chk(int fd, void* bytes, size_t size, size_t room) {
  if (size > room) abort();
  return fault_read(fd, bytes, size);
}
ssize_t fault_pread(int fd, void* bytes, size_t size, off64_t at) {
  FAULT_POINT("pread", fd, nullptr, -1);
  static const auto next = fault_injection::real<ssize_t(int, void*, size_t, off64_t)>("pread64");
  return next(fd, bytes, size, at);
}
ssize_t fault_pread_chk(int fd, void* bytes, size_t size, off64_t at, size_t room) {
  if (size > room) abort();
  return fault_pread(fd, bytes, size, at);
}
int fault_fstat(int fd, struct stat64* status) {
  FAULT_POINT("fstat", fd, nullptr, -1);
  static const auto next = fault_injection::real<int(int, struct stat64*)>("fstat64");
  return next(fd, status);
}
int fault_fstatat(int dir_fd, const char* path, struct stat64* status, int flags) {
  FAULT_POINT("fstatat", dir_fd, path, -1);
  static const auto next =
      fault_injection::real<int(int, const char*, struct stat64*, int)>("fstatat64");
  return next(dir_fd, path, status, flags);
}
int fault_faccessat(int dir_fd, const char* path, int mode, int flags) {
  FAULT_POINT("faccessat", dir_fd, path, -1);
  static const auto next = fault_injection::real<int(int, const char*, int, int)>("faccessat");
  return next(dir_fd, path, mode, flags);
}
struct dirent64* fault_readdir(DIR* stream) {
  FAULT_POINT("readdir", dirfd(stream), nullptr, nullptr);
  static const auto next = fault_injection::real<struct dirent64*(DIR*)>("readdir64");
  return next(stream);
}
int fault_flock(int fd, int operation) {
  FAULT_POINT("flock", fd, nullptr, -1);
  static const auto next = fault_injection::real<int(int, int)>("flock");
  return next(fd, operation);
}
int fault_fstatvfs(int fd, struct statvfs64* status) {
  FAULT_POINT("fstatvfs", fd, nullptr, -1);
  static const auto next = fault_injection::real<int(int, struct statvfs64*)>("fstatvfs64");
  return next(fd, status);
}
int fault_ftruncate(int fd, off64_t size) {
  FAULT_POINT("ftruncate", fd, nullptr, -1);
  static const auto next = fault_injection::real<int(int, off64_t)>("ftruncate64");
  return next(fd, size);
}
ssize_t fault_write(int fd, const void* bytes, size_t size) {
  FAULT_POINT("write", fd, nullptr, -1);
  static const auto next = fault_injection::real<ssize_t(int, const void*, size_t)>("write");
  return next(fd, bytes, size);
}
int fault_mkdir(const char* path, mode_t mode) {
  FAULT_POINT("mkdir", AT_FDCWD, path, -1);
  static const auto next = fault_injection::real<int(const char*, mode_t)>("mkdir");
  return next(path, mode);
}
int fault_renameat(int from_fd, const char* from, int to_fd, const char* to) {
  FAULT_POINT("renameat", from_fd, from, -1);
  static const auto next =
      fault_injection::real<int(int, const char*, int, const char*)>("renameat");
  return next(from_fd, from, to_fd, to);
}

}  // extern "C"
