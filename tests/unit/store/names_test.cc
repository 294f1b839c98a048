#include "store/names.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

UnixSeconds at(int64_t seconds) {
  return UnixSeconds(std::chrono::seconds(seconds));
}

constexpr int64_t kSample = 1525459216;  // 2018-05-04T18:40:16Z

}  // namespace

TEST_GROUP(Names){};

TEST(Names, ParsesWhatTheGrammarAllows) {
  struct Good {
    const char* file;
    const char* base;
    int64_t time;
    SnapshotKind kind;
    const char* host;
    Compression compression;
  };
  constexpr auto kRolling = SnapshotKind::kRolling;
  constexpr auto kOneTime = SnapshotKind::kOneTime;
  constexpr auto kZip = Compression::kZip;
  constexpr auto kNone = Compression::kNone;
  const Good table[] = {
      {"2018-05-04T18:40:16Z_etcd", "2018-05-04T18:40:16Z_etcd", kSample, kRolling, "", kNone},
      {"2018-05-04T18:40:16Z_etcd.zip", "2018-05-04T18:40:16Z_etcd", kSample, kRolling, "", kZip},
      {"2018-05-04T18:40:16Z_etcd.zst", "2018-05-04T18:40:16Z_etcd", kSample, kRolling, "",
       Compression::kZstd},
      {"2018-05-04T18:40:16,5Z_etcd", "2018-05-04T18:40:16,5Z_etcd", kSample, kRolling, "", kNone},
      {"2018-05-04T18:40:16.123456789Z_etcd", "2018-05-04T18:40:16.123456789Z_etcd", kSample,
       kRolling, "", kNone},
      {"2018-05-04T20:40:16+02:00_etcd.zip", "2018-05-04T20:40:16+02:00_etcd", kSample, kRolling,
       "", kZip},
      {"2018-05-04T13:10:16-05:30_etcd", "2018-05-04T13:10:16-05:30_etcd", kSample, kRolling, "",
       kNone},
      {"2018-05-04T18:40:16-00:00_etcd", "2018-05-04T18:40:16-00:00_etcd", kSample, kRolling, "",
       kNone},
      {"2018-05-04T18-40-16Z_etcd.zip", "2018-05-04T18-40-16Z_etcd", kSample, kRolling, "", kZip},
      {"2018-05-04T13-10-16-05-30_etcd", "2018-05-04T13-10-16-05-30_etcd", kSample, kRolling, "",
       kNone},
      {"2018-05-04T18-40-16.25+00-00_etcd", "2018-05-04T18-40-16.25+00-00_etcd", kSample, kRolling,
       "", kNone},
      {"2018-05-04T18:40:16Z_node-1.example_etcd.zip", "2018-05-04T18:40:16Z_node-1.example_etcd",
       kSample, kRolling, "node-1.example", kZip},
      {"2018-05-04T18:40:16Z_etcd_etcd", "2018-05-04T18:40:16Z_etcd_etcd", kSample, kRolling,
       "etcd", kNone},
      {"2018-05-04T18:40:16Z_host.zip_etcd.zip", "2018-05-04T18:40:16Z_host.zip_etcd", kSample,
       kRolling, "host.zip", kZip},
      {"rke_etcd_snapshot_2018-05-04T18:40:16Z", "rke_etcd_snapshot_2018-05-04T18:40:16Z", kSample,
       kOneTime, "", kNone},
      {"rke_etcd_snapshot_2018-05-04T20:40:16+02:00.zip",
       "rke_etcd_snapshot_2018-05-04T20:40:16+02:00", kSample, kOneTime, "", kZip},
      {"rke_etcd_snapshot_2018-05-04T18-40-16Z.zst", "rke_etcd_snapshot_2018-05-04T18-40-16Z",
       kSample, kOneTime, "", Compression::kZstd},
      {"1970-01-01T00:00:00Z_etcd", "1970-01-01T00:00:00Z_etcd", 0, kRolling, "", kNone},
      {"2020-02-29T00:00:00Z_etcd", "2020-02-29T00:00:00Z_etcd", 1582934400, kRolling, "", kNone},
      {"9999-12-31T23:59:59Z_etcd", "9999-12-31T23:59:59Z_etcd", 253402300799, kRolling, "", kNone},
  };
  for (const Good& good : table) {
    const auto name = parse_snapshot_name(good.file);
    CHECK_TRUE_TEXT(name.has_value(), good.file);
    CHECK_TRUE_TEXT(name->base == good.base, good.file);
    LONGS_EQUAL_TEXT(good.time, name->time.time_since_epoch().count(), good.file);
    CHECK_TRUE_TEXT(name->kind == good.kind, good.file);
    STRCMP_EQUAL_TEXT(good.host, name->host.c_str(), good.file);
    CHECK_TRUE_TEXT(name->compression == good.compression, good.file);
  }
}

