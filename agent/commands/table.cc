#include "commands/table.h"

#include <algorithm>

namespace etcd_snapshot {
namespace {

// Code points, not bytes: "µ" takes one column.
size_t columns(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

void TableWidths::measure(const TableRow& row) {
  widths_.resize(std::max(widths_.size(), row.size()));
  for (size_t i = 0; i < row.size(); ++i) widths_[i] = std::max(widths_[i], columns(row[i]));
}

std::string TableWidths::line(const TableRow& row) const {
  std::string line;
  for (size_t i = 0; i < row.size(); ++i) {
    line += row[i];
    if (i + 1 < row.size()) line.append(widths_[i] - columns(row[i]) + 2, ' ');
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string format_table(const std::vector<TableRow>& rows) {
  TableWidths widths;
  for (const TableRow& row : rows) widths.measure(row);
  std::string text;
  for (const TableRow& row : rows) text += widths.line(row);
  return text;
}

}  // namespace etcd_snapshot
