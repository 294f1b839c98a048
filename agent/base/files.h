// Files by descriptor: every operation is relative to an open directory or file, so that no path is
// looked up twice. Nothing here follows a symbolic link in the last component unless it says so.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"

namespace etcd_snapshot {

// A system call (-1 and errno where it fails) that is made again where a signal interrupted it, as
// network file systems and FUSE let it happen to any. A hundred times at most: what says so for
// ever is an error.
template <typename Call>
auto uninterrupted(Call call) {
  auto result = call();
  for (int again = 0; result == -1 && errno == EINTR && again < 100; ++again) result = call();
  return result;
}

// Whether the error of a read says that the file does not exist, and nothing else: what cannot be
// read may be there.
inline bool is_absent(const Error& error) {
  return error.code == ENOENT;
}

// Reads a whole file of at most `max_bytes` (an error when it is larger). Follows symbolic links:
// for configuration and certificates, which are often links. Errors are of `kind` and name the
// path.
Result<std::string> read_file(const std::string& path, ErrorKind kind, size_t max_bytes = 16 << 20);

// The same for a file in an open directory; `name` has no slash; links are not followed.
Result<std::string> read_file_at(int dir_fd, const std::string& name, ErrorKind kind,
                                 size_t max_bytes = 16 << 20);

// Writes all of `bytes`, over short writes and EINTR. `subject` is for the message.
Result<void> write_all(int fd, Bytes bytes, std::string_view subject);

// Creates `name` for reading and writing, with exactly `mode` whatever the umask, and locked
// (flock) for as long as the descriptor is open. A leftover of the same name that no living process
// holds is removed first. kStorage; code EEXIST when a living process is writing it.
Result<UniqueFd> create_locked_at(int dir_fd, const std::string& name, mode_t mode);

// Removes a file of create_locked_at() unless a living process holds it. False: it is held, or
// gone, or no regular file. Where the file system has no locks, one is held while it is younger
// than a day.
Result<bool> remove_unlocked_at(int dir_fd, const std::string& name);

// Replaces `name` in `dir_fd` atomically: temporary file of exactly `mode`, fsync, rename,
// directory fsync. Either the old or the new content is there after a crash. Errors are kStorage.
// The temporary file is temporary_name(name), from create_locked_at().
Result<void> replace_file_at(int dir_fd, const std::string& name, Bytes content, mode_t mode);
std::string temporary_name(std::string_view name);

// The names in an open directory without "." and "..", in no order. kStorage on failure.
Result<std::vector<std::string>> list_directory(int dir_fd, std::string_view subject);

// fsync, with the subject in the message; kStorage.
Result<void> sync_fd(int fd, std::string_view subject);

// fsync of a directory, which some network file systems do not know: that is no error.
Result<void> sync_directory(int dir_fd, std::string_view subject);

}  // namespace etcd_snapshot
