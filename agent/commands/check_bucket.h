// The bucket's part of `check`: tries what a cycle needs and can be tried without a change.
#pragma once

#include "commands/findings.h"
#include "context.h"

namespace etcd_snapshot {

void check_bucket(Context& context, Findings& findings);

}  // namespace etcd_snapshot
