#include "base/stop.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

namespace etcd_snapshot {
namespace {

std::atomic<int> g_signal{0};
// A pipe whose read end becomes readable for good once a stop was requested: a signal that arrives
// just before poll() is not missed.
int g_wake[2] = {-1, -1};

void on_signal(int number) {
  const int saved = errno;
  g_signal.store(number);
  if (g_wake[1] >= 0) {
    const char byte = 0;
    [[maybe_unused]] const ssize_t ignored = write(g_wake[1], &byte, 1);
  }
  errno = saved;
}

}  // namespace

Result<void> install_stop_handlers() {
  if (pipe2(g_wake, O_CLOEXEC | O_NONBLOCK) != 0) {
    return system_error(ErrorKind::kInternal, "cannot create", "a pipe");
  }
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  // A lost terminal ends a `save` in an orderly way too, unless nohup(1) said that it must not.
  struct sigaction hangup = {};
  const bool take_hangup = sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN;
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    if (number == SIGHUP && !take_hangup) continue;
    if (sigaction(number, &action, nullptr) != 0) {
      return system_error(ErrorKind::kInternal, "cannot handle", strsignal(number));
    }
  }
  action.sa_handler = SIG_IGN;
  if (sigaction(SIGPIPE, &action, nullptr) != 0) {
    return system_error(ErrorKind::kInternal, "cannot ignore", "SIGPIPE");
  }
  return {};
}

bool stop_requested() noexcept {
  return g_signal.load() != 0;
}

int stop_signal() noexcept {
  return g_signal.load();
}

Error cancelled_error() {
  Error error;
  error.kind = ErrorKind::kCancelled;
  const int number = stop_signal();
  error.message = number == SIGINT   ? "interrupted (SIGINT)"
                  : number == SIGHUP ? "the terminal is gone (SIGHUP)"
                                     : "asked to stop (SIGTERM)";
  error.code = number;
  return error;
}

UnixSeconds RealClock::now() const {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

Nanoseconds RealClock::monotonic() const {
  timespec now = {};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + Nanoseconds(now.tv_nsec);
}

bool RealClock::sleep_for(Nanoseconds duration) {
  const Nanoseconds until = monotonic() + duration;
  while (!stop_requested()) {
    const Nanoseconds left = until - monotonic();
    if (left <= Nanoseconds::zero()) return true;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    timespec wait = {};
    wait.tv_sec = seconds.count();
    wait.tv_nsec = (left - seconds).count();
    pollfd wake = {g_wake[0], POLLIN, 0};
    ppoll(&wake, g_wake[0] >= 0 ? 1 : 0, &wait, nullptr);
  }
  return false;
}

}  // namespace etcd_snapshot
