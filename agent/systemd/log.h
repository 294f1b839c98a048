// The log: one record, formatted as logrus' text formatter does, to the journal with its fields or
// to standard error. Only the cycle and the commands log; everything below returns errors.
#pragma once

#include <map>
#include <source_location>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "config/settings.h"

namespace etcd_snapshot {

// One line of the log. Field values are text already (durations as Go prints them).
struct LogRecord {
  LogLevel level = LogLevel::kInfo;
  std::string message;
  std::map<std::string, std::string, std::less<>> fields;  // sorted bytewise, as logrus does
  std::string_view message_id;  // 32 hex digits from systemd/message_ids.h, or empty
  std::source_location where = std::source_location::current();
};

class Log {
 public:
  virtual ~Log() = default;
  // Never fails: a log that cannot be written must not cost a snapshot.
  virtual void write(const LogRecord& record) = 0;
};

// `time="..." level=info msg="..." key=value ...`, without a newline. logrus TextFormatter without
// colours: the empty message is left out; values are quoted by Go's strconv.Quote where they hold
// anything but [A-Za-z0-9-._/@^+]. Source: tests/data/logrus_*.tsv.
std::string format_logrus(UnixSeconds time, const LogRecord& record);

}  // namespace etcd_snapshot
