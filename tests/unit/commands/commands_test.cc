// list, prune and delete: what they print, and what they leave.
#include "commands/commands.h"

#include "../lab.h"
#include "base/exit_code.h"
#include "base/json.h"
#include "store/lock.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(CommandList) {
  Lab lab;
  Printed list(bool json = false) {
    return capture([&] { return call(lab, {"list", json ? "--json" : nullptr}); });
  }
  void make_directory() {
    LONGS_EQUAL(0, mkdir(lab.settings.host.snapshots.directory.c_str(), 0700));
  }
};

TEST(CommandList, SaysThatThereIsNone) {
  make_directory();
  const Printed printed = list();
  LONGS_EQUAL(0, printed.code);
  STRCMP_EQUAL(("no snapshots in " + lab.settings.host.snapshots.directory + "\n").c_str(),
               printed.out.c_str());
  STRCMP_EQUAL("[]\n", list(true).out.c_str());
}

TEST(CommandList, SaysThatThereIsNoneYetWhereTheDirectoryIsStillToBeMade) {
  const Printed printed = list();
  LONGS_EQUAL(0, printed.code);
  CHECK_TEXT(holds(printed.out,
                   "no snapshots: " + lab.settings.host.snapshots.directory + " does not exist"),
             printed.out.c_str());
  CHECK_FALSE(lab.scratch.has("snapshots"));
}

TEST(CommandList, SaysWhatIsWrongWithTheDirectory) {
  lab.scratch.write("snapshots", "a file");
  const Printed printed = list();
  LONGS_EQUAL(kExitStorage, printed.code);
  STRCMP_EQUAL("", printed.out.c_str());
  CHECK_TRUE(holds(printed.err, lab.settings.host.snapshots.directory));
}

TEST(CommandList, ShowsOursNewestFirstAndNothingElse) {
  const std::string old = lab.add_snapshot(26h + 3min, 500), recent = lab.add_snapshot(45s, 600);
  lab.scratch.write("snapshots/2018-05-04T12:40:16Z_etcd", std::string(2048, 'x'));
  lab.scratch.write("snapshots/notes.txt", "x");
  const Printed printed = list();
  LONGS_EQUAL(0, printed.code);
  const size_t first = printed.out.find(recent), second = printed.out.find("2018-05-04T12:40:16Z"),
               third = printed.out.find(old);
  CHECK_TEXT(first < second && second < third && third != std::string::npos, printed.out.c_str());
  CHECK_FALSE(holds(printed.out, "notes.txt"));
  CHECK_TEXT(holds(printed.out, "NAME"), printed.out.c_str());
  CHECK_TEXT(holds(printed.out, "26h 3m"), printed.out.c_str());
  CHECK_TEXT(holds(printed.out,
                   "2018-05-04T12:40:16Z_etcd      6h      2.0 KiB  local  rolling  -"
                   "         no\n"),
             printed.out.c_str());
  CHECK_TEXT(holds(printed.out, "3 snapshots in " + lab.settings.host.snapshots.directory + ", "),
             printed.out.c_str());
}

TEST(CommandList, CountsOne) {
  lab.add_snapshot(1h);
  CHECK_TRUE(holds(list().out, "\n1 snapshot in "));
}

