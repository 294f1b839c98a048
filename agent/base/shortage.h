// What this machine itself lacks: descriptors, memory, buffers. A call that fails for it says
// nothing of the peer or of a file, and no setting of either mends it.
#pragma once

#include <cerrno>

#include "base/result.h"

namespace etcd_snapshot {

inline bool is_shortage(int errnum) {
  return errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM || errnum == ENOBUFS;
}

// An error whose code is such an errno becomes one that is worth a retry and names the machine; any
// other stays as it is. `kind`: what fails for want of it.
inline Error own_shortage(Error error, ErrorKind kind) {
  if (!is_shortage(error.code)) return error;
  error.kind = kind;
  error.retryable = true;
  error.hint = errno_hint(error.code);
  return error;
}

}  // namespace etcd_snapshot
