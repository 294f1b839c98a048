#include "store/directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "archive/writer.h"
#include "base/files.h"
#include "store/pki_bundle.h"

namespace etcd_snapshot {
namespace {

constexpr std::string_view kOwnPrefix = ".etcd-snapshot.";
constexpr std::string_view kPartialSuffix = ".partial";
constexpr std::string_view kSidecarSuffix = ".manifest";
constexpr size_t kMaxSidecarBytes = 64 << 10;
constexpr int64_t kDigestBytes = 32;  // what etcd sends after the database

bool is_safe_name(const std::string& name) {
  return !name.empty() && !name.starts_with('.') && name.find('/') == std::string::npos;
}

Compression compression_of(std::string_view file_name) {
  for (const Compression compression : {Compression::kZip, Compression::kZstd}) {
    if (file_name.ends_with(archive_extension(compression))) return compression;
  }
  return Compression::kNone;
}

// The file that a name of the form prefix + file + suffix stands for; empty if it has another form.
std::string_view inner_name(std::string_view name, std::string_view prefix,
                            std::string_view suffix) {
  if (name.size() <= prefix.size() + suffix.size() || !name.starts_with(prefix) ||
      !name.ends_with(suffix)) {
    return {};
  }
  return name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
}

Result<bool> exists(int dir_fd, const std::string& name) {
  const auto look = [&] { return faccessat(dir_fd, name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW); };
  if (uninterrupted(look) == 0) return true;
  if (errno == ENOENT) return false;
  return system_error(ErrorKind::kStorage, "cannot look for", name);
}

// nullopt: there is none, or it is somebody else's file.
Result<std::optional<Manifest>> read_sidecar(int dir_fd, const std::string& sidecar) {
  const auto json = read_file_at(dir_fd, sidecar, ErrorKind::kStorage, kMaxSidecarBytes);
  if (json) return manifest_from_json(*json);
  // A link, a directory, a pipe (no errno) or what is too large (none either) is none of ours.
  const int code = json.error().code;
  if (is_absent(json.error()) || code == 0 || code == ELOOP || code == EISDIR) {
    return std::optional<Manifest>();
  }
  return Error(json.error());
}

Result<std::optional<Manifest>> manifest_of(int dir_fd, const StoredSnapshot& file,
                                            const std::vector<std::string>& sorted_names) {
  const Compression compression = compression_of(file.file_name);
  if (compression == Compression::kNone) {
    const std::string sidecar = sidecar_file_name(file.file_name);
    if (!std::binary_search(sorted_names.begin(), sorted_names.end(), sidecar)) {
      return std::optional<Manifest>();
    }
    ES_ASSIGN(manifest, read_sidecar(dir_fd, sidecar));
    // Of a file that was cut or replaced afterwards the sidecar says nothing.
    if (manifest && manifest->database_bytes + kDigestBytes != file.size_bytes) manifest.reset();
    return manifest;
  }
  const UniqueFd fd(uninterrupted([&] {
    return openat(dir_fd, file.file_name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  }));
  if (!fd) return system_error(ErrorKind::kStorage, "cannot read", file.file_name);
  return read_manifest(fd.get(), compression);
}

// Names the file, whichever of its calls failed, and how to get out of it.
Error unread_error(const std::string& directory, const std::string& file_name, int errnum) {
  const std::string path = directory + "/" + file_name;
  Error error = system_error(ErrorKind::kStorage, "cannot read", path, errnum);
  const bool ours = parse_snapshot_name(file_name).has_value();
  const std::string away =
      ours ? "etcd-snapshot delete " + file_name : "move it out of " + directory;
  if (errnum == EACCES || errnum == EPERM) {
    error.hint = "let root read it (chmod 0600 " + path + "), or: " + away;
  } else if (errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM) {
    error.hint =
        "this host is short of file descriptors or memory (sysctl fs.file-nr, free); "
        "the next cycle looks again";
  } else {
    error.hint = "look at the disk or mount (dmesg, findmnt -T " + directory +
                 "); if it stays unreadable: " + away;
  }
  return error;
}

// What the file is called, with the manifest's word on snapshots that were named by hand.
std::optional<SnapshotName> name_of(const StoredSnapshot& file) {
  auto name = parse_snapshot_name(file.file_name);
  if (!file.manifest || file.manifest->kind != "one-time") return name;
  if (!name) {
    const auto created = parse_rfc3339(file.manifest->created);
    if (!created) return std::nullopt;
    name.emplace();
    name->time = *created;
    name->compression = compression_of(file.file_name);
    const size_t extension = archive_extension(name->compression).size();
    name->base = file.file_name.substr(0, file.file_name.size() - extension);
  }
  name->kind = SnapshotKind::kOneTime;
  return name;
}

// Whether that manifest of ours stands without the snapshot `file`: of that both names must be
// known to be absent. While the partial file is there the snapshot may be about to get its name;
// asked in this order because the rename makes the one vanish and the other appear.
Result<bool> is_orphan(int dir_fd, const std::string& sidecar, const std::string& file) {
  for (const std::string& name : {partial_file_name(file), file}) {
    ES_ASSIGN(there, exists(dir_fd, name));
    if (there) return false;
  }
  // Others may have hidden files that end so.
  ES_ASSIGN(manifest, read_sidecar(dir_fd, sidecar));
  return manifest.has_value();
}

bool newer_first(const StoredSnapshot& a, const StoredSnapshot& b) {
  if (a.name.has_value() != b.name.has_value()) return a.name.has_value();
  if (a.name && a.name->time != b.name->time) return a.name->time > b.name->time;
  return a.file_name < b.file_name;
}

}  // namespace

std::string partial_file_name(std::string_view file_name) {
  return std::string(kOwnPrefix).append(file_name).append(kPartialSuffix);
}

std::string sidecar_file_name(std::string_view file_name) {
  return std::string(".").append(file_name).append(kSidecarSuffix);
}

Result<std::vector<StoredSnapshot>> SnapshotDirectory::list() const {
  ES_ASSIGN(names, list_directory(fd_.get(), path_));
  std::sort(names.begin(), names.end());
  std::vector<StoredSnapshot> files;
  for (const std::string& name : names) {
    if (name.starts_with('.') || name == kPkiBundleName) continue;
    StoredSnapshot file;
    file.file_name = name;
    struct stat status = {};
    const auto look = [&] {
      return fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW);
    };
    if (uninterrupted(look) != 0) {
      // A file that vanished since is another process's doing, and none of the snapshots.
      if (errno == ENOENT) continue;
      file.unread = unread_error(path_, name, errno);
    } else {
      if (!S_ISREG(status.st_mode)) continue;
      file.size_bytes = status.st_size;
      auto manifest = manifest_of(fd_.get(), file, names);
      if (manifest) {
        file.manifest = std::move(*manifest);
      } else if (is_absent(manifest.error())) {
        continue;
      } else {
        file.unread = unread_error(path_, name, manifest.error().code);
      }
    }
    file.name = name_of(file);
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(), newer_first);
  return files;
}

Result<bool> SnapshotDirectory::taken(const std::string& base) const {
  for (const Compression compression :
       {Compression::kZip, Compression::kZstd, Compression::kNone}) {
    const std::string name = base + std::string(archive_extension(compression));
    struct stat status = {};
    const auto look = [&] {
      return fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW);
    };
    if (uninterrupted(look) == 0) return true;
    if (errno != ENOENT) {
      return system_error(ErrorKind::kStorage, "cannot look for", path_ + "/" + name);
    }
  }
  return false;
}

