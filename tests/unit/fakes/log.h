// A log that keeps its records, and their lines without the time. Include before CppUTest's
// headers.
#pragma once

#include <string>
#include <vector>

#include "systemd/log.h"

namespace etcd_snapshot {

class FakeLog final : public Log {
 public:
  void write(const LogRecord& record) override {
    records.push_back(record);
    const std::string line = format_logrus(UnixSeconds(), record);
    lines.push_back(line.substr(line.find("level=")));
  }

  // The records of that message.
  std::vector<LogRecord> of(std::string_view message) const {
    std::vector<LogRecord> found;
    for (const LogRecord& record : records) {
      if (record.message == message) found.push_back(record);
    }
    return found;
  }
  size_t count(std::string_view message) const { return of(message).size(); }
  // A field of the first record of that message, "(none)" where there is no such record or field.
  std::string field(std::string_view message, std::string_view name) const {
    for (const LogRecord& record : of(message)) {
      if (const auto found = record.fields.find(name); found != record.fields.end()) {
        return found->second;
      }
    }
    return "(none)";
  }
  std::string text() const {
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    return all;
  }
  void clear() {
    records.clear();
    lines.clear();
  }

  std::vector<LogRecord> records;
  std::vector<std::string> lines;
};

}  // namespace etcd_snapshot
