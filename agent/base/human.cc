#include "base/human.h"

#include <fmt/format.h>

#include <array>

namespace etcd_snapshot {

std::string human_bytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.95 would print as 1024.0 of the smaller unit.
  while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_age(std::chrono::seconds age) {
  if (age < age.zero()) return "in " + human_age(-age);
  const auto seconds = age.count();
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m", seconds / 60);
  const auto hours = seconds / 3600;
  if (hours < 48) {
    const auto minutes = seconds % 3600 / 60;
    return minutes == 0 ? fmt::format("{}h", hours) : fmt::format("{}h {}m", hours, minutes);
  }
  const auto rest = hours % 24;
  return rest == 0 ? fmt::format("{}d", hours / 24) : fmt::format("{}d {}h", hours / 24, rest);
}

std::string format_utc(UnixSeconds time, char colon) {
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss clock(time - days);
  std::array<char, 64> text = {};
  snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d%c%02d%c%02dZ",
           static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
           static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()), colon,
           static_cast<int>(clock.minutes().count()), colon,
           static_cast<int>(clock.seconds().count()));
  return text.data();
}

}  // namespace etcd_snapshot
