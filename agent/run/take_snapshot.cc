#include "run/take_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "archive/proof.h"
#include "archive/writer.h"
#include "base/human.h"
#include "base/stop.h"
#include "store/space.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

// The way of the bytes: etcd -> proof and archive -> partial file.
class Pipeline final : public SnapshotReceiver {
 public:
  Pipeline(Context& context, SnapshotDirectory& directory, const SnapshotRequest& request)
      : context_(context), directory_(directory), request_(request) {}
  ~Pipeline() {
    if (partial_ && request_.follower) request_.follower->abandoned();
  }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  Result<void> begin(int64_t expected_bytes) override {
    expected_bytes_ = expected_bytes;
    const Compression compression = context_.settings.host.snapshots.compression;
    file_name_ = request_.base + std::string(archive_extension(compression));
    ES_ASSIGN(partial, directory_.create(file_name_));
    partial_ = std::move(partial);
    if (request_.follower) request_.follower->begin(file_name_, partial_->fd(), expected_bytes);
    ES_ASSIGN(writer, make_archive_writer(
                          {compression, request_.base, request_.time, expected_bytes}, *partial_));
    writer_ = std::move(writer);
    return {};
  }

  Result<void> receive(Bytes bytes) override {
    while (!bytes.empty()) {
      const size_t count = std::min(bytes.size(), kBatchBytes - batched_);
      std::memcpy(batch_.get() + batched_, bytes.data(), count);
      batched_ += count;
      bytes = bytes.subspan(count);
      if (batched_ == kBatchBytes) ES_TRY(pass_on());
    }
    return {};
  }

  Result<void> pass_on() {
    const Bytes bytes(batch_.get(), std::exchange(batched_, 0));
    ES_TRY(proof_.update(bytes));
    ES_TRY(writer_->write(bytes));
    if (request_.follower) request_.follower->grown(partial_->size_bytes());
    context_.progress.advance(proof_.received_bytes(), expected_bytes_);
    return {};
  }

  // Proves what came, ends the archive and gives it its name. Nothing is there under that name
  // before this returns ok.
  Result<SnapshotOutcome> complete(const Connection& connection) {
    const MemberStatus& status = connection.status;
    if (writer_) ES_TRY(pass_on());
    ES_ASSIGN(proof, proof_.finish());
    if (!writer_) return Error{ErrorKind::kUnverified, "etcd sent no snapshot", "", true, 0};
    SnapshotOutcome outcome;
    Manifest& manifest = outcome.manifest;
    manifest.name = request_.base;
    manifest.kind = request_.kind == SnapshotKind::kRolling ? "rolling" : "one-time";
    manifest.created = format_utc(request_.time);
    manifest.cluster_id = status.cluster_id;
    manifest.member_id = status.member_id;
    manifest.revision = status.revision;
    manifest.current = connection.health.current();
    manifest.etcd_version = status.version;
    manifest.database_bytes = proof.database_bytes;
    manifest.sha256 = proof.sha256;
    manifest.host = context_.host;
    manifest.agent_version = ETCD_SNAPSHOT_VERSION;
    context_.progress.phase(Phase::kStore, "writing to disk");
    ES_TRY(writer_->finish(manifest));
    const bool bare = context_.settings.host.snapshots.compression == Compression::kNone;
    ES_TRY(partial_->commit(bare ? std::optional<Manifest>(manifest) : std::nullopt));
    outcome.base = request_.base;
    outcome.file_name = file_name_;
    outcome.size_bytes = partial_->size_bytes();
    outcome.file = std::move(partial_);
    return outcome;
  }

 private:
  Context& context_;
  SnapshotDirectory& directory_;
  const SnapshotRequest& request_;
  // etcd's messages arrive in pieces of 16 KiB or less. Digest and deflate go through larger ones
  // faster: ISA-L copies the 32 KiB before a piece for its window each time.
  static constexpr size_t kBatchBytes = 256 << 10;
  std::unique_ptr<std::byte[]> batch_ = std::make_unique_for_overwrite<std::byte[]>(kBatchBytes);
  size_t batched_ = 0;
  SnapshotProof proof_;
  std::string file_name_;
  int64_t expected_bytes_ = 0;
  std::unique_ptr<PartialSnapshot> partial_;  // declared before the writer, which writes into it
  std::unique_ptr<ArchiveWriter> writer_;
};