TEST(Names, LeavesEveryOtherNameAlone) {
  const std::string table[] = {
      "",
      ".zip",
      "_etcd",
      "etcd",
      "pki.bundle.tar.gz",
      "cluster.rkestate",
      "etcd-snapshot-node1-1525459216",
      "2018-05-04T18:40:16Z",
      "2018-05-04T18:40:16Z.zip",
      "2018-05-04T18:40:16Z_",
      "2018-05-04T18:40:16Z_other",
      "2018-05-04T18:40:16Z_etcd_",
      "2018-05-04T18:40:16Z_etcd ",
      "2018-05-04T18:40:16Z_etcd.bak",
      "2018-05-04T18:40:16Z_etcd.zip.zip",
      "2018-05-04T18:40:16Z_etcd.ZIP",
      "2018-05-04T18:40:16Z_etcd.zip.partial",
      "2018-05-04T18:40:16Z__etcd",
      "2018-05-04T18:40:16Z_a_b_etcd",
      "2018-05-04T18:40:16Z_a b_etcd",
      "2018-05-04T18:40:16Z_caf\xc3\xa9_etcd",
      "2018-05-04T18:40:16Z_" + std::string(65, 'h') + "_etcd",
      "2018-05-04T18:40:16Zetcd",
      "2018-05-04T8:40:16Z_etcd",
      "2018-5-04T18:40:16Z_etcd",
      "18-05-04T18:40:16Z_etcd",
      "02018-05-04T18:40:16Z_etcd",
      "2018-05-04 18:40:16Z_etcd",
      "2018-05-04T18:40:16_etcd",
      "2018-05-04T18:40:16.Z_etcd",
      "2018-05-04T18:40:16;5Z_etcd",
      "2018-05-04T18-40:16Z_etcd",
      "2018-05-04T18:40-16Z_etcd",
      "2018-05-04T18-40-16+02:00_etcd",
      "2018-05-04T18:40:16+02-00_etcd",
      "2018-05-04T18:40:16+0200_etcd",
      "2018-05-04T18:40:16+24:00_etcd",
      "2018-05-04T18:40:16+02:60_etcd",
      "2018-05-04T18:40:16+2:00_etcd",
      "2018-05-04T18:60:16Z_etcd",
      "2018-13-04T18:40:16Z_etcd",
      "2018-00-04T18:40:16Z_etcd",
      "2018-04-31T18:40:16Z_etcd",
      "2018-05-00T18:40:16Z_etcd",
      "1969-12-31T23:59:59Z_etcd",
      "1970-01-01T00:00:00+00:01_etcd",
      "0001-01-01T00:00:00Z_etcd",
      "rke_etcd_snapshot_",
      "rke_etcd_snapshot_before-upgrade",
      "rke_etcd_snapshot_2018-05-04T18:40:16Z_etcd",
      "RKE_etcd_snapshot_2018-05-04T18:40:16Z",
      "x2018-05-04T18:40:16Z_etcd",
      "./2018-05-04T18:40:16Z_etcd",
  };
  for (const std::string& file : table) {
    CHECK_FALSE_TEXT(parse_snapshot_name(file).has_value(), file.c_str());
  }
}

// tests/data/go_rfc3339_backupname.tsv: the time that the older tool reads from a file name. What
// it rejects is rejected here, apart from the safe form; what it accepts and this does not is
// listed.
TEST(Names, IsNeverLaxerThanTheOlderTool) {
  const std::string stricter[] = {"2018-05-04T18:40:16Z", "2018-05-04T18:40:16Z_",
                                  "2018-05-04T8:40:16Z_etcd", "2018-05-04T18:40:16+24:00_etcd"};
  std::ifstream in("tests/data/go_rfc3339_backupname.tsv");
  int rows = 0;
  for (std::string line; std::getline(in, line); ++rows) {
    const size_t tab = line.find('\t');
    const std::string file = line.substr(0, tab), time = line.substr(tab + 1);
    const auto name = parse_snapshot_name(file);
    if (time.starts_with("ERROR")) {
      CHECK_EQUAL_TEXT(file == "2018-05-04T18-40-16Z_etcd.zip", name.has_value(), file.c_str());
    } else if (std::find(std::begin(stricter), std::end(stricter), file) != std::end(stricter)) {
      CHECK_FALSE_TEXT(name.has_value(), file.c_str());
    } else {
      CHECK_TRUE_TEXT(name.has_value(), file.c_str());
      LONGS_EQUAL_TEXT(std::stoll(time), name->time.time_since_epoch().count(), file.c_str());
    }
  }
  CHECK_TRUE(rows >= 29);
}

