#include "store/ownership.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

struct Taken {
  const char* file;
  const char* manifest_host;  // nullptr: not proven
  const char* kind = "rolling";
};

StoredSnapshot stored(const Taken& taken) {
  StoredSnapshot snapshot;
  snapshot.file_name = taken.file;
  snapshot.name = parse_snapshot_name(taken.file);
  if (taken.manifest_host == nullptr) return snapshot;
  snapshot.manifest.emplace();
  snapshot.manifest->host = taken.manifest_host;
  snapshot.manifest->kind = taken.kind;
  return snapshot;
}

}  // namespace

TEST_GROUP(Ownership){};

TEST(Ownership, IsSaidByManifestAndName) {
  const struct {
    Taken taken;
    bool own;
    const char* owner;
  } rows[] = {
      {{"2018-05-04T18:40:16Z_etcd.zip", "node-1"}, true, "node-1"},
      {{"2018-05-04T18:40:16Z_etcd.zip", ""}, true, ""},
      {{"2018-05-04T18:40:16Z_etcd.zip", nullptr}, true, ""},
      {{"2018-05-04T18:40:16Z_etcd.zip", "node-2"}, false, "node-2"},
      {{"2018-05-04T18:40:16Z_node-1_etcd.zip", "node-1"}, true, "node-1"},
      {{"2018-05-04T18:40:16Z_node-1_etcd.zip", nullptr}, true, "node-1"},
      {{"2018-05-04T18:40:16Z_node-1_etcd.zip", ""}, true, "node-1"},
      {{"2018-05-04T18:40:16Z_node-2_etcd.zip", "node-2"}, false, "node-2"},
      {{"2018-05-04T18:40:16Z_node-2_etcd.zip", nullptr}, false, "node-2"},
      // Renamed by hand, either way: somebody else's in doubt.
      {{"2018-05-04T18:40:16Z_node-2_etcd.zip", "node-1"}, false, "node-1"},
      {{"2018-05-04T18:40:16Z_node-1_etcd.zip", "node-2"}, false, "node-2"},
      // A name that a host cannot have in a file name.
      {{"2018-05-04T18:40:16Z_etcd.zip", "node_1"}, true, "node-1"},
      {{"notes.txt", nullptr}, false, nullptr},
  };
  for (const auto& row : rows) {
    const StoredSnapshot snapshot = stored(row.taken);
    CHECK_TEXT(is_of_host("node-1", snapshot) == row.own, row.taken.file);
    if (row.owner == nullptr) continue;
    STRCMP_EQUAL_TEXT(row.owner, owner_of(*snapshot.name, snapshot.manifest).c_str(),
                      row.taken.file);
  }
}

TEST(Ownership, OfTheNewestProvenOneIsThisHosts) {
  std::vector<StoredSnapshot> snapshots;
  for (const Taken& taken :
       std::initializer_list<Taken>{{"2018-05-04T19:00:00Z_etcd.zip", "node-1"},  // of the future
                                    {"2018-05-04T18:30:00Z_etcd.zip", "node-2"},
                                    {"2018-05-04T18:20:00Z_etcd.zip", nullptr},
                                    {"rke_etcd_snapshot_2018-05-04T18:10:00Z.zip", "node-1"},
                                    {"2018-05-04T18:00:00Z_etcd.zip", "node-1"},
                                    {"2018-05-04T17:00:00Z_node-3_etcd.zip", "node-3"},
                                    {"2018-05-04T16:00:00Z_etcd.zip", "node-1"},
                                    {"notes.txt", nullptr}}) {
    snapshots.push_back(stored(taken));
  }
  const UnixSeconds now = *parse_rfc3339("2018-05-04T18:40:16Z");
  POINTERS_EQUAL(&snapshots[3], newest_proven(snapshots, "node-1", now, Kinds::kAll));
  POINTERS_EQUAL(&snapshots[4], newest_proven(snapshots, "node-1", now, Kinds::kRecurring));
  POINTERS_EQUAL(&snapshots[1], newest_proven(snapshots, "node-2", now, Kinds::kAll));
  POINTERS_EQUAL(nullptr, newest_proven(snapshots, "node-4", now, Kinds::kAll));
  const OthersSnapshots others = proven_of_others(snapshots, "node-1");
  LONGS_EQUAL(2, others.count);
  STRCMP_EQUAL("node-2", others.newest_owner.c_str());
  // After this host was renamed all of them are another's (k3s-io/k3s#8182).
  LONGS_EQUAL(6, proven_of_others(snapshots, "node-4").count);
  STRCMP_EQUAL("node-1", proven_of_others(snapshots, "node-4").newest_owner.c_str());
  LONGS_EQUAL(0, proven_of_others({}, "node-1").count);
}
