#include "store/lock.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <string>

#include "../fakes/clock.h"
#include "../fakes/faults.h"
#include "scratch.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(Lock) {
  Scratch scratch;
};

TEST(Lock, LetsOneRunInAndNamesTheHolder) {
  const auto first = take_run_lock(scratch.path("run"));
  CHECK_TRUE(first.ok());
  const auto second = take_run_lock(scratch.path("run"));
  CHECK_FALSE(second.ok());
  CHECK_TRUE(second.error().kind == ErrorKind::kBusy);
  CHECK_TRUE(second.error().retryable);
  STRCMP_EQUAL(("another run is in progress (pid " + std::to_string(getpid()) + ")").c_str(),
               second.error().message.c_str());
}

TEST(Lock, IsFreeAgainAndItsFileStays) {
  {
    const auto first = take_run_lock(scratch.path("run"));
    CHECK_TRUE(first.ok());
  }
  CHECK_TRUE(scratch.has("run/lock"));
  CHECK_TRUE(take_run_lock(scratch.path("run")).ok());
  STRCMP_EQUAL((std::to_string(getpid()) + "\n").c_str(), scratch.read("run/lock").c_str());
}

TEST(Lock, CannotBeHeldByOthersThanItsOwner) {
  const Umask umask_for_now(0);
  const auto lock = take_run_lock(scratch.path("run"));
  LONGS_EQUAL(0755, scratch.mode("run"));
  LONGS_EQUAL(0600, scratch.mode("run/lock"));
}

