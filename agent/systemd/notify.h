// What the service manager is told while a cycle runs: the line in `systemctl status`, and that the
// start takes longer (sd_notify(3)). Without $NOTIFY_SOCKET, which is everywhere but in the
// service, nothing happens. Nothing here fails: a status that does not arrive must not cost a
// snapshot.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <thread>

namespace etcd_snapshot {

// STATUS=. One line: control characters become spaces and bytes that are no UTF-8 become '?',
// because the manager takes a line break as the next assignment and drops a text that is not UTF-8.
void notify_status(std::string_view status);

// EXTEND_TIMEOUT_USEC=: the start may take this long from now on, or until TimeoutStartSec= is
// over, whichever is later (sd_notify(3)). From any thread.
void extend_timeout(uint64_t microseconds);

// While it lives, what is left of the last extension is told again and again; nothing is added to
// it. A `systemctl daemon-reload`, as any package installation runs it, has systemd forget the
// extension and end a start that is older than TimeoutStartSec= at once, unless a message waits for
// it when the reload is over (measured with systemd 252 and 257). A reload runs the generators,
// which takes longer than the time between two messages.
class ExtensionKeeper {
 public:
  ExtensionKeeper();
  ~ExtensionKeeper();
  ExtensionKeeper(const ExtensionKeeper&) = delete;
  ExtensionKeeper& operator=(const ExtensionKeeper&) = delete;

 private:
  void repeat();

  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;
  std::thread thread_;  // none where $NOTIFY_SOCKET is not set
};

}  // namespace etcd_snapshot
