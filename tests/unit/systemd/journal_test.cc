#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "base/fd.h"
#include "systemd/journal.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

class FixedClock final : public Clock {
 public:
  UnixSeconds now() const override { return UnixSeconds{std::chrono::seconds(1525459156)}; }
  Nanoseconds monotonic() const override { return {}; }
  bool sleep_for(Nanoseconds) override { return true; }
};

// A pipe in the place of standard error. Lines of a test are short: a write never blocks.
struct Pipe {
  UniqueFd read_end, write_end;
  Pipe() {
    int ends[2];
    CHECK_EQUAL(0, pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
  }
  std::string take() const {
    char buffer[65536];
    const ssize_t count = read(read_end.get(), buffer, sizeof buffer);
    return count > 0 ? std::string(buffer, static_cast<size_t>(count)) : "";
  }
};

// Keeps the entries that a JournalLog sends.
struct Journal {
  std::vector<std::vector<std::string>> entries;
  int result = 0;
  JournalSend sender() {
    return [this](const struct iovec* fields, int count) {
      auto& entry = entries.emplace_back();
      for (int at = 0; at < count; ++at) {
        entry.emplace_back(static_cast<const char*>(fields[at].iov_base), fields[at].iov_len);
      }
      return result;
    };
  }
  // The value of a field of the only entry; fails the test where it is missing or there twice.
  std::string field(const std::string& name) const {
    LONGS_EQUAL(1, entries.size());
    std::string found;
    int count = 0;
    for (const std::string& text : entries[0]) {
      if (text.rfind(name + "=", 0) != 0) continue;
      found = text.substr(name.size() + 1);
      ++count;
    }
    LONGS_EQUAL_TEXT(1, count, name.c_str());
    return found;
  }
  bool has(const std::string& name) const {
    return std::any_of(entries[0].begin(), entries[0].end(),
                       [&](const std::string& text) { return text.rfind(name + "=", 0) == 0; });
  }
};

}  // namespace

TEST_GROUP(JournalLog) {
  FixedClock clock;
  Pipe standard_error;
  Journal journal;
  std::string unit = "etcd-snapshot.service";

  JournalLog log_from(LogLevel minimum) {
    return JournalLog(minimum, clock, journal.sender(), standard_error.write_end.get(), unit);
  }
};

TEST(JournalLog, SendsTheWholeLineAndEveryFieldOfItsOwn) {
  log_from(LogLevel::kInfo)
      .write({.message = "Created backup",
              .fields = {{"name", "2018-05-04T18:40:16Z_etcd"}, {"runtime", "108.332814ms"}},
              .message_id = "0123456789abcdef0123456789abcdef"});
  const int line = __LINE__ - 1;
  STRCMP_EQUAL(
      "time=\"2018-05-04T18:39:16Z\" level=info msg=\"Created backup\" "
      "name=\"2018-05-04T18:40:16Z_etcd\" runtime=108.332814ms",
      journal.field("MESSAGE").c_str());
  STRCMP_EQUAL("6", journal.field("PRIORITY").c_str());
  STRCMP_EQUAL("etcd-rolling-snapshots", journal.field("SYSLOG_IDENTIFIER").c_str());
  STRCMP_EQUAL("0123456789abcdef0123456789abcdef", journal.field("MESSAGE_ID").c_str());
  STRCMP_EQUAL("2018-05-04T18:40:16Z_etcd", journal.field("ETCD_SNAPSHOT_NAME").c_str());
  STRCMP_EQUAL("108.332814ms", journal.field("ETCD_SNAPSHOT_RUNTIME").c_str());
  STRCMP_EQUAL(__FILE__, journal.field("CODE_FILE").c_str());
  CHECK_TRUE(std::abs(std::stoi(journal.field("CODE_LINE")) - line) <= 4);
  const std::string function = journal.field("CODE_FUNC");
  CHECK_TRUE(function.find("testBody") != std::string::npos);
  CHECK_TRUE(function.find_first_of(" (") == std::string::npos);
  STRCMP_EQUAL("", standard_error.take().c_str());
}

TEST(JournalLog, MapsLevelsToSyslogPriorities) {
  struct Case {
    LogLevel level;
    const char* priority;
  };
  for (const Case& test : {Case{LogLevel::kError, "3"}, Case{LogLevel::kWarning, "4"},
                           Case{LogLevel::kInfo, "6"}, Case{LogLevel::kDebug, "7"}}) {
    journal.entries.clear();
    log_from(LogLevel::kDebug).write({.level = test.level, .message = "m"});
    STRCMP_EQUAL(test.priority, journal.field("PRIORITY").c_str());
  }
}

TEST(JournalLog, HasNoMessageIdWhereTheRecordHasNone) {
  log_from(LogLevel::kInfo).write({.message = "m"});
  CHECK_FALSE(journal.has("MESSAGE_ID"));
}

TEST(JournalLog, NamesTheUnitForWhenTheProcessIsGoneTooSoon) {
  log_from(LogLevel::kInfo).write({.message = "m"});
  STRCMP_EQUAL("etcd-snapshot.service", journal.field("OBJECT_SYSTEMD_UNIT").c_str());
  journal.entries.clear();
  unit.clear();
  log_from(LogLevel::kInfo).write({.message = "m"});
  CHECK_FALSE(journal.has("OBJECT_SYSTEMD_UNIT"));
}