TEST(Lock, EndsWithAKilledRun) {
  int ready[2] = {};
  CHECK_EQUAL(0, pipe(ready));
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = take_run_lock(scratch.path("run"));
    const char byte = lock.ok() ? 'y' : 'n';
    if (write(ready[1], &byte, 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte = 0;
  LONGS_EQUAL(1, read(ready[0], &byte, 1));
  BYTES_EQUAL('y', byte);
  const auto while_alive = take_run_lock(scratch.path("run"));
  CHECK_FALSE(while_alive.ok());
  CHECK_TRUE(holds(while_alive.error().message, "(pid " + std::to_string(child) + ")"));
  CHECK_EQUAL(0, kill(child, SIGKILL));
  CHECK_EQUAL(child, waitpid(child, nullptr, 0));
  CHECK_TRUE(take_run_lock(scratch.path("run")).ok());
  close(ready[0]);
  close(ready[1]);
}

TEST(Lock, NamesTheHolderOnlyWhenItIsANumber) {
  const auto first = take_run_lock(scratch.path("run"));
  for (const std::string text : {"", "\x1b[2J", "12x\n"}) {
    scratch.write("run/lock", text);
    const auto second = take_run_lock(scratch.path("run"));
    CHECK_FALSE(second.ok());
    STRCMP_EQUAL("another run is in progress", second.error().message.c_str());
  }
}

TEST(Lock, SaysWhenItCannotBeTaken) {
  scratch.write("file", "");
  for (const std::string path : {"file", "file/below", "missing/below"}) {
    const auto lock = take_run_lock(scratch.path(path));
    CHECK_FALSE_TEXT(lock.ok(), path.c_str());
    CHECK_TRUE(lock.error().kind == ErrorKind::kStorage);
    CHECK_TRUE(holds(lock.error().message, scratch.path(path)));
  }
  CHECK_EQUAL(0, mkdir(scratch.path("link").c_str(), 0700));
  CHECK_EQUAL(0, symlink("../file", scratch.path("link/lock").c_str()));
  CHECK_FALSE(take_run_lock(scratch.path("link")).ok());
  CHECK_EQUAL(0, chmod(scratch.path().c_str(), 0555));
  const Unprivileged unprivileged;
  const auto lock = take_run_lock(scratch.path("denied"));
  CHECK_FALSE(lock.ok());
  STRCMP_EQUAL("run as root", lock.error().hint.c_str());
}

// The pid in the file is for people: a full /run, in which no byte can be written, keeps nobody
// out.
TEST(Lock, HoldsWithoutItsPid) {
  for (const char* call : {"ftruncate", "write"}) {
    const Fault fault(call, ENOSPC, "*/run/lock");
    const auto lock = take_run_lock(scratch.path("run"));
    CHECK_TRUE_TEXT(lock.ok(), call);
    CHECK_TRUE(Fault::matched() > 0);
    CHECK_FALSE(take_run_lock(scratch.path("run")).ok());
  }
}

TEST(Lock, OfASnapshotIsTheRunLockWhereThatCanBeHad) {
  const auto lock = take_snapshot_lock(scratch.path("run"), scratch.path());
  CHECK_TRUE(lock.ok());
  CHECK_FALSE(lock->unsafe.has_value());
  CHECK_FALSE(take_run_lock(scratch.path("run")).ok());
  const auto second = take_snapshot_lock(scratch.path("run"), scratch.path());
  CHECK_TRUE(second.error().kind == ErrorKind::kBusy);
}

// A full /run without a lock file in it must not cost the snapshot; deletion is held.
TEST(Lock, OfASnapshotIsTheDirectoryItselfWhereRunIsUnusable) {
  CHECK_EQUAL(0, mkdir(scratch.path("run").c_str(), 0700));
  CHECK_EQUAL(0, mkdir(scratch.path("snapshots").c_str(), 0700));
  const struct {
    const char *call, *glob;
    int number;
  } faults[] = {{"openat", "*/run/lock", ENOSPC}, {"openat", "*/run/lock", EROFS},
                {"openat", "*/run/lock", EDQUOT}, {"openat", "*/run/lock", EIO},
                {"open", "*/run", EMFILE},        {"open", "*/run", EACCES},
                {"flock", "*/run/lock", ENOLCK},  {"flock", "*/run/lock", EIO},
                {"mkdir", "*/run", ENOSPC},       {"mkdir", "*/run", EROFS}};
  for (const auto& one : faults) {
    const Fault fault(one.call, one.number, one.glob);
    const auto lock = take_snapshot_lock(scratch.path("run"), scratch.path("snapshots"));
    CHECK_TRUE_TEXT(lock.ok(), one.glob);
    CHECK_TRUE_TEXT(lock->unsafe.has_value(), one.glob);
    LONGS_EQUAL(one.number, lock->unsafe->code);
    CHECK_FALSE(lock->unsafe->hint.empty());
    // Two in the same need keep each other away.
    const auto second = take_snapshot_lock(scratch.path("run"), scratch.path("snapshots"));
    CHECK_FALSE_TEXT(second.ok(), one.glob);
    CHECK_TRUE(second.error().kind == ErrorKind::kBusy);
  }
  // NFS knows no exclusive lock of what is open for reading (EBADF): the snapshot is taken.
  const Fault fault("openat", ENOSPC, "*/run/lock");
  const auto lock = take_snapshot_lock(scratch.path("run"), scratch.path("missing"));
  CHECK_TRUE(lock.ok());
  CHECK_TRUE(lock->unsafe.has_value());
}

TEST(Lock, OfTheBucketIsAnother) {
  const auto run = take_run_lock(scratch.path("run"));
  const auto bucket = take_bucket_lock(scratch.path("run"));
  CHECK_TRUE(run.ok());
  CHECK_TRUE(bucket.ok());
  CHECK_TRUE(scratch.has("run/bucket.lock"));
  const auto second = take_bucket_lock(scratch.path("run"));
  CHECK_FALSE(second.ok());
  CHECK_TRUE(second.error().kind == ErrorKind::kBusy);
  STRCMP_EQUAL(
      ("another process is at work in the bucket (pid " + std::to_string(getpid()) + ")").c_str(),
      second.error().message.c_str());
}

TEST(Lock, IsWaitedForNoLongerThanIsSaid) {
  FakeClock clock;
  const auto first = take_run_lock(scratch.path("run"));
  for (const Nanoseconds wait : {-1s, 0s, 1s, 90s}) {
    const Nanoseconds start = clock.monotonic();
    const auto second = wait_for_lock(take_run_lock, scratch.path("run"), clock, start + wait);
    CHECK_TRUE(second.error().kind == ErrorKind::kBusy);
    CHECK_TRUE(clock.monotonic() - start == std::max(wait, Nanoseconds(0)));
  }
  clock.stop_in_sleep = true;
  const auto stopped =
      wait_for_lock(take_run_lock, scratch.path("run"), clock, clock.monotonic() + 90s);
  CHECK_TRUE(stopped.error().kind == ErrorKind::kCancelled);
  // Another lock is free at once, also where there is no time.
  CHECK_TRUE(wait_for_lock(take_bucket_lock, scratch.path("run"), clock, Nanoseconds(0)).ok());
}

TEST(Lock, LiesWhereSystemdSays) {
  CHECK_EQUAL(0, unsetenv("RUNTIME_DIRECTORY"));
  STRCMP_EQUAL("/run/etcd-snapshot", runtime_directory().c_str());
  CHECK_EQUAL(0, setenv("RUNTIME_DIRECTORY", "", 1));
  STRCMP_EQUAL("/run/etcd-snapshot", runtime_directory().c_str());
  CHECK_EQUAL(0, setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1));
  STRCMP_EQUAL("/run/a", runtime_directory().c_str());
  CHECK_EQUAL(0, unsetenv("RUNTIME_DIRECTORY"));
}
