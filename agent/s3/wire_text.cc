#include "s3/wire_text.h"

#include <algorithm>

namespace etcd_snapshot {
namespace {

// Bytes of the UTF-8 character at the front; 0: there is none (RFC 3629; C1 controls count as
// none).
size_t character_size(std::string_view text) {
  const Rune rune = decode_rune(text);
  const bool control = rune.code < 0x20 || (rune.code >= 0x7f && rune.code < 0xa0);
  return rune.valid && !control ? rune.bytes : 0;
}

}  // namespace

std::string peer_text(std::string_view text, size_t max_bytes) {
  std::string out;
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty()) {
    if (is_space(text.front())) {
      if (!out.empty() && out.back() != ' ') out += ' ';
      text.remove_prefix(1);
      continue;
    }
    const size_t size = character_size(text);
    const std::string_view piece = size == 0 ? "?" : text.substr(0, size);
    if (out.size() + piece.size() > max_bytes) {
      out += "...";
      return out;
    }
    out += piece;
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

bool is_dns_label(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

bool contains(std::string_view text, std::string_view part) {
  return part.empty() ||
         std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

std::string bare_etag(std::string_view text) {
  const auto cut = [&text](std::string_view suffix) {
    if (text.size() > suffix.size() && lower(text).ends_with(suffix)) {
      text.remove_suffix(suffix.size());
    }
  };
  text = trim(text, " ");
  if (text.starts_with("W/") || text.starts_with("w/")) text.remove_prefix(2);
  cut("-gzip");
  if (text.starts_with('"')) text.remove_prefix(1);
  if (text.ends_with('"')) text.remove_suffix(1);
  cut("-gzip");
  text = trim(text, " ");
  return std::string(text);
}

std::string normal_etag(std::string_view text) {
  std::string etag = bare_etag(text);
  const bool digits = etag.find_first_not_of("0123456789abcdefABCDEF-") == etag.npos;
  return digits ? lower(etag) : etag;
}

std::string_view without_origin(std::string_view message) {
  if (!message.starts_with("http://") && !message.starts_with("https://")) return message;
  const size_t end = message.find(": ");
  // The origin holds no space.
  return end == message.npos || message.find(' ') < end ? message : message.substr(end + 2);
}

std::optional<UnixSeconds> parse_http_date(std::string_view text) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  constexpr std::string_view kForm = "aaa, 00 aaa 0000 00:00:00 GMT";
  if (text.size() != kForm.size()) return std::nullopt;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    const bool letter = lower(text[i]) >= 'a' && lower(text[i]) <= 'z';
    const bool fits = kForm[i] == '0' ? digit : kForm[i] == 'a' ? letter : text[i] == kForm[i];
    if (!fits) return std::nullopt;
  }
  const auto number = [&](size_t at, size_t digits) {
    int value = 0;
    for (size_t i = at; i < at + digits; ++i) value = value * 10 + (text[i] - '0');
    return value;
  };
  const size_t month = kMonths.find(text.substr(8, 3));
  if (month == kMonths.npos || month % 3 != 0) return std::nullopt;
  const std::chrono::year_month_day day{std::chrono::year(number(12, 4)),
                                        std::chrono::month(static_cast<unsigned>(month / 3 + 1)),
                                        std::chrono::day(static_cast<unsigned>(number(5, 2)))};
  const int hour = number(17, 2), minute = number(20, 2), second = number(23, 2);
  if (!day.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return UnixSeconds(std::chrono::sys_days(day)) + std::chrono::hours(hour) +
         std::chrono::minutes(minute) + std::chrono::seconds(second);
}

}  // namespace etcd_snapshot
