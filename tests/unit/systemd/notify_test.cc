#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "base/fd.h"
#include "systemd/notify.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

// The manager's end: a datagram socket in a directory of the test's own.
TEST_GROUP(Notify) {
  std::string directory, path;
  UniqueFd manager;

  void setup() override {
    char name[] = "/tmp/etcd-snapshot-notify-XXXXXX";
    CHECK_TRUE(mkdtemp(name) != nullptr);
    directory = name;
    path = directory + "/notify";
    manager.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    CHECK_TRUE(path.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, path.c_str(), path.size());
    CHECK_EQUAL(0, bind(manager.get(), reinterpret_cast<sockaddr*>(&address), sizeof address));
    CHECK_EQUAL(0, setenv("NOTIFY_SOCKET", path.c_str(), 1));
  }
  void teardown() override {
    unsetenv("NOTIFY_SOCKET");
    manager.reset();
    unlink(path.c_str());
    rmdir(directory.c_str());
  }

  // The next datagram, or "(nothing)".
  std::string take() const {
    char buffer[8192];
    const ssize_t count = recv(manager.get(), buffer, sizeof buffer, 0);
    return count < 0 ? "(nothing)" : std::string(buffer, static_cast<size_t>(count));
  }

  // The same, waited for.
  std::string next() const {
    pollfd ready = {manager.get(), POLLIN, 0};
    CHECK_EQUAL(1, poll(&ready, 1, 30000));
    return take();
  }
};

TEST(Notify, SendsTheStatusAgainAndAgain) {
  notify_status("streaming 12 of 40 MiB");
  STRCMP_EQUAL("STATUS=streaming 12 of 40 MiB", take().c_str());
  notify_status("");
  STRCMP_EQUAL("STATUS=", take().c_str());
  STRCMP_EQUAL("(nothing)", take().c_str());
}

TEST(Notify, AStatusIsOneLineOfUtf8) {
  notify_status("one\nREADY=1\r\ttwo\x7f");
  STRCMP_EQUAL("STATUS=one READY=1  two ", take().c_str());
  notify_status(
      "ab\xff"
      "c \xE4\xB8\xAD \xE4\xB8");
  STRCMP_EQUAL("STATUS=ab?c \xE4\xB8\xAD ??", take().c_str());
  notify_status(std::string_view("a\0b", 3));
  STRCMP_EQUAL("STATUS=a b", take().c_str());
}

TEST(Notify, ExtendsTheTimeout) {
  extend_timeout(90'000'000);
  STRCMP_EQUAL("EXTEND_TIMEOUT_USEC=90000000", take().c_str());
}

TEST(Notify, DoesNothingWithoutAManager) {
  unsetenv("NOTIFY_SOCKET");
  notify_status("x");
  extend_timeout(1);
  STRCMP_EQUAL("(nothing)", take().c_str());
}

TEST(Notify, PassesOverAManagerThatIsGone) {
  manager.reset();
  notify_status("x");
  setenv("NOTIFY_SOCKET", "not-a-path", 1);
  notify_status("x");
  extend_timeout(1);
}

// What systemd forgets at a reload is told again, and no more than was earned.
TEST(Notify, KeepsTheExtensionThatIsLeft) {
  extend_timeout(5000000);
  STRCMP_EQUAL("EXTEND_TIMEOUT_USEC=5000000", take().c_str());
  const ExtensionKeeper keeper;
  long former = 5000000;
  for (int i = 0; i < 2; ++i) {
    const std::string text = next();
    CHECK_TRUE(text.starts_with("EXTEND_TIMEOUT_USEC="));
    const long left = std::stol(text.substr(20));
    CHECK_TRUE(left > 0 && left < former);
    former = left;
  }
}

TEST(Notify, KeepsNoExtensionThatIsOver) {
  extend_timeout(1);
  STRCMP_EQUAL("EXTEND_TIMEOUT_USEC=1", take().c_str());
  const ExtensionKeeper keeper;
  usleep(300000);
  STRCMP_EQUAL("(nothing)", take().c_str());
}

TEST(Notify, KeepsNothingWhereNoManagerListens) {
  extend_timeout(60000000);
  take();
  unsetenv("NOTIFY_SOCKET");
  const ExtensionKeeper keeper;
  usleep(300000);
  STRCMP_EQUAL("(nothing)", take().c_str());
}
