// status: what it finds in directory, bucket and state, and how it says so.
#include <nlohmann/json.hpp>

#include "../../fakes/certificates.h"
#include "../../lab.h"
#include "commands/commands.h"
#include "commands/status/gather.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(CommandStatus) {
  Lab lab;
  StatusOptions options;
  std::optional<Error> config_error;
  void setup() override {
    lab.settings.policy.interval = 1h;
  }
  Printed status() {
    return capture([&] { return command_status(lab.context, options, config_error); });
  }
  nlohmann::json json() {
    options.json = true;
    const Printed printed = status();
    auto object = nlohmann::json::parse(printed.out, nullptr, false);
    CHECK_TRUE(object.is_object());
    LONGS_EQUAL(printed.code, object["exit_code"].get<int>());
    STRCMP_EQUAL("", printed.err.c_str());
    return object;
  }
  StatusFacts facts() {
    return gather_status(lab.context, std::nullopt, config_error, std::nullopt);
  }
  std::string add_both(Nanoseconds age) {
    const std::string file = lab.add_snapshot(age);
    lab.copy_to_bucket(file);
    return file;
  }
  void write_state(const char* text) {
    std::filesystem::create_directory(lab.scratch.path("run"));
    lab.scratch.write("run/state.json", text);
  }
};

TEST(CommandStatus, SaysThatAllIsWell) {
  lab.add_snapshot(90min);
  const std::string file = lab.add_snapshot(30min, 612);
  lab.scratch.write("snapshots/notes.txt", "x");
  write_state(R"({"finished":"2018-05-04T18:10:20Z","exit_code":0,"snapshot":"one"})");
  const Printed printed = status();
  LONGS_EQUAL(0, printed.code);
  STRCMP_EQUAL("", printed.err.c_str());
  CHECK_TEXT(printed.out.starts_with("OK: the newest proven snapshot is 30m old\n  newest       " +
                                     file + ", "),
             printed.out.c_str());
  for (const char* text :
       {", revision 612, here\n", "  age          30m, one is due every 1h\n",
        "  here         2 snapshots in ", "  bucket       none is configured\n",
        "  last cycle   29m ago (2018-05-04T18:10:20Z), status 0, done, took one\n",
        "  space        room for "}) {
    CHECK_TEXT(holds(printed.out, text), printed.out.c_str());
  }
}

TEST(CommandStatus, SaysEachReasonWithWhatToDo) {
  lab.add_snapshot(5h);
  write_state(R"({"finished":"2018-05-04T18:10:20Z","exit_code":69})");
  const Printed printed = status();
  LONGS_EQUAL(2, printed.code);
  CHECK_TEXT(
      printed.out.starts_with(
          "CRITICAL: the newest proven snapshot is 5h old, one is due every 1h; the last cycle, "
          "29m ago, failed: status 69, etcd did not answer or refused\n"
          "  CRITICAL: the newest proven snapshot is 5h old, one is due every 1h\n"
          "    -> systemctl start etcd-snapshot.service takes one now"),
      printed.out.c_str());
  CHECK_TEXT(holds(printed.out,
                   "\n  WARNING: the last cycle, 29m ago, failed: status 69, etcd did "
                   "not answer or refused\n    -> etcd-snapshot check"),
             printed.out.c_str());
}

TEST(CommandStatus, NeitherTakesTheLockNorMakesAnything) {
  LONGS_EQUAL(2, status().code);
  CHECK_FALSE(lab.scratch.has("snapshots"));
  CHECK_FALSE(lab.scratch.has("run"));
  LONGS_EQUAL(0, lab.log.count("Deleted local backup"));
}

TEST(CommandStatus, CountsOnProvenSnapshotsOfThisHostAlone) {
  const std::string own = lab.add_snapshot(3h);
  lab.scratch.write("snapshots/2018-05-04T18:39:16Z_etcd.zip", "RKE's own");
  const std::string ahead = lab.add_snapshot(-2h);
  Manifest other;
  other.name = "2018-05-04T18:38:16Z_node-2_etcd";
  other.kind = "rolling";
  other.created = "2018-05-04T18:38:16Z";
  other.etcd_version = "3.5.0";
  other.host = "node-2";
  other.agent_version = "0";
  lab.put(other);
  lab.add_snapshot(-30s);  // its host's clock is a little ahead
  lab.context.host = "node-3";
  lab.add_snapshot(1h);  // a copy, or in a directory that is shared
  lab.context.host = "node-1";
  const StatusFacts found = facts();
  CHECK_TRUE(found.newest.has_value());
  STRCMP_EQUAL(own.c_str(), found.newest->snapshot.file_name.c_str());
  LONGS_EQUAL(6, found.here.count);
  LONGS_EQUAL(1, found.here.future);
  STRCMP_EQUAL(ahead.c_str(), found.here.future_example.c_str());
}

