#include "base/go_duration.h"

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <CppUTest/TestHarness.h>

using etcd_snapshot::ErrorKind;
using etcd_snapshot::format_go_duration;
using etcd_snapshot::Nanoseconds;
using etcd_snapshot::parse_go_duration;

namespace {

// Rows of two columns, not trimmed: an empty input is a row too.
std::vector<std::pair<std::string, std::string>> rows(const char* path) {
  std::ifstream file(path);
  std::vector<std::pair<std::string, std::string>> found;
  for (std::string line; std::getline(file, line);) {
    const size_t tab = line.find('\t');
    found.emplace_back(line.substr(0, tab), line.substr(tab + 1));
  }
  return found;
}

}  // namespace

TEST_GROUP(GoDuration){};

TEST(GoDuration, IsWrittenAsGoWritesIt) {
  const auto table = rows("tests/data/go_duration_format.tsv");
  CHECK(table.size() >= 65);
  for (const auto& [nanoseconds, text] : table) {
    STRCMP_EQUAL(text.c_str(), format_go_duration(Nanoseconds(std::stoll(nanoseconds))).c_str());
  }
}

TEST(GoDuration, IsReadAsGoReadsIt) {
  const auto table = rows("tests/data/go_duration_parse.tsv");
  CHECK(table.size() >= 80);
  for (const auto& [text, expected] : table) {
    const auto parsed = parse_go_duration(text);
    const std::string got = parsed ? std::to_string(parsed->count()) : "ERROR";
    STRCMP_EQUAL_TEXT(expected.c_str(), got.c_str(), text.c_str());
  }
}

TEST(GoDuration, WritesTheExtremes) {
  STRCMP_EQUAL("-2562047h47m16.854775808s", format_go_duration(Nanoseconds::min()).c_str());
  STRCMP_EQUAL("2562047h47m16.854775807s", format_go_duration(Nanoseconds::max()).c_str());
}

TEST(GoDuration, ReadsBackWhatItWrites) {
  for (const auto& [nanoseconds, text] : rows("tests/data/go_duration_format.tsv")) {
    const auto parsed = parse_go_duration(text);
    CHECK_TEXT(parsed.ok(), text.c_str());
    LONGS_EQUAL(std::stoll(nanoseconds), parsed->count());
  }
}

TEST(GoDuration, SumsThatOverflowAreErrors) {
  CHECK_FALSE(parse_go_duration("9223372036854775808ns9223372036854775808ns").ok());
  CHECK_FALSE(parse_go_duration("9223372036854775808ns").ok());
  CHECK_FALSE(parse_go_duration("-9223372036854775808ns1ns").ok());
}

TEST(GoDuration, ErrorsNameTheValueAndWhatIsAccepted) {
  const auto parsed = parse_go_duration("5min");
  CHECK_FALSE(parsed.ok());
  CHECK(parsed.error().kind == ErrorKind::kConfig);
  STRCMP_CONTAINS("unknown unit 'min' in '5min'; accepted: ", parsed.error().message.c_str());
  STRCMP_CONTAINS("a number without a unit: '5'", parse_go_duration("5").error().message.c_str());
}

TEST(GoDuration, ErrorsStayOneLine) {
  const std::string message = parse_go_duration("5\n" + std::string(1000, 'x')).error().message;
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.size() < 400);
}
