#include "archive/proof.h"

#include <cstring>

#include "base/digest.h"

namespace etcd_snapshot {
namespace {

constexpr size_t kDigestBytes = 32;
// etcd's own test for "a digest follows": size modulo 512 is 32 (etcdutl/snapshot/v3_snapshot.go).
constexpr int64_t kSectorBytes = 512;

Error unverified(std::string message) {
  Error error;
  error.kind = ErrorKind::kUnverified;
  error.message = std::move(message);
  error.hint =
      "these bytes are no good as a backup; take another snapshot, and if that fails the same way, "
      "look at the network, the disk and the log of this etcd member";
  error.retryable = true;
  return error;
}

}  // namespace

struct SnapshotProof::State {
  Sha256 digest;
  // The last bytes so far, which may turn out to be the trailer: not yet in the digest.
  std::array<std::byte, kDigestBytes> held{};
  size_t held_count = 0;
};

SnapshotProof::SnapshotProof() : state_(std::make_unique<State>()) {}

SnapshotProof::~SnapshotProof() = default;

Result<void> SnapshotProof::update(Bytes bytes) {
  State& state = *state_;
  received_ += static_cast<int64_t>(bytes.size());
  const Bytes held(state.held.data(), state.held_count);
  if (bytes.size() >= kDigestBytes) {
    ES_TRY(state.digest.update(held));
    ES_TRY(state.digest.update(bytes.first(bytes.size() - kDigestBytes)));
    std::memcpy(state.held.data(), bytes.last(kDigestBytes).data(), kDigestBytes);
    state.held_count = kDigestBytes;
    return {};
  }
  if (bytes.empty()) return {};
  const size_t total = held.size() + bytes.size();
  const size_t surplus = total > kDigestBytes ? total - kDigestBytes : 0;
  ES_TRY(state.digest.update(held.first(surplus)));
  state.held_count -= surplus;
  std::memmove(state.held.data(), state.held.data() + surplus, state.held_count);
  std::memcpy(state.held.data() + state.held_count, bytes.data(), bytes.size());
  state.held_count += bytes.size();
  return {};
}

Result<Proof> SnapshotProof::finish() {
  State& state = *state_;
  ES_ASSIGN(digest, state.digest.finish());
  const std::string size = std::to_string(received_) + " bytes";
  if (received_ == 0) return unverified("the snapshot is empty: 0 bytes");
  if (received_ <= static_cast<int64_t>(kDigestBytes)) {
    return unverified("the snapshot is cut short: " + size +
                      ", which leaves no database before the 32 bytes of its SHA-256");
  }
  if (received_ % kSectorBytes != static_cast<int64_t>(kDigestBytes)) {
    return unverified("the snapshot is cut short or damaged: " + size +
                      ", but a whole one has a multiple of 512 bytes and the 32 of its SHA-256");
  }
  Proof proof;
  proof.database_bytes = received_ - static_cast<int64_t>(kDigestBytes);
  proof.sha256 = to_hex(digest);
  const std::string sent = to_hex(as_text(state.held));
  if (proof.sha256 != sent) {
    return unverified("the snapshot is damaged: the SHA-256 of its " +
                      std::to_string(proof.database_bytes) + " bytes of database is " +
                      proof.sha256 + ", but the one that etcd appended is " + sent);
  }
  return proof;
}

}  // namespace etcd_snapshot
