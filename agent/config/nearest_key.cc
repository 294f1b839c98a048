#include "config/nearest_key.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace etcd_snapshot {
namespace {

char folded(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '-' ? '_' : c;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (folded(a[i]) == folded(b[j]) ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({replaced, row[j] + 1, row[j + 1] + 1}));
    }
  }
  return row.back();
}

}  // namespace

std::string_view nearest_key(std::string_view unknown, std::span<const std::string_view> known) {
  // A key of a page or more is no typing error; do not spend time on its tail.
  unknown = unknown.substr(0, 100);
  return *std::min_element(known.begin(), known.end(), [&](auto left, auto right) {
    return edit_distance(unknown, left) < edit_distance(unknown, right);
  });
}

}  // namespace etcd_snapshot
