#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/exit_code.h"
#include "base/human.h"
#include "commands/commands.h"
#include "commands/table.h"
#include "store/directory.h"

namespace etcd_snapshot {
namespace {

const char* kind_text(SnapshotKind kind) {
  return kind == SnapshotKind::kRolling ? "rolling" : "one-time";
}

nlohmann::json to_json_object(const StoredSnapshot& snapshot, UnixSeconds now) {
  nlohmann::json object = {
      {"name", snapshot.name->base},
      {"file", snapshot.file_name},
      {"kind", kind_text(snapshot.name->kind)},
      {"time", format_utc(snapshot.name->time)},
      {"age_s", (now - snapshot.name->time).count()},
      {"size_bytes", snapshot.size_bytes},
      {"where", {"local"}},
      {"proven", snapshot.manifest.has_value()},
  };
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

std::vector<std::string> to_row(const StoredSnapshot& snapshot, UnixSeconds now) {
  return {snapshot.file_name,
          human_age(now - snapshot.name->time),
          human_bytes(snapshot.size_bytes),
          "local",
          kind_text(snapshot.name->kind),
          snapshot.manifest ? std::to_string(snapshot.manifest->revision) : "-",
          snapshot.manifest ? "yes" : "no"};
}

}  // namespace

int command_list(Context& context, bool json) {
  const std::string& path = context.settings.host.snapshots.directory;
  Result<std::vector<StoredSnapshot>> snapshots = std::vector<StoredSnapshot>();
  const auto directory = SnapshotDirectory::open(path, false);
  if (directory) {
    snapshots = directory->list();
  } else if (directory.error().code != ENOENT) {  // made by the first snapshot
    return print_error(directory.error());
  }
  if (!snapshots) return print_error(snapshots.error());
  const UnixSeconds now = context.clock.now();

  std::vector<std::vector<std::string>> rows = {
      {"NAME", "AGE", "SIZE", "WHERE", "KIND", "REVISION", "PROVEN"}};
  nlohmann::json array = nlohmann::json::array();
  int64_t bytes = 0;
  for (const StoredSnapshot& snapshot : *snapshots) {
    if (!snapshot.name) continue;  // somebody else's file
    bytes += snapshot.size_bytes;
    if (json) {
      array.push_back(to_json_object(snapshot, now));
    } else {
      rows.push_back(to_row(snapshot, now));
    }
  }
  if (json) {
    const auto text = array.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
    fmt::print("{}\n", text);
  } else if (rows.size() == 1) {
    fmt::print("no snapshots in {}\n", path);
  } else {
    fmt::print("{}", format_table(rows));
    fmt::print("{} in {}, {}\n",
               rows.size() == 2 ? "1 snapshot" : fmt::format("{} snapshots", rows.size() - 1), path,
               human_bytes(bytes));
  }
  return kExitOk;
}

}  // namespace etcd_snapshot
