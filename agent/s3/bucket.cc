#include "s3/bucket.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "archive/writer.h"
#include "base/fd.h"
#include "base/files.h"
#include "s3/stored.h"
#include "s3/wire_text.h"
#include "store/names.h"

namespace etcd_snapshot {
namespace {

// Holds the end of a zip archive with its manifest, and more than the last block of a bare
// database.
constexpr int64_t kTailBytes = 4096;
constexpr size_t kDeleteBatch = 1000;  // S3 API Reference, DeleteObjects
constexpr auto kAbandoned = std::chrono::hours(24);
// A list may have pages without an object of ours (deeper folders), but not without end.
constexpr int kMaxEmptyPages = 1000;
constexpr int kMaxFailedReads = 3;
// Rights that are missing are missing for each.
constexpr int kMaxRefusedAborts = 10;

Result<std::string> read_tail(int fd, int64_t offset, int64_t size) {
  std::string bytes(static_cast<size_t>(size), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = uninterrupted([&] {
      return pread(fd, bytes.data() + done, bytes.size() - done,
                   static_cast<off_t>(offset) + static_cast<off_t>(done));
    });
    if (count < 0) return system_error(ErrorKind::kStorage, "cannot read", "the snapshot");
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

Error does_not_go_on(const std::string& place) {
  return {ErrorKind::kRemote, "the list of " + place + " does not go on: a page came again",
          "look at the server, or at a proxy between", false, 0};
}

// Somebody else pruned it between the list and the look at it.
template <typename T>
bool is_gone(const Result<T>& result) {
  return !result && result.error().s3_code == "NoSuchKey";
}

// Takes out what came before. S3 lists in the order of the bytes (User Guide, "Listing object
// keys"), so what is not above all before it is a repetition: of pages that overlap, say. A server
// whose pages are not in that order themselves sorts otherwise, and there nothing is taken out:
// what is not seen counts as missing.
class Repetitions {
 public:
  void drop(std::vector<ListedObject>& objects) {
    const auto by_key = [](const ListedObject& a, const ListedObject& b) { return a.key < b.key; };
    sorted_ = sorted_ && std::is_sorted(objects.begin(), objects.end(), by_key);
    if (!sorted_) return;
    std::erase_if(objects, [&](const ListedObject& object) {
      if (object.key <= last_) return true;
      last_ = object.key;
      return false;
    });
  }

 private:
  std::string last_;
  bool sorted_ = true;
};

}  // namespace

std::string Bucket::display() const {
  const std::string& folder = session_.policy.folder;
  return session_.location.display() + (folder.empty() ? "" : "/" + folder);
}

Result<void> Bucket::list(const std::function<Result<void>(std::vector<RemoteObject>)>& page) {
  const std::string prefix = session_.prefix();
  std::string token;
  int empty_pages = 0;
  // Brent's way to find a circle of pages in constant memory: the page at each power of two.
  std::string mark;
  uint64_t pages = 0, next_mark = 1;
  Repetitions repetitions;
  do {
    ES_ASSIGN(listed, client_.list(prefix, token));
    if (!listed.next_token.empty() && listed.next_token == token) return does_not_go_on(display());
    if (listed.objects.empty()) {
      if (++empty_pages > kMaxEmptyPages) return does_not_go_on(display());
    } else {
      empty_pages = 0;
      const std::string& first = listed.objects.front().key;
      if (first == mark) return does_not_go_on(display());
      if (++pages == next_mark) {
        mark = first;
        next_mark *= 2;
      }
    }
    token = listed.next_token;
    // The server was asked for these only; what else it says is not believed.
    std::erase_if(listed.objects,
                  [&](const ListedObject& object) { return !object.key.starts_with(prefix); });
    repetitions.drop(listed.objects);
    std::vector<RemoteObject> objects;
    objects.reserve(listed.objects.size());
    for (ListedObject& object : listed.objects) {
      std::string name = object.key.substr(prefix.size());
      if (name.empty() || name.find('/') != name.npos) continue;
      objects.push_back({std::move(name), object.size_bytes, std::move(object.etag)});
    }
    ES_TRY(page(std::move(objects)));
  } while (!token.empty());
  return {};
}

bool Bucket::only_this_object(const Error& error) const {
  const bool late = session_.deadline && session_.clock.monotonic() >= *session_.deadline;
  return !late && (error.kind == ErrorKind::kRemote || error.kind == ErrorKind::kInternal);
}

bool Bucket::worth_reading() const {
  return failed_reads_ < kMaxFailedReads;
}

template <typename T>
Result<T> Bucket::counted(Result<T> read) {
  failed_reads_ = !read && read.error().retryable ? failed_reads_ + 1 : 0;
  return read;
}

Result<std::optional<ObjectInfo>> Bucket::holds(const std::string& file_name, int fd,
                                                int64_t size_bytes) {
  return counted(compare(file_name, fd, size_bytes));
}

Result<std::optional<Manifest>> Bucket::manifest(const RemoteObject& object) {
  return counted(read_its_manifest(object));
}

Result<std::optional<ObjectInfo>> Bucket::compare(const std::string& file_name, int fd,
                                                  int64_t size_bytes) {
  ES_ASSIGN(info, client_.head(key_of(file_name)));
  if (!info) return std::optional<ObjectInfo>();
  if (info->size_bytes != size_bytes) {
    ES_ASSIGN(size, client_.size_of(key_of(file_name)));
    if (size != size_bytes) return std::optional<ObjectInfo>();
    info->size_bytes = size;
  }
  const int64_t tail = std::min(size_bytes, kTailBytes);
  if (tail == 0) return info;
  ES_ASSIGN(here, read_tail(fd, size_bytes - tail, tail));
  const auto there = client_.get_range(key_of(file_name), size_bytes - tail, tail);
  if (is_gone(there)) return std::optional<ObjectInfo>();
  if (!there) return Error(there.error());
  return here == *there ? info : std::nullopt;
}

Result<void> Bucket::replace(const std::string& file_name, int fd, int64_t size_bytes) {
  ES_TRY(check_encrypts(session_));
  const std::string key = key_of(file_name);
  const FileRange file{fd, 0, size_bytes};
  ES_ASSIGN(before, client_.head(key));
  auto answered = before ? client_.replace_object(key, file, before->etag)
                         : client_.put_object(key, file, true);
  if (!answered) {
    Error error = answered.take_error();
    if (before && error.s3_code == "AccessDenied") {
      error.hint +=
          "; a policy that enforces If-None-Match lets nobody replace an object: delete " +
          file_name + " in the bucket, and the next cycle puts it there again";
    }
    return error;
  }
  ES_TRY(prove_stored(session_, client_, {key, file, size_bytes}, *answered));
  return {};
}

Result<std::optional<Manifest>> Bucket::read_its_manifest(const RemoteObject& object) {
  const auto name = parse_snapshot_name(object.file_name);
  Compression compression = name ? name->compression : Compression::kNone;
  if (object.file_name.ends_with(archive_extension(Compression::kZip)))
    compression = Compression::kZip;
  if (object.file_name.ends_with(archive_extension(Compression::kZstd)))
    compression = Compression::kZstd;
  if (compression == Compression::kNone || object.size_bytes == 0) return std::optional<Manifest>();
  // A sparse file in memory, with the ends of the object where they belong.
  const UniqueFd file(memfd_create("manifest", MFD_CLOEXEC));
  if (!file || ftruncate(file.get(), object.size_bytes) != 0) {
    return system_error(ErrorKind::kInternal, "cannot read the manifest of", object.file_name);
  }
  const auto copy = [&](int64_t offset, int64_t size) -> Result<void> {
    ES_ASSIGN(bytes, client_.get_range(key_of(object.file_name), offset, size));
    if (pwrite(file.get(), bytes.data(), bytes.size(), offset) !=
        static_cast<ssize_t>(bytes.size())) {
      return system_error(ErrorKind::kInternal, "cannot keep the manifest of", object.file_name);
    }
    return {};
  };
  const int64_t tail = std::min(object.size_bytes, kTailBytes);
  auto copied = copy(object.size_bytes - tail, tail);
  if (copied && compression == Compression::kZstd && tail < object.size_bytes) {
    copied = copy(0, std::min<int64_t>(object.size_bytes, 4));  // its magic number
  }
  if (is_gone(copied)) return std::optional<Manifest>();
  if (!copied) return copied.take_error();
  return read_manifest(file.get(), compression);
}

Result<std::vector<DeleteFault>> Bucket::remove(const std::vector<std::string>& file_names) {
  std::vector<DeleteFault> faults;
  for (size_t at = 0; at < file_names.size(); at += kDeleteBatch) {
    std::vector<std::string> keys;
    for (size_t i = at; i < std::min(at + kDeleteBatch, file_names.size()); ++i) {
      keys.push_back(key_of(file_names[i]));
    }
    ES_ASSIGN(failed, client_.remove(keys));
    for (DeleteFault& fault : failed) {
      if (fault.key.starts_with(session_.prefix())) fault.key.erase(0, session_.prefix().size());
      faults.push_back(std::move(fault));
    }
  }
  return faults;
}

Error Bucket::delete_error(const DeleteFault& fault) const {
  Error error;
  error.kind = ErrorKind::kRemote;
  error.message = "cannot delete " + display() + "/" + peer_text(fault.key) + ": " +
                  peer_text(fault.code) +
                  (fault.message.empty() ? "" : ": " + peer_text(fault.message));
  error.hint = "allow s3:DeleteObject on the folder, or look at the bucket's policy and locks";
  error.s3_code = fault.code;
  return error;
}

// The uploads of one page. An error is one that ends the sweep.
Result<void> Bucket::abort_abandoned(const UploadPage& page, UnixSeconds now,
                                     const std::function<bool(const std::string&)>& also_ours,
                                     std::vector<std::string>& swept, int& refused) {
  const std::string prefix = session_.prefix();
  for (const ListedUpload& upload : page.uploads) {
    if (!upload.key.starts_with(prefix) || upload.initiated + kAbandoned > now) continue;
    const std::string name = upload.key.substr(prefix.size());
    if (!parse_snapshot_name(name) && !also_ours(name)) continue;
    auto aborted = client_.abort_upload(upload.key, upload.upload_id);
    if (aborted) {
      swept.push_back(name);
    } else if (!only_this_object(aborted.error()) || ++refused == kMaxRefusedAborts) {
      return aborted;
    }
  }
  return {};
}

Result<std::vector<std::string>> Bucket::sweep_uploads(
    UnixSeconds now, const std::function<bool(const std::string&)>& also_ours) {
  std::vector<std::string> swept;
  std::string key_marker, id_marker;
  int refused = 0;
  for (int pages = 0; pages < kMaxEmptyPages; ++pages) {
    auto page = client_.list_uploads(session_.prefix(), key_marker, id_marker);
    if (!page && swept.empty()) return page.take_error();
    if (!page) break;
    if (!abort_abandoned(*page, now, also_ours, swept, refused)) break;
    if (page->next_key.empty() && page->next_upload_id.empty()) break;
    if (page->next_key == key_marker && page->next_upload_id == id_marker) {
      if (swept.empty()) return does_not_go_on("uploads in " + display());
      break;
    }
    key_marker = page->next_key;
    id_marker = page->next_upload_id;
  }
  return swept;
}

}  // namespace etcd_snapshot
