#include "commands/check_write.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <utility>

#include "base/digest.h"
#include "base/fd.h"
#include "base/stop.h"

namespace etcd_snapshot {
namespace {

constexpr int64_t kFirstPartBytes = 5 << 20;  // the smallest that S3 takes, except the last one
constexpr int64_t kLastPartBytes = 4096;
constexpr int64_t kSmallBytes = 4096;

class WriteProbe {
 public:
  WriteProbe(Offsite& offsite, Findings& findings)
      : session_(offsite.session()),
        client_(offsite.client()),
        bucket_(offsite.bucket()),
        findings_(findings) {}
  ~WriteProbe() { clean_up(); }
  WriteProbe(const WriteProbe&) = delete;
  WriteProbe& operator=(const WriteProbe&) = delete;

  Result<void> prepare(bool with_colons);
  void run();

 private:
  // A step that failed is told; whether the next can be tried.
  bool step(Result<void> outcome) {
    if (!outcome) findings_.fail(outcome.error());
    return outcome.ok();
  }
  Error wrong(const std::string& what) const;
  Result<std::string> bytes_of(int64_t offset, int64_t size) const;
  Result<void> put();
  void tell_of_put();
  Result<void> read(const std::string& key, int64_t size);
  Result<void> list();
  Result<void> overwrite();
  Result<void> send_parts();
  Result<void> abort();
  Result<void> remove(const std::vector<std::string>& names, const char* how);
  void clean_up();

