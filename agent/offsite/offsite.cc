#include "offsite/offsite.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/go_duration.h"
#include "s3/stored.h"
#include "store/lock.h"
#include "store/ownership.h"
#include "store/pki_bundle.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {

Offsite::Offsite(Context& context, std::unique_ptr<S3Session> session,
                 std::unique_ptr<HttpClient> http)
    : context_(context),
      session_(std::move(session)),
      http_(std::move(http)),
      client_(*session_, *http_),
      bucket_(*session_, client_),
      ledger_(UploadLedger::read(runtime_directory(), bucket_.display())) {}

Offsite::Patience Offsite::of_a_command(const Clock& clock) {
  return {clock.monotonic() + std::chrono::minutes(10),
          "the bucket came to no end in ten minutes: look at the server"};
}

Result<std::unique_ptr<Offsite>> Offsite::open(Context& context, Patience patience) {
  ES_ASSIGN(session, S3Session::open(*context.settings.policy.s3, context.settings.host.s3,
                                     context.clock, context.make_http));
  session->deadline = patience.deadline;
  ES_ASSIGN(http, context.make_http());
  std::unique_ptr<Offsite> offsite(new Offsite(context, std::move(session), std::move(http)));
  offsite->late_hint_ = std::move(patience.hint);
  return offsite;
}

void Offsite::begin(const std::string& file_name, int fd, int64_t expected_bytes) {
  running_.reset();
  UniqueFd own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own) return;  // upload() begins anew
  running_ = std::make_unique<ObjectUpload>(*session_, bucket_.key_of(file_name), std::move(own),
                                            expected_bytes);
}

void Offsite::grown(int64_t size_bytes) {
  if (running_) running_->available(size_bytes);
}

void Offsite::abandoned() {
  running_.reset();
}

// The name of the object, with the extension of the file.
std::string Offsite::object_beside(const std::string& file_name, const std::string& base,
                                   int number) const {
  return name_beside(base, context_.host, number) + file_name.substr(base.size());
}

Error Offsite::explain(Error error) const {
  // The bucket's failure, whatever it failed of; but to have been asked to stop is none.
  // A file here that cannot be read is no failure of the bucket either.
  if (error.kind != ErrorKind::kCancelled && error.kind != ErrorKind::kStorage) {
    error.kind = ErrorKind::kRemote;
  }
  const bool late = session_->deadline && context_.clock.monotonic() >= *session_->deadline;
  if (late && error.kind == ErrorKind::kRemote) error.hint = late_hint_;
  return error;
}

// Sends one file. A name that other content has is left alone, and one beside it is taken; what the
// server took, or may have taken, is not sent under another name.
Result<UploadedObject> Offsite::send(const std::string& file_name, const std::string& base, int fd,
                                     int64_t size_bytes, std::unique_ptr<ObjectUpload> begun) {
  constexpr int kNewUploads = 2;
  std::string object = file_name;
  const auto progress = [&](int64_t sent) { context_.progress.advance(sent, size_bytes); };
  int begun_anew = 0;
  for (int number = 0;;) {
    std::unique_ptr<ObjectUpload> upload = std::move(begun);
    // A server that was away for a moment of the stream may be back.
    if (upload && upload->worth_a_new_try()) upload.reset();
    if (!upload) {
      UniqueFd own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
      if (!own) return system_error(ErrorKind::kStorage, "cannot open", file_name);
      upload = std::make_unique<ObjectUpload>(*session_, bucket_.key_of(object), std::move(own),
                                              size_bytes);
    }
    auto done = upload->finish(size_bytes, progress);
    if (!done && ObjectUpload::must_begin_anew(done.error()) && begun_anew++ < kNewUploads)
      continue;
    if (!done && done.error().s3_code == kReplacedThere) {
      // The next cycle takes a name beside this one: a cycle leaves one object.
      const auto there = client_.head(bucket_.key_of(object));
      if (there && *there) ledger_.note_foreign(object, (*there)->etag);
      remember();
    }
    if (done || done.error().s3_code != "PreconditionFailed") return done;
    upload.reset();
    // An answer that was lost, or an earlier run, may have put it there.
    ES_ASSIGN(same, bucket_.holds(object, fd, size_bytes));
    if (same && !ledger_.is_foreign(object, same->etag)) {
      return UploadedObject{bucket_.key_of(object), size_bytes, same->etag};
    }
    if (number == kNamesBeside) return done;
    const std::string next = object_beside(file_name, base, ++number);
    context_.log.write(
        {.level = LogLevel::kWarning,
         .message = "The name is taken in the bucket by other content, taking one beside it",
         .fields = {{"name", base}, {"object", next}, {"reason", "another backup lies there"}},
         .message_id = kNameTaken});
    object = next;
  }
}

