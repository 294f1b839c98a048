#include "pruning/history.h"

#include <algorithm>
#include <string>

#include "../store/scratch.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

UnixSeconds epoch(int64_t seconds) {
  return UnixSeconds(std::chrono::seconds(seconds));
}

StoredSnapshot taken(int64_t time, int64_t revision, uint64_t cluster = 0xa,
                     const std::string& host = "", const std::string& taken_by = "node-1") {
  StoredSnapshot snapshot;
  snapshot.file_name = rolling_name(epoch(time), host, false) + ".zip";
  snapshot.name = parse_snapshot_name(snapshot.file_name);
  snapshot.manifest.emplace();
  snapshot.manifest->kind = "rolling";
  snapshot.manifest->revision = revision;
  snapshot.manifest->cluster_id = cluster;
  snapshot.manifest->host = taken_by;
  return snapshot;
}

}  // namespace

TEST_GROUP(History){};

TEST(History, IsWholeWhileTheRevisionGrowsOrStays) {
  CHECK_FALSE(find_history_break({}, std::nullopt).has_value());
  CHECK_FALSE(find_history_break({taken(100, 5)}, std::nullopt).has_value());
  CHECK_FALSE(
      find_history_break({taken(300, 9), taken(100, 5), taken(200, 5)}, std::nullopt).has_value());
}

TEST(History, BreaksWhereTheRevisionWentBack) {
  const auto found =
      find_history_break({taken(300, 6), taken(200, 5), taken(100, 50)}, std::nullopt);
  CHECK_TRUE(found.has_value());
  CHECK_FALSE(found->cluster_changed);
  LONGS_EQUAL(50, found->older_revision);
  LONGS_EQUAL(5, found->newer_revision);
  STRCMP_EQUAL("1970-01-01T00:01:40Z_etcd", found->older.c_str());
  STRCMP_EQUAL("1970-01-01T00:03:20Z_etcd", found->newer.c_str());
  STRCMP_EQUAL(
      "the revision of the cluster went back from 50 (1970-01-01T00:01:40Z_etcd) to 5 "
      "(1970-01-01T00:03:20Z_etcd), as it does when a member lost its data or the cluster is "
      "restored from an older snapshot",
      describe(*found).c_str());
}

TEST(History, BreaksWhereTheClusterChanged) {
  const auto found =
      find_history_break({taken(200, 90, 0xcdf818194e3a8c32), taken(100, 50, 0xb)}, std::nullopt);
  CHECK_TRUE(found.has_value());
  CHECK_TRUE(found->cluster_changed);
  STRCMP_EQUAL(
      "the snapshots come from two clusters: 1970-01-01T00:01:40Z_etcd of cluster b, "
      "1970-01-01T00:03:20Z_etcd of cluster cdf818194e3a8c32",
      describe(*found).c_str());
}

TEST(History, ReportsTheNewestBreak) {
  const auto found = find_history_break(
      {taken(100, 50), taken(200, 5), taken(300, 70, 0xb), taken(400, 80, 0xb)}, std::nullopt);
  CHECK_TRUE(found.has_value());
  STRCMP_EQUAL("1970-01-01T00:05:00Z_etcd", found->newer.c_str());
}

TEST(History, PassesOverWhatWasAccepted) {
  const std::vector<StoredSnapshot> snapshots = {taken(100, 50), taken(200, 5), taken(300, 6)};
  CHECK_TRUE(find_history_break(snapshots, epoch(199)).has_value());
  CHECK_FALSE(find_history_break(snapshots, epoch(200)).has_value());
  CHECK_FALSE(find_history_break(snapshots, epoch(300)).has_value());
  // A further one after that freezes again.
  std::vector<StoredSnapshot> later = snapshots;
  later.push_back(taken(400, 2));
  CHECK_TRUE(find_history_break(later, epoch(300)).has_value());
}

TEST(History, LooksAtProvenRollingSnapshotsOnly) {
  StoredSnapshot unproven = taken(200, 1);
  unproven.manifest.reset();
  StoredSnapshot by_hand = taken(201, 1);
  by_hand.name->kind = SnapshotKind::kOneTime;
  StoredSnapshot foreign = taken(202, 1);
  foreign.name.reset();
  CHECK_FALSE(
      find_history_break({taken(100, 50), unproven, by_hand, foreign}, std::nullopt).has_value());
}

TEST(History, IsOneForEachHostOfASharedDirectory) {
  CHECK_FALSE(find_history_break({taken(100, 50, 0xa, "n1"), taken(200, 5, 0xb, "n2"),
                                  taken(300, 60, 0xa, "n1"), taken(400, 6, 0xb, "n2")},
                                 std::nullopt)
                  .has_value());
  CHECK_TRUE(find_history_break(
                 {taken(100, 50, 0xa, "n1"), taken(200, 5, 0xb, "n2"), taken(300, 40, 0xa, "n1")},
                 std::nullopt)
                 .has_value());
}

