#include "config/characters.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(Characters){};

TEST(Characters, NamesWhatCannotBeSeen) {
  const struct {
    const char *text, *name;
    size_t offset;
  } table[] = {{"a\u00a0", "U+00A0 NO-BREAK SPACE", 1},
               {"\u200b", "U+200B ZERO WIDTH SPACE", 0},
               {"ü\u2028x", "U+2028 LINE SEPARATOR", 2},
               {"ab\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE", 2},
               {"\u2066", "U+2066 LEFT-TO-RIGHT ISOLATE", 0},
               {"\u00ad", "U+00AD SOFT HYPHEN", 0},
               {"\u0085", "U+0085 NEXT LINE", 0},
               {"\u2003", "U+2003 EM SPACE", 0},
               {"\u202f", "U+202F NARROW NO-BREAK SPACE", 0},
               {"\ufeff", "U+FEFF ZERO WIDTH NO-BREAK SPACE (a byte order mark)", 0},
               {"\U000E0020", "U+E0020 TAG OR VARIATION SELECTOR", 0}};
  for (const auto& row : table) {
    const auto odd = find_odd_character(row.text, Odd::kUnseen);
    CHECK_TEXT(odd.has_value(), row.name);
    STRCMP_EQUAL(row.name, odd->name.c_str());
    LONGS_EQUAL(row.offset, odd->offset);
  }
}

TEST(Characters, LookAlikesCountWhereTheyAreAskedFor) {
  const struct {
    const char *text, *name, *meant;
  } table[] = {{"a：b", "U+FF1A FULLWIDTH COLON", "a:b"},
               {"“a”", "U+201C LEFT DOUBLE QUOTATION MARK", "\"a\""},
               {"a–b", "U+2013 EN DASH", "a-b"},
               {"１２ｍ", "U+FF11 FULLWIDTH CHARACTER", "12m"}};
  for (const auto& row : table) {
    CHECK_FALSE(find_odd_character(row.text, Odd::kUnseen).has_value());
    STRCMP_EQUAL(row.text, without_odd_characters(row.text, Odd::kUnseen).c_str());
    STRCMP_EQUAL(row.name, find_odd_character(row.text, Odd::kAny)->name.c_str());
    STRCMP_EQUAL(row.meant, without_odd_characters(row.text, Odd::kAny).c_str());
  }
}

TEST(Characters, LettersOfAllLanguagesAreLetters) {
  for (const char* text : {"", "plain text", "Größe", "快照", "снимок", "😀", "\xff\xfe"}) {
    CHECK_FALSE_TEXT(find_odd_character(text, Odd::kAny).has_value(), text);
    STRCMP_EQUAL(text, without_odd_characters(text, Odd::kAny).c_str());
  }
}

TEST(Characters, BlanksGoAtTheEndsAndBecomeSpacesBetween) {
  STRCMP_EQUAL("a b", without_odd_characters("\u00a0\u200ba\u00a0b\u3000 ", Odd::kUnseen).c_str());
  STRCMP_EQUAL("", without_odd_characters("\u00a0\u2003", Odd::kUnseen).c_str());
}

TEST(Characters, ColumnsAreCharacters) {
  const char* text = "one\n  ü: \u00a0x\n";
  LONGS_EQUAL(2, position_of(text, 9).line);
  LONGS_EQUAL(6, position_of(text, 10).column);
  LONGS_EQUAL(1, position_of(text, 0).column);
  LONGS_EQUAL(1, position_of(text, 0).line);
}