// A host that was renamed (k3s-io/k3s#8182).
TEST(CommandStatus, SaysWhoseTheProvenSnapshotsAre) {
  lab.context.host = "nodea";
  lab.add_snapshot(2h);
  lab.add_snapshot(30min);
  lab.context.host = "nodeb";
  const Printed renamed = status();
  LONGS_EQUAL(2, renamed.code);
  STRCMP_CONTAINS("CRITICAL: no proven snapshot of this host (nodeb) in ", renamed.out.c_str());
  STRCMP_CONTAINS(": the 2 proven ones there are, the newest of them, of nodea\n",
                  renamed.out.c_str());
  LONGS_EQUAL(2, json()["local"]["of_other_hosts"].get<int>());
  options.json = false;
  lab.add_snapshot(10min);
  STRCMP_CONTAINS("OK: the newest proven snapshot is 10m old", status().out.c_str());
}

// What the end of a file shows without reading all of it. A byte that changed in the middle is
// verify's to find.
TEST(CommandStatus, SeesAnArchiveThatWasCutOrLostItsEnd) {
  const struct {
    const char* what;
    void (*damage)(std::string&);
  } rows[] = {
      {"cut off", [](std::string& bytes) { bytes.pop_back(); }},
      {"half of it", [](std::string& bytes) { bytes.resize(bytes.size() / 2); }},
      {"a block lost", [](std::string& bytes) { bytes.erase(64, 512); }},
      {"longer", [](std::string& bytes) { bytes.insert(64, 512, 'x'); }},
      {"its end zeroed",
       [](std::string& bytes) { bytes.replace(bytes.size() - 30, 30, 30, '\0'); }},
      {"all zeroed", [](std::string& bytes) { bytes.assign(bytes.size(), '\0'); }},
      {"empty", [](std::string& bytes) { bytes.clear(); }},
  };
  const std::string file = lab.add_snapshot(10min);
  const std::string whole = lab.scratch.read("snapshots/" + file);
  for (const auto& row : rows) {
    std::string bytes = whole;
    row.damage(bytes);
    lab.scratch.write("snapshots/" + file, bytes);
    CHECK_FALSE_TEXT(facts().newest.has_value(), row.what);
    LONGS_EQUAL_TEXT(1, facts().here.unproven, row.what);
    LONGS_EQUAL_TEXT(2, status().code, row.what);
  }
}

TEST(CommandStatus, WarnsOfACertificateThatExpiresSoon) {
  lab.add_snapshot(10min);
  const UnixSeconds now = lab.clock.now();
  const auto client = make_certificate("client", now - 24h, now + 72h);
  lab.scratch.write("cert.pem", client.certificate);
  lab.scratch.write("key.pem", client.key);
  EtcdSettings& etcd = lab.settings.host.etcd;
  etcd.endpoints = {"https://127.0.0.1:2379"};
  etcd.cert_file = lab.scratch.path("cert.pem");
  etcd.key_file = lab.scratch.path("key.pem");
  const Printed printed = status();
  LONGS_EQUAL(1, printed.code);
  STRCMP_CONTAINS("cert.pem expires in 3d", printed.out.c_str());
}

TEST(CommandStatus, TellsOfABucketWhereTheLastCycleFailed) {
  lab.with_bucket();
  add_both(30min);
  STRCMP_CONTAINS(", nothing is missing\n", status().out.c_str());
  write_state(R"({"finished":"2018-05-04T18:10:20Z","exit_code":76})");
  const Printed failed = status();
  LONGS_EQUAL(1, failed.code);
  STRCMP_CONTAINS(", no name is missing, but the last cycle failed there\n", failed.out.c_str());
}

TEST(CommandStatus, TakesASnapshotThatNamesNoHostForItsOwn) {
  lab.context.host.clear();
  const std::string file = lab.add_snapshot(3h);
  lab.context.host = "node-1";
  STRCMP_EQUAL(file.c_str(), facts().newest->snapshot.file_name.c_str());
}

TEST(CommandStatus, AnswersWithoutAConfiguration) {
  lab.add_snapshot(30min);
  config_error = Error{ErrorKind::kConfig, "cluster.yml:3: no number", "correct it", false, 0};
  const Printed printed = status();
  LONGS_EQUAL(3, printed.code);
  CHECK_TEXT(printed.out.starts_with("UNKNOWN: cluster.yml:3: no number\n  -> correct it\n"
                                     "  newest       2018-"),
             printed.out.c_str());
  lab.settings.host.snapshots.directory.clear();
  const Printed nothing = status();
  LONGS_EQUAL(3, nothing.code);
  CHECK_TEXT(holds(nothing.out, "  here         not known"), nothing.out.c_str());
}

TEST(CommandStatus, JudgesTheAgeByTheLastIntervalWithoutAConfiguration) {
  config_error = Error{ErrorKind::kConfig, "cluster.yml:3: no number", "correct it", false, 0};
  lab.settings.policy.recurring = false;
  lab.add_snapshot(5h);
  write_state(R"({"creation":"1h0m0s","retention":"24h0m0s"})");
  const Printed known = status();
  LONGS_EQUAL(2, known.code);
  CHECK_TEXT(known.out.starts_with("CRITICAL: the newest proven snapshot is 5h old, one was due "
                                   "every 1h; cluster.yml:3: no number\n"),
             known.out.c_str());
  CHECK_TEXT(holds(known.out, "  age          5h, one was due every 1h\n"), known.out.c_str());
  for (const char* text : {R"({"creation":"x"})", R"({"creation":"0s"})", "{}"}) {
    write_state(text);
    const StatusFacts found = facts();
    CHECK_TRUE(found.interval == 24h && !found.interval_known);
    LONGS_EQUAL(3, status().code);
  }
  lab.clock.pass(70h);
  LONGS_EQUAL(2, status().code);
}

