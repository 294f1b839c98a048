// Columns of text for a terminal: as wide as their widest cell, two spaces apart.
#pragma once

#include <string>
#include <vector>

namespace etcd_snapshot {

using TableRow = std::vector<std::string>;

// For a table that is too long to be kept: every row is measured first, then written.
class TableWidths {
 public:
  void measure(const TableRow& row);
  // With the end of the line; no spaces before that.
  std::string line(const TableRow& row) const;

 private:
  std::vector<size_t> widths_;
};

// The first row is the heading. No spaces at the ends of lines.
std::string format_table(const std::vector<TableRow>& rows);

}  // namespace etcd_snapshot
