// A stop request cannot be taken back: every test that makes one runs in a process of its own.
#include "base/stop.h"

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(Stop){// The exit code of a process that does this; -1 where it died.
                 int in_child(const std::function<int()>& work){const pid_t child = fork();
if (child == 0) {
  alarm(60);  // a test that hangs is one that failed
  _exit(work());
}
int status = 0;
LONGS_EQUAL(child, waitpid(child, &status, 0));
return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
}
;

TEST(Stop, IsNotRequestedAtFirst) {
  CHECK_FALSE(stop_requested());
  LONGS_EQUAL(0, stop_signal());
}

TEST(Stop, RemembersTheSignalThatAsked) {
  for (const int number : {SIGTERM, SIGINT}) {
    LONGS_EQUAL(0, in_child([number] {
                  if (!install_stop_handlers()) return 1;
                  if (stop_requested()) return 2;
                  raise(number);
                  if (!stop_requested() || stop_signal() != number) return 3;
                  const Error error = cancelled_error();
                  if (error.kind != ErrorKind::kCancelled || error.retryable) return 4;
                  const char* const text =
                      number == SIGINT ? "interrupted (SIGINT)" : "asked to stop (SIGTERM)";
                  return error.message == text && error.code == number ? 0 : 5;
                }));
  }
}

TEST(Stop, IgnoresSigpipe) {
  LONGS_EQUAL(0, in_child([] {
                int ends[2];
                if (!install_stop_handlers() || pipe(ends) != 0) return 1;
                close(ends[0]);
                if (write(ends[1], "x", 1) != -1 || errno != EPIPE) return 2;
                return stop_requested() ? 3 : 0;
              }));
}

TEST(Stop, KeepsErrno) {
  LONGS_EQUAL(0, in_child([] {
                if (!install_stop_handlers()) return 1;
                errno = ENOTTY;
                raise(SIGTERM);
                return errno == ENOTTY ? 0 : 2;
              }));
}

TEST(Stop, EndsASleepThatBeginsAfterIt) {
  LONGS_EQUAL(0, in_child([] {
                if (!install_stop_handlers()) return 1;
                raise(SIGTERM);
                RealClock clock;
                const Nanoseconds begin = clock.monotonic();
                if (clock.sleep_for(1h)) return 2;
                return clock.monotonic() - begin < 30s ? 0 : 3;
              }));
}

TEST(Stop, EndsASleepInTheMiddle) {
  LONGS_EQUAL(0, in_child([] {
                if (!install_stop_handlers()) return 1;
                signal(SIGALRM, [](int) { raise(SIGTERM); });
                const itimerval soon = {{0, 0}, {0, 50000}};
                if (setitimer(ITIMER_REAL, &soon, nullptr) != 0) return 2;
                RealClock clock;
                const Nanoseconds begin = clock.monotonic();
                if (clock.sleep_for(1h)) return 3;
                return clock.monotonic() - begin < 30s ? 0 : 4;
              }));
}

TEST(Stop, OtherSignalsDoNotShortenASleep) {
  LONGS_EQUAL(0, in_child([] {
                if (!install_stop_handlers()) return 1;
                signal(SIGALRM, [](int) {});
                const itimerval often = {{0, 5000}, {0, 5000}};
                if (setitimer(ITIMER_REAL, &often, nullptr) != 0) return 2;
                RealClock clock;
                const Nanoseconds begin = clock.monotonic();
                if (!clock.sleep_for(100ms)) return 3;
                return clock.monotonic() - begin >= 100ms ? 0 : 4;
              }));
}

TEST(Stop, SleepsWithoutHandlersToo) {
  RealClock clock;
  const Nanoseconds begin = clock.monotonic();
  CHECK_TRUE(clock.sleep_for(20ms));
  CHECK_TRUE(clock.monotonic() - begin >= 20ms);
  CHECK_TRUE(clock.sleep_for(0ns));
  CHECK_TRUE(clock.sleep_for(-1h));
}

TEST_GROUP(RealClock){};

TEST(RealClock, SaysWhatTheHostSays) {
  RealClock clock;
  const time_t before = time(nullptr);
  const UnixSeconds now = clock.now();
  const time_t after = time(nullptr);
  CHECK_TRUE(now.time_since_epoch().count() >= before - 1);
  CHECK_TRUE(now.time_since_epoch().count() <= after);
  timespec boot = {};
  clock_gettime(CLOCK_BOOTTIME, &boot);
  const Nanoseconds monotonic = clock.monotonic();
  CHECK_TRUE(monotonic >= std::chrono::seconds(boot.tv_sec));
  CHECK_TRUE(clock.monotonic() >= monotonic);
}
