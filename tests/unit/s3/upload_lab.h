// What the tests of an upload share: a file that grows, a bucket in memory, a gate for its calls.
#pragma once

#include "s3/upload.h"

#include <thread>

#include "client_lab.h"

#include <CppUTest/TestHarness.h>

namespace etcd_snapshot {

inline constexpr int64_t kPart = 1 << 20;
inline constexpr auto kPatience = std::chrono::seconds(20);

// Bytes that differ from part to part.
inline std::string bytes_of(int64_t size) {
  std::string bytes(static_cast<size_t>(size), '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / 65536);
  return bytes;
}

template <typename Holds>
bool comes_true(Holds holds) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!holds() && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return holds();
}

// Keeps calls waiting until it is opened, or until they are cancelled.
struct Gate {
  std::atomic<bool> open{false};
  std::atomic<int> inside{0}, passed{0}, most{0};
  void pass(const FakeCall& call) {
    const int now = ++inside;
    for (int before = most; before < now && !most.compare_exchange_weak(before, now);) continue;
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!open && (call.request.cancel == nullptr || !*call.request.cancel) &&
           std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    --inside;
    ++passed;
  }
};

// A file that is sent to a bucket in memory.
TEST_BASE(UploadBase) {
  ClientLab lab;
  FakeS3& s3 = lab.s3;
  UniqueFd file{memfd_create("growing", MFD_CLOEXEC)};
  std::string content;
  Gate gate;

  void setup() override {
    lab.settings.part_size_mib = 1;
    lab.settings.retries = 0;  // threads share the clock
  }
  void fill(int64_t size) {
    content = bytes_of(size);
    CHECK_TRUE(pwrite(file.get(), content.data(), content.size(), 0) == size);
    CHECK_TRUE(ftruncate(file.get(), size) == 0);
  }
  std::unique_ptr<ObjectUpload> begin(const std::string& key = "p1/a.zip") {
    return std::make_unique<ObjectUpload>(lab.session(), key,
                                          UniqueFd(fcntl(file.get(), F_DUPFD_CLOEXEC, 0)), 0);
  }
  // A whole file in one go.
  Result<UploadedObject> send(int64_t size, const std::string& key = "p1/a.zip") {
    fill(size);
    return begin(key)->finish(size);
  }
  void hold_parts() {
    s3.latency = [this](const FakeCall& call) {
      if (call.operation == "UploadPart") gate.pass(call);
    };
  }
  // `change` happens right after `operation`, before anybody else looks.
  void after(const std::string& operation, const std::function<void()>& change) {
    s3.after = [=](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (call.operation == operation) change();
      return std::nullopt;
    };
  }
  void check_conflict(const Result<UploadedObject>& done, const char* what) {
    CHECK_FALSE_TEXT(done.ok(), what);
    if (done) return;
    CHECK_TRUE_TEXT(done.error().kind == ErrorKind::kRemote, what);
    STRCMP_EQUAL_TEXT("PreconditionFailed", done.error().s3_code.c_str(), what);
    CHECK_TEXT(holds(done.error().message, "p1/a.zip"), done.error().message.c_str());
  }
};

}  // namespace etcd_snapshot