TEST(CommandList, GivesJsonThatSaysTheSame) {
  lab.add_snapshot(1h, 500);
  lab.scratch.write("snapshots/2018-05-04T12:40:16+00:00_etcd.zip", "x");
  const auto array = parse_json(list(true).out);
  CHECK_TRUE(array.is_array());
  LONGS_EQUAL(2, array.size());
  const auto& proven = array[0];
  STRCMP_EQUAL("2018-05-04T17:40:16Z_etcd", proven["name"].get<std::string>().c_str());
  STRCMP_EQUAL("2018-05-04T17:40:16Z_etcd.zip", proven["file"].get<std::string>().c_str());
  STRCMP_EQUAL("rolling", proven["kind"].get<std::string>().c_str());
  STRCMP_EQUAL("2018-05-04T17:40:16Z", proven["time"].get<std::string>().c_str());
  LONGS_EQUAL(3600, proven["age_s"].get<int>());
  CHECK_TRUE(proven["proven"].get<bool>());
  LONGS_EQUAL(500, proven["revision"].get<int>());
  STRCMP_EQUAL("cdf818194e3a8c32", proven["cluster_id"].get<std::string>().c_str());
  CHECK_TRUE(proven["where"] == nlohmann::json::array({"local"}));
  LONGS_EQUAL(1024, proven["database_bytes"].get<int>());
  const auto& foreign = array[1];
  CHECK_FALSE(foreign["proven"].get<bool>());
  CHECK_FALSE(foreign.contains("revision"));
  LONGS_EQUAL(1, foreign["size_bytes"].get<int>());
}

TEST_GROUP(CommandPrune) {
  Lab lab;
  Printed prune(bool dry_run = false, bool accept = false) {
    return capture([&] {
      return call(
          lab, {"prune", dry_run ? "--dry-run" : nullptr, accept ? "--accept-history" : nullptr});
    });
  }
};

TEST(CommandPrune, DeletesWhatTheDryRunAnnounced) {
  const std::string oldest = lab.add_snapshot(90h), old = lab.add_snapshot(25h),
                    young = lab.add_snapshot(2h);
  lab.scratch.write("snapshots/notes.txt", "x");
  const Printed announced = prune(true);
  LONGS_EQUAL(0, announced.code);
  LONGS_EQUAL(4, lab.files().size());
  const auto row_of = [&](const std::string& name) {
    const size_t at = announced.out.find(name);
    return at == std::string::npos ? std::string("(none)")
                                   : announced.out.substr(at, announced.out.find('\n', at) - at);
  };
  CHECK_TEXT(holds(row_of(oldest), "delete  older than the retention"), announced.out.c_str());
  CHECK_TEXT(holds(row_of(old), "delete  older than the retention"), announced.out.c_str());
  CHECK_TEXT(holds(row_of(young), "keep    among the newest proven ones, which always stay"),
             announced.out.c_str());
  CHECK_TEXT(holds(row_of("notes.txt"), "keep    not a recurring snapshot of this host"),
             announced.out.c_str());
  const Printed done = prune();
  LONGS_EQUAL(0, done.code);
  STRCMP_EQUAL("2 deleted, 2 kept (see why: etcd-snapshot prune --dry-run)\n", done.out.c_str());
  CHECK_FALSE(lab.has(oldest));
  CHECK_FALSE(lab.has(old));
  LONGS_EQUAL(2, lab.files().size());
  LONGS_EQUAL(2, lab.log.count("Deleted local backup"));
}

TEST(CommandPrune, KeepsTheNewestProvenOneHoweverOldItIs) {
  const std::string proven = lab.add_snapshot(900h);
  lab.scratch.write("snapshots/2018-05-01T12:40:16Z_etcd.zip", "newer, but nobody vouches for it");
  LONGS_EQUAL(0, prune().code);
  LONGS_EQUAL(2, lab.files().size());
  CHECK_TRUE(lab.has(proven));
}

// A cluster.yml that was moved away for a minute must not turn a long retention into the default.
TEST(CommandPrune, RefusesWhereNothingSetsARetention) {
  const std::string old = lab.add_snapshot(90h), older = lab.add_snapshot(99h);
  lab.add_snapshot(1h);
  const struct {
    bool present, recurring;
    const char *text, *message;
  } rows[] = {{false, false, "", "cluster.yml is not there"},
              {true, false, "", "no retention is set: cluster.yml: backup_config is not set"}};
  for (const auto& row : rows) {
    lab.settings.policy_present = row.present;
    lab.settings.policy.recurring = row.recurring;
    lab.settings.policy.retention_text = row.text;
    lab.settings.policy.off_reason = "cluster.yml: backup_config is not set";
    for (const bool dry_run : {true, false}) {
      const Printed printed = prune(dry_run);
      LONGS_EQUAL_TEXT(kExitConfig, printed.code, row.message);
      CHECK_TEXT(holds(printed.err, row.message), printed.err.c_str());
      STRCMP_EQUAL("", printed.out.c_str());
    }
    LONGS_EQUAL(kExitConfig, prune(false, true).code);
    LONGS_EQUAL(3, lab.files().size());
    LONGS_EQUAL(0, lab.hidden().size());
  }
  // Turned off, but with a word about the retention: that is one to prune by.
  lab.settings.policy.retention_text = "24";
  LONGS_EQUAL(0, prune().code);
  CHECK_FALSE(lab.has(old));
  CHECK_FALSE(lab.has(older));
}

