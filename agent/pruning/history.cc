#include "pruning/history.h"

#include <algorithm>
#include <map>

#include "base/files.h"
#include "base/human.h"
#include "base/json.h"

namespace etcd_snapshot {
namespace {

constexpr char kAcceptedFile[] = ".etcd-snapshot.history";
constexpr size_t kMaxAcceptedBytes = 4096;

std::string hex(uint64_t id) {
  char text[17] = {};
  snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(id));
  return text;
}

bool counts(const StoredSnapshot& snapshot, UnixSeconds now) {
  return snapshot.name && snapshot.manifest && snapshot.name->kind == SnapshotKind::kRolling &&
         snapshot.name->time <= now;
}

HistoryBreak break_between(const StoredSnapshot& older, const StoredSnapshot& newer) {
  HistoryBreak found;
  found.cluster_changed = older.manifest->cluster_id != newer.manifest->cluster_id;
  found.older = older.name->base;
  found.newer = newer.name->base;
  found.older_cluster = older.manifest->cluster_id;
  found.newer_cluster = newer.manifest->cluster_id;
  found.older_revision = older.manifest->revision;
  found.newer_revision = newer.manifest->revision;
  return found;
}

}  // namespace

std::optional<HistoryBreak> find_history_break(const std::vector<StoredSnapshot>& snapshots,
                                               std::optional<UnixSeconds> accepted, UnixSeconds now,
                                               std::string_view own_host) {
  std::vector<const StoredSnapshot*> oldest_first;
  for (const StoredSnapshot& snapshot : snapshots) {
    if (counts(snapshot, now)) oldest_first.push_back(&snapshot);
  }
  std::sort(oldest_first.begin(), oldest_first.end(),
            [](const StoredSnapshot* a, const StoredSnapshot* b) {
              // Of the same second, the order is that of the revisions.
              if (a->name->time != b->name->time) return a->name->time < b->name->time;
              return a->manifest->revision < b->manifest->revision;
            });
  // The one before, by the host part of the name; and by that and the host that took it.
  std::map<std::string, const StoredSnapshot*> last_of_name;
  std::map<std::pair<std::string, std::string>, const StoredSnapshot*> last_of_host;
  std::optional<HistoryBreak> newest;
  for (const StoredSnapshot* snapshot : oldest_first) {
    const std::string line = snapshot->name->host == own_host ? "" : snapshot->name->host;
    const StoredSnapshot*& before = last_of_name[line];
    const StoredSnapshot*& before_here = last_of_host[{line, snapshot->manifest->host}];
    const StoredSnapshot* older = nullptr;
    if (before && before->manifest->cluster_id != snapshot->manifest->cluster_id) {
      older = before;
    } else if (snapshot->manifest->current && before_here &&
               before_here->manifest->cluster_id == snapshot->manifest->cluster_id &&
               before_here->manifest->revision > snapshot->manifest->revision) {
      older = before_here;
    }
    if (older && (!accepted || snapshot->name->time > *accepted)) {
      newest = break_between(*older, *snapshot);
    }
    before = snapshot;
    // The one that was behind says nothing of how far the cluster was.
    const bool new_line =
        !before_here || before_here->manifest->cluster_id != snapshot->manifest->cluster_id;
    if (snapshot->manifest->current || new_line) before_here = snapshot;
  }
  return newest;
}

std::optional<Error> find_unread(const std::vector<StoredSnapshot>& snapshots, UnixSeconds now) {
  const StoredSnapshot* newest = nullptr;
  int others = -1;
  for (const StoredSnapshot& snapshot : snapshots) {
    if (!snapshot.unread || !snapshot.name || snapshot.name->kind != SnapshotKind::kRolling ||
        snapshot.name->time > now) {
      continue;
    }
    ++others;
    if (newest == nullptr || newest->name->time < snapshot.name->time) newest = &snapshot;
  }
  if (newest == nullptr) return std::nullopt;
  Error error = *newest->unread;
  if (others > 0) error.message += ", and " + std::to_string(others) + " more";
  return error;
}

Result<std::optional<UnixSeconds>> read_accepted_history(const SnapshotDirectory& directory) {
  const auto text =
      read_file_at(directory.fd(), kAcceptedFile, ErrorKind::kStorage, kMaxAcceptedBytes);
  if (!text) {
    if (is_absent(text.error())) return std::optional<UnixSeconds>();
    Error error = Error(text.error()).within("snapshot directory " + directory.path());
    error.hint = "look at the disk or mount (dmesg, findmnt -T " + directory.path() +
                 "); if it stays unreadable, delete that file: what was accepted is then asked "
                 "for again (etcd-snapshot prune --accept-history)";
    return error;
  }
  const auto json = parse_json(*text);
  std::optional<UnixSeconds> accepted;
  if (json.is_object()) {
    const auto member = json.find("accepted");
    if (member != json.end() && member->is_string()) {
      accepted = parse_rfc3339(member->get_ref<const std::string&>());
    }
  }
  if (!accepted) {
    Error error;
    error.kind = ErrorKind::kStorage;
    error.message = directory.path() + "/" + kAcceptedFile +
                    " is damaged: expected {\"accepted\":\"<UTC time>\"}";
    error.hint =
        "look at `etcd-snapshot list`, then run `etcd-snapshot prune --accept-history`, "
        "which writes it anew";
    return error;
  }
  return accepted;
}

Result<void> accept_history(const SnapshotDirectory& directory, UnixSeconds newest) {
  const nlohmann::json json = {{"accepted", format_utc(newest)}};
  auto written =
      replace_file_at(directory.fd(), kAcceptedFile, as_bytes(json_text(json) + "\n"), 0600);
  if (!written) return written.take_error().within("snapshot directory " + directory.path());
  return {};
}

std::string describe(const HistoryBreak& found) {
  if (found.cluster_changed) {
    return "the snapshots come from two clusters: " + found.older + " of cluster " +
           hex(found.older_cluster) + ", " + found.newer + " of cluster " +
           hex(found.newer_cluster);
  }
  return "the revision of the cluster went back from " + std::to_string(found.older_revision) +
         " (" + found.older + ") to " + std::to_string(found.newer_revision) + " (" + found.newer +
         "), as it does when a member lost its data or the cluster is restored from an older "
         "snapshot";
}

}  // namespace etcd_snapshot