// Refuses to begin what will not fit, after the caller had a chance to make room.
Result<void> check_space(Context& context, const SnapshotDirectory& directory,
                         const SnapshotRequest& request, const Connection& connection) {
  const Compression compression = context.settings.host.snapshots.compression;
  // Both only serve the estimate: what is not known costs no snapshot, and the write itself watches
  // the space.
  const auto snapshots = directory.list();
  const int64_t needed =
      estimate_archive_bytes(connection.status.database_bytes, compression,
                             snapshots ? *snapshots : std::vector<StoredSnapshot>());
  const auto space = directory.free_space();
  if (!space || missing_bytes(*space, needed) <= 0) return {};
  if (request.make_room) ES_TRY(request.make_room(connection, needed));
  const auto now_space = directory.free_space();
  const int64_t missing = now_space ? missing_bytes(*now_space, needed) : 0;
  if (missing <= 0) return {};
  Error error;
  error.kind = ErrorKind::kStorage;
  error.code = ENOSPC;
  error.message = fmt::format(
      "{}: not enough space: the snapshot of a database of {} needs about {}, {} are free and {} "
      "of them are left for others",
      directory.path(), human_bytes(connection.status.database_bytes), human_bytes(needed),
      human_bytes(now_space->free_bytes),
      human_bytes(SnapshotDirectory::reserve_bytes(*now_space)));
  error.hint = fmt::format("free {} there, or move [snapshots] directory", human_bytes(missing));
  return error;
}

Result<SnapshotOutcome> stream_from(Context& context, SnapshotDirectory& directory,
                                    const SnapshotRequest& request, Connection& connection) {
  context.progress.phase(Phase::kStream, "streaming");
  Pipeline pipeline(context, directory, request);
  ES_TRY(connection.member.snapshot(pipeline));
  auto completed = pipeline.complete(connection);
  if (!completed && completed.error().kind == ErrorKind::kUnverified) {
    return completed.take_error().within(connection.member.url());
  }
  return completed;
}

// `then`: what is taken where the stream of a healthy member breaks off.
Result<SnapshotOutcome> attempt(Context& context, SnapshotDirectory& directory,
                                const SnapshotRequest& request, MemberChoice::Then then) {
  const Nanoseconds start = context.clock.monotonic();
  const EtcdSettings& etcd = context.settings.host.etcd;
  ES_ASSIGN(candidates, endpoint_candidates(etcd));
  MemberChoice members(context.http, std::move(candidates),
                       {.connect_timeout_s = etcd.connect_timeout_s,
                        .stall_timeout_s = etcd.stall_timeout_s,
                        .deadline = context.deadline},
                       context.clock.now());
  for (;;) {
    context.progress.phase(Phase::kConnect, "asking etcd");
    ES_ASSIGN(connection, members.next());
    ES_TRY(check_space(context, directory, request, connection));
    auto outcome = stream_from(context, directory, request, connection);
    if (outcome) {
      outcome->health = connection.health;
      outcome->passed_over = connection.passed_over;
      outcome->runtime = context.clock.monotonic() - start;
      return outcome;
    }
    const Error& error = outcome.error();
    const bool members_own =
        error.kind == ErrorKind::kUnavailable || error.kind == ErrorKind::kUnverified;
    if (!members_own) return outcome;
    if (context.deadline && context.clock.monotonic() >= *context.deadline) return outcome;
    // A healthy member whose stream broke off may serve it the next time.
    const bool may_mend = error.retryable && connection.health.current();
    members.pass_over(outcome.take_error(), may_mend ? then : MemberChoice::Then::kAny);
  }
}

}  // namespace

Result<SnapshotOutcome> take_snapshot(Context& context, SnapshotDirectory& directory,
                                      const SnapshotRequest& request) {
  const EtcdSettings& etcd = context.settings.host.etcd;
  for (int number = 1;; ++number) {
    auto outcome =
        attempt(context, directory, request,
                number > etcd.retries ? MemberChoice::Then::kAny : MemberChoice::Then::kHealthy);
    if (outcome || !outcome.error().retryable || number > etcd.retries) return outcome;
    const Nanoseconds pause = std::chrono::seconds(etcd.retry_interval_s);
    if (context.deadline && context.clock.monotonic() + pause >= *context.deadline) return outcome;
    context.log.write(
        {.level = LogLevel::kWarning,
         .message = "Backup failed",
         .fields = {{"attempt", std::to_string(number)}, {"error", outcome.error().message}},
         .message_id = kAttemptFailed});
    context.progress.phase(Phase::kWait, fmt::format("attempt {} failed, next in {} s", number,
                                                     etcd.retry_interval_s));
    if (!context.clock.sleep_for(pause)) return cancelled_error();
  }
}

Result<FreeName> find_free_name(Clock& clock, const SnapshotDirectory& directory,
                                const std::function<std::string(UnixSeconds)>& make) {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    FreeName name;
    name.time = clock.now();
    name.base = make(name.time);
    // Nothing is overwritten, so a name that cannot be looked up is worth the try.
    const auto taken = directory.taken(name.base);
    if (!taken || !*taken) return name;
    if (!clock.sleep_for(std::chrono::milliseconds(100))) return cancelled_error();
  }
  return Error{ErrorKind::kStorage,
               "no free snapshot name: the clock stands still or runs over "
               "names that are taken, such as " +
                   make(clock.now()),
               "check the clock of this host (timedatectl)", false, EEXIST};
}

}  // namespace etcd_snapshot
