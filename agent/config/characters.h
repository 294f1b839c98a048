// Characters that a configuration file does not show: blanks other than space, characters without
// width, and those that look like ASCII without being it. Text copied from web pages, chats and
// word processors is full of them, and YAML takes each for a letter. Pure; knows no file format.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace etcd_snapshot {

enum class Odd {
  kUnseen,  // blanks and what has no width
  kAny,     // also what looks like ASCII: full-width forms, typographic quotes and dashes
};

struct OddCharacter {
  size_t offset = 0, length = 0;  // in bytes
  std::string name;               // "U+00A0 NO-BREAK SPACE"
};

// The first one in `text`, which is UTF-8. nullopt: there is none.
std::optional<OddCharacter> find_odd_character(std::string_view text, Odd which);

// `text` as it was probably meant: blanks become spaces and go at both ends, what has no width
// goes, and with kAny a look-alike becomes its ASCII character.
std::string without_odd_characters(std::string_view text, Odd which);

// Line and column (both from 1, the column in characters) of a byte of `text`.
struct TextPosition {
  int line = 1, column = 1;
};
TextPosition position_of(std::string_view text, size_t offset);

}  // namespace etcd_snapshot
