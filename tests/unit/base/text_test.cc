#include "base/text.h"

#include <string>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(Text){};

TEST(Text, LowersAsciiAlone) {
  STRCMP_EQUAL("az09-_\xC3\x84[`", lower("AZ09-_\xC3\x84[`").c_str());
}

TEST(Text, TrimsBothEndsAndNothingBetween) {
  const struct {
    const char *text, *trimmed;
  } rows[] = {
      {"", ""}, {" \t\r\n\v\f", ""}, {"a", "a"}, {" a b\t", "a b"}, {"\xC2\xA0 a", "\xC2\xA0 a"}};
  for (const auto& row : rows) STRCMP_EQUAL(row.trimmed, std::string(trim(row.text)).c_str());
  STRCMP_EQUAL("\ta", std::string(trim(" \ta ", " ")).c_str());
}

TEST(Text, DecodesWhatIsValidUtf8AndOnlyThat) {
  struct Case {
    const char* text;
    char32_t code;
    size_t bytes;
  };
  for (const Case& test : {Case{"a", 'a', 1}, Case{"\x7f", 0x7F, 1}, Case{"\xC2\x80", 0x80, 2},
                           Case{"\xDF\xBFx", 0x7FF, 2}, Case{"\xE0\xA0\x80", 0x800, 3},
                           Case{"\xED\x9F\xBF", 0xD7FF, 3}, Case{"\xEE\x80\x80", 0xE000, 3},
                           Case{"\xEF\xBF\xBD", 0xFFFD, 3}, Case{"\xF0\x90\x80\x80", 0x10000, 4},
                           Case{"\xF4\x8F\xBF\xBF", 0x10FFFF, 4}}) {
    const Rune rune = decode_rune(test.text);
    CHECK_TRUE_TEXT(rune.valid, test.text);
    LONGS_EQUAL_TEXT(test.code, rune.code, test.text);
    LONGS_EQUAL_TEXT(test.bytes, rune.bytes, test.text);
  }
  for (const char* text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2x", "\xE0\x9F\xBF", "\xE4\xB8",
        "\xE4\xB8x", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF0\x9F\x91", "\xF0\x9F\x91x",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80", "\xFF"}) {
    const Rune rune = decode_rune(text);
    CHECK_FALSE_TEXT(rune.valid, text);
    LONGS_EQUAL_TEXT(1, rune.bytes, text);
  }
}
