// The exit codes of the agent, as its manual lists them (sysexits.h where it has a fitting one).
// The unit takes kExitStopped for success: who stops the service has not seen it fail.
#pragma once

#include "base/result.h"

namespace etcd_snapshot {

inline constexpr int kExitOk = 0;
inline constexpr int kExitInternal = 1;
inline constexpr int kExitUsage = 64;
inline constexpr int kExitUnverified = 65;
inline constexpr int kExitUnavailable = 69;
inline constexpr int kExitStorage = 74;
inline constexpr int kExitBusy = 75;
inline constexpr int kExitRemote = 76;
inline constexpr int kExitConfig = 78;
inline constexpr int kExitStopped = 143;  // what shells say of SIGTERM: 128 + 15

constexpr int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return kExitUsage;
    case ErrorKind::kUnverified:
      return kExitUnverified;
    case ErrorKind::kUnavailable:
      return kExitUnavailable;
    case ErrorKind::kStorage:
      return kExitStorage;
    case ErrorKind::kBusy:
      return kExitBusy;
    case ErrorKind::kRemote:
      return kExitRemote;
    case ErrorKind::kConfig:
      return kExitConfig;
    case ErrorKind::kCancelled:
      return kExitStopped;
    case ErrorKind::kInternal:
      break;
  }
  return kExitInternal;
}

}  // namespace etcd_snapshot
