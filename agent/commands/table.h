// Columns of text for a terminal: as wide as their widest cell, two spaces apart.
#pragma once

#include <string>
#include <vector>

namespace etcd_snapshot {

// The first row is the heading. No spaces at the ends of lines.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace etcd_snapshot
