#include "s3/upload.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/digest.h"
#include "base/stop.h"
#include "s3/wire_text.h"

namespace etcd_snapshot {
namespace {

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kMaxPartBytes = int64_t{5} << 30;  // S3 User Guide, "multipart upload limits"
constexpr auto kLook = std::chrono::milliseconds(200);
// The stream, which holds a read transaction of etcd open, goes before the upload.
constexpr int kUploadNice = 19;

bool is_md5(std::string_view etag) {
  return etag.size() == 32 && etag.find_first_not_of("0123456789abcdef") == etag.npos;
}

}  // namespace

std::string multipart_etag(const std::vector<std::string>& part_etags) {
  std::string digests;
  for (const std::string& part : part_etags) {
    const std::string etag = normal_etag(part);
    if (!is_md5(etag)) return {};
    digests += from_hex(etag);
  }
  const auto digest = md5(digests);
  return digest ? to_hex(*digest) + "-" + std::to_string(part_etags.size()) : std::string();
}

int64_t part_size_bytes(int part_size_mib, int64_t expected_bytes) {
  const int64_t wanted = part_size_mib * kMiB;
  const int64_t needed = (expected_bytes / kMaxParts / kMiB + 1) * kMiB;
  return std::min(std::max(wanted, needed), kMaxPartBytes);
}

struct ObjectUpload::State {
  State(S3Session& session_in, std::string key_in, UniqueFd fd_in, int64_t part_bytes_in)
      : session(session_in),
        key(std::move(key_in)),
        fd(std::move(fd_in)),
        part_bytes(part_bytes_in) {}

  S3Session& session;
  const std::string key;
  const UniqueFd fd;
  const int64_t part_bytes;
  std::atomic<bool> cancel{false};

  std::mutex mutex;
  std::condition_variable changed;
  // All below with the mutex held.
  std::vector<std::thread> workers;
  int64_t available = 0;         // bytes of the file that can be read
  bool whole = false;            // and there will be no more
  size_t claimed = 0, done = 0;  // parts
  int64_t sent = 0;              // bytes of the parts that are there
  std::vector<std::string> etags;
  enum class Begun { kNo, kBeing, kYes } begun = Begun::kNo;
  std::string upload_id;
  std::optional<Error> error;
  bool completed = false;

  size_t parts_ready() const {
    const auto full = static_cast<size_t>(available / part_bytes);
    return whole && available % part_bytes != 0 ? full + 1 : full;
  }
  bool over() const { return error.has_value() || cancel || (whole && claimed == parts_ready()); }

  void fail(Error reason) {
    if (!error) error = std::move(reason);
    cancel = true;
    changed.notify_all();
  }

