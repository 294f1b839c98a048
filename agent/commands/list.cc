#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/exit_code.h"
#include "base/human.h"
#include "base/json.h"
#include "commands/commands.h"
#include "commands/remote_list.h"
#include "commands/table.h"
#include "store/directory.h"

namespace etcd_snapshot {
namespace {

// Of so many objects that lie only in the bucket the manifest is read: a request or two each.
constexpr int kMaxManifests = 100;

// One line of the answer.
struct Row {
  StoredSnapshot snapshot;
  bool local = false, remote = false;
  bool looked_at = true;  // false: in the bucket only, and nobody asked whether it is proven
};

const char* kind_text(SnapshotKind kind) {
  return kind == SnapshotKind::kRolling ? "rolling" : "one-time";
}

nlohmann::json to_json_object(const Row& row, UnixSeconds now) {
  const StoredSnapshot& snapshot = row.snapshot;
  nlohmann::json where = nlohmann::json::array();
  if (row.local) where.push_back("local");
  if (row.remote) where.push_back("bucket");
  nlohmann::json object = {
      {"name", snapshot.name->base},
      {"file", snapshot.file_name},
      {"kind", kind_text(snapshot.name->kind)},
      {"time", format_utc(snapshot.name->time)},
      {"age_s", (now - snapshot.name->time).count()},
      {"size_bytes", snapshot.size_bytes},
      {"where", std::move(where)},
      {"proven", nullptr},
  };
  if (row.looked_at) object["proven"] = snapshot.manifest.has_value();
  if (snapshot.manifest) {
    const Manifest& manifest = *snapshot.manifest;
    object["revision"] = manifest.revision;
    object["cluster_id"] = fmt::format("{:x}", manifest.cluster_id);
    object["member_id"] = fmt::format("{:x}", manifest.member_id);
    object["etcd_version"] = manifest.etcd_version;
    object["database_bytes"] = manifest.database_bytes;
    object["sha256"] = manifest.sha256;
    object["host"] = manifest.host;
  }
  return object;
}

std::vector<std::string> to_row(const Row& row, UnixSeconds now) {
  const StoredSnapshot& snapshot = row.snapshot;
  const char* proven = snapshot.manifest ? "yes" : row.looked_at ? "no" : "?";
  const char* where = row.local && row.remote ? "local, bucket" : row.local ? "local" : "bucket";
  return {snapshot.file_name,
          human_age(now - snapshot.name->time),
          human_bytes(snapshot.size_bytes),
          where,
          kind_text(snapshot.name->kind),
          snapshot.manifest ? std::to_string(snapshot.manifest->revision) : "-",
          proven};
}

Result<std::vector<Row>> local_rows(const std::string& path) {
  std::vector<Row> rows;
  const auto directory = SnapshotDirectory::open(path, false);
  if (!directory && directory.error().code == ENOENT) return rows;  // made by the first snapshot
  if (!directory) return Error(directory.error());
  ES_ASSIGN(snapshots, directory->list());
  for (StoredSnapshot& snapshot : snapshots) {
    if (!snapshot.name) continue;  // somebody else's file
    rows.push_back({std::move(snapshot), true, false, true});
  }
  return rows;
}

// Joins what lies in the bucket to `rows`: the same name and size is taken for the same snapshot.
Result<void> add_remote(Context& context, std::vector<Row>& rows) {
  ES_ASSIGN(offsite, Offsite::open(context, Offsite::of_a_command(context.clock)));
  std::map<std::string, size_t> by_name;
  for (size_t i = 0; i < rows.size(); ++i) {
    const StoredSnapshot& snapshot = rows[i].snapshot;
    for (int number = 1; number <= Offsite::kNamesBeside; ++number) {
      by_name.emplace(offsite->object_beside(snapshot.file_name, snapshot.name->base, number), i);
    }
  }
  // A name of its own goes before one beside another's.
  for (size_t i = 0; i < rows.size(); ++i) by_name[rows[i].snapshot.file_name] = i;
  const auto find_here = [&](const RemoteObject& object) -> Row* {
    const auto found = by_name.find(object.file_name);
    if (found == by_name.end()) return nullptr;
    Row& row = rows[found->second];
    return row.snapshot.size_bytes == object.size_bytes ? &row : nullptr;
  };
  ES_ASSIGN(remote, list_remote(offsite->bucket(), kMaxManifests, [&](const RemoteObject& object) {
              return find_here(object) != nullptr;
            }));
  std::vector<Row> only_there;
  for (RemoteSnapshot& snapshot : remote) {
    if (Row* const here = find_here(snapshot.object)) {
      here->remote = true;
    } else {
      only_there.push_back({std::move(snapshot.as_stored), false, true, snapshot.looked_at});
    }
  }
  for (Row& row : only_there) rows.push_back(std::move(row));
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.snapshot.name->time > b.snapshot.name->time;
  });
  return {};
}

void print_table(const Context& context, const std::vector<Row>& rows, UnixSeconds now) {
  const std::string& path = context.settings.host.snapshots.directory;
  if (rows.empty()) {
    if (access(path.c_str(), F_OK) == 0) {
      fmt::print("no snapshots in {}\n", path);
    } else {
      fmt::print("no snapshots: {} does not exist (is its file system mounted?)\n", path);
    }
    return;
  }
  std::vector<std::vector<std::string>> table = {
      {"NAME", "AGE", "SIZE", "WHERE", "KIND", "REVISION", "PROVEN"}};
  int64_t bytes = 0, count = 0, remote_bytes = 0, remote_count = 0;
  for (const Row& row : rows) {
    table.push_back(to_row(row, now));
    if (row.local) bytes += row.snapshot.size_bytes, ++count;
    if (row.remote) remote_bytes += row.snapshot.size_bytes, ++remote_count;
  }
  const auto counted = [](int64_t number) {
    return number == 1 ? "1 snapshot" : fmt::format("{} snapshots", number);
  };
  fmt::print("{}", format_table(table));
  fmt::print("{} in {}, {}\n", counted(count), path, human_bytes(bytes));
  if (remote_count > 0)
    fmt::print("{} in the bucket, {}\n", counted(remote_count), human_bytes(remote_bytes));
}

}  // namespace

int command_list(Context& context, bool json) {
  auto rows = local_rows(context.settings.host.snapshots.directory);
  if (!rows) return print_error(rows.error());
  Result<void> remote;
  if (context.settings.policy.s3) remote = add_remote(context, *rows);
  const UnixSeconds now = context.clock.now();
  if (json) {
    nlohmann::json array = nlohmann::json::array();
    for (const Row& row : *rows) array.push_back(to_json_object(row, now));
    fmt::print("{}\n", json_text(array, 2));
  } else {
    print_table(context, *rows, now);
  }
  return remote ? kExitOk : print_error(remote.error());
}

}  // namespace etcd_snapshot
