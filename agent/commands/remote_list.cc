#include "commands/remote_list.h"

#include <algorithm>

#include "archive/writer.h"

namespace etcd_snapshot {
namespace {

bool has_archive_extension(const std::string& file_name) {
  return file_name.ends_with(archive_extension(Compression::kZip)) ||
         file_name.ends_with(archive_extension(Compression::kZstd));
}

bool newer(const RemoteSnapshot& a, const RemoteSnapshot& b) {
  const auto time = [](const RemoteSnapshot& snapshot) {
    return snapshot.as_stored.name ? snapshot.as_stored.name->time : UnixSeconds::min();
  };
  return time(a) != time(b) ? time(a) > time(b) : a.object.file_name < b.object.file_name;
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

Result<std::vector<RemoteSnapshot>> list_remote(
    Bucket& bucket, int max_manifests, const std::function<bool(const RemoteObject&)>& known) {
  std::vector<RemoteSnapshot> found;
  ES_TRY(bucket.list([&](std::vector<RemoteObject> page) -> Result<void> {
    for (RemoteObject& object : page) {
      RemoteSnapshot snapshot;
      snapshot.as_stored.file_name = object.file_name;
      snapshot.as_stored.name = parse_snapshot_name(object.file_name);
      snapshot.as_stored.size_bytes = object.size_bytes;
      if (!snapshot.as_stored.name && !has_archive_extension(object.file_name)) continue;
      snapshot.object = std::move(object);
      found.push_back(std::move(snapshot));
    }
    return {};
  }));
  std::sort(found.begin(), found.end(), newer);
  int read = 0;
  for (RemoteSnapshot& snapshot : found) {
    // A bare database cannot carry a manifest.
    const bool bare = !has_archive_extension(snapshot.object.file_name);
    if (bare || known(snapshot.object) || read == max_manifests) continue;
    ++read;
    ES_ASSIGN(manifest, bucket.manifest(snapshot.object));
    snapshot.looked_at = true;
    if (!snapshot.as_stored.name && manifest) {
      snapshot.as_stored.name = one_time(snapshot.object.file_name, *manifest);
    }
    snapshot.as_stored.manifest = std::move(manifest);
  }
  std::erase_if(found, [&](const RemoteSnapshot& snapshot) {
    return !snapshot.as_stored.name && !known(snapshot.object);
  });
  std::sort(found.begin(), found.end(), newer);
  return found;
}

}  // namespace etcd_snapshot