  S3Session& session_;
  S3Client& client_;
  Bucket& bucket_;
  Findings& findings_;
  UniqueFd file_;
  std::string name_;                // of the small object; others have an ending
  std::vector<std::string> names_;  // that may exist
  bool etag_is_md5_ = true;
  std::vector<std::pair<std::string, std::string>>
      uploads_;  // key and id, as long as they are open
};

// Random bytes: what comes back can be nothing else, and no other check has the name.
Result<void> WriteProbe::prepare(bool with_colons) {
  std::string bytes(static_cast<size_t>(kFirstPartBytes + kLastPartBytes), '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(ErrorKind::kInternal, "cannot get", "random bytes");
    done += static_cast<size_t>(count);
  }
  file_ = UniqueFd(memfd_create("probe", MFD_CLOEXEC));
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = write(file_.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(ErrorKind::kInternal, "cannot keep", "5 MiB in memory");
    done += static_cast<size_t>(count);
  }
  name_ = kProbeName + to_hex(bytes.substr(0, 8)) + (with_colons ? "-00:00:00" : "");
  return {};
}

Error WriteProbe::wrong(const std::string& what) const {
  return {ErrorKind::kRemote, bucket_.display() + "/" + name_ + ": " + what,
          "look at the server, or at a proxy between: snapshots would fare alike", false, 0};
}

Result<std::string> WriteProbe::bytes_of(int64_t offset, int64_t size) const {
  std::string bytes(static_cast<size_t>(size), '\0');
  if (pread(file_.get(), bytes.data(), bytes.size(), offset) != size) {
    return system_error(ErrorKind::kInternal, "cannot read", "the bytes of the probe");
  }
  return bytes;
}

Result<void> WriteProbe::put() {
  names_.push_back(name_);
  std::string md5;
  ES_ASSIGN(info, client_.put_object(bucket_.key_of(name_), {file_.get(), 0, kSmallBytes},
                                     /*write_once=*/true, &md5));
  etag_is_md5_ = md5.empty() || info.etag == to_hex(md5);
  return {};
}

void WriteProbe::tell_of_put() {
  findings_.ok("PutObject: " + bucket_.display() + "/" + name_);
  if (!etag_is_md5_) {
    findings_.note("the ETag is not the MD5 of the object: what was sent is read back instead");
  }
  if (session_.content_md5_wanted) {
    findings_.note("the bucket wants Content-MD5 (Object Lock): it is sent with each part");
  }
  if (session_.expect_refused) {
    findings_.note("the server takes no Expect: 100-continue: parts are sent without");
  }
}

// The whole of a small object, or the end of a large one.
Result<void> WriteProbe::read(const std::string& key, int64_t size) {
  ES_ASSIGN(info, client_.head(key));
  if (!info) return wrong("was written, and HeadObject does not find it");
  if (info->size_bytes != size) {
    return wrong(fmt::format("holds {} bytes, and {} were sent", info->size_bytes, size));
  }
  const std::string& sse = session_.settings.sse;
  if (!sse.empty() && info->encryption != sse) {
    return Error{ErrorKind::kRemote,
                 wrong(fmt::format("[s3] sse = {} was asked for, and the server confirms {}", sse,
                                   info->encryption.empty() ? "nothing" : info->encryption))
                     .message,
                 "the server does not encrypt as asked: set it up there, or remove [s3] sse", false,
                 0};
  }
  // The first bytes (of the small one: all), the last and some between.
  for (const auto& [offset, count] : {std::pair<int64_t, int64_t>{0, kSmallBytes},
                                      {size - kSmallBytes, kSmallBytes},
                                      {size / 2, 1000}}) {
    ES_ASSIGN(here, bytes_of(offset, count));
    ES_ASSIGN(there, client_.get_range(key, offset, count));
    if (here != there) return wrong("holds other bytes than were sent");
  }
  return {};
}

Result<void> WriteProbe::list() {
  const std::string key = bucket_.key_of(name_);
  ES_ASSIGN(page, client_.list(key, "", 10));
  for (const ListedObject& object : page.objects) {
    if (object.key == key && object.size_bytes == kSmallBytes) return {};
  }
  return wrong("was written, and the list does not have it");
}

Result<void> WriteProbe::overwrite() {
  const std::string key = bucket_.key_of(name_);
  const auto again = client_.put_object(key, {file_.get(), kSmallBytes, kSmallBytes}, true);
  if (!again && again.error().s3_code != "PreconditionFailed") return Error(again.error());
  if (!again) {
    findings_.ok("an object that exists is not overwritten (If-None-Match)");
    return {};
  }
  findings_.note(
      "the server does not hold back a write by If-None-Match: the agent looks with HeadObject "
      "before it "
      "writes, which leaves a moment in which another host may write the same name");
  return client_.put_object(key, {file_.get(), 0, kSmallBytes}, false).ok()
             ? Result<void>()
             : wrong("cannot be written again");
}

Result<void> WriteProbe::send_parts() {
  const std::string name = name_ + ".parts", key = bucket_.key_of(name);
  ES_ASSIGN(id, client_.create_upload(key));
  uploads_.emplace_back(key, id);
  names_.push_back(name);
  ES_ASSIGN(first, client_.upload_part(key, id, 1, {file_.get(), 0, kFirstPartBytes}));
  ES_ASSIGN(last, client_.upload_part(key, id, 2, {file_.get(), kFirstPartBytes, kLastPartBytes}));
  ES_ASSIGN(info, client_.complete_upload(key, id, {first, last}, /*write_once=*/true));
  uploads_.pop_back();
  ES_TRY(read(key, kFirstPartBytes + kLastPartBytes));
  findings_.ok("an upload in two parts: sent, completed and read back");
  const std::string computed = multipart_etag({first, last});
  if (!computed.empty() && !info.etag.empty() && info.etag != computed) {
    findings_.note(
        "the ETag of an object in parts is not the MD5 of theirs: what was sent is read back "
        "instead");
  }
  return {};
}

Result<void> WriteProbe::abort() {
  const std::string key = bucket_.key_of(name_ + ".aborted");
  ES_ASSIGN(id, client_.create_upload(key));
  uploads_.emplace_back(key, id);
  ES_ASSIGN(part, client_.upload_part(key, id, 1, {file_.get(), 0, kSmallBytes}));
  ES_TRY(client_.abort_upload(key, id));
  uploads_.pop_back();
  ES_ASSIGN(info, client_.head(key));
  if (info) return wrong("an upload was aborted, and its object exists");
  findings_.ok("an upload that fails is aborted");
  return {};
}

Result<void> WriteProbe::remove(const std::vector<std::string>& names, const char* how) {
  ES_ASSIGN(faults, bucket_.remove(names));
  if (!faults.empty()) return bucket_.delete_error(faults.front());
  for (const std::string& name : names) {
    ES_ASSIGN(info, client_.head(bucket_.key_of(name)));
    if (info) {
      return wrong(
          "was deleted, and still exists (does the bucket, or a cache before it, answer "
          "late?)");
    }
    std::erase(names_, name);
  }
  findings_.ok(how);
  if (session_.batch_delete_refused && names.size() > 1) {
    findings_.note("the server has no DeleteObjects: objects are deleted one by one");
  }
  return {};
}

void WriteProbe::run() {
  if (!step(put())) return;
  tell_of_put();
  if (!step(read(bucket_.key_of(name_), kSmallBytes))) return;
  findings_.ok("HeadObject and GetObject: whole and in ranges");
  if (step(list())) findings_.ok("ListObjectsV2 has it");
  (void)step(overwrite());
  auto sent = send_parts();
  if (!sent && is_conflict(sent.error())) sent = send_parts();  // as a cycle begins it anew
  (void)step(std::move(sent));
  (void)step(abort());
  if (stop_requested()) return;
  const std::vector<std::string> names = names_;
  if (!step(remove(names, "objects are deleted together"))) return;
  // A single one goes another way where the server has no batch.
  if (!step(put())) return;
  (void)step(remove({name_}, "a single object is deleted"));
}

// Whatever happened; a call each, of 10 s at most.
void WriteProbe::clean_up() {
  if (names_.empty() && uploads_.empty()) return;
  client_.clean_up_mode();
  for (const auto& [key, id] : uploads_) {
    if (auto aborted = client_.abort_upload(key, id); !aborted) findings_.fail(aborted.error());
  }
  const std::vector<std::string> names = std::exchange(names_, {});
  if (names.empty()) return;
  const auto faults = bucket_.remove(names);
  if (faults && faults->empty()) return;
  Error error = faults ? bucket_.delete_error(faults->front()) : Error(faults.error());
  error.hint = "delete what begins with " + bucket_.display() + "/" + kProbeName + " by hand";
  findings_.fail(error);
}

}  // namespace

void check_writing(Offsite& offsite, bool with_colons, Findings& findings) {
  WriteProbe probe(offsite, findings);
  if (auto prepared = probe.prepare(with_colons); !prepared) return findings.fail(prepared.error());
  probe.run();
}

}  // namespace etcd_snapshot
