// A bucket in memory, a session on it and a clock that stands still, for the tests of the client.
// Include before CppUTest's headers.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "../fakes/clock.h"
#include "../fakes/s3.h"
#include "../store/scratch.h"
#include "base/fd.h"
#include "s3/client.h"

namespace etcd_snapshot {

constexpr char kLabAccessKey[] = "AKIDEXAMPLE";
constexpr char kLabSecretKey[] = "wJalrXUtnFEMIsecret";
constexpr char kLabToken[] = "sessionTOKENsecret";

// Keys that can be renewed: AKID1, AKID2, ...
class FakeCredentials final : public CredentialSource {
 public:
  Result<Credentials> get(bool) override {
    return Credentials{"AKID" + std::to_string(number), kLabSecretKey, kLabToken};
  }
  bool forget(const Credentials& used) override {
    ++forgotten;
    if (renews && used.access_key == "AKID" + std::to_string(number)) ++number;
    return renews;
  }
  std::string source() const override { return "the role of a test"; }
  int number = 1, forgotten = 0;
  bool renews = true;
};

// A file of these bytes.
class BytesFile {
 public:
  explicit BytesFile(const std::string& bytes)
      : fd_(memfd_create("bytes", MFD_CLOEXEC)), size_(static_cast<int64_t>(bytes.size())) {
    if (!fd_ || write(fd_.get(), bytes.data(), bytes.size()) != size_) abort();
  }
  FileRange all() const { return {fd_.get(), 0, size_}; }
  FileRange range(int64_t offset, int64_t size) const { return {fd_.get(), offset, size}; }

 private:
  UniqueFd fd_;
  int64_t size_;
};

struct ClientLab {
  FakeS3 s3;
  FakeClock clock;
  S3Policy policy;
  S3Settings settings;
  FakeCredentials* keys = nullptr;  // after renewable_keys()
  BytesFile file{"the bytes of a snapshot"};

  ClientLab() {
    policy.access_key = kLabAccessKey;
    policy.secret_key = kLabSecretKey;
    policy.bucket_name = "backups";
    policy.region = "eu-central-1";
    policy.endpoint = "https://s3.test:9000";
  }
  S3Session& session() {
    if (!session_) {
      auto opened = S3Session::open(policy, settings, clock, s3.factory());
      if (!opened) abort();
      session_ = std::move(*opened);
    }
    return *session_;
  }
  S3Client client() { return S3Client(session(), s3); }
  void renewable_keys() {
    auto source = std::make_unique<FakeCredentials>();
    keys = source.get();
    session().credentials = std::move(source);
  }
  // The first `times` answers of `operation` are this one; counted in `given`.
  void first(int times, const std::string& operation, const FakeAnswer& answer) {
    s3.before = [this, times, operation,
                 answer](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (call.operation != operation || given >= times) return std::nullopt;
      ++given;
      return answer;
    };
  }
  int given = 0;

 private:
  std::unique_ptr<S3Session> session_;
};

}  // namespace etcd_snapshot
