// Text as Go sees it: decodes UTF-8 the way utf8.DecodeRune does, and knows what strconv.IsPrint
// takes as printable. Does not depend on the locale, which a service may not have.
#pragma once

#include <cstddef>
#include <string_view>

namespace etcd_snapshot {

struct Rune {
  char32_t code = 0;
  size_t bytes = 1;   // of the text; 1 where it is not valid
  bool valid = true;  // false: the first byte begins no UTF-8 sequence (also for surrogates,
                      // overlong forms and what lies beyond U+10FFFF)
};

// The first code point of a text that is not empty.
Rune decode_rune(std::string_view text);

// Letters, marks, numbers, punctuation, symbols and the ASCII space, by Unicode 13.0.
bool is_print(char32_t code);

}  // namespace etcd_snapshot