TEST(Names, BuildsWhatItParses) {
  const int64_t times[] = {0, 1, 951782400, kSample, 4102444799, 253402300799};
  for (const int64_t time : times) {
    for (const char* host : {"", "node-1", "Node.example.org"}) {
      for (const bool safe : {false, true}) {
        const std::string base = rolling_name(at(time), host, safe);
        const auto name = parse_snapshot_name(base + ".zip");
        CHECK_TRUE_TEXT(name.has_value(), base.c_str());
        CHECK_TRUE(name->time == at(time));
        STRCMP_EQUAL(host, name->host.c_str());
        CHECK_TRUE(name->kind == SnapshotKind::kRolling);
        CHECK_EQUAL(safe, base.find(':') == std::string::npos);
      }
    }
    for (const bool safe : {false, true}) {
      const auto name = parse_snapshot_name(one_time_name(at(time), safe));
      CHECK_TRUE(name.has_value());
      CHECK_TRUE(name->kind == SnapshotKind::kOneTime);
      CHECK_TRUE(name->time == at(time));
    }
  }
}

TEST(Names, AreThoseOfTheManual) {
  STRCMP_EQUAL("2018-05-04T18:40:16Z_etcd", rolling_name(at(kSample), "", false).c_str());
  STRCMP_EQUAL("2018-05-04T18-40-16Z_n1_etcd", rolling_name(at(kSample), "n1", true).c_str());
  STRCMP_EQUAL("rke_etcd_snapshot_2018-05-04T18:40:16Z", one_time_name(at(kSample), false).c_str());
  CHECK_TRUE(parse_rfc3339("2018-05-04T20:40:16+02:00") == at(kSample));
  CHECK_FALSE(parse_rfc3339("2018-05-04T18-40-16Z").has_value());
}

TEST(Names, MakeAnyHostNameFitTheGrammar) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"", ""},
      {"node-1.example.org", "node-1.example.org"},
      {"my_host", "my-host"},
      {"a/b c", "a-b-c"},
      {"___", "---"},
      {"h\xc3\xb6st", "h--st"},
      {std::string(70, 'a'), std::string(64, 'a')},
  };
  for (const auto& [hostname, host] : table) {
    STRCMP_EQUAL(host.c_str(), sanitize_host(hostname).c_str());
    const auto name = parse_snapshot_name(rolling_name(at(kSample), hostname, false));
    CHECK_TRUE_TEXT(name.has_value(), hostname.c_str());
    STRCMP_EQUAL(host.c_str(), name->host.c_str());
  }
}

TEST(Names, TakesOneTimeNamesThatAreSafe) {
  const std::string table[] = {"before-upgrade",
                               "a",
                               "Before upgrade to 1.30",
                               "vor-\xc3\x84nderung",
                               "rke_etcd_snapshot_2018-05-04T18:40:16Z",
                               "x_etcd",
                               "2018-05-04",
                               "a.zip.old",
                               "~tilde",
                               "\xf0\x9f\x92\xbe",
                               std::string(200, 'n')};
  for (const std::string& name : table) {
    CHECK_TRUE_TEXT(check_one_time_name(name).ok(), name.c_str());
  }
}

