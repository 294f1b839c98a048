// list where a bucket is configured: what it shows, in which order, in both formats.
#include "../lab.h"
#include "../text.h"
#include "base/digest.h"
#include "base/exit_code.h"
#include "base/human.h"
#include "base/json.h"
#include "commands/commands.h"
#include "commands/table.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {

// What a line of the answer is to say.
struct Expected {
  std::string file, base, where, kind;
  Nanoseconds age;
  std::optional<bool> proven;
  int64_t revision = 0;
};

}  // namespace

TEST_GROUP(CommandsList) {
  Lab lab;
  FakeS3& s3 = lab.s3;
  std::map<std::string, int64_t> sizes;  // of what was put anywhere
  void setup() override {
    lab.with_bucket();
  }
  Printed list(bool json = false) {
    return capture([&] { return call(lab, {"list", json ? "--json" : nullptr}); });
  }
  void forget_here(const std::string& file) {
    std::filesystem::remove(lab.scratch.path("snapshots/" + file));
  }
  std::string add_here(Nanoseconds age, int64_t revision = 500) {
    const std::string file = lab.add_snapshot(age, revision);
    sizes[file] = static_cast<int64_t>(lab.scratch.read("snapshots/" + file).size());
    return file;
  }
  std::string add_both(Nanoseconds age, int64_t revision = 500) {
    const std::string file = add_here(age, revision);
    lab.copy_to_bucket(file);
    return file;
  }
  std::string add_there(Nanoseconds age, int64_t revision = 500) {
    const std::string file = add_both(age, revision);
    forget_here(file);
    return file;
  }
  void save(const std::string& name) {
    LONGS_EQUAL(0, capture([&] { return command_save(lab.context, {.name = name}); }).code);
  }
  // A one-time one of that name, in the bucket alone.
  void add_one_time(const std::string& name) {
    save(name);
    lab.copy_to_bucket(name + ".zip");
    sizes[name + ".zip"] =
        static_cast<int64_t>(lab.scratch.read("snapshots/" + name + ".zip").size());
    forget_here(name + ".zip");
  }
  void put(const std::string& file, const std::string& bytes) {
    s3.put("p1/" + file, bytes);
    sizes[file] = static_cast<int64_t>(bytes.size());
  }
  void fail_reads_of(const std::string& part, const FakeAnswer& answer) {
    s3.before = [=](const FakeCall& call) -> std::optional<FakeAnswer> {
      if (call.operation != "GetObject" || !holds(call.key, part)) return std::nullopt;
      return answer;
    };
  }
  std::string table_of(const std::vector<Expected>& rows, const std::string& sums) {
    std::vector<std::vector<std::string>> cells = {
        {"NAME", "AGE", "SIZE", "WHERE", "KIND", "REVISION", "PROVEN"}};
    for (const Expected& row : rows) {
      cells.push_back({row.file, human_age(std::chrono::floor<std::chrono::seconds>(row.age)),
                       human_bytes(sizes.at(row.file)), row.where, row.kind,
                       row.revision ? std::to_string(row.revision) : "-",
                       !row.proven   ? "?"
                       : *row.proven ? "yes"
                                     : "no"});
    }
    return format_table(cells) + sums;
  }
  // As one tree, and written as such.
  std::string json_of(const std::vector<Expected>& rows) {
    nlohmann::json array = nlohmann::json::array();
    for (const Expected& row : rows) {
      const auto age = std::chrono::floor<std::chrono::seconds>(row.age);
      nlohmann::json object = {{"name", row.base},     {"file", row.file},
                               {"kind", row.kind},     {"time", format_utc(lab.clock.now() - age)},
                               {"age_s", age.count()}, {"size_bytes", sizes.at(row.file)},
                               {"proven", nullptr}};
      object["where"] = row.where == "local, bucket" ? nlohmann::json{"local", "bucket"}
                                                     : nlohmann::json::array({row.where});
      if (row.proven) object["proven"] = *row.proven;
      if (row.revision) {
        const bool saved = row.kind == "one-time";
        object["revision"] = row.revision;
        object["cluster_id"] = fmt_hex(lab.etcd.cluster_id);
        object["member_id"] = fmt_hex(lab.etcd.member_id);
        object["etcd_version"] = lab.etcd.version;
        object["database_bytes"] = saved ? static_cast<int64_t>(lab.etcd.database.size()) : 1024;
        object["sha256"] = saved ? to_hex(digest_of(lab.etcd.database)) : std::string(64, '0');
        object["host"] = "node-1";
      }
      array.push_back(std::move(object));
    }
    return json_text(array, 2) + "\n";
  }
  static std::string fmt_hex(uint64_t id) {
    char text[17] = {};
    snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(id));
    return text;
  }
};