Result<void> Offsite::upload(const SnapshotOutcome& outcome) {
  const Nanoseconds start = context_.clock.monotonic();
  context_.progress.phase(Phase::kUpload, "uploading");
  auto sent = send(outcome.file_name, outcome.base, outcome.file->fd(), outcome.size_bytes,
                   std::move(running_));
  if (!sent) return explain(sent.take_error());
  const std::string object = sent->key.substr(session_->prefix().size());
  own_ = RemoteObject{object, sent->size_bytes, sent->etag};
  own_manifest_ = outcome.manifest;
  ledger_.put(outcome.file_name, {object, sent->size_bytes, sent->etag});
  released_.insert(outcome.file_name);
  const Nanoseconds wait = context_.clock.monotonic() - start;
  context_.log.write({.message = "Uploaded backup",
                      .fields = {{"name", outcome.base}, {"runtime", format_go_duration(wait)}},
                      .message_id = kUploaded});
  remember();
  return {};
}

Result<void> Offsite::upload_bundle(const SnapshotDirectory& directory) {
  auto put = [&]() -> Result<bool> {
    ES_ASSIGN(fd, directory.open_file(kPkiBundleName));
    struct stat status = {};
    if (fstat(fd.get(), &status) != 0) {
      return system_error(ErrorKind::kStorage, "cannot read", kPkiBundleName);
    }
    ES_ASSIGN(same, bucket_.holds(kPkiBundleName, fd.get(), status.st_size));
    if (same) return false;
    ES_TRY(bucket_.replace(kPkiBundleName, fd.get(), status.st_size));
    return true;
  }();
  if (!put && put.error().kind == ErrorKind::kStorage && put.error().code == ENOENT) {
    return {};  // there is none
  }
  if (!put) return explain(put.take_error());
  if (*put) {
    context_.log.write({.message = "Uploaded certificate bundle",
                        .fields = {{"name", kPkiBundleName}},
                        .message_id = kBundleUploaded});
  }
  return {};
}

bool Offsite::released(const StoredSnapshot& snapshot) const {
  // What nobody proved is not uploaded, so nothing waits for that.
  if (!snapshot.manifest) return !snapshot.unread;
  return released_.contains(snapshot.file_name) || ledger_.find(snapshot.file_name) != nullptr;
}

std::optional<int64_t> Offsite::backlog(const SnapshotDirectory& directory) const {
  if (lacking_) return lacking_;
  const auto snapshots = directory.list();
  if (!snapshots) return std::nullopt;
  return std::count_if(snapshots->begin(), snapshots->end(), [&](const StoredSnapshot& local) {
    return belongs_there(local) && !released(local);
  });
}

// Proven ones of this host. Others have whoever took them; what nobody proved is nobody's.
bool Offsite::belongs_there(const StoredSnapshot& local) const {
  return local.manifest && is_of_host(sanitize_host(context_.host), local);
}

void Offsite::remember() {
  if (auto written = ledger_.write(runtime_directory()); !written) {
    // Costs a comparison in the next cycle.
    context_.log.write({.level = LogLevel::kWarning,
                        .message = "Couldn't save state",
                        .fields = {{"error", written.error().message}}});
  }
}

}  // namespace etcd_snapshot
