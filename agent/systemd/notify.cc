#include "systemd/notify.h"

#include <systemd/sd-daemon.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <system_error>

#include "base/stop.h"
#include "base/text.h"

namespace etcd_snapshot {
namespace {

constexpr auto kBetweenMessages = std::chrono::milliseconds(100);

// By the steady clock; 0: nothing was extended yet.
std::atomic<int64_t> extended_until_us = 0;

int64_t now_us() {
  using std::chrono::duration_cast;
  using std::chrono::microseconds;
  return duration_cast<microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

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
  extended_until_us = now_us() + static_cast<int64_t>(microseconds);
  send("EXTEND_TIMEOUT_USEC=" + std::to_string(microseconds));
}

ExtensionKeeper::ExtensionKeeper() {
  if (getenv("NOTIFY_SOCKET") == nullptr) return;
  try {
    thread_ = std::thread([this] { repeat(); });
  } catch (const std::system_error&) {
    // Too many tasks: the extensions hold, if nobody has systemd reload.
  }
}

ExtensionKeeper::~ExtensionKeeper() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ExtensionKeeper::repeat() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!wake_.wait_for(lock, kBetweenMessages, [this] { return ended_; })) {
    const int64_t left = extended_until_us - now_us();
    // Asked to stop, TimeoutStopSec= holds.
    if (left > 0 && !stop_requested()) send("EXTEND_TIMEOUT_USEC=" + std::to_string(left));
  }
}

}  // namespace etcd_snapshot
