#include "systemd/notify.h"

#include <systemd/sd-daemon.h>

#include <string>

#include "systemd/unicode_print.h"

namespace etcd_snapshot {
namespace {

// Keeps $NOTIFY_SOCKET for the next call. The result says whether the manager got it, which nobody
// here can act upon.
void send(const std::string& state) {
  [[maybe_unused]] const int ignored = sd_notify(0, state.c_str());
}

bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0);
}

}  // namespace

void notify_status(std::string_view status) {
  std::string state = "STATUS=";
  while (!status.empty()) {
    const Rune rune = decode_rune(status);
    if (!rune.valid) {
      state.push_back('?');
    } else if (is_control(rune.code)) {
      state.push_back(' ');
    } else {
      state.append(status.substr(0, rune.bytes));
    }
    status.remove_prefix(rune.bytes);
  }
  send(state);
}

void extend_timeout(uint64_t microseconds) {
  send("EXTEND_TIMEOUT_USEC=" + std::to_string(microseconds));
}

}  // namespace etcd_snapshot
