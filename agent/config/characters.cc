#include "config/characters.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/text.h"

namespace etcd_snapshot {
namespace {

// What stands for one character, or for a range of them.
struct OddRange {
  char32_t first, last;
  char meant;  // '\0': nothing
  bool seen;   // it looks like what is meant; else it cannot be seen
  std::string_view name;
};

// The names are those of the Unicode Character Database; a range has the name of its kind.
constexpr OddRange kOddRanges[] = {
    {0x0080, 0x0084, '\0', false, "C1 CONTROL"},
    {0x0085, 0x0085, ' ', false, "NEXT LINE"},
    {0x0086, 0x009F, '\0', false, "C1 CONTROL"},
    {0x00A0, 0x00A0, ' ', false, "NO-BREAK SPACE"},
    {0x00AD, 0x00AD, '\0', false, "SOFT HYPHEN"},
    {0x034F, 0x034F, '\0', false, "COMBINING GRAPHEME JOINER"},
    {0x061C, 0x061C, '\0', false, "ARABIC LETTER MARK"},
    {0x115F, 0x1160, '\0', false, "HANGUL FILLER"},
    {0x1680, 0x1680, ' ', false, "OGHAM SPACE MARK"},
    {0x17B4, 0x17B5, '\0', false, "KHMER INHERENT VOWEL"},
    {0x180B, 0x180F, '\0', false, "MONGOLIAN VARIATION SELECTOR OR SEPARATOR"},
    {0x2000, 0x2000, ' ', false, "EN QUAD"},
    {0x2001, 0x2001, ' ', false, "EM QUAD"},
    {0x2002, 0x2002, ' ', false, "EN SPACE"},
    {0x2003, 0x2003, ' ', false, "EM SPACE"},
    {0x2004, 0x2006, ' ', false, "PART-OF-EM SPACE"},
    {0x2007, 0x2007, ' ', false, "FIGURE SPACE"},
    {0x2008, 0x2008, ' ', false, "PUNCTUATION SPACE"},
    {0x2009, 0x2009, ' ', false, "THIN SPACE"},
    {0x200A, 0x200A, ' ', false, "HAIR SPACE"},
    {0x200B, 0x200B, '\0', false, "ZERO WIDTH SPACE"},
    {0x200C, 0x200C, '\0', false, "ZERO WIDTH NON-JOINER"},
    {0x200D, 0x200D, '\0', false, "ZERO WIDTH JOINER"},
    {0x200E, 0x200E, '\0', false, "LEFT-TO-RIGHT MARK"},
    {0x200F, 0x200F, '\0', false, "RIGHT-TO-LEFT MARK"},
    {0x2010, 0x2010, '-', true, "HYPHEN"},
    {0x2011, 0x2011, '-', true, "NON-BREAKING HYPHEN"},
    {0x2012, 0x2012, '-', true, "FIGURE DASH"},
    {0x2013, 0x2013, '-', true, "EN DASH"},
    {0x2014, 0x2014, '-', true, "EM DASH"},
    {0x2015, 0x2015, '-', true, "HORIZONTAL BAR"},
    {0x2018, 0x2018, '\'', true, "LEFT SINGLE QUOTATION MARK"},
    {0x2019, 0x2019, '\'', true, "RIGHT SINGLE QUOTATION MARK"},
    {0x201A, 0x201B, '\'', true, "SINGLE LOW-9 OR REVERSED QUOTATION MARK"},
    {0x201C, 0x201C, '"', true, "LEFT DOUBLE QUOTATION MARK"},
    {0x201D, 0x201D, '"', true, "RIGHT DOUBLE QUOTATION MARK"},
    {0x201E, 0x201F, '"', true, "DOUBLE LOW-9 OR REVERSED QUOTATION MARK"},
    {0x2028, 0x2028, ' ', false, "LINE SEPARATOR"},
    {0x2029, 0x2029, ' ', false, "PARAGRAPH SEPARATOR"},
    {0x202A, 0x202A, '\0', false, "LEFT-TO-RIGHT EMBEDDING"},
    {0x202B, 0x202B, '\0', false, "RIGHT-TO-LEFT EMBEDDING"},
    {0x202C, 0x202C, '\0', false, "POP DIRECTIONAL FORMATTING"},
    {0x202D, 0x202D, '\0', false, "LEFT-TO-RIGHT OVERRIDE"},
    {0x202E, 0x202E, '\0', false, "RIGHT-TO-LEFT OVERRIDE"},
    {0x202F, 0x202F, ' ', false, "NARROW NO-BREAK SPACE"},
    {0x205F, 0x205F, ' ', false, "MEDIUM MATHEMATICAL SPACE"},
    {0x2060, 0x2060, '\0', false, "WORD JOINER"},
    {0x2061, 0x2065, '\0', false, "INVISIBLE OPERATOR"},
    {0x2066, 0x2066, '\0', false, "LEFT-TO-RIGHT ISOLATE"},
    {0x2067, 0x2067, '\0', false, "RIGHT-TO-LEFT ISOLATE"},
    {0x2068, 0x2068, '\0', false, "FIRST STRONG ISOLATE"},
    {0x2069, 0x2069, '\0', false, "POP DIRECTIONAL ISOLATE"},
    {0x206A, 0x206F, '\0', false, "DEPRECATED FORMAT CHARACTER"},
    {0x2212, 0x2212, '-', true, "MINUS SIGN"},
    {0x2236, 0x2236, ':', true, "RATIO"},
    {0x2800, 0x2800, ' ', false, "BRAILLE PATTERN BLANK"},
    {0x3000, 0x3000, ' ', false, "IDEOGRAPHIC SPACE"},
    {0x3164, 0x3164, '\0', false, "HANGUL FILLER"},
    {0xFE00, 0xFE0F, '\0', false, "VARIATION SELECTOR"},
    {0xFEFF, 0xFEFF, '\0', false, "ZERO WIDTH NO-BREAK SPACE (a byte order mark)"},
    {0xFF01, 0xFF5E, '!', true, "FULLWIDTH CHARACTER"},
    {0xFFA0, 0xFFA0, '\0', false, "HALFWIDTH HANGUL FILLER"},
    {0xFFF9, 0xFFFB, '\0', false, "INTERLINEAR ANNOTATION CHARACTER"},
    {0xE0000, 0xE0FFF, '\0', false, "TAG OR VARIATION SELECTOR"},
};

constexpr char32_t kFullwidthFirst = 0xFF01;

const OddRange* odd_range(char32_t code, Odd which) {
  const auto* const found =
      std::lower_bound(std::begin(kOddRanges), std::end(kOddRanges), code,
                       [](const OddRange& range, char32_t value) { return range.last < value; });
  if (found == std::end(kOddRanges) || code < found->first) return nullptr;
  return found->seen && which == Odd::kUnseen ? nullptr : found;
}

std::string name_of(char32_t code, const OddRange& range) {
  // The few full-width forms that stand between a key and its value.
  if (code == 0xFF1A) return "U+FF1A FULLWIDTH COLON";
  if (code == 0xFF3F) return "U+FF3F FULLWIDTH LOW LINE";
  return fmt::format("U+{:04X} {}", static_cast<uint32_t>(code), range.name);
}

}  // namespace

std::optional<OddCharacter> find_odd_character(std::string_view text, Odd which) {
  for (size_t i = 0; i < text.size();) {
    const Rune rune = decode_rune(text.substr(i));
    const OddRange* const range = rune.bytes > 1 ? odd_range(rune.code, which) : nullptr;
    if (range != nullptr) return OddCharacter{i, rune.bytes, name_of(rune.code, *range)};
    i += rune.bytes;
  }
  return std::nullopt;
}

std::string without_odd_characters(std::string_view text, Odd which) {
  std::string clean;
  for (size_t i = 0; i < text.size();) {
    const Rune rune = decode_rune(text.substr(i));
    const OddRange* const range = rune.bytes > 1 ? odd_range(rune.code, which) : nullptr;
    if (range == nullptr) {
      clean += text.substr(i, rune.bytes);
    } else if (range->first == kFullwidthFirst) {
      clean += static_cast<char>(rune.code - kFullwidthFirst + '!');
    } else if (range->meant != '\0') {
      clean += range->meant;
    }
    i += rune.bytes;
  }
  return std::string(trim(clean, " "));
}

TextPosition position_of(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  TextPosition position;
  position.line += static_cast<int>(std::count(before.begin(), before.end(), '\n'));
  const size_t line_end = before.rfind('\n');
  const std::string_view line = line_end == before.npos ? before : before.substr(line_end + 1);
  // Every byte but those that continue a sequence begins a character.
  position.column += static_cast<int>(std::count_if(
      line.begin(), line.end(), [](unsigned char byte) { return (byte & 0xC0) != 0x80; }));
  return position;
}

}  // namespace etcd_snapshot