TEST(Names, RefusesOneTimeNamesThatAreNot) {
  struct Bad {
    std::string name;
    const char* says;
  };
  const Bad table[] = {
      {"", "is empty"},
      {std::string(201, 'n'), "is 201 bytes long"},
      {"a/b", "holds a '/'"},
      {"/etc/passwd", "holds a '/'"},
      {"..", "begins with '.'"},
      {".hidden", "begins with '.'"},
      {"-rf", "begins with '-'"},
      {" a", "begins or ends with a space"},
      {"a ", "begins or ends with a space"},
      {"a.zip", "ends with an archive extension"},
      {"a.zst", "ends with an archive extension"},
      {"pki.bundle.tar.gz", "certificate bundle"},
      {"2018-05-04T18:40:16Z_etcd", "recurring snapshot"},
      {"2018-05-04T18-40-16Z_node_etcd", "recurring snapshot"},
      {"a\nb", "control characters"},
      {std::string("a\0b", 3), "control characters"},
      {"a\x1b[2J", "control characters"},
      {"a\x7f", "control characters"},
      {"a\xc2\x85", "control characters"},  // U+0085, next line
      {"a\xe2\x80\xae"
       "b",
       "control characters"},  // U+202E, right-to-left override
      {"a\xff", "not UTF-8"},
      {"a\xc3", "not UTF-8"},
      {"\xc0\xaf", "not UTF-8"},          // overlong "/"
      {"\xe0\x80\xaf", "not UTF-8"},      // overlong "/"
      {"\xed\xa0\x80", "not UTF-8"},      // a surrogate
      {"\xf4\x90\x80\x80", "not UTF-8"},  // beyond U+10FFFF
  };
  for (const Bad& bad : table) {
    const auto result = check_one_time_name(bad.name);
    CHECK_FALSE_TEXT(result.ok(), bad.name.c_str());
    CHECK_TRUE(result.error().kind == ErrorKind::kUsage);
    CHECK_TRUE_TEXT(result.error().message.find(bad.says) != std::string::npos,
                    result.error().message.c_str());
    CHECK_TRUE_TEXT(result.error().message.find('\x1b') == std::string::npos, "escape repeated");
    CHECK_FALSE(result.error().hint.empty());
  }
}

TEST(Names, MakesAnotherBesideOneThatIsTaken) {
  const std::string long_host(64, 'h');
  const struct {
    const char* base;
    std::string host;
    int number;
    std::string beside;
  } table[] = {
      {"2018-05-04T18:40:16Z_etcd", "node-1", 1, "2018-05-04T18:40:16Z_node-1_etcd"},
      {"2018-05-04T18:40:16Z_etcd", "node-1", 2, "2018-05-04T18:40:16.2Z_node-1_etcd"},
      {"2018-05-04T18-40-16Z_etcd", "node-1", 2, "2018-05-04T18-40-16.2Z_node-1_etcd"},
      {"2018-05-04T18:40:16+02:00_etcd", "node-1", 2, "2018-05-04T18:40:16.2+02:00_node-1_etcd"},
      {"2018-05-04T18:40:16.75Z_etcd", "node-1", 2, "2018-05-04T18:40:16.752Z_node-1_etcd"},
      {"2018-05-04T18-40-16Z_etcd", "n_1", 1, "2018-05-04T18-40-16Z_n-1_etcd"},
      {"2018-05-04T18:40:16Z_node-1_etcd", "node-1", 1, "2018-05-04T18:40:16.1Z_node-1_etcd"},
      {"2018-05-04T18:40:16Z_node-1_etcd", "node-1", 2, "2018-05-04T18:40:16.2Z_node-1_etcd"},
      {"2018-05-04T18:40:16Z_etcd", "", 1, "2018-05-04T18:40:16Z_other_etcd"},
      {"2018-05-04T18:40:16Z_etcd", long_host, 1, "2018-05-04T18:40:16Z_" + long_host + "_etcd"},
      {"2018-05-04T18:40:16Z_etcd", long_host, 2, "2018-05-04T18:40:16.2Z_" + long_host + "_etcd"},
      {"rke_etcd_snapshot_2018-05-04T18:40:16Z", "node-1", 1,
       "rke_etcd_snapshot_2018-05-04T18:40:16Z_node-1"},
      {"before upgrade", "node-1", 1, "before upgrade_node-1"},
      {"before upgrade", "node-1", 2, "before upgrade_node-1-2"},
  };
  for (const auto& row : table) {
    const std::string beside = name_beside(row.base, row.host, row.number);
    STRCMP_EQUAL(row.beside.c_str(), beside.c_str());
    const auto before = parse_snapshot_name(row.base), after = parse_snapshot_name(beside);
    if (!before || before->kind != SnapshotKind::kRolling) continue;
    // Still a recurring one of the same time.
    CHECK_TRUE_TEXT(after.has_value(), beside.c_str());
    CHECK_TRUE(after->kind == SnapshotKind::kRolling && after->time == before->time);
  }
}
