// For a key that nobody knows: which known one was probably meant. Pure; says nothing itself.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace etcd_snapshot {

// The known key with the smallest edit distance (insert, delete, replace, swap two neighbours), the
// first of several; letter case and `-` against `_` count nothing. REQUIRES: `known` is not empty.
std::string_view nearest_key(std::string_view unknown, std::span<const std::string_view> known);

// The same where it is so near that it was probably meant: a typing error or two by its length, or
// with `stems` one of both words is the other with more behind it (`retention_days`, `bucket`).
// Empty: none is.
enum class Stems { kCount, kDoNot };
std::string_view near_key(std::string_view unknown, std::span<const std::string_view> known,
                          Stems stems);

// In lower case and without `-`, `_`, `.` and spaces: the same for all spellings of one key.
std::string folded_key(std::string_view key);

}  // namespace etcd_snapshot
