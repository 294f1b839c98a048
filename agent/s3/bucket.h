// The agent's folder of the bucket: what lies there by file name, whether it is what lies here, and
// what nobody finishes any more. Decides nothing; deletes only what it is told to.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "archive/manifest.h"
#include "base/clock.h"
#include "s3/client.h"

namespace etcd_snapshot {

struct RemoteObject {
  std::string file_name;  // the key behind "folder/"; has no "/"
  int64_t size_bytes = 0;
  std::string etag;
};

class Bucket {
 public:
  // Both outlive the bucket.
  Bucket(S3Session& session, S3Client& client) : session_(session), client_(client) {}

  std::string key_of(const std::string& file_name) const { return session_.prefix() + file_name; }
  // "https://s3.example.com/bucket/folder", for messages.
  std::string display() const;

  // The objects that lie directly in the folder, page by page in the order of the server, at most
  // 1,000 a page; one call a page and constant memory. No name comes twice, unless the server sorts
  // otherwise than S3. A list that does not go on is kRemote.
  Result<void> list(const std::function<Result<void>(std::vector<RemoteObject>)>& page);

  // The object, where it is the same as the open file: the same size and the same last bytes, which
  // in every archive of this agent hold a digest of the rest (manifest, or etcd's own trailer).
  // nullopt: it is another, or not there.
  Result<std::optional<ObjectInfo>> holds(const std::string& file_name, int fd, int64_t size_bytes);

  // Puts a small file there, in place of what lies under its name, and proves what lies there then
  // (s3/stored.h). With If-None-Match or If-Match, which a bucket's policy may demand.
  Result<void> replace(const std::string& file_name, int fd, int64_t size_bytes);

  // The manifest at the end of an object, by its extension; nullopt: it has none, or is none of
  // this agent's formats.
  Result<std::optional<Manifest>> manifest(const RemoteObject& object);

  // Whether a failure of holds() or manifest() is that one object's, so that the others are worth
  // asking: it is archived, or encrypted with a key that is gone. The end of the time, a stop and
  // what is wrong here are everybody's.
  bool only_this_object(const Error& error) const;
  // False once three reads in a row failed of what may pass: then it is the server rather than the
  // object, and each of the others would wait for it as long.
  bool worth_reading() const;

  // In calls of 1,000. What could not be deleted comes back, its key as a file name.
  Result<std::vector<DeleteFault>> remove(const std::vector<std::string>& file_names);

  // What remove() could not delete, as an error.
  Error delete_error(const DeleteFault& fault) const;

  // Aborts multipart uploads that were begun more than a day before `now`, of names of this agent's
  // grammar and of those that `also_ours` takes (file names). Returns their file names. Needs more
  // than the upload itself (s3: ListBucketMultipartUploads): the error with s3_code "AccessDenied"
  // is nobody's worry. What cannot be aborted stays, and an error after others were is not told.
  Result<std::vector<std::string>> sweep_uploads(
      UnixSeconds now, const std::function<bool(const std::string&)>& also_ours);

 private:
  Result<std::optional<ObjectInfo>> compare(const std::string& file_name, int fd,
                                            int64_t size_bytes);
  Result<std::optional<Manifest>> read_its_manifest(const RemoteObject& object);
  template <typename T>
  Result<T> counted(Result<T> read);
  Result<void> abort_abandoned(const UploadPage& page, UnixSeconds now,
                               const std::function<bool(const std::string&)>& also_ours,
                               std::vector<std::string>& swept, int& refused);

  S3Session& session_;
  S3Client& client_;
  int failed_reads_ = 0;  // in a row, of what may pass
};

}  // namespace etcd_snapshot