TEST(CommandsList, ShowsBothPlacesSideBySideNewestFirst) {
  const std::string there = add_there(3h, 300), both = add_both(2h, 400),
                    here = lab.add_snapshot(1h, 500);
  s3.put("p1/2018-05-04T14:40:16Z_etcd", "bare");
  s3.put("p1/notes.txt", "x");
  s3.put("p1/garbage.zip", "x");
  s3.put("p11/2018-05-04T14:40:17Z_etcd.zip", "x");
  const Printed printed = list();
  LONGS_EQUAL_TEXT(0, printed.code, printed.err.c_str());
  CHECK_TEXT(holds(row_of(printed.out, here), " local  "), printed.out.c_str());
  CHECK_TEXT(holds(row_of(printed.out, both), " local, bucket  "), printed.out.c_str());
  CHECK_TEXT(holds(row_of(printed.out, there), " bucket  "), printed.out.c_str());
  CHECK_TEXT(holds(row_of(printed.out, there), " 300 "), printed.out.c_str());
  CHECK_TEXT(row_of(printed.out, there).ends_with("yes"), printed.out.c_str());
  // Bare ones carry no manifest: nobody can know.
  CHECK_TEXT(row_of(printed.out, "2018-05-04T14:40:16Z_etcd").ends_with("?"), printed.out.c_str());
  CHECK_TRUE(printed.out.find(here) < printed.out.find(both));
  CHECK_TRUE(printed.out.find(both) < printed.out.find(there));
  CHECK_FALSE(holds(printed.out, "notes.txt"));
  CHECK_FALSE(holds(printed.out, "garbage"));
  CHECK_FALSE(holds(printed.out, "14:40:17Z"));
  CHECK_TEXT(holds(printed.out, "2 snapshots in " + lab.settings.host.snapshots.directory),
             printed.out.c_str());
  CHECK_TEXT(holds(printed.out, "3 snapshots in the bucket"), printed.out.c_str());
}

TEST(CommandsList, ShowsWhoseASnapshotIsWhereOneIsAnothers) {
  add_here(1h);
  CHECK_FALSE(holds(list().out, "HOST"));
  lab.context.host = "nodea";
  const std::string theirs = add_both(2h);
  lab.context.host = "node-1";
  lab.scratch.write("snapshots/2018-05-04T15:40:16Z_etcd.zip", "nobody vouches for it");
  const std::string table = list().out;
  STRCMP_CONTAINS("  PROVEN  HOST\n", table.c_str());
  STRCMP_CONTAINS("  yes     node-1\n", table.c_str());
  STRCMP_CONTAINS("  yes     nodea\n", table.c_str());
  STRCMP_CONTAINS("  no      -\n", table.c_str());
}

TEST(CommandsList, SaysTheSameInJson) {
  add_there(3h, 300);
  add_both(2h, 400);
  const auto array = parse_json(list(true).out);
  LONGS_EQUAL(2, array.size());
  CHECK_TRUE(array[0]["where"] == nlohmann::json::array({"local", "bucket"}));
  CHECK_TRUE(array[1]["where"] == nlohmann::json::array({"bucket"}));
  CHECK_TRUE(array[1]["proven"].get<bool>());
  LONGS_EQUAL(300, array[1]["revision"].get<int>());
}

// Whoever takes it from there with another program needs the name.
TEST(CommandsList, ShowsTheNameThatAnObjectHasBesideAnothers) {
  const std::string file = lab.add_snapshot(1h);
  std::string beside = file;
  beside.insert(beside.find("_etcd"), "_node-1");
  s3.put("p1/" + file, "another host's");
  s3.put("p1/" + beside, lab.scratch.read("snapshots/" + file));
  const Printed printed = list();
  CHECK_TEXT(holds(printed.out, " local, bucket as " + beside + " "), printed.out.c_str());
  const auto array = parse_json(list(true).out);
  LONGS_EQUAL(2, array.size());
  STRCMP_EQUAL(beside.c_str(), array[0]["object"].get<std::string>().c_str());
  CHECK_TRUE(array[1].find("object") == array[1].end());
}

