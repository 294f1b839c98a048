#include "base/digest.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <optional>
#include <vector>

#include "base/files.h"

namespace etcd_snapshot {
namespace {

constexpr size_t kSha256Bytes = 32;
constexpr size_t kMd5Bytes = 16;
constexpr size_t kReadBytes = 128 * 1024;

struct DigestDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// What OpenSSL noted must not stay behind: libcurl would take it for the fault of a handshake that
// the same thread makes later (SSL_get_error(3) looks into the same queue).
Error digest_error(const char* name) {
  ERR_clear_error();
  Error error;
  error.message = std::string("OpenSSL cannot compute ") + name;
  error.hint = std::string("look whether the host's OpenSSL configuration turns ") + name + " off";
  return error;
}

std::string as_string(const unsigned char* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, DigestDeleter> digest{EVP_MD_CTX_new()};
  bool usable = digest && EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) == 1;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Result<void> Sha256::update(Bytes bytes) {
  if (!state_ || !state_->usable) return digest_error("SHA-256");
  if (bytes.empty()) return {};
  if (EVP_DigestUpdate(state_->digest.get(), bytes.data(), bytes.size()) == 1) return {};
  state_->usable = false;
  return digest_error("SHA-256");
}

Result<std::string> Sha256::finish() {
  if (!state_ || !std::exchange(state_->usable, false)) return digest_error("SHA-256");
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(state_->digest.get(), digest.data(), &size) != 1 || size != kSha256Bytes) {
    return digest_error("SHA-256");
  }
  return as_string(digest.data(), size);
}

Result<std::string> sha256(std::string_view bytes) {
  Sha256 digest;
  ES_TRY(digest.update(as_bytes(bytes)));
  return digest.finish();
}

Result<std::string> hmac_sha256(std::string_view key, std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (key.empty()) key = "";  // HMAC(3) takes a null pointer for "the key of the last call"
  if (key.size() > INT_MAX ||
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data(),
           &size) == nullptr ||
      size != kSha256Bytes) {
    return digest_error("HMAC-SHA-256");
  }
  return as_string(digest.data(), size);
}

Result<std::string> md5(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_md5(), nullptr) != 1 ||
      size != kMd5Bytes) {
    return digest_error("MD5");
  }
  return as_string(digest.data(), size);
}

namespace {

// MD5 of a stream. Where OpenSSL refuses it, nothing fails before the end.
class Md5 {
 public:
  void update(Bytes bytes) {
    usable_ = usable_ && EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1;
  }
  // Empty: there is no MD5 here.
  std::string finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (usable_ && EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1) {
      return as_string(digest.data(), size);
    }
    ERR_clear_error();  // as in digest_error()
    return {};
  }

 private:
  std::unique_ptr<EVP_MD_CTX, DigestDeleter> context_{EVP_MD_CTX_new()};
  bool usable_ = context_ && EVP_DigestInit_ex(context_.get(), EVP_md5(), nullptr) == 1;
};

// Hands the range to `take`, piece by piece.
template <typename Take>
Result<void> read_range(int fd, int64_t offset, int64_t size, const GoOn& go_on, Take take) {
  std::vector<std::byte> buffer(
      static_cast<size_t>(std::clamp<int64_t>(size, 0, static_cast<int64_t>(kReadBytes))));
  for (int64_t done = 0; done < size;) {
    if (go_on) ES_TRY(go_on());
    const auto wanted =
        static_cast<size_t>(std::min<int64_t>(size - done, static_cast<int64_t>(buffer.size())));
    const ssize_t got =
        uninterrupted([&] { return pread(fd, buffer.data(), wanted, offset + done); });
    if (got < 0) return system_error(ErrorKind::kStorage, "cannot read", "a file for its digest");
    if (got == 0) {
      return Error{ErrorKind::kStorage,
                   "a file is too short for its digest: " + std::to_string(done) + " of " +
                       std::to_string(size) + " bytes from byte " + std::to_string(offset) + " on",
                   "look who changes it"};
    }
    ES_TRY(take(Bytes(buffer.data(), static_cast<size_t>(got))));
    done += got;
  }
  return {};
}

}  // namespace

Result<std::string> sha256_of_range(int fd, int64_t offset, int64_t size, const GoOn& go_on,
                                    std::string* md5) {
  Sha256 digest;
  std::optional<Md5> other;
  if (md5 != nullptr) other.emplace();
  ES_TRY(read_range(fd, offset, size, go_on, [&](Bytes bytes) {
    if (other) other->update(bytes);
    return digest.update(bytes);
  }));
  if (other) *md5 = other->finish();
  return digest.finish();
}

Result<std::string> md5_of_range(int fd, int64_t offset, int64_t size, const GoOn& go_on) {
  Md5 digest;
  ES_TRY(read_range(fd, offset, size, go_on, [&](Bytes bytes) -> Result<void> {
    digest.update(bytes);
    return {};
  }));
  std::string bytes = digest.finish();
  if (bytes.empty()) return digest_error("MD5");
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto value = static_cast<unsigned char>(c);
    text += kDigits[value >> 4];
    text += kDigits[value & 15];
  }
  return text;
}

std::string from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return {};
  std::string bytes;
  bytes.reserve(hex.size() / 2);
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);
    if (high < 0 || low < 0) return {};
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

std::string to_base64(std::string_view bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) {
      text += j <= count ? kDigits[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

}  // namespace etcd_snapshot
