// Pruning the bucket page by page: the same decisions as over the whole list, in batches.
#include "pruning/remote_prune.h"

#include <random>
#include <set>

#include "pruning/local_prune.h"
#include "remote_lab.h"
#include "systemd/message_ids.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP_BASE(RemotePruner, RemotePruneBase){void setup() override{RemotePruneBase::setup();
options.anchor = put(0s);
}
std::string name_of(Nanoseconds age, const std::string& host = "") {
  return rolling_name(std::chrono::floor<std::chrono::seconds>(lab.clock.now() - age), host,
                      false) +
         ".zip";
}
RemoteObject put(Nanoseconds age, const std::string& host = "") {
  return put(name_of(age, host));
}
RemoteObject put(const std::string& file_name) {
  lab.s3.put("p1/" + file_name, "no archive");
  return {file_name, 10, lab.s3.objects().at("p1/" + file_name).etag};
}
Result<RemotePruner::Outcome> prune(const std::vector<std::vector<RemoteObject>>& pages) {
  RemotePruner pruner(lab.context, *bucket, options);
  for (const auto& page : pages) {
    if (auto fed = pruner.feed(page); !fed) return fed.take_error();
  }
  return pruner.finish();
}
// Lists the bucket itself, as a cycle does.
Result<RemotePruner::Outcome> prune_all() {
  RemotePruner pruner(lab.context, *bucket, options);
  const auto listed =
      bucket->list([&](std::vector<RemoteObject> page) { return pruner.feed(page); });
  if (!listed) return Error(listed.error());
  return pruner.finish();
}
std::set<std::string> left() {
  const auto objects = lab.objects();
  return {objects.begin(), objects.end()};
}
}
;

TEST(RemotePruner, DeletesWhatExpiredAndNothingElse) {
  const std::string at_it = put(24h).file_name, young = put(1h).file_name;
  const std::set<std::string> stay = {at_it,
                                      young,
                                      options.anchor->file_name,
                                      put(90h, "node-2").file_name,
                                      put(-1h).file_name,
                                      put("rke_etcd_snapshot_2010-01-01T00:00:00Z.zip").file_name,
                                      put("pki.bundle.tar.gz").file_name,
                                      put("2010-01-01T00:00:00Z_etcd.zip.bak").file_name};
  put(24h + 1s);
  put(90h);
  put("2010-01-01T00:00:00+02:00_etcd");
  const auto outcome = prune_all();
  CHECK_TRUE(outcome.ok());
  CHECK_TRUE(stay == left());
  LONGS_EQUAL(3, outcome->deleted);
  CHECK_FALSE(outcome->error.has_value());
  LONGS_EQUAL(1, lab.s3.count("DeleteObjects"));
  const auto records = lab.log.of("Deleted remote backup");
  LONGS_EQUAL(3, records.size());
  STRCMP_EQUAL(kDeletedRemote, std::string(records[0].message_id).c_str());
  STRCMP_EQUAL("2010-01-01T00:00:00+02:00_etcd", records[0].fields.find("name")->second.c_str());
}

TEST(RemotePruner, DeletesNothingWithoutAnAnchor) {
  options.anchor.reset();
  options.state.making_room = true;  // `prune` by hand
  for (const int hours : {90, 80, 70, 60, 50}) put(std::chrono::hours(hours));
  for (const int keep_last : {1, 3}) {
    lab.settings.host.snapshots.keep_last = keep_last;
    LONGS_EQUAL(0, prune_all()->deleted);
    LONGS_EQUAL(0, lab.s3.count("DeleteObjects"));
  }
}

TEST(RemotePruner, DeletesNothingThatTheStateHolds) {
  put(90h);
  const struct {
    const char* what;
    std::function<void(RetentionState&)> hold;
  } rows[] = {{"not proven", [](RetentionState& state) { state.proven_this_cycle = false; }},
              {"unhealthy", [](RetentionState& state) { state.cluster_healthy = false; }},
              {"frozen", [](RetentionState& state) { state.frozen = true; }},
              {"clock", [](RetentionState& state) { state.clock_hold = true; }}};
  const RetentionState well = options.state;
  for (const auto& row : rows) {
    options.state = well;
    row.hold(options.state);
    const auto outcome = prune_all();
    LONGS_EQUAL_TEXT(0, outcome->deleted, row.what);
    LONGS_EQUAL_TEXT(2, outcome->kept, row.what);
  }
  LONGS_EQUAL(0, lab.s3.count("DeleteObjects"));
  options.state = well;
  LONGS_EQUAL(1, prune_all()->deleted);
}