TEST(CommandsList, KeepsApartWhatHasTheSameNameButNotTheSameSize) {
  const std::string file = lab.add_snapshot(1h);
  s3.put("p1/" + file, "another host's");
  const auto array = parse_json(list(true).out);
  LONGS_EQUAL(2, array.size());
}

TEST(CommandsList, FindsOneTimeSnapshotsOfAnyName) {
  add_one_time("before upgrade");
  CHECK_TRUE(holds(row_of(list().out, "before upgrade.zip"), "one-time"));
}

TEST(CommandsList, ReadsNoMoreManifestsThanAHundred) {
  for (int i = 0; i < 130; ++i) {
    s3.put("p1/" + rolling_name(lab.clock.now() - std::chrono::minutes(i), "", false) + ".zip",
           "x");
  }
  const auto array = parse_json(list(true).out);
  LONGS_EQUAL(130, array.size());
  LONGS_EQUAL(100, s3.count("GetObject"));
  CHECK_TRUE(array[0]["proven"] == false);
  CHECK_TRUE(array[129]["proven"].is_null());
}

TEST(CommandsList, ShowsItsHalfWhereTheBucketDoesNotAnswer) {
  const std::string file = lab.add_snapshot(1h);
  s3.denied = {"ListObjectsV2"};
  for (const bool json : {false, true}) {
    const Printed printed = list(json);
    LONGS_EQUAL(kExitRemote, printed.code);
    CHECK_TEXT(holds(printed.out, file), printed.out.c_str());
    CHECK_TEXT(holds(printed.err, "AccessDenied"), printed.err.c_str());
  }
}

// Everything that may lie in either place, line by line and byte by byte.
TEST(CommandsList, WritesBothFormatsToTheByte) {
  const std::string both = add_both(2h, 400), here = add_here(1h, 450), there = add_there(3h, 300);
  lab.scratch.write("snapshots/2018-05-04T13:40:16Z_etcd.zip", "RKE's");
  sizes["2018-05-04T13:40:16Z_etcd.zip"] = 5;
  put("2018-05-04T14:40:16Z_etcd", "bare");
  put("rke_etcd_snapshot_2018-05-04T12:40:16Z.zst", "RKE's");
  put("2018-05-06T18:40:16Z_etcd.zip", "of tomorrow");
  // The same second, three times.
  put("2018-05-04T17:40:16Z_node-9_etcd.zip", "another host's");
  put("2018-05-04T17:40:16Z_node-2_etcd.zip", std::string(3000, 'x'));
  add_one_time("say \"hi\" \\ \xc2\xb5");
  put("garbage.zip", "x");
  put("notes.txt", "x");
  const std::string strange = "say \"hi\" \\ \xc2\xb5";
  const auto base = [](const std::string& file) { return file.substr(0, file.size() - 4); };
  const std::vector<Expected> rows = {
      {"2018-05-06T18:40:16Z_etcd.zip", "2018-05-06T18:40:16Z_etcd", "bucket", "rolling", -48h,
       false},
      {strange + ".zip", strange, "bucket", "one-time", 0s, true, lab.etcd.revision},
      {here, base(here), "local", "rolling", 1h, true, 450},
      {"2018-05-04T17:40:16Z_node-2_etcd.zip", "2018-05-04T17:40:16Z_node-2_etcd", "bucket",
       "rolling", 1h, false},
      {"2018-05-04T17:40:16Z_node-9_etcd.zip", "2018-05-04T17:40:16Z_node-9_etcd", "bucket",
       "rolling", 1h, false},
      {both, base(both), "local, bucket", "rolling", 2h, true, 400},
      {there, base(there), "bucket", "rolling", 3h, true, 300},
      {"2018-05-04T14:40:16Z_etcd", "2018-05-04T14:40:16Z_etcd", "bucket", "rolling", 4h, {}},
      {"2018-05-04T13:40:16Z_etcd.zip", "2018-05-04T13:40:16Z_etcd", "local", "rolling", 5h, false},
      {"rke_etcd_snapshot_2018-05-04T12:40:16Z.zst", "rke_etcd_snapshot_2018-05-04T12:40:16Z",
       "bucket", "one-time", 6h, false}};
  int64_t here_bytes = sizes[here] + sizes[both] + 5, there_bytes = 0;
  for (const Expected& row : rows) {
    if (holds(row.where, "bucket")) there_bytes += sizes[row.file];
  }
  const std::string sums = "3 snapshots in " + lab.settings.host.snapshots.directory + ", " +
                           human_bytes(here_bytes) + "\n8 snapshots in the bucket, " +
                           human_bytes(there_bytes) + "\n";
  STRCMP_EQUAL(table_of(rows, sums).c_str(), list().out.c_str());
  STRCMP_EQUAL(json_of(rows).c_str(), list(true).out.c_str());
}

