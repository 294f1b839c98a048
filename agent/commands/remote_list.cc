#include "commands/remote_list.h"

#include <algorithm>

#include "archive/writer.h"

namespace etcd_snapshot {
namespace {

bool has_archive_extension(const std::string& file_name) {
  return file_name.ends_with(archive_extension(Compression::kZip)) ||
         file_name.ends_with(archive_extension(Compression::kZstd));
}

// What a one-time snapshot of any name is called by, from its manifest.
std::optional<SnapshotName> one_time(const std::string& file_name, const Manifest& manifest) {
  const auto created = parse_rfc3339(manifest.created);
  if (manifest.kind != "one-time" || !created) return std::nullopt;
  SnapshotName name;
  name.base = file_name.substr(0, file_name.size() - archive_extension(Compression::kZip).size());
  // What nobody could have given it here is not printed either.
  if (!check_one_time_name(name.base)) return std::nullopt;
  name.kind = SnapshotKind::kOneTime;
  name.time = *created;
  name.compression = file_name.ends_with(archive_extension(Compression::kZip)) ? Compression::kZip
                                                                               : Compression::kZstd;
  return name;
}

}  // namespace

void RemoteList::add(const RemoteObject& object) {
  const auto name = parse_snapshot_name(object.file_name);
  if (!name && !has_archive_extension(object.file_name)) return;
  entries_.push_back({name ? name->time : UnixSeconds::min(), object.size_bytes, names_.size(),
                      static_cast<uint32_t>(object.file_name.size())});
  names_ += object.file_name;
}

void RemoteList::sort() {
  std::sort(entries_.begin(), entries_.end(), [this](const Entry& a, const Entry& b) {
    return a.time != b.time ? a.time > b.time : file_name(a) < file_name(b);
  });
}

// What cannot be read (archived, say) hides nothing else.
void RemoteList::read_manifests(Bucket& bucket, int max_manifests) {
  for (Entry& entry : entries_) {
    if (max_manifests == 0 || ended_) break;
    const std::string name(file_name(entry));
    // A bare database cannot carry a manifest.
    if (!has_archive_extension(name)) continue;
    --max_manifests;
    auto manifest = bucket.manifest({name, entry.size_bytes, ""});
    if (!manifest) {
      ++unread_;
      ended_ = !bucket.only_this_object(manifest.error()) || !bucket.worth_reading();
      const bool first_denied = !denied_ && entry.time != UnixSeconds::min() &&
                                manifest.error().s3_code == "AccessDenied";
      denied_ = denied_ || first_denied;
      if (!error_ || ended_ || first_denied) error_ = manifest.take_error();
      continue;
    }
    entry.looked_at = read_any_ = true;
    if (!*manifest) continue;
    if (entry.time == UnixSeconds::min()) {
      if (const auto told = one_time(name, **manifest)) entry.time = told->time;
    }
    entry.manifest = static_cast<int16_t>(manifests_.size());
    manifests_.push_back(std::move(**manifest));
  }
}

Result<RemoteList> RemoteList::read(Bucket& bucket, int max_manifests,
                                    const std::function<bool(const RemoteObject&)>& is_here) {
  RemoteList list;
  ES_TRY(bucket.list([&](std::vector<RemoteObject> page) -> Result<void> {
    for (const RemoteObject& object : page) {
      if (!is_here(object)) list.add(object);
    }
    return {};
  }));
  list.sort();
  list.read_manifests(bucket, max_manifests);
  std::erase_if(list.entries_, [](const Entry& entry) { return entry.time == UnixSeconds::min(); });
  list.sort();
  return list;
}

StoredSnapshot RemoteList::snapshot(size_t index) const {
  const Entry& entry = entries_[index];
  StoredSnapshot snapshot;
  snapshot.file_name = file_name(entry);
  snapshot.size_bytes = entry.size_bytes;
  snapshot.name = parse_snapshot_name(snapshot.file_name);
  if (entry.manifest >= 0) {
    snapshot.manifest = manifests_[static_cast<size_t>(entry.manifest)];
    if (!snapshot.name) snapshot.name = one_time(snapshot.file_name, *snapshot.manifest);
  }
  return snapshot;
}

}  // namespace etcd_snapshot
