// `delete --s3`: one snapshot in the bucket.
#pragma once

#include <string>

#include "context.h"

namespace etcd_snapshot {

// `wanted`: exact, with or without extension. False: there is none of that name. kUsage where it is
// no snapshot, ambiguous, or (unless `force`) the newest one of this host there. Logs the deletion.
Result<bool> delete_object(Context& context, const std::string& wanted, bool force);

// The error for a name that two snapshots have.
Error ambiguous(const std::string& wanted, const std::string& one, const std::string& other);

}  // namespace etcd_snapshot