TEST(CommandStatus, SaysWhatIsWrongWithTheDirectory) {
  lab.scratch.write("snapshots", "a file");
  const Printed printed = status();
  LONGS_EQUAL(3, printed.code);
  CHECK_TEXT(holds(printed.out, "is not a directory\n  -> move that file away"),
             printed.out.c_str());
}

TEST(CommandStatus, AnswersWhereTheAcceptedHistoryIsDamaged) {
  lab.add_snapshot(30min);
  lab.scratch.write("snapshots/.etcd-snapshot.history", "{");
  const Printed printed = status();
  LONGS_EQUAL(1, printed.code);
  CHECK_TEXT(printed.out.starts_with("WARNING: nothing is pruned: "), printed.out.c_str());
}

TEST(CommandStatus, TakesTheLaterOfTwoAccountsOfTheLastRun) {
  lab.add_snapshot(30min);
  write_state(R"({"finished":"2018-05-04T18:10:20Z","exit_code":0,"snapshot":"one"})");
  auto& service = options.schedule.emplace().service;
  options.schedule->timer = {"loaded",  "active", "waiting",
                             "enabled", false,    lab.clock.now() + 30min};
  // The same run: systemd saw it end a moment later.
  service = {"inactive", "", "success", 0, lab.clock.now() - 30min, lab.clock.now() - 29min};
  STRCMP_EQUAL("one", json()["last_run"]["snapshot"].get<std::string>().c_str());
  // One that never got so far as to write its state.
  service = {"failed", "", "exit-code", 78, lab.clock.now() - 2min, lab.clock.now() - 1min};
  auto object = json();
  LONGS_EQUAL(78, object["last_run"]["exit_code"].get<int>());
  CHECK_TRUE(object["last_run"]["snapshot"].is_null());
  LONGS_EQUAL(60, object["last_run"]["age_s"].get<int>());
  service.result = "oom-kill";
  service.exit_status = 9;
  object = json();
  LONGS_EQUAL(9, object["last_run"]["signal"].get<int>());
  CHECK_TRUE(object["last_run"]["exit_code"].is_null());
  // By hand, after that.
  service.finished = lab.clock.now() - 2h;
  LONGS_EQUAL(0, json()["last_run"]["exit_code"].get<int>());
}

TEST(CommandStatus, SaysTheSameInJson) {
  lab.with_bucket();
  const std::string file = add_both(30min);
  options.schedule.emplace().timer = {"loaded",  "active", "waiting",
                                      "enabled", false,    lab.clock.now() + 30min};
  const auto object = json();
  STRCMP_EQUAL("ok", object["status"].get<std::string>().c_str());
  CHECK_TRUE(object["reasons"].empty());
  STRCMP_EQUAL(file.c_str(), object["newest"]["file"].get<std::string>().c_str());
  LONGS_EQUAL(1800, object["newest"]["age_s"].get<int>());
  LONGS_EQUAL(500, object["newest"]["revision"].get<int>());
  CHECK_TRUE(object["newest"]["where"] == nlohmann::json::array({"local", "bucket"}));
  LONGS_EQUAL(3600, object["policy"]["interval_s"].get<int>());
  LONGS_EQUAL(4500, object["policy"]["warning_age_s"].get<int>());
  LONGS_EQUAL(0, object["bucket"]["missing"].get<int>());
  CHECK_TRUE(object["bucket"]["error"].is_null());
  CHECK_TRUE(object["local"]["room_snapshots"].get<int64_t>() > 0);
  CHECK_TRUE(object["last_run"].is_null());
  LONGS_EQUAL(1800, object["next_run"]["in_s"].get<int>());
  CHECK_FALSE(object["next_run"]["running"].get<bool>());
}

TEST(CommandStatus, ReadsAgesAsTheConfigurationHasThem) {
  struct Case {
    const char* text;
    Nanoseconds age;
  };
  for (const Case& one : {Case{"30m", 30min}, Case{"12", 12h}, Case{"1h30m", 90min},
                          Case{"90s", 90s}, Case{"24h0m0s", 24h}}) {
    const auto age = parse_max_age(one.text);
    CHECK_TEXT(age.ok() && *age == one.age, one.text);
  }
  for (const char* text : {"", "0", "0s", "-1h", "abc", "12x", "1.5", "99999999999999999999"}) {
    const auto age = parse_max_age(text);
    CHECK_FALSE_TEXT(age.ok(), text);
    if (!age) CHECK_TEXT(holds(age.error().message, "--max-age"), text);
  }
}
