#include "store/pki_bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/files.h"

namespace etcd_snapshot {
namespace {

constexpr char kMemberPrefix[] = "etc/kubernetes/ssl/";
constexpr char kEtcdDirectory[] = "etcd";  // kubeadm keeps etcd's own certificates in it
constexpr size_t kMaxFileBytes = 8 << 20;
constexpr char kSetDirectory[] = "set [pki] directory= in etcd-snapshot.conf, or bundle = no";

struct FreeArchive {
  void operator()(archive* writer) const { archive_write_free(writer); }
};
struct FreeEntry {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

// A tar.gz in memory, where only the compressed bytes are kept.
class BundleWriter {
 public:
  Result<void> open() {
    // gnutar: names are bytes, whatever the locale. No time in gzip's header and no padding, so
    // that the same files make the same bundle.
    if (!writer_ || archive_write_set_format_gnutar(writer_.get()) != ARCHIVE_OK ||
        archive_write_add_filter_gzip(writer_.get()) != ARCHIVE_OK ||
        archive_write_set_options(writer_.get(), "gzip:!timestamp") != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(writer_.get(), 1) != ARCHIVE_OK ||
        archive_write_open(writer_.get(), &content_, nullptr, append, nullptr) != ARCHIVE_OK) {
      return failure("cannot begin it");
    }
    return {};
  }

  Result<void> add(const std::string& member, const std::string& content, time_t modified) {
    const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
    if (!entry) return failure("out of memory");
    archive_entry_set_pathname(entry.get(), member.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0600);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    archive_entry_set_mtime(entry.get(), modified, 0);
    archive_entry_set_uid(entry.get(), 0);
    archive_entry_set_gid(entry.get(), 0);
    archive_entry_set_uname(entry.get(), "root");
    archive_entry_set_gname(entry.get(), "root");
    if (archive_write_header(writer_.get(), entry.get()) != ARCHIVE_OK ||
        archive_write_data(writer_.get(), content.data(), content.size()) !=
            static_cast<la_ssize_t>(content.size()) ||
        archive_write_finish_entry(writer_.get()) != ARCHIVE_OK) {
      return failure(member);
    }
    return {};
  }

  Result<std::string> finish() {
    if (archive_write_close(writer_.get()) != ARCHIVE_OK) return failure("cannot end it");
    return std::move(content_);
  }

 private:
  static la_ssize_t append(archive*, void* content, const void* bytes, size_t count) noexcept {
    static_cast<std::string*>(content)->append(static_cast<const char*>(bytes), count);
    return static_cast<la_ssize_t>(count);
  }
  Error failure(std::string_view what) const {
    const char* reason = writer_ ? archive_error_string(writer_.get()) : nullptr;
    return {ErrorKind::kInternal,
            "certificate bundle: " + std::string(what) + ": " +
                (reason != nullptr ? reason : "libarchive gives no reason"),
            "", false, 0};
  }

  std::string content_;  // before the writer, which still writes when it is freed
  std::unique_ptr<archive, FreeArchive> writer_{archive_write_new()};
};

struct Source {
  std::string member, path;
  time_t modified = 0;
};

// The regular files of one directory, as members under `prefix`.
Result<void> collect(const std::string& directory, const std::string& prefix,
                     std::vector<Source>& sources) {
  const UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    Error error =
        system_error(ErrorKind::kConfig, "cannot read the certificate directory", directory);
    error.hint = kSetDirectory;
    return error;
  }
  auto names = list_directory(fd.get(), directory);
  if (!names) {
    Error error = names.take_error();
    error.kind = ErrorKind::kConfig;
    return error;
  }
  for (const std::string& name : *names) {
    struct stat status = {};
    // Followed: kubelet's current certificate is a link. A link to nothing has nothing to keep.
    if (fstatat(fd.get(), name.c_str(), &status, 0) != 0) {
      if (errno == ENOENT || errno == ELOOP) continue;
      return system_error(ErrorKind::kConfig, "cannot read", directory + "/" + name);
    }
    if (S_ISREG(status.st_mode)) {
      sources.push_back({prefix + name, directory + "/" + name, status.st_mtime});
    }
  }
  return {};
}

Result<void> add_file(BundleWriter& bundle, const Source& source) {
  const auto content = read_file(source.path, ErrorKind::kConfig, kMaxFileBytes);
  if (!content) {
    Error error = content.error();
    error.hint = error.code == EACCES ? "run as root, or as a user that may read it"
                                      : "the bundle that is there was kept";
    return error;
  }
  return bundle.add(source.member, *content, source.modified);
}

// Whether the directory holds exactly this bundle already, with exactly these permissions.
bool is_current(const SnapshotDirectory& directory, const std::string& content) {
  struct stat status = {};
  if (fstatat(directory.fd(), kPkiBundleName, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
      !S_ISREG(status.st_mode) || (status.st_mode & 07777) != 0600 ||
      status.st_size != static_cast<off_t>(content.size())) {
    return false;
  }
  const auto current =
      read_file_at(directory.fd(), kPkiBundleName, ErrorKind::kStorage, content.size());
  return current && *current == content;
}

bool is_directory(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

namespace {

struct PackedBundle {
  std::string content;
  int files = 0;
};

Result<PackedBundle> pack(const std::string& pki_directory) {
  std::vector<Source> sources;
  ES_TRY(collect(pki_directory, kMemberPrefix, sources));
  const std::string etcd = pki_directory + "/" + kEtcdDirectory;
  if (is_directory(etcd)) {
    ES_TRY(collect(etcd, std::string(kMemberPrefix) + kEtcdDirectory + "/", sources));
  }
  if (sources.empty()) {
    Error error;
    error.kind = ErrorKind::kConfig;
    error.message = "certificate directory " + pki_directory + " holds no files";
    error.hint = kSetDirectory;
    return error;
  }
  std::sort(sources.begin(), sources.end(),
            [](const Source& a, const Source& b) { return a.member < b.member; });
  BundleWriter bundle;
  ES_TRY(bundle.open());
  for (const Source& source : sources) ES_TRY(add_file(bundle, source));
  ES_ASSIGN(content, bundle.finish());
  return PackedBundle{std::move(content), static_cast<int>(sources.size())};
}

}  // namespace

Result<int> read_pki_sources(const std::string& pki_directory) {
  ES_ASSIGN(bundle, pack(pki_directory));
  return bundle.files;
}

Result<PkiBundleOutcome> update_pki_bundle(const SnapshotDirectory& directory,
                                           const std::string& pki_directory) {
  ES_ASSIGN(bundle, pack(pki_directory));
  const std::string& content = bundle.content;
  PkiBundleOutcome outcome;
  outcome.files = bundle.files;
  if (is_current(directory, content)) return outcome;
  auto written = replace_file_at(directory.fd(), kPkiBundleName, as_bytes(content), 0600);
  if (!written) return written.take_error().within("snapshot directory " + directory.path());
  outcome.written = true;
  return outcome;
}

std::string find_pki_directory(const std::string& root) {
  for (const char* candidate : {"/etc/kubernetes/ssl", "/etc/kubernetes/pki"}) {
    if (is_directory(root + candidate)) return root + candidate;
  }
  return "";
}

}  // namespace etcd_snapshot
