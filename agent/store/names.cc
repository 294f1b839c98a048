#include "store/names.h"

#include <stdio.h>

#include <algorithm>
#include <array>

#include "base/human.h"
#include "base/text.h"

namespace etcd_snapshot {
namespace {

constexpr std::string_view kRollingSuffix = "_etcd";
constexpr std::string_view kOneTimePrefix = "rke_etcd_snapshot_";
constexpr size_t kMaxHostBytes = 64;          // HOST_NAME_MAX
constexpr size_t kMaxOneTimeNameBytes = 200;  // leaves room for ".etcd-snapshot." and ".manifest"
constexpr std::string_view kPkiBundle = "pki.bundle.tar.gz";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_host_char(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.';
}

// Reads from the front of a text; every step says whether it matched.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool literal(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool digits(size_t count, int& value) {
    if (rest_.size() < count || !std::all_of(rest_.begin(), rest_.begin() + count, is_digit)) {
      return false;
    }
    value = 0;
    for (const char c : rest_.substr(0, count)) value = value * 10 + (c - '0');
    rest_.remove_prefix(count);
    return true;
  }
  bool some_digits() {
    const size_t count = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    rest_.remove_prefix(count);
    return count > 0;
  }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// The whole text as a time, with `colon` between hours, minutes and seconds.
std::optional<UnixSeconds> parse_time(std::string_view text, char colon) {
  Scanner in(text);
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!in.digits(4, year) || !in.literal('-') || !in.digits(2, month) || !in.literal('-') ||
      !in.digits(2, day) || !in.literal('T') || !in.digits(2, hour) || !in.literal(colon) ||
      !in.digits(2, minute) || !in.literal(colon) || !in.digits(2, second)) {
    return std::nullopt;
  }
  if ((in.literal('.') || in.literal(',')) && !in.some_digits()) return std::nullopt;
  int offset_hours = 0, offset_minutes = 0, sign = 0;
  if (!in.literal('Z')) {
    sign = in.literal('+') ? 1 : in.literal('-') ? -1 : 0;
    if (sign == 0 || !in.digits(2, offset_hours) || !in.literal(colon) ||
        !in.digits(2, offset_minutes)) {
      return std::nullopt;
    }
  }
  if (!in.at_end()) return std::nullopt;
  // A leap second is out, as in Go.
  if (hour > 23 || minute > 59 || second > 59 || offset_hours > 23 || offset_minutes > 59) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  const UnixSeconds time =
      std::chrono::sys_days(date) + std::chrono::hours(hour - sign * offset_hours) +
      std::chrono::minutes(minute - sign * offset_minutes) + std::chrono::seconds(second);
  // No snapshot is older; a clock or a tool that lost the time must not make one look expired.
  if (time.time_since_epoch() < std::chrono::seconds::zero()) return std::nullopt;
  return time;
}

std::optional<UnixSeconds> parse_either_time(std::string_view text) {
  const auto time = parse_time(text, ':');
  return time ? time : parse_time(text, '-');
}

bool is_host(std::string_view text) {
  return !text.empty() && text.size() <= kMaxHostBytes &&
         std::all_of(text.begin(), text.end(), is_host_char);
}

// Takes an archive extension off; kNone where there is none.
Compression take_extension(std::string_view& name) {
  constexpr std::pair<std::string_view, Compression> kExtensions[] = {{".zip", Compression::kZip},
                                                                      {".zst", Compression::kZstd}};
  for (const auto& [extension, compression] : kExtensions) {
    if (name.ends_with(extension)) {
      name.remove_suffix(extension.size());
      return compression;
    }
  }
  return Compression::kNone;
}

// Code points that show as nothing, break a line, or turn the text around them; and what is no
// character at all. Unicode's categories Cc, Cf, Zl, Zp, Cs, as far as they matter in a terminal.
bool is_invisible(char32_t c) {
  constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0x0000, 0x001f},   {0x007f, 0x009f},   {0x00ad, 0x00ad},  {0x061c, 0x061c},
      {0x180e, 0x180e},   {0x200b, 0x200f},   {0x2028, 0x202e},  {0x2060, 0x206f},
      {0xd800, 0xdfff},   {0xfeff, 0xfeff},   {0xfff9, 0xfffb},  {0xfffe, 0xffff},
      {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [c](const auto& range) { return c >= range.first && c <= range.second; });
}

bool is_printable_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Rune rune = decode_rune(text.substr(at));
    if (!rune.valid || is_invisible(rune.code)) return false;
    at += rune.bytes;
  }
  return true;
}

}  // namespace