Result<UniqueFd> SnapshotDirectory::open_file(const std::string& file_name) const {
  if (!is_safe_name(file_name)) {
    return system_error(ErrorKind::kStorage, "cannot read", "'" + file_name + "'", EINVAL);
  }
  UniqueFd fd(uninterrupted(
      [&] { return openat(fd_.get(), file_name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW); }));
  if (!fd) return system_error(ErrorKind::kStorage, "cannot read", path_ + "/" + file_name);
  return fd;
}

Result<void> SnapshotDirectory::remove(const std::string& file_name) {
  // Exact names of snapshots only: no path leads out of the directory.
  if (!is_safe_name(file_name)) {
    return system_error(ErrorKind::kStorage, "cannot remove", "'" + file_name + "'", EINVAL);
  }
  // The snapshot first: a sidecar that is left over is swept, a snapshot without one counts as
  // unproven.
  if (unlinkat(fd_.get(), file_name.c_str(), 0) != 0) {
    return system_error(ErrorKind::kStorage, "cannot remove", path_ + "/" + file_name);
  }
  const std::string sidecar = sidecar_file_name(file_name);
  if (unlinkat(fd_.get(), sidecar.c_str(), 0) != 0 && errno != ENOENT) {
    return system_error(ErrorKind::kStorage, "cannot remove", path_ + "/" + sidecar);
  }
  return {};
}

