#include "config/environment_file.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(EnvironmentFile){void check_value(const char* text, const char* name, const char* value){
    const auto values = parse_environment_file(text);
const auto found = values.find(name);
if (value == nullptr) {
  CHECK_TEXT(found == values.end(), text);
  return;
}
CHECK_TEXT(found != values.end(), text);
STRCMP_EQUAL_TEXT(value, found->second.c_str(), text);
}
}
;

// The forms of systemd.exec(5), EnvironmentFile=.
TEST(EnvironmentFile, ReadsAValueAsSystemdDoes) {
  const struct {
    const char *text, *value;  // of A; nullptr: not set
  } rows[] = {
      {"A=b", "b"},
      {"A=b\n", "b"},
      {"A=b\r\n", "b"},
      {"  A=b\n", "b"},
      {"A = b\n", "b"},
      {"A\t=\tb \t\n", "b"},
      {"A=\"b c\"\n", "b c"},
      {"A = \"b c\" \n", "b c"},
      {"A='b c'\n", "b c"},
      {"A=b c\n", "b c"},
      {"A=\n", ""},
      {"A=", ""},
      {"A", nullptr},
      {"A\n=b\n", nullptr},
      {"#A=b\n", nullptr},
      {" # A=b\n", nullptr},
      {";A=b\n", nullptr},
      {"A=b # c\n", "b # c"},  // no comment: only a line is one
      {"A=b\nA=c\n", "c"},
      {"A=b \\\n  c\n", "b   c"},
      {"A=\"b \\\nc\"\n", "b c"},
      {"A=\"b\nc\"\n", "b\nc"},
      {"A='b\\\nc'\n", "b\\\nc"},
      {"A=\"b\\\"c\"\n", "b\"c"},
      {"A=\"b\\nc\"\n", "b\\nc"},
      {"A=b\\c\n", "bc"},
      {"A=b\\ \n", "b "},
      {"A=\"b\"'c'd\n", "bcd"},
      {"A=b\"c\"\n", "b\"c\""},
      {"A=\"b\n", "b\n"},  // not closed
      {"export A=b\n", nullptr},
      {"A-B=c\nA=b\n", "b"},
      {"# c \\\nA=b\n", "b"},
      {"=x\nA=b\n", "b"},
  };
  for (const auto& row : rows) check_value(row.text, "A", row.value);
}

TEST(EnvironmentFile, TakesAnyBytes) {
  for (const char* text :
       {"A=\\", "A=\"\\", "A='", "\\", "\"", "A=\xff\xfe", "\n\n=\n", "A=\\\n"}) {
    parse_environment_file(text);
    split_words(text);
  }
}

// systemd.service(5), "Command lines": $FOO as a word of its own is divided at blanks, and quotes
// are respected.
TEST(EnvironmentFile, DividesAVariableIntoWords) {
  const struct {
    const char *text, *words;
  } rows[] = {
      {"", ""},
      {"  ", ""},
      {"--a=b --c d", "--a=b|--c|d"},
      {" --a\t--b\n--c ", "--a|--b|--c"},
      {"--a='b c' \"d e\"", "--a=b c|d e"},
      {"'' x", "|x"},
      {"a\\ b", "a b"},
      {"--a \\\n --b", "--a||--b"},
  };
  for (const auto& row : rows) {
    std::string joined;
    for (const std::string& word : split_words(row.text)) joined += word + "|";
    if (!joined.empty()) joined.pop_back();
    STRCMP_EQUAL_TEXT(row.words, joined.c_str(), row.text);
  }
}