TEST(CommandPrune, SaysThatItIsFrozenAndHowToGoOn) {
  const std::string old = lab.add_snapshot(90h, 900);
  lab.add_snapshot(1h, 100);
  const Printed printed = prune();
  LONGS_EQUAL(0, printed.code);
  CHECK_TEXT(holds(printed.out, "went back from 900"), printed.out.c_str());
  CHECK_TEXT(holds(printed.out, "etcd-snapshot prune --accept-history"), printed.out.c_str());
  CHECK_TRUE(lab.has(old));
}

TEST(CommandPrune, AcceptsNothingInADryRun) {
  const std::string old = lab.add_snapshot(90h, 900);
  lab.add_snapshot(1h, 100);
  LONGS_EQUAL(0, prune(true, true).code);
  LONGS_EQUAL(0, lab.hidden().size());
  LONGS_EQUAL(0, prune().code);
  CHECK_TRUE(lab.has(old));
  LONGS_EQUAL(0, prune(false, true).code);
  CHECK_FALSE(lab.has(old));
}

TEST(CommandPrune, SaysThatThereIsNothingToAccept) {
  lab.add_snapshot(1h);
  const Printed printed = prune(false, true);
  LONGS_EQUAL(0, printed.code);
  CHECK_TRUE(holds(printed.out, "nothing to accept"));
  LONGS_EQUAL(0, lab.hidden().size());
}

// As the hint of that error says.
TEST(CommandPrune, WritesADamagedNoteOfTheHistoryAnew) {
  const std::string old = lab.add_snapshot(90h, 900);
  lab.add_snapshot(1h, 100);
  lab.scratch.write("snapshots/.etcd-snapshot.history", "{");
  const Printed refused = prune();
  LONGS_EQUAL(kExitStorage, refused.code);
  CHECK_TRUE(holds(refused.err, "prune --accept-history"));
  CHECK_TRUE(lab.has(old));
  const Printed accepted = prune(false, true);
  LONGS_EQUAL_TEXT(0, accepted.code, accepted.err.c_str());
  CHECK_FALSE(lab.has(old));
  LONGS_EQUAL(0, prune().code);
}

TEST(CommandPrune, AcceptsTheBreakBehindADamagedNoteAtTheTimeOfTheBreak) {
  const std::string old = lab.add_snapshot(90h, 900);
  lab.add_snapshot(2h, 100);
  lab.add_snapshot(1h, 110);
  const std::string note = "snapshots/.etcd-snapshot.history";
  lab.scratch.write(note, "{");
  const Printed looked = prune(true, true);
  LONGS_EQUAL_TEXT(0, looked.code, looked.err.c_str());
  CHECK_TEXT(holds(looked.out, "went back from 900"), looked.out.c_str());
  STRCMP_EQUAL("{", lab.scratch.read(note).c_str());
  const Printed accepted = prune(false, true);
  LONGS_EQUAL_TEXT(0, accepted.code, accepted.err.c_str());
  CHECK_TEXT(holds(accepted.out, "went back from 900"), accepted.out.c_str());
  CHECK_TEXT(holds(accepted.out, "accepted: "), accepted.out.c_str());
  STRCMP_EQUAL("{\"accepted\":\"2018-05-04T16:40:16Z\"}\n", lab.scratch.read(note).c_str());
  CHECK_FALSE(lab.has(old));
}

