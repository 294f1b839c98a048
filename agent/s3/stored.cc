#include "s3/stored.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/digest.h"
#include "s3/wire_text.h"

namespace etcd_snapshot {
namespace {

// An object that is no larger is read back as a whole.
constexpr int64_t kWholeBytes = 32 << 20;
constexpr int64_t kPieceBytes = 4096;
constexpr int64_t kPieces = 16;
constexpr int64_t kMaxReadBytes = 1 << 20;  // S3Client::get_range()

std::string place_of(const S3Session& session, const std::string& key) {
  return session.location.display() + "/" + peer_text(key, 1024);
}

Error fault(std::string message, std::string hint, const char* code) {
  Error error{ErrorKind::kRemote, std::move(message), std::move(hint)};
  error.s3_code = code;
  return error;
}

struct Piece {
  int64_t offset, size;
};

// What is read back, the end first: it is what tells archives apart.
std::vector<Piece> pieces_of(const SentObject& sent) {
  const int64_t size = sent.file.size;
  std::vector<Piece> pieces;
  if (size <= std::max(kWholeBytes, sent.part_bytes)) {
    for (int64_t at = 0; at < size; at += kMaxReadBytes) {
      pieces.push_back({at, std::min(kMaxReadBytes, size - at)});
    }
    return pieces;
  }
  pieces.push_back({size - kPieceBytes, kPieceBytes});
  const int64_t parts = (size + sent.part_bytes - 1) / sent.part_bytes;
  const int64_t asked = std::min(parts, kPieces);
  for (int64_t i = 0; i < asked; ++i) {
    const int64_t at = parts * i / asked * sent.part_bytes;
    pieces.push_back({at, std::min(kPieceBytes, size - at)});
  }
  return pieces;
}

// The first piece that differs; nullopt: none.
Result<std::optional<Piece>> find_difference(S3Client& client, const SentObject& sent) {
  for (const Piece& piece : pieces_of(sent)) {
    ES_ASSIGN(there, client.get_range(sent.key, piece.offset, piece.size));
    ES_ASSIGN(digest_there, sha256(there));
    ES_ASSIGN(digest_here,
              sha256_of_range(sent.file.fd, sent.file.offset + piece.offset, piece.size));
    if (digest_there != digest_here) return std::optional(piece);
  }
  return std::optional<Piece>();
}

// Whether the object's ETag tells of its bytes: not where a key service encrypts them.
bool is_told_by_etag(const S3Session& session, const ObjectInfo& info) {
  return !session.settings.sse.starts_with("aws:kms") && !info.encryption.starts_with("aws:kms");
}

// A setting may be an id, an ARN or an alias, and the server answers with an ARN: an alias cannot
// be told from it.
bool is_other_key(const std::string& wanted, const std::string& told) {
  if (wanted.empty() || told.empty() || contains(wanted, "alias/")) return false;
  const std::string id = wanted.substr(wanted.find_last_of("/:") + 1);
  return !contains(told, id);
}

// What the server says of the encryption, where it is not what [s3] asks; empty: it is.
std::string encryption_fault(const S3Settings& settings, const ObjectInfo& info) {
  if (settings.sse.empty()) return {};
  if (info.encryption.empty()) return "the server does not say that it encrypted the object";
  // A server whose own rule is a key service encrypts more than it was asked to.
  const bool more = settings.sse == "AES256" && info.encryption.starts_with("aws:kms");
  if (!more && lower(info.encryption) != lower(settings.sse)) {
    return "the server encrypted the object with " + peer_text(info.encryption, 64);
  }
  if (is_other_key(settings.sse_kms_key_id, info.kms_key)) {
    return "the server encrypted the object with the key " + peer_text(info.kms_key, 200);
  }
  return {};
}

Error not_encrypted(const S3Session& session, std::string message) {
  const S3Settings& settings = session.settings;
  std::string asked = settings.sse;
  if (!settings.sse_kms_key_id.empty()) asked += " with key " + settings.sse_kms_key_id;
  return fault(message + " ([s3] sse asks for " + asked + ")",
               "ask whoever runs the server how it encrypts; where it does so by itself, or where "
               "the backups may lie there unencrypted, remove sse from [s3]",
               kNotEncrypted);
}

// An archive class, or a right that is missing: not that there is nothing, or less.
bool nobody_may_read(const Error& error) {
  return error.kind == ErrorKind::kRemote && !error.retryable &&
         (error.s3_code == "AccessDenied" || error.s3_code == "InvalidObjectState" ||
          error.s3_code.starts_with("KMS."));
}

// Takes away what this upload left. What became of it, as a sentence goes on.
std::string take_away(S3Client& client, const std::string& key) {
  const auto refused = client.remove({key});
  return refused && refused->empty() ? "; the object was deleted again"
                                     : "; the object could not be deleted and still lies there";
}

Result<ObjectInfo> check_kept(S3Session& session, S3Client& client, const SentObject& sent,
                              const ObjectInfo& answered, ObjectInfo found) {
  if (found.encryption.empty()) found.encryption = answered.encryption;
  if (found.kms_key.empty()) found.kms_key = answered.kms_key;
  const std::string problem = encryption_fault(session.settings, found);
  if (problem.empty()) return found;
  session.encryption_refused = true;
  return not_encrypted(session,
                       place_of(session, sent.key) + ": " + problem + take_away(client, sent.key));
}

Error other_content(const S3Session& session, S3Client& client, const SentObject& sent,
                    const std::string& what, bool ours) {
  const std::string message = place_of(session, sent.key) + ": " + what;
  if (!ours) {
    return fault(message,
                 "look who else writes there: every cluster needs a bucket or folder of its "
                 "own",
                 kReplacedThere);
  }
  return fault(message + take_away(client, sent.key),
               "the data changed on the way or there: look for a proxy between that rewrites "
               "requests, and for faulty memory or disks of the server",
               kNotWhatWasSent);
}

}  // namespace

Result<void> check_encrypts(const S3Session& session) {
  if (!session.encryption_refused) return {};
  return not_encrypted(session,
                       session.location.display() +
                           ": the server did not encrypt an earlier upload as it was asked");
}

Result<ObjectInfo> prove_stored(S3Session& session, S3Client& client, const SentObject& sent,
                                const ObjectInfo& answered) {
  ES_ASSIGN(found, client.head(sent.key));
  if (!found) {
    return Error{
        ErrorKind::kRemote, place_of(session, sent.key) + ": was uploaded, but does not exist",
        "look who or what deletes there, and whether the endpoint is an S3 server", true, 0};
  }
  // The server is at one with itself: nobody else wrote there.
  const bool ours = !answered.etag.empty() && found->etag == answered.etag;
  if (found->size_bytes != sent.file.size) {
    ES_ASSIGN(size, client.size_of(sent.key));
    found->size_bytes = size;
  }
  if (found->size_bytes != sent.file.size) {
    return other_content(
        session, client, sent,
        fmt::format("holds {} bytes, but {} were sent", found->size_bytes, sent.file.size), ours);
  }
  const bool told = !sent.computed_etag.empty() && found->etag == sent.computed_etag &&
                    is_told_by_etag(session, *found);
  if (!told) {
    auto difference = find_difference(client, sent);
    const bool unread = !difference && ours && nobody_may_read(difference.error());
    if (!difference && !unread) return difference.take_error();
    if (difference && *difference) {
      // Somebody may have written there since the look at it.
      const auto again = client.head(sent.key);
      const bool still = ours && again && *again && (*again)->etag == found->etag;
      return other_content(
          session, client, sent,
          fmt::format("holds other bytes than were sent (bytes {} to {} differ)",
                      (*difference)->offset, (*difference)->offset + (*difference)->size - 1),
          still);
    }
  }
  return check_kept(session, client, sent, answered, std::move(*found));
}

Result<ObjectInfo> settle_failure(S3Session& session, S3Client& client, const SentObject& sent,
                                  Error failure) {
  if (failure.kind != ErrorKind::kRemote) return failure;
  const auto found = client.head(sent.key);
  if (!found || !*found || (*found)->size_bytes != sent.file.size) return failure;
  const bool told = !sent.computed_etag.empty() && (*found)->etag == sent.computed_etag &&
                    is_told_by_etag(session, **found);
  if (!told) {
    const auto difference = find_difference(client, sent);
    if (!difference || *difference) return failure;
  }
  // Nobody heard what the server said of it: not to know is no reason to delete.
  if (!encryption_fault(session.settings, **found).empty()) return failure;
  return **found;
}

}  // namespace etcd_snapshot
