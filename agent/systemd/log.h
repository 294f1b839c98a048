// The log: one record, formatted as logrus' text formatter does, to the journal with its fields or
// to standard error. Only the cycle and the commands log; everything below returns errors.
#pragma once

#include <functional>
#include <map>
#include <source_location>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "config/settings.h"

namespace etcd_snapshot {

// One line of the log. Field values are text already (durations as Go prints them). To be made with
// braces (`LogRecord{...}` or `LogRecord record{};`): without them `where` names this file.
struct LogRecord {
  LogLevel level = LogLevel::kInfo;
  std::string message{};
  // Sorted bytewise, as logrus does. Names are ours: no spaces, not "time", "level" or "msg".
  std::map<std::string, std::string, std::less<>> fields{};
  std::string_view message_id{};  // from systemd/message_ids.h, or empty
  std::source_location where = std::source_location::current();
};

class Log {
 public:
  virtual ~Log() = default;
  // Never fails: a log that cannot be written must not cost a snapshot. Records below the level
  // that the log was made with are dropped. To be called from one thread.
  virtual void write(const LogRecord& record) = 0;

  // `before` and `after` are called around every line that goes to standard error, so that a
  // progress bar on the terminal can clear itself and come back. A log that writes elsewhere never
  // calls them. Empty functions take the guard off again.
  void set_line_guard(std::function<void()> before, std::function<void()> after) {
    before_line_ = std::move(before);
    after_line_ = std::move(after);
  }

 protected:
  std::function<void()> before_line_, after_line_;
};

// `time="..." level=info msg="..." key=value ...`, without a newline. logrus TextFormatter without
// colours: the empty message is left out; values are quoted by Go's strconv.Quote where they hold
// anything but [A-Za-z0-9-._/@^+]. Source: tests/data/logrus_*.tsv.
std::string format_logrus(UnixSeconds time, const LogRecord& record);

// `value` as logrus prints it: as it is, or quoted where it has to be.
std::string quote_logrus(std::string_view value);

}  // namespace etcd_snapshot
