// The bucket's part of `check`: tries what a cycle needs and can be tried without a change; with
// --write what needs one, too.
#pragma once

#include "commands/findings.h"
#include "run/context.h"

namespace etcd_snapshot {

enum class BucketCheck { kReads, kWrites };
void check_bucket(Context& context, BucketCheck how, Findings& findings);

}  // namespace etcd_snapshot