Result<std::vector<std::string>> SnapshotDirectory::sweep() {
  ES_ASSIGN(names, list_directory(fd_.get(), path_));
  std::vector<std::string> removed;
  std::optional<Error> first;  // one that cannot be removed does not keep the others
  // Files of create_locked_at(): held by whoever writes them, here or on another host.
  for (const std::string& name : names) {
    const bool partial = !inner_name(name, kOwnPrefix, kPartialSuffix).empty();
    const bool temporary = name == temporary_name(kPkiBundleName) ||
                           !inner_name(name, "." + std::string(kOwnPrefix), ".new").empty() ||
                           !inner_name(name, "..", std::string(kSidecarSuffix) + ".new").empty();
    if (!partial && !temporary) continue;
    auto gone = remove_unlocked_at(fd_.get(), name);
    if (gone && *gone) removed.push_back(name);
    if (!gone && !first) first = gone.take_error();
  }
  for (const std::string& name : names) {
    const std::string file(inner_name(name, ".", kSidecarSuffix));
    if (!is_safe_name(file)) continue;
    auto orphan = is_orphan(fd_.get(), name, file);
    if (orphan && *orphan) {
      if (uninterrupted([&] { return unlinkat(fd_.get(), name.c_str(), 0); }) == 0) {
        removed.push_back(name);
      } else if (errno != ENOENT) {
        orphan = system_error(ErrorKind::kStorage, "cannot remove", path_ + "/" + name);
      }
    }
    if (!orphan && !first) first = orphan.take_error().within("snapshot directory " + path_);
  }
  if (first) return std::move(*first);
  std::sort(removed.begin(), removed.end());
  return removed;
}

Result<FreeSpace> SnapshotDirectory::free_space() const {
  struct statvfs status = {};
  if (uninterrupted([&] { return fstatvfs(fd_.get(), &status); }) != 0) {
    return system_error(ErrorKind::kStorage, "cannot measure the free space of", path_);
  }
  return FreeSpace{static_cast<int64_t>(status.f_bavail * status.f_frsize),
                   static_cast<int64_t>(status.f_blocks * status.f_frsize)};
}

int64_t SnapshotDirectory::reserve_bytes(const FreeSpace& space) {
  constexpr int64_t kMost = int64_t{256} << 20;
  return std::min(space.total_bytes / 20, kMost);
}

Result<mode_t> SnapshotDirectory::permissive_bits() const {
  struct stat status = {};
  if (fstat(fd_.get(), &status) != 0) {
    return system_error(ErrorKind::kStorage, "cannot read", path_);
  }
  return static_cast<mode_t>(status.st_mode & 077);
}

}  // namespace etcd_snapshot
