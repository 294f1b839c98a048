// What the service manager is told while a cycle runs: the line in `systemctl status`, and that the
// start takes longer (sd_notify(3)). Without $NOTIFY_SOCKET, which is everywhere but in the
// service, nothing happens. Nothing here fails: a status that does not arrive must not cost a
// snapshot.
#pragma once

#include <cstdint>
#include <string_view>

namespace etcd_snapshot {

// STATUS=. One line: control characters become spaces and bytes that are no UTF-8 become '?',
// because the manager takes a line break as the next assignment and drops a text that is not UTF-8.
void notify_status(std::string_view status);

// EXTEND_TIMEOUT_USEC=: the start may take this much longer, from now on. The shipped unit has no
// limit; this is for a drop-in that sets TimeoutStartSec=.
void extend_timeout(uint64_t microseconds);

}  // namespace etcd_snapshot