TEST(RemotePruner, KeepsTheNewestCountedWhereverTheyAreInTheList) {
  lab.settings.host.snapshots.retention_unit = RetentionUnit::kSnapshots;
  lab.settings.policy.retention_number = 3;
  std::vector<RemoteObject> objects;
  for (int hours = 1; hours <= 9; ++hours) objects.push_back(put(std::chrono::hours(hours)));
  std::mt19937 random(7);
  std::shuffle(objects.begin(), objects.end(), random);
  std::vector<std::vector<RemoteObject>> pages;
  for (const RemoteObject& object : objects) pages.push_back({object});
  const auto outcome = prune(pages);
  LONGS_EQUAL(7, outcome->deleted);
  CHECK_TRUE(left() ==
             (std::set<std::string>{options.anchor->file_name, name_of(1h), name_of(2h)}));
}

// Whatever the order in which a server repeats itself.
TEST(RemotePruner, CountsNoNameTwice) {
  lab.settings.host.snapshots.retention_unit = RetentionUnit::kSnapshots;
  lab.settings.policy.retention_number = 3;
  const RemoteObject two = put(2h), one = put(1h);
  const std::vector<std::vector<RemoteObject>> lists[] = {
      {{two, one}, {one, *options.anchor}},
      {{one, one, *options.anchor}, {*options.anchor, two}, {one}},
      {{two}, {one}, {one}, {two}, {one}}};
  for (const auto& pages : lists) {
    const auto outcome = prune(pages);
    LONGS_EQUAL(0, outcome->deleted);
    LONGS_EQUAL(3, left().size());
  }
}

TEST(RemotePruner, DeletesNoNameTwice) {
  const RemoteObject old = put(90h);
  LONGS_EQUAL(1, prune({{old}, {old, old}})->deleted);
}

TEST(RemotePruner, DeletesInCallsOfAThousandAndRemembersLittle) {
  std::vector<std::vector<RemoteObject>> pages(100);
  for (int i = 0; i < 100000; ++i) {
    pages[static_cast<size_t>(i) / 1000].push_back(
        {name_of(i % 2 ? 48h + std::chrono::seconds(i) : 1h + std::chrono::milliseconds(i)), 10,
         ""});
  }
  std::vector<int64_t> bodies;
  const auto outcome = prune(pages);
  CHECK_TRUE(outcome.ok());
  LONGS_EQUAL(50000, outcome->deleted);
  LONGS_EQUAL(50, lab.s3.count("DeleteObjects"));
  // As soon as a thousand wait: none is left for the end.
  for (size_t i = 0; i < lab.s3.calls.size(); ++i) {
    if (lab.s3.calls[i].operation != "DeleteObjects") continue;
    bodies.push_back(lab.s3.calls[i].body_bytes);
  }
  CHECK_TRUE(*std::max_element(bodies.begin(), bodies.end()) < 120 * 1000);
}

// What decide_retention says of everything at once is what comes of it in pages, in any order.
TEST(RemotePruner, DecidesAsOverTheWholeList) {
  std::mt19937 random(20180504);
  const auto up_to = [&](int most) { return std::uniform_int_distribution<int>(0, most)(random); };
  for (int round = 0; round < 300; ++round) {
    lab.s3.buckets["backups"].clear();
    lab.settings.host.snapshots.retention_unit =
        up_to(1) ? RetentionUnit::kSnapshots : RetentionUnit::kHours;
    lab.settings.policy.retention_number = up_to(6);
    lab.settings.policy.retention = std::chrono::hours(up_to(20));
    lab.settings.host.snapshots.keep_last = 1 + (up_to(1) ? 0 : up_to(4));
    options.anchor = put(std::chrono::hours(up_to(3)), up_to(1) ? "node-1" : "");
    std::map<std::string, RemoteObject> objects;  // no name twice
    for (int i = up_to(40); i > 0; --i) {
      const char* const hosts[] = {"", "", "", "node-1", "node-2"};
      const Nanoseconds age = std::chrono::minutes(30 * (up_to(60) - 4));
      RemoteObject object = put(up_to(9) ? name_of(age, hosts[up_to(4)])
                                         : one_time_name(lab.clock.now() - 30h, false) + ".zip");
      objects[object.file_name] = object;
    }
    if (up_to(3)) objects[options.anchor->file_name] = *options.anchor;
    std::vector<RemoteObject> list;
    for (const auto& [name, object] : objects) list.push_back(object);
    if (up_to(1)) std::shuffle(list.begin(), list.end(), random);

    // The whole, with what the pruner assumes of proofs.
    const RetentionPolicy policy = retention_policy(lab.context);
    std::vector<RetentionEntry> entries;
    for (const RemoteObject& object : list) {
      const bool anchor = object.file_name == options.anchor->file_name;
      entries.push_back(retention_entry(object.file_name, parse_snapshot_name(object.file_name),
                                        anchor || policy.keep_last > 1));
    }
    if (!objects.contains(options.anchor->file_name)) {
      const std::string& name = options.anchor->file_name;
      entries.push_back(retention_entry(name, parse_snapshot_name(name), true));
    }
    std::set<std::string> expected = {options.anchor->file_name};  // stays whatever keep_last says
    for (const auto& decision : decide_retention(entries, policy, options.state)) {
      const RetentionEntry& entry = entries[decision.index];
      // Nobody knows whether what is newer than the anchor is proven.
      const bool newer = entry.time >= parse_snapshot_name(options.anchor->file_name)->time;
      if (decision.keep || newer) expected.insert(entry.file_name);
    }

    std::vector<std::vector<RemoteObject>> pages(1);
    for (const RemoteObject& object : list) {
      pages.back().push_back(object);
      if (up_to(4) == 0) pages.emplace_back();
    }
    const auto outcome = prune(pages);
    CHECK_TRUE(outcome.ok());
    const std::string what = "round " + std::to_string(round);
    const auto stayed = left();
    for (const std::string& name : expected)
      CHECK_TEXT(stayed.contains(name), (what + name).c_str());
    CHECK_TEXT(expected == stayed, what.c_str());
  }
}

