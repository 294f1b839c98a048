// Reads an INI text with inih, strictly: what inih passes over or puts together silently (text
// after a section header, lines longer than its buffer, continuation lines) is an error here, and
// every key comes with its line. Knows no key.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/value.h"

namespace etcd_snapshot {

// One `key = value` of the text. `value` may be empty.
struct IniKey {
  Place place;  // key: "[section] key"
  std::string section, key, value;
};

// `section` is asked for every section header, `key` for every key, in the order of the text; the
// first error ends the reading and is returned. kConfig errors with `path` and line.
struct IniHandler {
  std::function<Result<void>(const Place&, const std::string& section)> section;
  std::function<Result<void>(const IniKey&)> key;
};
Result<void> read_ini(const std::string& path, const std::string& text, const IniHandler& handler);

}  // namespace etcd_snapshot