TEST(CommandPrune, WritesADamagedNoteAnewWhereNothingIsToAcceptAndStillSeesWhatComes) {
  const std::string old = lab.add_snapshot(90h, 90);
  lab.add_snapshot(2h, 900);
  const std::string note = "snapshots/.etcd-snapshot.history";
  lab.scratch.write(note, "{");
  LONGS_EQUAL(0, prune(true, true).code);
  STRCMP_EQUAL("{", lab.scratch.read(note).c_str());
  CHECK_TRUE(lab.has(old));
  const Printed accepted = prune(false, true);
  LONGS_EQUAL_TEXT(0, accepted.code, accepted.err.c_str());
  CHECK_TRUE(holds(accepted.out, "nothing to accept"));
  CHECK_TRUE(holds(lab.scratch.read(note), "\"accepted\""));
  CHECK_FALSE(lab.has(old));
  lab.add_snapshot(1h, 100);
  const Printed later = prune();
  LONGS_EQUAL_TEXT(0, later.code, later.err.c_str());
  CHECK_TEXT(holds(later.out, "went back from 900"), later.out.c_str());
}

// Accepted is what lies there, not what a later break will be: the clock may run ahead just now.
TEST(CommandPrune, AcceptsNoBreakOfTheFuture) {
  lab.add_snapshot(90h, 900);
  lab.add_snapshot(1h, 100);
  lab.clock.jump(10 * 24h);
  LONGS_EQUAL(0, prune(false, true).code);
  lab.clock.jump(-10 * 24h);
  lab.clock.pass(1h);
  lab.etcd.revision = 50;
  lab.add_snapshot(30min, 200);
  LONGS_EQUAL(0, command_run(lab.context));
  LONGS_EQUAL(1, lab.log.count("Nothing is pruned: the history of the cluster changed"));
}

TEST(CommandPrune, WaitsForNobody) {
  lab.add_snapshot(1h);
  const auto lock = take_run_lock(lab.scratch.path("run"));
  CHECK_TRUE(lock.ok());
  LONGS_EQUAL(kExitBusy, prune().code);
  LONGS_EQUAL(0, prune(true).code);  // looking is free
}

TEST(CommandPrune, SaysThatTheDirectoryIsMissing) {
  const Printed printed = prune(true);
  LONGS_EQUAL(kExitStorage, printed.code);
  CHECK_TRUE(holds(printed.err, lab.settings.host.snapshots.directory));
  CHECK_FALSE(lab.scratch.has("snapshots"));
}

TEST_GROUP(CommandDelete) {
  Lab lab;
  Printed remove(const std::string& name, bool force = false) {
    return capture([&] {
      return call(lab, {"delete", name.c_str(), force ? "--force" : nullptr});
    });
  }
};

TEST(CommandDelete, TakesTheNameWithAndWithoutExtension) {
  const std::string first = lab.add_snapshot(3h), second = lab.add_snapshot(2h),
                    newest = lab.add_snapshot(1h);
  LONGS_EQUAL(0, remove(first).code);
  CHECK_FALSE(lab.has(first));
  LONGS_EQUAL(0, remove(second.substr(0, second.size() - 4)).code);
  CHECK_FALSE(lab.has(second));
  LONGS_EQUAL(1, lab.files().size());
  LONGS_EQUAL(2, lab.log.count("Deleted local backup"));
}

TEST(CommandDelete, TakesExactNamesOfOursOnly) {
  lab.add_snapshot(1h);
  lab.scratch.write("snapshots/notes.txt", "x");
  lab.scratch.write("outside", "x");
  for (const char* name :
       {"", "notes.txt", "2018-05-04", "*", "2018-05-04T17:40:16Z_etcd.zi",
        "2018-05-04T17:40:16Z_ETCD", "../outside", "2018-05-04T17:40:16Z_etcd.zst"}) {
    const Printed printed = remove(name, true);
    LONGS_EQUAL_TEXT(kExitUsage, printed.code, name);
    CHECK_TEXT(holds(printed.err, "no snapshot '"), printed.err.c_str());
  }
  LONGS_EQUAL(2, lab.files().size());
  CHECK_TRUE(lab.scratch.has("outside"));
}

