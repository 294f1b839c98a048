#include "config/nearest_key.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace etcd_snapshot {
namespace {

// A key of a page or more is no typing error; do not spend time on its tail.
constexpr size_t kMaxLength = 100;
// A word that is so short stands in front of many others.
constexpr size_t kMinStem = 6;

char folded(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '-' ? '_' : c;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> rows(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        rows[i][j] = i + j;
        continue;
      }
      const bool same = folded(a[i - 1]) == folded(b[j - 1]);
      size_t best = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + !same});
      const bool swapped = i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
                           folded(a[i - 2]) == folded(b[j - 1]);
      if (swapped) best = std::min(best, rows[i - 2][j - 2] + 1);
      rows[i][j] = best;
    }
  }
  return rows[a.size()][b.size()];
}

size_t tolerance(size_t length) {
  return length <= 4 ? 1 : length <= 10 ? 2 : 3;
}

}  // namespace

std::string folded_key(std::string_view key) {
  std::string plain;
  for (const char c : key.substr(0, kMaxLength)) {
    if (c != '-' && c != '_' && c != '.' && c != ' ') plain += folded(c);
  }
  return plain;
}

std::string_view nearest_key(std::string_view unknown, std::span<const std::string_view> known) {
  unknown = unknown.substr(0, kMaxLength);
  return *std::min_element(known.begin(), known.end(), [&](auto left, auto right) {
    return edit_distance(unknown, left) < edit_distance(unknown, right);
  });
}

std::string_view near_key(std::string_view unknown, std::span<const std::string_view> known,
                          Stems stems) {
  const std::string plain = folded_key(unknown);
  std::string_view near;
  size_t least = kMaxLength;
  for (const std::string_view key : known) {
    const std::string other = folded_key(key);
    const std::string& shorter = plain.size() < other.size() ? plain : other;
    const std::string& longer = plain.size() < other.size() ? other : plain;
    size_t distance = edit_distance(plain, other);
    const bool stem =
        stems == Stems::kCount && shorter.size() >= kMinStem && longer.starts_with(shorter);
    if (distance > tolerance(other.size()) && !stem) continue;
    if (distance >= least) continue;
    least = distance;
    near = key;
  }
  return near;
}

}  // namespace etcd_snapshot
