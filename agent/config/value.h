// One value of a configuration file: where it stands, what may stand there, and the sentence that
// says so when something else does. Knows no file format and no key; never sees a whole file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace etcd_snapshot {

// The hint of every error of a configuration file. The generator reads the same files, hence the
// reload.
inline constexpr char kHowToCorrect[] =
    "correct the file, try it with `etcd-snapshot check`, then run `systemctl daemon-reload`";

// Where a value stands. `key` as an operator would look for it: "services.etcd.creation" or
// "[etcd] retries".
struct Place {
  std::string file;
  int line = 0;  // from 1; 0: `file` has no lines (the command line)
  std::string key;
  int column = 0;  // from 1, in characters; 0: not told
};

// "FILE:LINE: KEY: ", with ":COLUMN" behind the line where it is known.
std::string at(const Place& place);

// A value as a message shows it: one line, control characters escaped, long values cut.
std::string shown(std::string_view value);

// "FILE:LINE: KEY: WHAT 'VALUE'; accepted: ACCEPTED"
Error bad_value(const Place& place, std::string_view what, std::string_view value,
                std::string_view accepted);

// The same without the value: for secrets, and for what is no single value.
Error bad_setting(const Place& place, std::string_view what, std::string_view accepted);

// The line (from 1) of the first byte that no configuration file holds: invalid UTF-8, or a control
// character other than tab and line end. 0: the text is clean. yaml-cpp takes 0x04 for the end of
// the file, inih takes NUL for the end of the line, systemd ignores lines that are not UTF-8.
int first_bad_text_line(std::string_view text);

// Decimal digits without sign, fraction or leading zero, within [min, max].
Result<int64_t> parse_whole_number(const Place& place, std::string_view text, int64_t min,
                                   int64_t max);

// true/false, yes/no, on/off, y/n in YAML 1.1's spellings (lower case, Capitalized, UPPER CASE).
Result<bool> parse_boolean(const Place& place, std::string_view text);

// "12" (hours) or "30m" (minutes).
struct HoursOrMinutes {
  int64_t number = 0;
  bool minutes = false;
  Nanoseconds duration{};
};
enum class Zero { kAllowed, kRefused };
Result<HoursOrMinutes> parse_hours_or_minutes(const Place& place, std::string_view text, Zero zero);

// An absolute path without "." and ".." components; doubled and trailing slashes are taken out.
Result<std::string> parse_absolute_path(const Place& place, std::string_view text);

// One of a few words.
template <typename T>
Result<T> parse_choice(const Place& place, std::string_view text,
                       const std::vector<std::pair<std::string_view, T>>& choices) {
  std::string accepted;
  for (const auto& [word, value] : choices) {
    if (word == text) return value;
    accepted += (accepted.empty() ? "" : ", ") + std::string(word);
  }
  return bad_value(place, "unknown value", text, accepted);
}

}  // namespace etcd_snapshot
