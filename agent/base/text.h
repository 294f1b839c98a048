// Text, byte by byte and without a locale, which a service may not have: letter case, blanks,
// UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace etcd_snapshot {

// ASCII letters in lower case, every other byte as it is.
char lower(char byte);
std::string lower(std::string_view text);

inline constexpr std::string_view kSpaces = " \t\r\n\v\f";
// Without what it begins and ends with of `spaces`.
std::string_view trim(std::string_view text, std::string_view spaces = kSpaces);

struct Rune {
  char32_t code = 0;
  size_t bytes = 1;   // of the text; 1 where it is not valid
  bool valid = true;  // false: the first byte begins no UTF-8 sequence (also for surrogates,
                      // overlong forms and what lies beyond U+10FFFF)
};

// The first code point of a text that is not empty (RFC 3629, section 4; what Go's utf8.DecodeRune
// returns).
Rune decode_rune(std::string_view text);

}  // namespace etcd_snapshot
