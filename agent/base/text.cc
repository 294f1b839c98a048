#include "base/text.h"

namespace etcd_snapshot {
namespace {

// What the first byte of a sequence says (RFC 3629 section 4): how long it is and between what the
// second byte must lie, which is where overlong forms and surrogates are told apart.
struct Lead {
  size_t bytes;
  unsigned char second_min, second_max;
};

constexpr Lead lead_of(unsigned char byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

char lower(char byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + 32) : byte;
}

std::string lower(std::string_view text) {
  std::string copy(text);
  for (char& byte : copy) byte = lower(byte);
  return copy;
}

std::string_view trim(std::string_view text, std::string_view spaces) {
  const size_t begin = text.find_first_not_of(spaces);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(spaces) - begin + 1);
}

Rune decode_rune(std::string_view text) {
  const auto byte = [text](size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1, true};
  constexpr Rune kInvalid{0xFFFD, 1, false};
  const Lead lead = lead_of(first);
  if (lead.bytes == 0 || text.size() < lead.bytes) return kInvalid;
  if (byte(1) < lead.second_min || byte(1) > lead.second_max) return kInvalid;
  char32_t code = first & (0x7F >> lead.bytes);
  for (size_t at = 1; at < lead.bytes; ++at) {
    if ((byte(at) & 0xC0) != 0x80) return kInvalid;
    code = (code << 6) | (byte(at) & 0x3F);
  }
  return {code, lead.bytes, true};
}

}  // namespace etcd_snapshot