TEST(CommandsList, WritesNothingAsAnEmptyArray) {
  STRCMP_EQUAL("[]\n", list(true).out.c_str());
  CHECK_TEXT(holds(list().out, "does not exist"), list().out.c_str());
  forget_here(add_here(1h));
  CHECK_TEXT(holds(list().out, "no snapshots in "), list().out.c_str());
  STRCMP_EQUAL("[]\n", list(true).out.c_str());
}

// One that is archived hides no other, and is no failure.
TEST(CommandsList, ShowsWhatCannotBeReadAndSaysSo) {
  const std::string unread = add_there(1h), other = add_there(2h);
  fail_reads_of(unread, archived());
  const Printed printed = list();
  LONGS_EQUAL(0, printed.code);
  CHECK_TEXT(row_of(printed.out, unread).ends_with(" ?"), printed.out.c_str());
  CHECK_TEXT(row_of(printed.out, other).ends_with(" yes"), printed.out.c_str());
  CHECK_TEXT(holds(printed.err, unread), printed.err.c_str());
  CHECK_TEXT(holds(printed.err, "restore it"), printed.err.c_str());
  const auto array = parse_json(list(true).out);
  CHECK_TRUE(array[0]["proven"].is_null());
}

TEST(CommandsList, FailsWhereItMayNotReadAndShowsAllTheSame) {
  const std::string there = add_there(2h);
  fail_reads_of("", s3_error(403, "AccessDenied"));
  const Printed printed = list();
  LONGS_EQUAL(kExitRemote, printed.code);
  CHECK_TEXT(holds(row_of(printed.out, there), "?"), printed.out.c_str());
  CHECK_TEXT(holds(printed.err, "GetObject"), printed.err.c_str());
}

// Not where one object alone is somebody else's; but an archived one beside it makes it no better.
TEST(CommandsList, FailsWhereNoneOfOursMayBeReadOnly) {
  const auto denied = s3_error(403, "AccessDenied");
  add_both(1h);
  s3.put("p1/somebody.zip", "x");
  fail_reads_of("somebody", denied);
  LONGS_EQUAL(0, list().code);
  const std::string oldest = add_there(3h), newer = add_there(2h);
  fail_reads_of(oldest, denied);
  LONGS_EQUAL(0, list().code);
  s3.before = [=](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "GetObject") return std::nullopt;
    return holds(call.key, newer) ? archived() : denied;
  };
  const Printed printed = list();
  LONGS_EQUAL(kExitRemote, printed.code);
  CHECK_TEXT(holds(printed.err, "GetObject"), printed.err.c_str());
}

TEST(CommandsList, ShowsAllOfABucketWhereNothingCanBeRead) {
  for (int hours = 1; hours <= 20; ++hours) add_there(std::chrono::hours(hours));
  fail_reads_of("", s3_error(500, "InternalError"));
  const Printed printed = list();
  LONGS_EQUAL(kExitRemote, printed.code);
  CHECK_TEXT(holds(printed.out, "20 snapshots in the bucket"), printed.out.c_str());
  LONGS_EQUAL(3, s3.count("GetObject"));
}

TEST(CommandsList, ShowsAllOfABucketWhoseTimeIsOver) {
  for (int hours = 1; hours <= 3; ++hours) add_there(std::chrono::hours(hours));
  s3.before = [this](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "GetObject") return std::nullopt;
    lab.clock.pass(1h);
    return time_is_over();
  };
  const Printed printed = list();
  LONGS_EQUAL(kExitRemote, printed.code);
  CHECK_TEXT(holds(printed.out, "3 snapshots in the bucket"), printed.out.c_str());
  CHECK_TEXT(holds(printed.err, "ten minutes"), printed.err.c_str());
  LONGS_EQUAL(1, s3.count("GetObject"));
}
