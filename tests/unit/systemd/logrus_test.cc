#include <fstream>
#include <string>
#include <vector>

#include "systemd/log.h"
#include "systemd/unicode_print.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

// 2018-05-04T18:39:16Z, the time of the reference lines.
constexpr UnixSeconds kTime{std::chrono::seconds(1525459156)};

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t at = 0; at + 1 < hex.size(); at += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16)));
  }
  return bytes;
}

// The rows of a file of two columns.
std::vector<std::pair<std::string, std::string>> rows_of(const char* path) {
  std::ifstream in(path);
  CHECK_TRUE_TEXT(in.is_open(), path);
  std::vector<std::pair<std::string, std::string>> rows;
  for (std::string line; std::getline(in, line);) {
    const size_t tab = line.find('\t');
    CHECK_TRUE_TEXT(tab != std::string::npos, line.c_str());
    rows.emplace_back(line.substr(0, tab), line.substr(tab + 1));
  }
  return rows;
}

// A JSON string of the reference file: only \" \\ \n occur outside plain text.
std::string from_json(const std::string& json) {
  std::string text;
  for (size_t at = 1; at + 1 < json.size(); ++at) {
    if (json[at] != '\\') {
      text.push_back(json[at]);
      continue;
    }
    ++at;
    text.push_back(json[at] == 'n' ? '\n' : json[at]);
  }
  return text;
}

}  // namespace

TEST_GROUP(Logrus){};

TEST(Logrus, QuotesAsTheReferenceDoes) {
  const auto rows = rows_of("tests/data/logrus_quote_hex.tsv");
  LONGS_EQUAL(87, rows.size());
  for (const auto& [value, printed] : rows) {
    STRCMP_EQUAL_TEXT(from_hex(printed).c_str(), quote_logrus(from_hex(value)).c_str(),
                      value.c_str());
  }
}

TEST(Logrus, PrintsWholeLinesAsTheReferenceDoes) {
  struct Case {
    const char* description;
    UnixSeconds time;
    LogRecord record;
  };
  constexpr auto kInfo = LogLevel::kInfo;
  constexpr auto kWarning = LogLevel::kWarning;
  const std::vector<Case> cases = {
      {"info; fields creation=60s retention=24h",
       kTime,
       {kInfo, "Initializing Rolling Backups", {{"creation", "1m0s"}, {"retention", "24h0m0s"}}}},
      {"info; Created backup",
       kTime + std::chrono::seconds(60),
       {kInfo,
        "Created backup",
        {{"runtime", "108.332814ms"}, {"name", "2018-05-04T18:40:16Z_etcd"}}}},
      {"info; runtime 1h1m1.5s",
       kTime,
       {kInfo, "Created local backup", {{"name", "n"}, {"runtime", "1h1m1.5s"}}}},
      {"warn level name is warning; error + data + attempt sorted",
       kTime,
       {kWarning,
        "Backup failed",
        {{"error", "exit status 1"}, {"data", "Error: x\n"}, {"attempt", "1"}}}},
      {"empty data field prints nothing after =",
       kTime,
       {kWarning, "Backup failed", {{"attempt", "2"}, {"error", "signal: killed"}, {"data", ""}}}},
      {"debug", kTime, {LogLevel::kDebug, "Log level set to debug", {}}},
      {"empty msg omitted", kTime, {kInfo, "", {{"a", "1"}}}},
      {"one-word msg unquoted", kTime, {kInfo, "hello", {}}},
      {"key order is bytewise: Z < _ < a",
       kTime,
       {kInfo,
        "m",
        {{"b", "4"}, {"a", "1"}, {"Z", "2"}, {"_", "3"}, {"A1", "5"}, {"a-b", "6"}, {"a.b", "7"}}}},
      {"keys are never quoted", kTime, {kInfo, "m", {{"é", "2"}, {"a b", "1"}}}},
      {"ints floats bools slices maps",
       kTime,
       {kInfo,
        "m",
        {{"b", "true"},
         {"e", "1e+21"},
         {"f", "1.5"},
         {"i", "-3"},
         {"s", "[a b]"},
         {"u", "7"},
         {"z", "0"}}}},
      {"sub-second time is truncated", kTime, {kInfo, "m", {}}},
      {"s3 fields",
       kTime,
       {kInfo,
        "invoking set s3 service client",
        {{"s3-endpoint", "s3.amazonaws.com"},
         {"s3-accessKey", ""},
         {"s3-bucketName", "b"},
         {"s3-endpoint-ca", ""},
         {"s3-folder", ""},
         {"s3-region", ""}}}},
      {"warn on pki.bundle.tar.gz by retention pass",
       kTime,
       {kWarning,
        "Couldn't parse backup",
        {{"name", "pki.bundle.tar.gz"},
         {"error",
          "parsing time \"pki.bundle.tar.gz\" as \"2006-01-02T15:04:05Z07:00\": cannot parse "
          "\"pki.bundle.tar.gz\" as \"2006\""}}}},
      {"duration field zero",
       kTime,
       {LogLevel::kError,
        "Creation period and/or retention are not set",
        {{"retention", "0s"}, {"creation", "0s"}}}},
  };
  const auto rows = rows_of("tests/data/logrus_lines.tsv");
  for (const Case& test : cases) {
    std::string expected;
    for (const auto& [description, line] : rows) {
      if (from_json(description) == test.description) expected = from_json(line);
    }
    CHECK_TRUE_TEXT(!expected.empty(), test.description);
    STRCMP_EQUAL_TEXT(expected.c_str(), (format_logrus(test.time, test.record) + "\n").c_str(),
                      test.description);
  }
  // Left over are what this log cannot say: the level trace, other time zones (two), values that
  // are no text.
  LONGS_EQUAL(rows.size(), cases.size() + 4);
}

