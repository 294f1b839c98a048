// For a key that nobody knows: which known one was probably meant. Pure; says nothing itself.
#pragma once

#include <span>
#include <string_view>

namespace etcd_snapshot {

// The known key with the smallest edit distance (insert, delete, replace), the first of several;
// letter case and `-` against `_` count nothing. REQUIRES: `known` is not empty.
std::string_view nearest_key(std::string_view unknown, std::span<const std::string_view> known);

}  // namespace etcd_snapshot
