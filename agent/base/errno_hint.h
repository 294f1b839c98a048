// What an operator can do about a failed system call.
#pragma once

#include <cerrno>

namespace etcd_snapshot {

// What to do about a failed system call, by its number; never empty.
inline const char* errno_hint(int errnum) {
  switch (errnum) {
    case EMFILE:
      return "this process has as many files open as it may: raise LimitNOFILE= (systemctl edit "
             "etcd-snapshot.service)";
    case ENFILE:
      return "this host has as many files open as it may: raise fs.file-max (sysctl fs.file-max)";
    case ENOMEM:
    case ENOBUFS:
      return "this host or the service is out of memory: look at free and systemctl status, and "
             "raise MemoryMax= where it is set";
    case ENOSPC:
    case EDQUOT:
      return "the file system or the quota is full: look at df -h, and free space";
    case EACCES:
    case EPERM:
      return "check owner and mode of the path (ls -ld), and ReadWritePaths= of the service";
    case EROFS:
      return "the file system is read-only: look at findmnt and journalctl -k";
    case ENOENT:
    case ENOTDIR:
      return "check that the path exists (ls -ld)";
    default:
      return "look at the kernel's log (journalctl -k)";
  }
}

}  // namespace etcd_snapshot
