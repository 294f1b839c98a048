// The calls of S3's API that the agent makes, one at a time, each signed, retried within bounds and
// explained when it fails. Knows nothing of snapshots. One per thread; they share an S3Session.
//
// Retries: network errors, 408, 429, 5xx and the codes that S3 calls transient, settings.retries
// further times, waiting 0.5 s * 2^n (at most 20 s) with jitter, or what Retry-After says (at most
// 60 s), never past the deadline. A region that the server corrects, and credentials that it calls
// expired, are tried again once and count as no retry. A HEAD that is refused without a reason is
// followed by a GET of one byte, whose answer has one.
//
// Errors: kRemote; kConfig for certificates that cannot be used; kCancelled; kStorage where a file
// cannot be read. The message holds the call, bucket and key, S3's code, message and request id;
// the hint says what to do; s3_code is S3's word.
#pragma once

#include <atomic>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "s3/answers.h"
#include "s3/session.h"

namespace etcd_snapshot {

struct ObjectInfo {
  int64_t size_bytes = 0;
  std::string etag;        // normal_etag(); empty = the server does not say
  std::string encryption;  // "AES256", "aws:kms", ...; empty = the server does not say
  std::string kms_key;     // its id or ARN; empty = the server does not say
};

// s3_code ConditionalRequestConflict or OperationAborted: another call on the same key was under
// way (API Reference: after one of a conditional Complete, the whole upload is to be begun anew).
bool is_conflict(const Error& error);

// Parts of an upload (S3 User Guide, "multipart upload limits").
inline constexpr int kMaxParts = 10000;

class S3Client {
 public:
  // `http`: this client's own.
  S3Client(S3Session& session, HttpClient& http);

  // Ends running and further calls with kCancelled when it becomes true. May be null.
  void set_cancel(const std::atomic<bool>* cancel) { cancel_ = cancel; }
  // Calls go through although the process was asked to stop, each with 10 s at most and no retry,
  // and whatever the deadline.
  void clean_up_mode() { after_stop_ = true; }

  // PUT of a file's range of at most 5 GiB, with its SHA-256. `write_once`: If-None-Match: *; an
  // object that is there is an error with s3_code "PreconditionFailed" and nothing is changed; a
  // server that does not know the header (501) is asked again without it. A second try after a lost
  // answer may meet the object of the first: that is the caller's to settle. Returns what the
  // answer says of the object. Sends sse, KMS key and storage class as set, and Content-MD5 where a
  // refusal asks for it. `sent_md5` (may be null) gets the MD5 of the bytes as they were read, raw;
  // empty where the host forbids it.
  Result<ObjectInfo> put_object(const std::string& key, const FileRange& file, bool write_once,
                                std::string* sent_md5 = nullptr);
  // The same over the object that has this ETag (If-Match, and again without where the server does
  // not know it or finds that it differs).
  Result<ObjectInfo> replace_object(const std::string& key, const FileRange& file,
                                    const std::string& etag);

  // Multipart. Returns the upload id; sse, KMS key and storage class as set.
  Result<std::string> create_upload(const std::string& key);
  // Part numbers from 1. Returns the part's bare_etag(), as the server wants it back; where the
  // answer has none, the MD5 of the part, which it is in S3 itself.
  Result<std::string> upload_part(const std::string& key, const std::string& upload_id, int number,
                                  const FileRange& file);
  // `etags` from part 1 on. Returns what the answer says of the object; the ETag may be empty.
  // `write_once` as for put_object, where the server knows it here. Waits five minutes for a silent
  // server. A second try after a lost answer may find the upload gone (NoSuchUpload) or the object
  // there (PreconditionFailed): that is the caller's to settle, with head(). is_conflict() is not
  // tried again: see there.
  Result<ObjectInfo> complete_upload(const std::string& key, const std::string& upload_id,
                                     const std::vector<std::string>& etags, bool write_once);
  // An upload that is gone is no error.
  Result<void> abort_upload(const std::string& key, const std::string& upload_id);
  // Uploads in progress below `prefix`, one page; markers from the page before, empty at first.
  Result<UploadPage> list_uploads(const std::string& prefix, const std::string& key_marker,
                                  const std::string& id_marker);

  // nullopt: there is none. (Without s3:ListBucket S3 answers 403 to what is not there: an error.)
  // Where the answer tells no size of the object (no Content-Length, or that of an encoding), a
  // range or the list does.
  Result<std::optional<ObjectInfo>> head(const std::string& key);
  // The size of an object that exists, as a range or the list tells it: a proxy that compresses may
  // tell another in answers to HEAD.
  Result<int64_t> size_of(const std::string& key);
  // `size` bytes from `offset`, at most 1 MiB. An object that is shorter is an error.
  Result<std::string> get_range(const std::string& key, int64_t offset, int64_t size);
  // One page of at most 1,000 keys that begin with `prefix` and have no "/" behind it; `token` from
  // the page before. A page may be empty and not the last: deeper keys take places in it.
  Result<ListPage> list(const std::string& prefix, const std::string& token, int max_keys = 1000);
  // At most 1,000 keys, in one call with Content-MD5 (a SHA-256 where the host forbids MD5), or,
  // where the server has no such call or answers it with what is no answer, one call a key; the
  // session remembers which. Returns those that were not deleted.
  Result<std::vector<DeleteFault>> remove(const std::vector<std::string>& keys);
  Result<std::string> bucket_location();

 private:
  struct Call;    // method, key, query, headers, body, what it is called in messages
  struct Answer;  // status, headers, body of at most 8 MiB

  // A good answer, or one that the call accepts. Asks first what the endpoint names, where that is
  // not clear (S3Location).
  Result<Answer> send(const Call& call);
  Result<Answer> send_settled(const Call& call);
  Result<void> settle_address();
  // Any answer; an error where there was none.
  Result<Answer> send_once(const Call& call);
  // A header that makes the call depend on what is there, and what remembers that the server does
  // not know it.
  struct Condition;
  // With the condition, and again without where the server does not know it.
  Result<Answer> send_if(Call call, const Condition& condition);
  Result<Answer> send_file(Call call, const FileRange& file, const Condition* condition,
                           std::string* sent_md5 = nullptr);
  Result<ObjectInfo> put_if(const std::string& key, const FileRange& file,
                            const Condition* condition, std::string* sent_md5);
  Result<std::vector<DeleteFault>> remove_each(const std::vector<std::string>& keys);
  // Asks for what a refused HEAD cannot say: where a GET of the same is refused with a code, that
  // becomes the answer. An error only where it is cancelled.
  Result<void> learn_reason(const Call& call, Answer& answer);
  // Whether the address is another now than the one that `answer` came from.
  bool learn_region(const Call& call, const Answer& answer);
  // An error of ours about an answer, and one with call, bucket and key in front.
  Error unexpected(const Call& call, const std::string& what) const;
  Error named(const Call& call, Error error) const;
  bool cancelled() const { return cancel_ != nullptr && *cancel_; }
  Result<void> go_on() const;  // kCancelled: it was cancelled, or the process is to stop
  Nanoseconds pause(int retry, int asked_s);
  bool wait(Nanoseconds duration);  // false: cancelled

  S3Session& session_;
  HttpClient& http_;
  const std::atomic<bool>* cancel_ = nullptr;
  bool after_stop_ = false;
  std::minstd_rand random_;
};

}  // namespace etcd_snapshot
