// `delete --s3`: one snapshot in the bucket.
#pragma once

#include <optional>
#include <string>

#include "run/context.h"

namespace etcd_snapshot {

// The same snapshot in the directory, by which the object is told from another host's of that name.
struct LocalCopy {
  std::string file_name, base;
  int fd = -1;
  int64_t size_bytes = 0;
};

// `wanted`: exact, with or without extension; where `here` is set, the object that holds the same.
// An object that cannot be read is that only where its name has this host in it or a cycle noted
// it, and the error of the read otherwise. False: there is none. kUsage where it is no snapshot,
// ambiguous, or (unless `force`) the newest one of this host there. Logs the deletion.
Result<bool> delete_object(Context& context, const std::string& wanted,
                           const std::optional<LocalCopy>& here, bool force);

// The error for a name that two snapshots have.
Error ambiguous(const std::string& wanted, const std::string& one, const std::string& other);

}  // namespace etcd_snapshot
