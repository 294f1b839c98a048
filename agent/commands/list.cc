#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <map>

#include "base/exit_code.h"
#include "base/human.h"
#include "base/json.h"
#include "commands/commands.h"
#include "commands/registry.h"
#include "commands/remote_list.h"
#include "commands/table.h"
#include "store/directory.h"
#include "store/ownership.h"

namespace etcd_snapshot {
namespace {

struct ListOptions {
  bool json = false;
};

// Of so many objects that lie only in the bucket the manifest is read: a request or two each.
constexpr int kMaxManifests = 100;

// One line of the answer.
struct Row {
  StoredSnapshot snapshot;
  bool local = false, remote = false;
  bool looked_at = true;  // false: whether it is proven is not known
  std::string object{};   // its name in the bucket, where that is another than the file's
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
  if (!row.object.empty()) object["object"] = row.object;
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

// Whether it is another host's and its name does not say so.
bool is_hidden_anothers(const Row& row, const std::string& own_host) {
  const SnapshotName& name = *row.snapshot.name;
  return name.host.empty() && !is_of_host(own_host, name, row.snapshot.manifest);
}

std::vector<std::string> to_row(const Row& row, UnixSeconds now) {
  const StoredSnapshot& snapshot = row.snapshot;
  const char* proven = snapshot.manifest ? "yes" : row.looked_at ? "no" : "?";
  std::string where = row.local && row.remote ? "local, bucket" : row.local ? "local" : "bucket";
  if (!row.object.empty()) where += " as " + row.object;
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
    const bool read = !snapshot.unread;
    rows.push_back({std::move(snapshot), true, false, read});
  }
  return rows;
}

// What lies here, and what lies in the bucket only.
struct Answer {
  std::vector<Row> local;
  RemoteList remote;
};

// Newest first; of the same second, what lies here before what lies there. Each row is made for the
// call alone.
void for_each_row(const Answer& answer, const std::function<void(const Row&)>& row) {
  const RemoteList& remote = answer.remote;
  size_t at = 0;
  const auto there = [&] { row({remote.snapshot(at), false, true, remote.looked_at(at)}), ++at; };
  for (const Row& here : answer.local) {
    while (at < remote.size() && remote.time(at) > here.snapshot.name->time) there();
    row(here);
  }
  while (at < remote.size()) there();
}

// Joins what lies in the bucket: the same name and size is taken for the same snapshot.
Result<void> add_remote(Offsite& offsite, Answer& answer) {
  std::vector<Row>& rows = answer.local;
  std::map<std::string, size_t> by_name;
  for (size_t i = 0; i < rows.size(); ++i) {
    const StoredSnapshot& snapshot = rows[i].snapshot;
    for (int number = 1; number <= Offsite::kNamesBeside; ++number) {
      by_name.emplace(offsite.object_beside(snapshot.file_name, snapshot.name->base, number), i);
    }
  }
  // A name of its own goes before one beside another's.
  for (size_t i = 0; i < rows.size(); ++i) by_name[rows[i].snapshot.file_name] = i;
  const auto is_here = [&](const RemoteObject& object) {
    const auto found = by_name.find(object.file_name);
    if (found == by_name.end()) return false;
    Row& row = rows[found->second];
    if (row.snapshot.size_bytes != object.size_bytes) return false;
    const bool own_name = object.file_name == row.snapshot.file_name;
    if (own_name) row.object.clear();
    if (!own_name && !row.remote) row.object = object.file_name;
    row.remote = true;
    return true;
  };
  ES_ASSIGN(remote, RemoteList::read(offsite.bucket(), kMaxManifests, is_here));
  answer.remote = std::move(remote);
  return {};
}

void print_table(const Context& context, const Answer& answer, UnixSeconds now) {
  const std::string& path = context.settings.host.snapshots.directory;
  if (answer.local.empty() && answer.remote.size() == 0) {
    if (access(path.c_str(), F_OK) == 0) {
      fmt::print("no snapshots in {}\n", path);
    } else {
      fmt::print("no snapshots: {} does not exist (is its file system mounted?)\n", path);
    }
    return;
  }
  TableRow heading = {"NAME", "AGE", "SIZE", "WHERE", "KIND", "REVISION", "PROVEN"};
  const std::string own_host = sanitize_host(context.host);
  bool with_hosts = false;
  for_each_row(answer, [&](const Row& row) { with_hosts |= is_hidden_anothers(row, own_host); });
  if (with_hosts) heading.emplace_back("HOST");
  const auto cells = [&](const Row& row) {
    TableRow line = to_row(row, now);
    if (!with_hosts) return line;
    const std::string owner = owner_of(*row.snapshot.name, row.snapshot.manifest);
    line.push_back(owner.empty() ? "-" : owner);
    return line;
  };
  TableWidths widths;
  widths.measure(heading);
  int64_t bytes = 0, count = 0, remote_bytes = 0, remote_count = 0;
  for_each_row(answer, [&](const Row& row) {
    widths.measure(cells(row));
    if (row.local) bytes += row.snapshot.size_bytes, ++count;
    if (row.remote) remote_bytes += row.snapshot.size_bytes, ++remote_count;
  });
  const auto counted = [](int64_t number) {
    return number == 1 ? "1 snapshot" : fmt::format("{} snapshots", number);
  };
  fmt::print("{}", widths.line(heading));
  for_each_row(answer, [&](const Row& row) { fmt::print("{}", widths.line(cells(row))); });
  fmt::print("{} in {}, {}\n", counted(count), path, human_bytes(bytes));
  if (remote_count > 0)
    fmt::print("{} in the bucket, {}\n", counted(remote_count), human_bytes(remote_bytes));
}

// As json_text(array, 2) writes it, but one element after the other.
void print_json(const Answer& answer, UnixSeconds now) {
  std::string_view before = "[\n  ";
  for_each_row(answer, [&](const Row& row) {
    // A line break within a string is escaped: these are between the members.
    std::string text = json_text(to_json_object(row, now), 2);
    for (size_t at = 0; (at = text.find('\n', at)) != text.npos; ++at) text.insert(at + 1, "  ");
    fmt::print("{}{}", before, text);
    before = ",\n  ";
  });
  fmt::print("{}", before.starts_with('[') ? "[]\n" : "\n]\n");
}

// What the manifests of the newest would have told. One that is archived is no failure of `list`;
// to be allowed to read none of them is one.
int tell_of_unread(const Offsite& offsite, const RemoteList& remote) {
  const Error error = offsite.explain(*remote.error());
  if (remote.ended()) return print_error(error);
  const int code = print_error(Error(error).within(fmt::format(
      "whether it is proven is not known of {}",
      remote.unread() == 1 ? "an object" : fmt::format("{} objects", remote.unread()))));
  return remote.denied() ? code : kExitOk;
}

int command_list(Context& context, const ListOptions& options) {
  auto rows = local_rows(context.settings.host.snapshots.directory);
  if (!rows) return print_error(rows.error());
  Answer answer{std::move(*rows), {}};
  std::stable_sort(answer.local.begin(), answer.local.end(), [](const Row& a, const Row& b) {
    return a.snapshot.name->time > b.snapshot.name->time;
  });
  std::unique_ptr<Offsite> offsite;
  Result<void> joined;
  if (context.settings.policy.s3) {
    auto opened = Offsite::open(context, Offsite::of_a_command(context.clock));
    if (opened) {
      offsite = std::move(*opened);
      joined = add_remote(*offsite, answer);
      if (!joined) joined = offsite->explain(joined.take_error());
    } else {
      joined = opened.take_error();
    }
  }
  const UnixSeconds now = context.clock.now();
  if (options.json) {
    print_json(answer, now);
  } else {
    print_table(context, answer, now);
  }
  int code = kExitOk;
  for (const Row& row : answer.local) {
    if (row.snapshot.unread) code = print_error(*row.snapshot.unread);
  }
  if (!joined) return print_error(joined.error());
  if (code != kExitOk) return code;
  return answer.remote.error() ? tell_of_unread(*offsite, answer.remote) : kExitOk;
}

}  // namespace

Command make_list(CLI::App& app) {
  const auto options = std::make_shared<ListOptions>();
  app.add_flag("--json", options->json, "print a JSON array");
  return {.run = [options](const Call& call) {
    const int code = command_list(call.context, *options);
    if (call.config_error) return print_error(*call.config_error);
    return call.settings.replaced ? print_error(*call.settings.replaced) : code;
  }};
}

}  // namespace etcd_snapshot