TEST(JournalLog, KeepsBytesOfFieldsAsTheyAre) {
  const std::string value("line one\nline two\0\xff", 19);
  log_from(LogLevel::kInfo).write({.message = "m", .fields = {{"data", value}}});
  CHECK_TRUE(journal.field("ETCD_SNAPSHOT_DATA") == value);
  CHECK_TRUE(journal.field("MESSAGE").find('\n') == std::string::npos);
}

TEST(JournalLog, DropsWhatIsLessUrgentThanTheMinimum) {
  JournalLog log = log_from(LogLevel::kWarning);
  log.write({.level = LogLevel::kInfo, .message = "m"});
  log.write({.level = LogLevel::kDebug, .message = "m"});
  LONGS_EQUAL(0, journal.entries.size());
  log.write({.level = LogLevel::kWarning, .message = "m"});
  log.write({.level = LogLevel::kError, .message = "m"});
  LONGS_EQUAL(2, journal.entries.size());
}

TEST(JournalLog, FallsBackToALineWhenTheJournalDoesNotTakeIt) {
  journal.result = -ENOENT;
  log_from(LogLevel::kInfo).write({.message = "hello"});
  STRCMP_EQUAL("time=\"2018-05-04T18:39:16Z\" level=info msg=hello\n",
               standard_error.take().c_str());
}

TEST(JournalLog, MakesFieldNamesThatTheJournalTakes) {
  STRCMP_EQUAL("ETCD_SNAPSHOT_NAME", journal_field_name("name").c_str());
  STRCMP_EQUAL("ETCD_SNAPSHOT_S3_BUCKETNAME", journal_field_name("s3-bucketName").c_str());
  STRCMP_EQUAL("ETCD_SNAPSHOT_A_B__2", journal_field_name("a.b=\n2").c_str());
  STRCMP_EQUAL("ETCD_SNAPSHOT___", journal_field_name("é").c_str());
  const std::string longest = journal_field_name(std::string(200, 'x'));
  LONGS_EQUAL(64, longest.size());
}

TEST_GROUP(LineLog) {
  FixedClock clock;
  Pipe standard_error;
};

TEST(LineLog, WritesOneLineARecord) {
  LineLog log(LogLevel::kInfo, clock, standard_error.write_end.get());
  log.write({.message = "one"});
  log.write({.level = LogLevel::kDebug, .message = "dropped"});
  log.write({.level = LogLevel::kError, .message = "two"});
  STRCMP_EQUAL(
      "time=\"2018-05-04T18:39:16Z\" level=info msg=one\n"
      "time=\"2018-05-04T18:39:16Z\" level=error msg=two\n",
      standard_error.take().c_str());
}

TEST(LineLog, CallsTheGuardAroundEachLine) {
  LineLog log(LogLevel::kInfo, clock, standard_error.write_end.get());
  const auto mark = [this](const char* text) {
    LONGS_EQUAL(1, write(standard_error.write_end.get(), text, 1));
  };
  log.set_line_guard([&] { mark("<"); }, [&] { mark(">"); });
  log.write({.message = "m"});
  log.write({.level = LogLevel::kDebug, .message = "dropped"});
  STRCMP_EQUAL("<time=\"2018-05-04T18:39:16Z\" level=info msg=m\n>", standard_error.take().c_str());
  log.set_line_guard({}, {});
  log.write({.message = "m"});
  STRCMP_EQUAL("time=\"2018-05-04T18:39:16Z\" level=info msg=m\n", standard_error.take().c_str());
}

TEST(LineLog, SurvivesADescriptorThatTakesNothing) {
  Pipe full;
  const std::string filling(1 << 20, 'x');
  CHECK_TRUE(write(full.write_end.get(), filling.data(), filling.size()) > 0);
  bool restored = false;
  LineLog log(LogLevel::kInfo, clock, full.write_end.get());
  log.set_line_guard({}, [&] { restored = true; });
  log.write({.message = "m"});
  CHECK_TRUE(restored);
  LineLog closed(LogLevel::kInfo, clock, -1);
  closed.write({.message = "m"});
}

TEST_GROUP(JournalStream){};

TEST(JournalStream, IsTheFileThatTheVariableNames) {
  Pipe pipe, other;
  struct stat status = {};
  CHECK_EQUAL(0, fstat(pipe.write_end.get(), &status));
  const std::string value = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  CHECK_TRUE(is_journal_stream(value.c_str(), pipe.write_end.get()));
  CHECK_FALSE(is_journal_stream(value.c_str(), other.write_end.get()));
  CHECK_FALSE(is_journal_stream(value.c_str(), -1));
  CHECK_FALSE(is_journal_stream(nullptr, pipe.write_end.get()));
  for (const std::string& bad : {std::string(), std::string(":"), value + "1", value + ":",
                                 " " + value, std::to_string(status.st_ino)}) {
    CHECK_FALSE_TEXT(is_journal_stream(bad.c_str(), pipe.write_end.get()), bad.c_str());
  }
}