TEST(RemotePruner, TellsOfLockedOnesAndOfThoseThatCannotBeDeleted) {
  const std::string locked = put(90h).file_name, refused = put(80h).file_name,
                    gone = put(70h).file_name;
  lab.s3.locked = {"p1/" + locked};
  lab.s3.after = [&](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "DeleteObjects") return std::nullopt;
    return FakeAnswer{200,
                      {},
                      "<DeleteResult><Error><Key>p1/" + locked +
                          "</Key><Code>AccessDenied</Code><Message>Access Denied because object "
                          "protected by object lock.</Message></Error><Error><Key>p1/" +
                          refused +
                          "</Key><Code>AccessDenied</Code><Message>Access Denied</Message>"
                          "</Error></DeleteResult>"};
  };
  const auto outcome = prune_all();
  CHECK_TRUE(outcome.ok());
  LONGS_EQUAL(1, outcome->deleted);
  LONGS_EQUAL(1, outcome->locked);
  STRCMP_EQUAL(locked.c_str(), outcome->locked_example.c_str());
  LONGS_EQUAL(1, outcome->failed);
  CHECK_TRUE(outcome->error.has_value());
  CHECK_TEXT(holds(outcome->error->message, "https://s3.test:9000/backups/p1/" + refused),
             outcome->error->message.c_str());
  CHECK_TRUE(holds(outcome->error->hint, "s3:DeleteObject"));
  LONGS_EQUAL(1, lab.log.count("Deleted remote backup"));
  STRCMP_EQUAL(gone.substr(0, gone.size() - 4).c_str(),
               lab.log.field("Deleted remote backup", "name").c_str());
}

TEST(RemotePruner, TellsOfEachInADryRunAndDeletesNothing) {
  const std::string old = put(90h).file_name, young = put(1h).file_name;
  std::map<std::string, std::pair<bool, RetentionReason>> told;
  options.dry_run = [&](const RemoteObject& object, const RetentionDecision& decision) {
    told[object.file_name] = {decision.keep, decision.reason};
  };
  const auto outcome = prune_all();
  LONGS_EQUAL(1, outcome->deleted);
  LONGS_EQUAL(3, told.size());
  CHECK_TRUE(told[old] == std::pair(false, RetentionReason::kExpired));
  CHECK_TRUE(told[young] == std::pair(true, RetentionReason::kYoung));
  CHECK_TRUE(told[options.anchor->file_name] == std::pair(true, RetentionReason::kNewestProven));
  LONGS_EQUAL(0, lab.s3.count("DeleteObjects"));
  LONGS_EQUAL(0, lab.log.lines.size());
  LONGS_EQUAL(3, lab.objects().size());
}

TEST(RemotePruner, GoesThroughTheListThoughNoneMayBeDeletedAndAsksOnce) {
  std::vector<std::vector<RemoteObject>> pages(3);
  for (int i = 0; i < 3000; ++i) {
    pages[static_cast<size_t>(i) / 1000].push_back({name_of(48h + std::chrono::seconds(i)), 1, ""});
  }
  lab.s3.denied = {"DeleteObjects"};
  const auto outcome = prune(pages);
  CHECK_TRUE(outcome.ok());
  CHECK_TRUE(outcome->error.has_value());
  STRCMP_EQUAL("AccessDenied", outcome->error->s3_code.c_str());
  LONGS_EQUAL(3000, outcome->failed);
  LONGS_EQUAL(0, outcome->deleted);
  LONGS_EQUAL(1, lab.s3.count("DeleteObjects"));
}
