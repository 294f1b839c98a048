#include "systemd/journal.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

// The place in the source comes with the record; the macros of sd-journal.h would name this file.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <systemd/sd-login.h>

namespace etcd_snapshot {
namespace {

constexpr char kJournalSocket[] = "/run/systemd/journal/socket";
constexpr size_t kMaxFieldName = 64;

// syslog(3)'s numbers, as PRIORITY= wants them.
char priority_digit(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return '3';
    case LogLevel::kWarning:
      return '4';
    case LogLevel::kInfo:
      return '6';
    case LogLevel::kDebug:
      return '7';
  }
  return '6';
}

bool is_wanted(LogLevel level, LogLevel minimum) {
  return level <= minimum;
}

void write_line(int descriptor, std::string line, const std::function<void()>& before,
                const std::function<void()>& after) {
  line.push_back('\n');
  if (before) before();
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;  // nowhere left to complain
    rest.remove_prefix(static_cast<size_t>(written));
  }
  if (after) after();
}

// "Result<void> ns::run(const Settings&)" as the compiler names it -> "ns::run", which is what
// CODE_FUNC= has elsewhere.
std::string_view plain_function_name(std::string_view signature) {
  const std::string_view head = signature.substr(0, signature.find('('));
  const size_t space = head.rfind(' ');
  return space == std::string_view::npos ? head : head.substr(space + 1);
}

// The unit of this process, empty if it is in none.
std::string own_unit() {
  char* unit = nullptr;
  if (sd_pid_get_unit(0, &unit) < 0) return "";
  const std::unique_ptr<char, void (*)(void*)> owner(unit, free);
  return unit;
}

std::vector<std::string> journal_fields(const std::string& line, const LogRecord& record,
                                        const std::string& unit) {
  std::vector<std::string> fields = {
      "MESSAGE=" + line,
      std::string("PRIORITY=") + priority_digit(record.level),
      std::string("SYSLOG_IDENTIFIER=") + kSyslogIdentifier,
      std::string("CODE_FILE=") + record.where.file_name(),
      "CODE_LINE=" + std::to_string(record.where.line()),
      "CODE_FUNC=" + std::string(plain_function_name(record.where.function_name())),
  };
  if (!unit.empty()) fields.push_back("OBJECT_SYSTEMD_UNIT=" + unit);
  if (!record.message_id.empty()) fields.push_back("MESSAGE_ID=" + std::string(record.message_id));
  for (const auto& [name, value] : record.fields) {
    fields.push_back(journal_field_name(name) + "=" + value);
  }
  return fields;
}

}  // namespace

int send_to_journal(const struct iovec* fields, int count) {
  if (access(kJournalSocket, F_OK) != 0) return -ENOENT;
  return sd_journal_sendv(fields, count);
}

bool is_journal_stream(const char* journal_stream, int descriptor) {
  if (journal_stream == nullptr) return false;
  struct stat status = {};
  if (fstat(descriptor, &status) != 0) return false;
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) == journal_stream;
}

std::string journal_field_name(std::string_view name) {
  std::string field = "ETCD_SNAPSHOT_";
  for (const char c : name.substr(0, kMaxFieldName - field.size())) {
    const bool lower = c >= 'a' && c <= 'z';
    const bool taken = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    field.push_back(lower ? static_cast<char>(c - 'a' + 'A') : taken ? c : '_');
  }
  return field;
}

void LineLog::write(const LogRecord& record) {
  if (!is_wanted(record.level, minimum_)) return;
  write_line(descriptor_, format_logrus(clock_.now(), record), before_line_, after_line_);
}

void JournalLog::write(const LogRecord& record) {
  if (!is_wanted(record.level, minimum_)) return;
  std::string line = format_logrus(clock_.now(), record);
  const std::vector<std::string> fields = journal_fields(line, record, unit_);
  std::vector<iovec> vectors;
  vectors.reserve(fields.size());
  for (const std::string& field : fields) {
    vectors.push_back({const_cast<char*>(field.data()), field.size()});
  }
  if (send_(vectors.data(), static_cast<int>(vectors.size())) < 0) {
    write_line(fallback_descriptor_, std::move(line), before_line_, after_line_);
  }
}

std::unique_ptr<Log> make_log(LogLevel minimum, const Clock& clock) {
  if (is_journal_stream(getenv("JOURNAL_STREAM"), STDERR_FILENO)) {
    return std::make_unique<JournalLog>(minimum, clock, send_to_journal, STDERR_FILENO, own_unit());
  }
  return std::make_unique<LineLog>(minimum, clock, STDERR_FILENO);
}

}  // namespace etcd_snapshot
