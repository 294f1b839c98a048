#include "systemd/unicode_print.h"

#include <algorithm>
#include <iterator>

namespace etcd_snapshot {
namespace {

struct Range {
  char32_t first, last;
};

// In ascending order, not touching each other.
constexpr Range kPrintable[] = {
#include "systemd/unicode_print_table.inc"
};

}  // namespace

bool is_print(char32_t code) {
  const Range* after =
      std::upper_bound(std::begin(kPrintable), std::end(kPrintable), code,
                       [](char32_t wanted, const Range& range) { return wanted < range.first; });
  return after != std::begin(kPrintable) && code <= std::prev(after)->last;
}

}  // namespace etcd_snapshot
