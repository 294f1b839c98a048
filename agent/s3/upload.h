// One file on its way to one key: in parts that leave while the file still grows, several at a
// time, read back from the file and never held in memory. Whoever writes the file never waits.
// Nothing is there under the key before finish() returns ok.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "s3/client.h"
#include "s3/stored.h"

namespace etcd_snapshot {

struct UploadedObject {
  std::string key;
  int64_t size_bytes = 0;
  std::string etag;  // as the server lists it
};

class ObjectUpload {
 public:
  // Sends nothing yet. `fd`: of the file, its own (dup); `expected_bytes`: upper bound of the
  // file's size, for the size of the parts (10,000 at most). The session outlives the upload.
  ObjectUpload(S3Session& session, std::string key, UniqueFd fd, int64_t expected_bytes);
  // Cancels what runs, waits for the threads and aborts the multipart upload, unless finish()
  // returned ok. Bounded: 10 s for the abort; what could not be aborted is swept a day later.
  ~ObjectUpload();
  ObjectUpload(const ObjectUpload&) = delete;
  ObjectUpload& operator=(const ObjectUpload&) = delete;

  // So many bytes of the file are final and can be read. Does not block, and cannot fail: a
  // failure of the upload waits for finish(). One thread only, as finish().
  void available(int64_t size_bytes);

  // Whether it failed already, while the file grew, for a reason that may have passed since.
  bool worth_a_new_try() const;
  // Whether the server says of a failed finish() that the upload is to be begun anew
  // (is_conflict(), NoSuchUpload): the same one cannot be completed any more.
  static bool must_begin_anew(const Error& error);

  // The file is whole, proven and has its name. Sends what is left, completes, and proves what lies
  // there (s3/stored.h). Of what went in one request the ETag should be the MD5 of the bytes as
  // they were read here; of one in parts it is computed from the ETags that the server gave the
  // parts, each of which it had compared with the SHA-256 in the request (x-amz-content-sha256). An
  // MD5 of the parts here would take more than twice the time of that SHA-256 (`openssl speed` on
  // one core of an x86-64 host: 0.6 and 1.4 GB/s). An object that is there under the key already is
  // never replaced where the server can help it: error with s3_code "PreconditionFailed"; what is
  // there may still be the same file, from a call whose answer was lost. After any other error of
  // finish() the server may have taken the object: the caller must not send it under another name.
  // `progress` (may be empty) is called about every 200 ms with the bytes that are there.
  Result<UploadedObject> finish(int64_t size_bytes,
                                const std::function<void(int64_t sent_bytes)>& progress = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The ETag that S3 gives an object of these parts (16-byte digests in hex): the MD5 of their
// digests, "-" and their number. Empty where a part's ETag is no MD5 (SSE-KMS).
std::string multipart_etag(const std::vector<std::string>& part_etags);

// MiB of a part: the setting, or what it takes to stay below 10,000 parts; at most 5 GiB.
int64_t part_size_bytes(int part_size_mib, int64_t expected_bytes);

}  // namespace etcd_snapshot
