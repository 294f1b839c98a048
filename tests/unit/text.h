// What tests ask of a text.
#pragma once

#include <string>

namespace etcd_snapshot {

inline bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The line of a table that begins with `name`.
inline std::string row_of(const std::string& table, const std::string& name) {
  const size_t at = ("\n" + table).find("\n" + name + " ");
  return at == std::string::npos ? "(none)" : table.substr(at, table.find('\n', at) - at);
}

}  // namespace etcd_snapshot
