#include "base/rate_limit.h"

#include <atomic>
#include <thread>

#include "../fakes/clock.h"
#include "base/stop.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(RateLimit) {
  FakeClock clock_;

  // How many bytes went within `duration` by one who always wants `wanted`.
  int64_t taken_within(RateLimit & limit, Nanoseconds duration, int64_t wanted) {
    const Nanoseconds end = clock_.monotonic() + duration;
    int64_t taken = 0;
    for (int turn = 0; clock_.monotonic() < end; ++turn) {
      CHECK_TRUE(turn < 1000000);
      taken += limit.take(wanted);
    }
    return taken;
  }
};

TEST(RateLimit, Holds) {
  for (const int64_t rate : {10L, 1000L, 1L << 20, 100000L << 20}) {
    for (const int64_t wanted : {1L << 14, 1L << 18, 1L << 40}) {
      // With pieces of 16 KiB the fastest takes too many turns.
      if (rate > 1L << 30 && wanted < 1L << 40) continue;
      RateLimit limit(clock_, rate);
      const int64_t taken = taken_within(limit, 10s, wanted);
      CHECK_TRUE(taken <= rate * 11);
      CHECK_TRUE(taken >= rate * 9);
    }
  }
}

TEST(RateLimit, NeverGivesMoreThanIsWanted) {
  RateLimit limit(clock_, 1 << 20);
  clock_.pass(1h);
  LONGS_EQUAL(1, limit.take(1));
  LONGS_EQUAL(100, limit.take(100));
}

TEST(RateLimit, APauseEarnsAQuarterOfASecond) {
  RateLimit limit(clock_, 1000);
  clock_.pass(1h);
  LONGS_EQUAL(250, limit.take(1000000));
  // The next piece has to be waited for.
  const Nanoseconds before = clock_.monotonic();
  const int64_t next = limit.take(1000000);
  CHECK_TRUE(next >= 1 && next <= 101);
  CHECK_TRUE(clock_.monotonic() > before);
}

TEST(RateLimit, ASlowOneWaitsInStepsAndSaysNothingYet) {
  RateLimit limit(clock_, 1);
  int64_t taken = 0;
  int turns = 0;
  while (taken == 0 && turns < 100) {
    taken = limit.take(1000);
    ++turns;
  }
  LONGS_EQUAL(1, taken);
  CHECK_TRUE(turns >= 9);
  for (const Nanoseconds sleep : clock_.sleeps) CHECK_TRUE(sleep <= 101ms);
}

TEST(RateLimit, AStopEndsTheWaiting) {
  RateLimit limit(clock_, 1);
  clock_.stop_in_sleep = true;
  LONGS_EQUAL(0, limit.take(1000));
  LONGS_EQUAL(1, clock_.sleeps.size());
}

TEST(RateLimit, SeveralThreadsShareIt) {
  RealClock clock;
  RateLimit limit(clock, 400000);
  std::atomic<int64_t> sum{0};
  const Nanoseconds end = clock.monotonic() + 500ms;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (clock.monotonic() < end) sum += limit.take(65536);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(clock.monotonic() - (end - 500ms)).count();
  CHECK_TRUE(static_cast<double>(sum) <= 400000 * (seconds + 0.05));
  CHECK_TRUE(sum >= 50000);
}