TEST(Logrus, PrintsTheTimeInUtcOverDaysAndLeapYears) {
  const auto at = [](int64_t seconds) {
    return format_logrus(UnixSeconds{std::chrono::seconds(seconds)}, LogRecord{.message = "m"});
  };
  STRCMP_EQUAL("time=\"1970-01-01T00:00:00Z\" level=info msg=m", at(0).c_str());
  STRCMP_EQUAL("time=\"1969-12-31T23:59:59Z\" level=info msg=m", at(-1).c_str());
  STRCMP_EQUAL("time=\"2024-02-29T23:59:59Z\" level=info msg=m", at(1709251199).c_str());
  STRCMP_EQUAL("time=\"2038-01-19T03:14:08Z\" level=info msg=m", at(2147483648).c_str());
}

TEST(Logrus, ALineNeverHoldsALineBreak) {
  std::string every_byte;
  for (int byte = 0; byte < 256; ++byte) every_byte.push_back(static_cast<char>(byte));
  const std::string line =
      format_logrus(kTime, {.message = every_byte, .fields = {{"error", every_byte}}});
  for (const char c : line) CHECK_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
}

TEST_GROUP(UnicodePrint){};

TEST(UnicodePrint, KnowsWhatGoTakesAsPrintable) {
  for (const char32_t code : {0x20u, 0x21u, 0x7Eu, 0xA1u, 0xE9u, 0x301u, 0x378u + 2, 0x4E2Du,
                              0xFFFDu, 0x1F468u, 0x1F6D7u, 0x3134Au, 0xE01EFu}) {
    CHECK_TRUE_TEXT(is_print(code), std::to_string(code).c_str());
  }
  // Controls, other spaces, the soft hyphen, unassigned, surrogates, private use, non-characters,
  // and what Unicode 14 added.
  for (const char32_t code :
       {0x0u,    0x1Fu,   0x7Fu,    0x85u,    0xA0u,    0xADu,     0x378u,
        0x200Bu, 0x2028u, 0x3000u,  0xD800u,  0xDFFFu,  0xE000u,   0xFEFFu,
        0xFFFEu, 0xFFFFu, 0x1FAE0u, 0xE0001u, 0xF0000u, 0x10FFFFu, 0x110000u}) {
    CHECK_FALSE_TEXT(is_print(code), std::to_string(code).c_str());
  }
}
