// `check --write`: makes in the bucket every call that a cycle makes, with objects of its own, and
// says what the server cannot do and what a cycle does instead. Leaves nothing behind, also where
// the process is asked to stop.
#pragma once

#include "commands/findings.h"
#include "offsite/offsite.h"

namespace etcd_snapshot {

// Names of the objects begin so; no snapshot's does.
inline constexpr char kProbeName[] = ".etcd-snapshot-probe-";

// `with_colons`: as the names of snapshots have them, which not every server takes.
void check_writing(Offsite& offsite, bool with_colons, Findings& findings);

}  // namespace etcd_snapshot
