#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/text.h"
#include "systemd/log.h"
#include "systemd/unicode_print.h"

namespace etcd_snapshot {
namespace {

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      return "debug";
  }
  return "info";
}

// needsQuoting of logrus' text_formatter.go. The empty value is printed as nothing.
bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._/@^+").find(c) != std::string_view::npos;
}

// appendEscapedRune of Go's strconv/quote.go, for one that is valid UTF-8.
void append_escaped(std::string& out, const Rune& rune, std::string_view bytes) {
  if (rune.code == U'"' || rune.code == U'\\') {
    out.push_back('\\');
    out.push_back(static_cast<char>(rune.code));
    return;
  }
  if (is_print(rune.code)) {
    out.append(bytes);
    return;
  }
  switch (rune.code) {
    case U'\a':
      out.append("\\a");
      return;
    case U'\b':
      out.append("\\b");
      return;
    case U'\f':
      out.append("\\f");
      return;
    case U'\n':
      out.append("\\n");
      return;
    case U'\r':
      out.append("\\r");
      return;
    case U'\t':
      out.append("\\t");
      return;
    case U'\v':
      out.append("\\v");
      return;
    default:
      break;
  }
  const auto code = static_cast<uint32_t>(rune.code);
  if (code < 0x20 || code == 0x7F) {
    fmt::format_to(std::back_inserter(out), "\\x{:02x}", code);
  } else if (code < 0x10000) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
  } else {
    fmt::format_to(std::back_inserter(out), "\\U{:08x}", code);
  }
}

// RFC 3339 in UTC, to the second.
std::string format_time(UnixSeconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

}  // namespace

std::string quote_logrus(std::string_view value) {
  if (std::all_of(value.begin(), value.end(), is_plain)) return std::string(value);
  std::string out = "\"";
  while (!value.empty()) {
    const Rune rune = decode_rune(value);
    if (rune.valid) {
      append_escaped(out, rune, value.substr(0, rune.bytes));
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(value[0]));
    }
    value.remove_prefix(rune.bytes);
  }
  out.push_back('"');
  return out;
}

std::string format_logrus(UnixSeconds time, const LogRecord& record) {
  std::string line = "time=\"" + format_time(time) + "\" level=";
  line.append(level_name(record.level));
  if (!record.message.empty()) line.append(" msg=").append(quote_logrus(record.message));
  for (const auto& [name, value] : record.fields) {
    line.append(" ").append(name).append("=").append(quote_logrus(value));
  }
  return line;
}

}  // namespace etcd_snapshot