// include_host was switched: the same host goes on under another form of name.
TEST(History, TakesNamesWithTheOwnHostAndWithoutForOneLine) {
  const struct {
    const char *what, *first, *second;
    int64_t revision;
    uint64_t cluster;
    const char* own_host;
    bool breaks;
  } rows[] = {
      {"the revision grew", "", "node-1", 60, 0xa, "node-1", false},
      {"the revision went back", "", "node-1", 5, 0xa, "node-1", true},
      {"the revision went back, switched off", "node-1", "", 5, 0xa, "node-1", true},
      {"the cluster changed", "", "node-1", 60, 0xb, "node-1", true},
      {"the cluster changed, switched off", "node-1", "", 60, 0xb, "node-1", true},
      {"another host's", "", "node-2", 5, 0xb, "node-1", false},
      {"no own host is known", "", "node-1", 5, 0xb, "", false},
  };
  for (const auto& row : rows) {
    const std::vector<StoredSnapshot> snapshots = {
        taken(100, 50, 0xa, row.first), taken(200, row.revision, row.cluster, row.second)};
    CHECK_EQUAL_TEXT(
        row.breaks,
        find_history_break(snapshots, std::nullopt, epoch(1000), row.own_host).has_value(),
        row.what);
  }
}

TEST(History, BearsMembersThatLagBehindEachOther) {
  CHECK_FALSE(find_history_break({taken(100, 50, 0xa, "", "n1"), taken(101, 48, 0xa, "", "n2"),
                                  taken(200, 60, 0xa, "", "n1"), taken(201, 59, 0xa, "", "n2")},
                                 std::nullopt)
                  .has_value());
  CHECK_TRUE(find_history_break({taken(100, 50, 0xa, "", "n1"), taken(101, 48, 0xb, "", "n2")},
                                std::nullopt)
                 .has_value());
}

// What a learner or a member that is cut off holds may be older than what another had before.
TEST(History, BearsWhatWasBehindTheCluster) {
  std::vector<StoredSnapshot> behind = {taken(100, 11), taken(200, 2), taken(300, 20)};
  CHECK_TRUE(find_history_break(behind, std::nullopt).has_value());
  behind[1].manifest->current = false;
  CHECK_FALSE(find_history_break(behind, std::nullopt).has_value());
  // And it hides no break between its neighbours.
  behind[2].manifest->revision = 10;
  CHECK_TRUE(find_history_break(behind, std::nullopt).has_value());
  behind[1].manifest->cluster_id = 2;
  CHECK_TRUE(find_history_break(behind, std::nullopt)->cluster_changed);
}

TEST(History, LeavesOutWhatIsDatedInTheFuture) {
  // The clock ran ahead once; what was taken after it was set back has a higher revision.
  const std::vector<StoredSnapshot> snapshots = {taken(100, 5), taken(200, 7), taken(9000, 6)};
  CHECK_FALSE(find_history_break(snapshots, std::nullopt, epoch(200)).has_value());
  CHECK_TRUE(find_history_break(snapshots, std::nullopt, epoch(9000)).has_value());
}

TEST(History, DoesNotDependOnTheOrderOfTheList) {
  std::vector<StoredSnapshot> snapshots = {taken(100, 5), taken(100, 6), taken(200, 6),
                                           taken(300, 9)};
  std::sort(snapshots.begin(), snapshots.end(), [](const auto& a, const auto& b) {
    return a.manifest->revision < b.manifest->revision;
  });
  do {
    CHECK_FALSE(find_history_break(snapshots, std::nullopt).has_value());
  } while (
      std::next_permutation(snapshots.begin(), snapshots.end(), [](const auto& a, const auto& b) {
        return std::pair(a.name->time, a.manifest->revision) <
               std::pair(b.name->time, b.manifest->revision);
      }));
}

TEST(History, RemembersWhatWasAccepted) {
  const Scratch scratch;
  const auto directory = SnapshotDirectory::open(scratch.path(), true);
  CHECK_TRUE(directory.ok());
  auto accepted = read_accepted_history(*directory);
  CHECK_TRUE(accepted.ok());
  CHECK_FALSE(accepted->has_value());
  for (const int64_t time : {1525459216, 1525459999}) {
    CHECK_TRUE(accept_history(*directory, epoch(time)).ok());
    accepted = read_accepted_history(*directory);
    CHECK_TRUE(accepted.ok());
    CHECK_TRUE(*accepted == epoch(time));
  }
  LONGS_EQUAL(0600, scratch.mode(".etcd-snapshot.history"));
  CHECK_TRUE(directory->list()->empty());
}

TEST(History, SaysWhenThatIsDamaged) {
  const Scratch scratch;
  const auto directory = SnapshotDirectory::open(scratch.path(), true);
  for (const std::string text :
       {"", "{", "[]", "{}", "{\"accepted\":1}", "{\"accepted\":\"yesterday\"}", "\xff\xfe"}) {
    scratch.write(".etcd-snapshot.history", text);
    const auto accepted = read_accepted_history(*directory);
    CHECK_FALSE_TEXT(accepted.ok(), text.c_str());
    CHECK_TRUE(accepted.error().kind == ErrorKind::kStorage);
    CHECK_TRUE(holds(accepted.error().message, scratch.path(".etcd-snapshot.history")));
    CHECK_TRUE(holds(accepted.error().hint, "--accept-history"));
  }
}
