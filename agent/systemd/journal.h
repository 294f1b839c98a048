// Where the log goes: to the journal over its native protocol, with every field of the record as a
// journal field of its own, when standard error is connected to the journal; otherwise as lines to
// standard error. Nothing here fails or throws; what cannot be written is lost.
#pragma once

#include <sys/uio.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "systemd/log.h"

namespace etcd_snapshot {

// What `journalctl -t` finds the lines by; the name of RKE's container.
inline constexpr char kSyslogIdentifier[] = "etcd-rolling-snapshots";

// Sends one entry, each element "FIELD=value" (sd_journal_sendv(3)). 0, or a negative errno: then
// the line goes to standard error instead.
using JournalSend = std::function<int(const struct iovec* fields, int count)>;

// The journal's own sender. -ENOENT where no journal listens, which sd_journal_sendv passes over in
// silence.
int send_to_journal(const struct iovec* fields, int count);

// Whether $JOURNAL_STREAM ("device:inode" in decimal, systemd.exec(5)) names the file behind
// `descriptor`. A process that was started by the service but whose output goes elsewhere has the
// variable too, hence the comparison.
bool is_journal_stream(const char* journal_stream, int descriptor);

// The name of a record's field in the journal: ETCD_SNAPSHOT_<NAME> in upper case, everything but
// letters and digits as '_', at most 64 characters (systemd.journal-fields(7),
// sd_journal_print(3)).
std::string journal_field_name(std::string_view name);

// Lines to a descriptor (standard error), each in one write(2) so that lines of several processes
// do not mix.
class LineLog final : public Log {
 public:
  LineLog(LogLevel minimum, const Clock& clock, int descriptor)
      : minimum_(minimum), clock_(clock), descriptor_(descriptor) {}
  void write(const LogRecord& record) override;

 private:
  LogLevel minimum_;
  const Clock& clock_;
  int descriptor_;
};

// Entries to the journal; lines to `fallback_descriptor` where that does not work. `unit` is what
// the process runs in, or empty. journald finds it out itself, but too late when the process ends
// right after its last line; so each entry says it too, in the field by which `journalctl -u` finds
// what root's processes say about a unit (systemd.journal-fields(7), OBJECT_SYSTEMD_UNIT=).
class JournalLog final : public Log {
 public:
  JournalLog(LogLevel minimum, const Clock& clock, JournalSend send, int fallback_descriptor,
             std::string unit)
      : minimum_(minimum),
        clock_(clock),
        send_(std::move(send)),
        fallback_descriptor_(fallback_descriptor),
        unit_(std::move(unit)) {}
  void write(const LogRecord& record) override;

 private:
  LogLevel minimum_;
  const Clock& clock_;
  JournalSend send_;
  int fallback_descriptor_;
  std::string unit_;
};

// The log of this process. Records less urgent than `minimum` are dropped. The clock must outlive
// it.
std::unique_ptr<Log> make_log(LogLevel minimum, const Clock& clock);

}  // namespace etcd_snapshot