  // As many as there is work for. Threads inherit the mask: signals are the main thread's.
  void start_workers() {
    const auto limit = static_cast<size_t>(session.settings.concurrency);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (!error && workers.size() < limit && workers.size() < parts_ready() - done) {
      try {
        workers.emplace_back([this] { work(); });
      } catch (const std::system_error& reason) {
        // Those that run do the work; without any there is none to do it.
        if (workers.empty()) {
          fail({ErrorKind::kRemote, std::string("cannot start a thread: ") + reason.what(),
                "raise the limits of the service (TasksMax=)", true, EAGAIN});
        }
        break;
      }
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void work() noexcept {
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kUploadNice);  // of this thread
    auto http = session.make_http();
    std::unique_lock lock(mutex);
    if (!http) return fail(http.take_error());
    S3Client client(session, **http);
    client.set_cancel(&cancel);
    if (!begin(client, lock)) return;
    for (;;) {
      changed.wait(lock, [this] { return over() || claimed < parts_ready(); });
      if (over()) return;
      const size_t part = claimed++;
      const auto offset = static_cast<int64_t>(part) * part_bytes;
      const int64_t size = std::min(part_bytes, available - offset);
      lock.unlock();
      auto etag =
          client.upload_part(key, upload_id, static_cast<int>(part) + 1, {fd.get(), offset, size});
      lock.lock();
      if (!etag) return fail(etag.take_error());
      if (etags.size() <= part) etags.resize(part + 1);
      etags[part] = std::move(*etag);
      ++done;
      sent += size;
      changed.notify_all();
    }
  }

  // The first worker begins the multipart upload, the others wait for it. False: there is none.
  bool begin(S3Client& client, std::unique_lock<std::mutex>& lock) {
    if (begun == Begun::kNo) {
      begun = Begun::kBeing;
      lock.unlock();
      auto id = client.create_upload(key);
      lock.lock();
      if (!id) {
        fail(id.take_error());
        return false;
      }
      upload_id = std::move(*id);
      begun = Begun::kYes;
      changed.notify_all();
    }
    changed.wait(lock, [this] { return begun == Begun::kYes || error || cancel; });
    return begun == Begun::kYes && !error;
  }

  void join() {
    std::vector<std::thread> threads;
    {
      const std::lock_guard lock(mutex);
      threads.swap(workers);
      changed.notify_all();
    }
    for (std::thread& thread : threads) thread.join();
  }

  Result<void> send_parts(const std::function<void(int64_t)>& progress);
  Result<void> check_free(S3Client& client);
  SentObject sent_object(std::string computed_etag) const {
    return {key, {fd.get(), 0, available}, part_bytes, std::move(computed_etag)};
  }
  Result<UploadedObject> put_whole(S3Client& client);
  Result<UploadedObject> complete(S3Client& client);
  Result<UploadedObject> settled(S3Client& client, const Result<ObjectInfo>& answered,
                                 std::string computed_etag);
};

Result<void> ObjectUpload::State::send_parts(const std::function<void(int64_t)>& progress) {
  std::unique_lock lock(mutex);
  while (!error && done < parts_ready()) {
    changed.wait_for(lock, kLook);
    if (stop_requested()) fail(cancelled_error());
    const int64_t so_far = sent;
    lock.unlock();
    if (progress) progress(so_far);
    lock.lock();
  }
  if (error) return *error;
  return {};
}

// Not every server knows If-None-Match: so that what is there already is kept, look.
Result<void> ObjectUpload::State::check_free(S3Client& client) {
  ES_ASSIGN(there, client.head(key));
  if (!there) return {};
  Error reason{ErrorKind::kRemote,
               session.location.display() + "/" + key + ": an object of this name exists",
               "look who else writes there: every cluster needs a bucket or folder of its own"};
  reason.s3_code = "PreconditionFailed";
  return reason;
}

// The answer may be lost or late although the call was carried out, and a second one refused
// because of the first; then the object tells.
Result<UploadedObject> ObjectUpload::State::settled(S3Client& client,
                                                    const Result<ObjectInfo>& answered,
                                                    std::string computed_etag) {
  const SentObject ours = sent_object(std::move(computed_etag));
  ES_ASSIGN(info, answered ? prove_stored(session, client, ours, *answered)
                           : settle_failure(session, client, ours, answered.error()));
  return UploadedObject{key, info.size_bytes, info.etag};
}

// Whether a condition failed that cannot have: a server that does not understand If-None-Match.
bool refused_though_free(S3Client& client, const std::string& key,
                         const Result<ObjectInfo>& answered) {
  if (answered || answered.error().s3_code != "PreconditionFailed") return false;
  const auto there = client.head(key);
  return there && !*there;
}

Result<UploadedObject> ObjectUpload::State::put_whole(S3Client& client) {
  ES_TRY(check_free(client));
  std::string sent_md5;
  const auto put = [&] {
    return client.put_object(key, {fd.get(), 0, available}, true, &sent_md5);
  };
  auto answered = put();
  if (refused_though_free(client, key, answered)) {
    session.put_once_refused = true;
    answered = put();
  }
  return settled(client, answered, to_hex(sent_md5));
}

Result<UploadedObject> ObjectUpload::State::complete(S3Client& client) {
  ES_TRY(check_free(client));
  const auto complete = [&] { return client.complete_upload(key, upload_id, etags, true); };
  auto answered = complete();
  if (refused_though_free(client, key, answered)) {
    session.complete_once_refused = true;
    answered = complete();
  }
  return settled(client, answered, multipart_etag(etags));
}

ObjectUpload::ObjectUpload(S3Session& session, std::string key, UniqueFd fd, int64_t expected_bytes)
    : state_(std::make_unique<State>(
          session, std::move(key), std::move(fd),
          part_size_bytes(session.settings.part_size_mib, expected_bytes))) {}

ObjectUpload::~ObjectUpload() {
  State& state = *state_;
  if (!state.completed) state.cancel = true;
  state.join();
  if (state.completed || state.upload_id.empty()) return;
  auto http = state.session.make_http();
  if (!http) return;
  S3Client client(state.session, **http);
  client.clean_up_mode();
  // What is left behind costs money, but is no object; a later run sweeps it.
  if (auto aborted = client.abort_upload(state.key, state.upload_id); !aborted) return;
}

void ObjectUpload::available(int64_t size_bytes) {
  const std::lock_guard lock(state_->mutex);
  const size_t before = state_->parts_ready();
  state_->available = size_bytes;
  if (state_->parts_ready() == before) return;
  state_->start_workers();
  state_->changed.notify_all();
}

bool ObjectUpload::worth_a_new_try() const {
  const std::lock_guard lock(state_->mutex);
  return state_->error && (state_->error->retryable || state_->error->s3_code == "NoSuchUpload");
}

bool ObjectUpload::must_begin_anew(const Error& error) {
  return is_conflict(error) || error.s3_code == "NoSuchUpload";
}

Result<UploadedObject> ObjectUpload::finish(int64_t size_bytes,
                                            const std::function<void(int64_t)>& progress) {
  State& state = *state_;
  ES_TRY(check_encrypts(state.session));
  bool in_one = false;
  {
    const std::lock_guard lock(state.mutex);
    state.available = size_bytes;
    in_one = state.workers.empty() && !state.error && size_bytes <= state.part_bytes;
    state.whole = true;
    if (!in_one) state.start_workers();
    state.changed.notify_all();
  }
  auto http = state.session.make_http();
  if (!http) return http.take_error();
  S3Client client(state.session, **http);
  if (in_one) {
    auto object = state.put_whole(client);
    state.completed = true;  // nothing to abort
    return object;
  }
  ES_TRY(state.send_parts(progress));
  state.join();
  auto object = state.complete(client);
  state.completed = object.ok();
  return object;
}

}  // namespace etcd_snapshot
