// Digests of bytes, by OpenSSL, and how they are written down. Knows nothing of what is digested.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace etcd_snapshot {

// SHA-256 (FIPS 180-4) of a stream.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  // kInternal where OpenSSL has no SHA-256.
  Result<void> update(Bytes bytes);
  // The 32 raw bytes. Once, after the last update().
  Result<std::string> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// 32 raw bytes.
Result<std::string> sha256(std::string_view bytes);
// RFC 2104 with SHA-256: 32 raw bytes.
Result<std::string> hmac_sha256(std::string_view key, std::string_view bytes);
// 16 raw bytes. For what protocols ask for (Content-MD5, ETags): proves nothing. kInternal where
// the host forbids MD5 (FIPS mode).
Result<std::string> md5(std::string_view bytes);

// SHA-256 of `size` bytes of an open file from `offset`, read with pread(2). kStorage where they
// cannot be read or are not all there. `go_on` (may be empty) is asked before each 128 KiB; its
// error ends it. `md5` (may be null) gets the MD5 of the same bytes, raw; empty where the host
// forbids it.
using GoOn = std::function<Result<void>()>;
Result<std::string> sha256_of_range(int fd, int64_t offset, int64_t size, const GoOn& go_on = {},
                                    std::string* md5 = nullptr);

// MD5 of the same.
Result<std::string> md5_of_range(int fd, int64_t offset, int64_t size, const GoOn& go_on = {});

std::string to_hex(std::string_view bytes);  // lower case
// Raw bytes; empty for what is no even number of hex digits.
std::string from_hex(std::string_view hex);
std::string to_base64(std::string_view bytes);  // RFC 4648, with padding

}  // namespace etcd_snapshot
