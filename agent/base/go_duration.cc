#include "base/go_duration.h"

#include <array>
#include <cstdint>
#include <utility>

namespace etcd_snapshot {
namespace {

constexpr uint64_t kMicrosecond = 1000;
constexpr uint64_t kMillisecond = 1000 * kMicrosecond;
constexpr uint64_t kSecond = 1000 * kMillisecond;
constexpr uint64_t kMinute = 60 * kSecond;
constexpr uint64_t kHour = 60 * kMinute;

// The magnitude of INT64_MIN: the largest that a negative duration can have.
constexpr uint64_t kMaxMagnitude = uint64_t{1} << 63;

// `value` over 10^digits in decimal, without trailing zeros.
std::string with_fraction(uint64_t value, int digits) {
  std::string fraction;
  bool significant = false;
  for (int i = 0; i < digits; ++i) {
    const char digit = static_cast<char>('0' + value % 10);
    value /= 10;
    significant = significant || digit != '0';
    if (significant) fraction.insert(fraction.begin(), digit);
  }
  return std::to_string(value) + (fraction.empty() ? "" : "." + fraction);
}

// 0 for no unit of Go's. The micro sign has two code points (U+00B5 and U+03BC); Go takes both.
uint64_t unit_nanoseconds(std::string_view unit) {
  static constexpr std::array<std::pair<std::string_view, uint64_t>, 8> kUnits = {{
      {"ns", 1},
      {"us", kMicrosecond},
      {"\xC2\xB5s", kMicrosecond},
      {"\xCE\xBCs", kMicrosecond},
      {"ms", kMillisecond},
      {"s", kSecond},
      {"m", kMinute},
      {"h", kHour},
  }};
  for (const auto& [name, nanoseconds] : kUnits) {
    if (name == unit) return nanoseconds;
  }
  return 0;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// For messages, which must stay one line: no control characters, no endless values.
std::string shown(std::string_view text) {
  constexpr size_t kMaxShown = 64;
  std::string copy(text.substr(0, kMaxShown));
  for (char& c : copy) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return copy + (text.size() > kMaxShown ? "..." : "");
}

Error bad_duration(std::string_view text, std::string_view what) {
  Error error;
  error.kind = ErrorKind::kConfig;
  error.message =
      std::string(what) + " '" + shown(text) +
      "'; accepted: a Go duration, numbers with the units h, m, s, ms, us or ns such as "
      "5m0s, 1h30m or 24h";
  return error;
}

// The digits at the front of `text`, which they leave. nullopt: more than a duration can hold.
std::optional<uint64_t> take_integer(std::string_view& text) {
  uint64_t value = 0;
  while (!text.empty() && is_digit(text.front())) {
    if (value > kMaxMagnitude / 10) return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(text.front() - '0');
    if (value > kMaxMagnitude) return std::nullopt;
    text.remove_prefix(1);
  }
  return value;
}

// The digits after the point. Digits beyond what 63 bits hold are dropped, as Go does.
std::pair<uint64_t, double> take_fraction(std::string_view& text) {
  uint64_t value = 0;
  double scale = 1;
  bool full = false;
  for (; !text.empty() && is_digit(text.front()); text.remove_prefix(1)) {
    if (full) continue;
    full = value > (kMaxMagnitude - 1) / 10;
    if (full) continue;
    const uint64_t next = value * 10 + static_cast<uint64_t>(text.front() - '0');
    full = next > kMaxMagnitude;
    if (full) continue;
    value = next;
    scale *= 10;
  }
  return {value, scale};
}

}  // namespace

std::string format_go_duration(Nanoseconds duration) {
  const bool negative = duration.count() < 0;
  uint64_t rest = static_cast<uint64_t>(duration.count());
  if (negative) rest = -rest;
  if (rest == 0) return "0s";
  const std::string sign = negative ? "-" : "";
  if (rest < kMicrosecond) return sign + std::to_string(rest) + "ns";
  if (rest < kMillisecond) return sign + with_fraction(rest, 3) + "\xC2\xB5s";
  if (rest < kSecond) return sign + with_fraction(rest, 6) + "ms";
  std::string text = with_fraction(rest % kMinute, 9) + "s";
  if (rest >= kMinute) text = std::to_string(rest % kHour / kMinute) + "m" + text;
  if (rest >= kHour) text = std::to_string(rest / kHour) + "h" + text;
  return sign + text;
}

Result<Nanoseconds> parse_go_duration(std::string_view text) {
  constexpr std::string_view kTooLong = "longer than a duration can be (about 292 years):";
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return Nanoseconds(0);
  if (rest.empty()) return bad_duration(text, "no duration:");

  uint64_t total = 0;
  while (!rest.empty()) {
    if (rest.front() != '.' && !is_digit(rest.front())) {
      return bad_duration(text, "not a duration:");
    }
    const size_t before_integer = rest.size();
    const std::optional<uint64_t> whole = take_integer(rest);
    if (!whole) return bad_duration(text, kTooLong);
    bool digits = rest.size() != before_integer;
    std::pair<uint64_t, double> fraction = {0, 1};
    if (rest.starts_with('.')) {
      rest.remove_prefix(1);
      const size_t before_fraction = rest.size();
      fraction = take_fraction(rest);
      digits = digits || rest.size() != before_fraction;
    }
    if (!digits) return bad_duration(text, "not a duration:");

    const std::string_view unit_name = rest.substr(0, rest.find_first_of(".0123456789"));
    if (unit_name.empty()) return bad_duration(text, "a number without a unit:");
    const uint64_t unit = unit_nanoseconds(unit_name);
    if (unit == 0) return bad_duration(text, "unknown unit '" + shown(unit_name) + "' in");
    rest.remove_prefix(unit_name.size());

    if (*whole > kMaxMagnitude / unit) return bad_duration(text, kTooLong);
    uint64_t part = *whole * unit;
    // In double and in this order, because that is how Go rounds.
    part += static_cast<uint64_t>(static_cast<double>(fraction.first) *
                                  (static_cast<double>(unit) / fraction.second));
    if (part > kMaxMagnitude || part > kMaxMagnitude - total) return bad_duration(text, kTooLong);
    total += part;
  }
  if (negative) return Nanoseconds(static_cast<int64_t>(-total));
  if (total == kMaxMagnitude) return bad_duration(text, kTooLong);
  return Nanoseconds(static_cast<int64_t>(total));
}

}  // namespace etcd_snapshot
