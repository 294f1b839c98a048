#include "config/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "config/characters.h"

namespace etcd_snapshot {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Why `text` is no plain decimal number; empty if it is one. The spellings that a YAML 1.1 reader
// would take for some other number get a name of their own.
std::string_view number_fault(std::string_view text) {
  if (text.empty()) return "no number:";
  if (text.find('\t') != text.npos) return "a tab in the number";
  if (text.find(' ') != text.npos) return "a space in the number";
  if (text.front() == '-') return "a negative number:";
  if (text.front() == '+') return "a number with a sign:";
  if (std::all_of(text.begin(), text.end(), is_digit)) {
    return text.size() > 1 && text.front() == '0'
               ? "a leading zero (RKE would read an octal number) in"
               : "";
  }
  if (text.starts_with("0x") || text.starts_with("0X") || text.starts_with("0o")) {
    return "not a decimal number:";
  }
  if (!is_digit(text.front()) && text.front() != '.') return "not a number:";
  if (text.find('.') != text.npos) return "a fraction:";
  if (text.find('_') != text.npos) return "a number with underscores:";
  return "";
}

// `digits` has passed number_fault. nullopt: beyond 64 bits.
std::optional<int64_t> to_number(std::string_view digits) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  int64_t number = 0;
  for (const char c : digits) {
    const int digit = c - '0';
    if (number > (kMax - digit) / 10) return std::nullopt;
    number = number * 10 + digit;
  }
  return number;
}

}  // namespace

std::string at(const Place& place) {
  if (place.line == 0) return fmt::format("{}: {}: ", place.file, place.key);
  if (place.column == 0) return fmt::format("{}:{}: {}: ", place.file, place.line, place.key);
  return fmt::format("{}:{}:{}: {}: ", place.file, place.line, place.column, place.key);
}

std::string shown(std::string_view value) {
  constexpr size_t kMaxShown = 80;
  std::string text;
  while (!value.empty() && text.size() < kMaxShown) {
    const Rune rune = decode_rune(value);
    const bool shown = rune.valid && rune.code >= 0x20 && rune.code != 0x7f;
    text += shown ? std::string(value.substr(0, rune.bytes))
                  : fmt::format("\\x{:02x}", static_cast<unsigned char>(value.front()));
    value.remove_prefix(rune.bytes);
  }
  return value.empty() ? text : text + "...";
}

Error bad_value(const Place& place, std::string_view what, std::string_view value,
                std::string_view accepted) {
  return bad_setting(place, fmt::format("{} '{}'", what, shown(value)), accepted);
}

Error bad_setting(const Place& place, std::string_view what, std::string_view accepted) {
  Error error;
  error.kind = ErrorKind::kConfig;
  error.message = fmt::format("{}{}; accepted: {}", at(place), what, accepted);
  error.hint = kHowToCorrect;
  return error;
}

int first_bad_text_line(std::string_view text) {
  int line = 1;
  while (!text.empty()) {
    const Rune rune = decode_rune(text);
    const char32_t code = rune.code;
    if (!rune.valid || code == 0x7f) return line;
    if (code < 0x20 && code != '\t' && code != '\n' && code != '\r') return line;
    if (code == '\n') ++line;
    text.remove_prefix(rune.bytes);
  }
  return 0;
}

Result<int64_t> parse_whole_number(const Place& place, std::string_view text, int64_t min,
                                   int64_t max) {
  const std::string accepted = fmt::format("a whole number from {} to {}", min, max);
  std::string_view fault = number_fault(text);
  if (fault.empty() && !std::all_of(text.begin(), text.end(), is_digit)) {
    fault = "not a whole number:";
  }
  if (!fault.empty()) return bad_value(place, fault, text, accepted);
  const std::optional<int64_t> number = to_number(text);
  if (!number || *number > max) return bad_value(place, "too large:", text, accepted);
  if (*number < min) return bad_value(place, "too small:", text, accepted);
  return *number;
}

Result<bool> parse_boolean(const Place& place, std::string_view text) {
  struct Word {
    std::string_view spelling;
    bool value;
  };
  static constexpr Word kWords[] = {
      {"true", true}, {"True", true},   {"TRUE", true},   {"yes", true},    {"Yes", true},
      {"YES", true},  {"on", true},     {"On", true},     {"ON", true},     {"y", true},
      {"Y", true},    {"false", false}, {"False", false}, {"FALSE", false}, {"no", false},
      {"No", false},  {"NO", false},    {"off", false},   {"Off", false},   {"OFF", false},
      {"n", false},   {"N", false}};
  for (const Word& word : kWords) {
    if (word.spelling == text) return word.value;
  }
  return bad_value(place, "not a boolean:", text, "true or false (or yes/no, on/off)");
}

Result<HoursOrMinutes> parse_hours_or_minutes(const Place& place, std::string_view text,
                                              Zero zero) {
  const std::string accepted =
      fmt::format("a {} whole number of hours (12), or of minutes with m (30m)",
                  zero == Zero::kAllowed ? "non-negative" : "positive");
  std::string_view digits = text;
  HoursOrMinutes value;
  value.minutes = digits.size() > 1 && digits.back() == 'm';
  if (value.minutes) digits.remove_suffix(1);
  std::string_view fault = number_fault(digits);
  if (fault.empty() && !std::all_of(digits.begin(), digits.end(), is_digit)) {
    fault = "unknown unit in";
  }
  if (!fault.empty()) return bad_value(place, fault, text, accepted);

  const auto unit =
      value.minutes ? Nanoseconds(std::chrono::minutes(1)) : Nanoseconds(std::chrono::hours(1));
  const std::optional<int64_t> number = to_number(digits);
  if (!number || *number > Nanoseconds::max() / unit) {
    return bad_value(place, "longer than a duration can be (about 292 years):", text, accepted);
  }
  if (*number == 0 && zero == Zero::kRefused) {
    return bad_value(place, "zero:", text, accepted);
  }
  value.number = *number;
  value.duration = unit * value.number;
  return value;
}

Result<std::string> parse_absolute_path(const Place& place, std::string_view text) {
  constexpr std::string_view kAccepted =
      "an absolute path (from /) without quotes and without . or .. components";
  if (!text.starts_with('/')) return bad_value(place, "not an absolute path:", text, kAccepted);
  std::string path;
  while (!text.empty()) {
    const size_t end = std::min(text.find('/', 1), text.size());
    const std::string_view component = text.substr(1, end - 1);
    if (component == "." || component == "..") {
      return bad_value(place, "a relative component in", path + std::string(text), kAccepted);
    }
    if (!component.empty()) path += "/" + std::string(component);
    text.remove_prefix(end);
  }
  return path.empty() ? std::string("/") : path;
}

}  // namespace etcd_snapshot