std::optional<SnapshotName> parse_snapshot_name(std::string_view file_name) {
  SnapshotName name;
  name.compression = take_extension(file_name);
  name.base = file_name;
  std::optional<UnixSeconds> time;
  if (file_name.starts_with(kOneTimePrefix)) {
    name.kind = SnapshotKind::kOneTime;
    time = parse_either_time(file_name.substr(kOneTimePrefix.size()));
  } else if (file_name.ends_with(kRollingSuffix)) {
    const std::string_view stem = file_name.substr(0, file_name.size() - kRollingSuffix.size());
    const size_t underscore = stem.find('_');
    time = parse_either_time(stem.substr(0, underscore));
    if (underscore != std::string_view::npos) {
      name.host = stem.substr(underscore + 1);
      if (!is_host(name.host)) return std::nullopt;
    }
  }
  if (!time) return std::nullopt;
  name.time = *time;
  return name;
}

std::optional<UnixSeconds> parse_rfc3339(std::string_view text) {
  return parse_time(text, ':');
}

std::string sanitize_host(std::string_view hostname) {
  std::string host(hostname.substr(0, kMaxHostBytes));
  std::replace_if(
      host.begin(), host.end(), [](char c) { return !is_host_char(c); }, '-');
  return host;
}

std::string rolling_name(UnixSeconds time, std::string_view host, bool safe_timestamp) {
  std::string name = format_utc(time, safe_timestamp ? '-' : ':');
  if (!host.empty()) name += "_" + sanitize_host(host);
  return name.append(kRollingSuffix);
}

std::string name_beside(const std::string& base, std::string_view host, int number) {
  constexpr std::string_view kEnd = "_etcd";
  std::string suffix = sanitize_host(host);
  if (suffix.empty()) suffix = "other";
  const auto name = parse_snapshot_name(base);
  if (!name || name->kind != SnapshotKind::kRolling) {
    return base + "_" + suffix + (number > 1 ? "-" + std::to_string(number) : "");
  }
  std::string time = base.substr(0, base.find('_'));
  const bool has_host = !name->host.empty();
  if (has_host) suffix = name->host;
  if (has_host || number > 1) {
    // A fraction of the second: who reads names cuts it off.
    constexpr size_t kSecondsEnd = sizeof "2018-05-04T18:40:16" - 1;
    size_t at = kSecondsEnd;
    if (time[at] == '.') {
      at = time.find_first_not_of("0123456789", at + 1);
    } else {
      time.insert(at++, ".");
    }
    time.insert(at, std::to_string(number));
  }
  return time + "_" + suffix + std::string(kEnd);
}

std::string one_time_name(UnixSeconds time, bool safe_timestamp) {
  return std::string(kOneTimePrefix) + format_utc(time, safe_timestamp ? '-' : ':');
}

Result<void> check_one_time_name(std::string_view name) {
  Error error;
  error.kind = ErrorKind::kUsage;
  const auto refuse = [&error, name](std::string_view reason, std::string_view hint) {
    // A name that is not printable is not repeated: it could rewrite the terminal.
    const bool shown = name.size() <= kMaxOneTimeNameBytes && is_printable_utf8(name);
    error.message = "snapshot name" + (shown ? " '" + std::string(name) + "' " : std::string(" ")) +
                    std::string(reason);
    error.hint = hint;
    return error;
  };
  constexpr std::string_view kAccepted =
      "accepted are 1 to 200 bytes of printable UTF-8 without '/'; leave --name out for "
      "rke_etcd_snapshot_<time>";
  if (name.empty()) return refuse("is empty", kAccepted);
  if (name.size() > kMaxOneTimeNameBytes) {
    return refuse("is " + std::to_string(name.size()) + " bytes long", kAccepted);
  }
  if (!is_printable_utf8(name)) {
    return refuse("holds control characters or is not UTF-8", kAccepted);
  }
  if (name.find('/') != std::string_view::npos) {
    return refuse("holds a '/'",
                  "give a name, not a path; the directory is set in etcd-snapshot.conf, "
                  "[snapshots] directory=");
  }
  if (name.front() == '.' || name.front() == '-') {
    return refuse("begins with '" + std::string(1, name.front()) + "'",
                  "hidden files and options begin so; begin with a letter or digit");
  }
  if (name.front() == ' ' || name.back() == ' ') {
    return refuse("begins or ends with a space", kAccepted);
  }
  std::string_view stem = name;
  if (take_extension(stem) != Compression::kNone) {
    return refuse("ends with an archive extension",
                  "leave '" + std::string(name.substr(stem.size())) +
                      "' out: it is added according to [snapshots] compression=");
  }
  if (name == kPkiBundle) {
    return refuse("is that of the certificate bundle", "choose another name");
  }
  const auto parsed = parse_snapshot_name(name);
  if (parsed && parsed->kind == SnapshotKind::kRolling) {
    return refuse("is that of a recurring snapshot, which would be pruned by age",
                  "choose a name that does not end with '_etcd'");
  }
  return {};
}

}  // namespace etcd_snapshot