TEST(CommandDelete, AsksForTheExtensionWhereTwoHaveTheName) {
  const std::string zip = lab.add_snapshot(2h);
  lab.add_snapshot(1h);
  const std::string base = zip.substr(0, zip.size() - 4);
  lab.scratch.write("snapshots/" + base, "x");
  const Printed printed = remove(base + ".zip");
  LONGS_EQUAL(0, printed.code);
  lab.scratch.write("snapshots/" + base + ".zip", "x");
  lab.scratch.write("snapshots/" + base + ".zst", "x");
  std::filesystem::remove(lab.scratch.path("snapshots/" + base));
  const Printed refused = remove(base);
  LONGS_EQUAL(kExitUsage, refused.code);
  CHECK_TRUE(holds(refused.err, "extension"));
  LONGS_EQUAL(3, lab.files().size());
}

TEST(CommandDelete, KeepsTheNewestProvenOneUnlessForced) {
  const std::string old = lab.add_snapshot(2h), newest = lab.add_snapshot(1h);
  lab.scratch.write("snapshots/2018-05-04T18:30:00Z_etcd.zip", "newer, but nobody vouches for it");
  const Printed refused = remove(newest);
  LONGS_EQUAL(kExitUsage, refused.code);
  CHECK_TRUE(holds(refused.err, "--force"));
  CHECK_TRUE(lab.has(newest));
  LONGS_EQUAL(0, remove(newest, true).code);
  CHECK_FALSE(lab.has(newest));
  CHECK_TRUE(lab.has(old));
}

TEST(CommandDelete, LetsNothingButALaterOneOfThisHostStandForTheNewest) {
  lab.add_snapshot(3h);
  const std::string newest = lab.add_snapshot(2h);
  const auto put = [&](Nanoseconds age, const std::string& host) {
    Manifest manifest;
    const UnixSeconds time = std::chrono::floor<std::chrono::seconds>(lab.clock.now() - age);
    manifest.name = rolling_name(time, host, false);
    manifest.kind = "rolling";
    manifest.created = format_utc(time);
    manifest.host = host;
    return lab.put(manifest);
  };
  put(1h, "node-2");       // another host's
  lab.add_snapshot(-10h);  // of a clock that ran ahead
  const Printed refused = remove(newest);
  LONGS_EQUAL(kExitUsage, refused.code);
  CHECK_TEXT(holds(refused.err, "no proven snapshot of this host is newer"), refused.err.c_str());
  CHECK_TRUE(lab.has(newest));
  put(30min, "node-1");
  LONGS_EQUAL(0, remove(newest).code);
  CHECK_FALSE(lab.has(newest));
}

TEST(CommandDelete, GivesWayToARun) {
  const std::string old = lab.add_snapshot(2h);
  lab.add_snapshot(1h);
  const auto lock = take_run_lock(lab.scratch.path("run"));
  LONGS_EQUAL(kExitBusy, remove(old).code);
  CHECK_TRUE(lab.has(old));
}

TEST_GROUP(PrintError){};

TEST(PrintError, PutsTheHintOnALineOfItsOwn) {
  const Printed printed = capture([] {
    return print_error({ErrorKind::kConfig, "what is wrong", "what to do", false, 0});
  });
  LONGS_EQUAL(kExitConfig, printed.code);
  STRCMP_EQUAL("etcd-snapshot: what is wrong\n  what to do\n", printed.err.c_str());
  STRCMP_EQUAL("", printed.out.c_str());
  const Printed bare = capture([] {
    return print_error({ErrorKind::kBusy, "what is wrong", "", false, 0});
  });
  STRCMP_EQUAL("etcd-snapshot: what is wrong\n", bare.err.c_str());
}
