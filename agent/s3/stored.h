// After an upload: whether what lies under the key is what was sent, and is kept as it was asked.
// Says "other bytes" only of bytes that it read.
//
// What S3's ETag is (the MD5 of the bytes; of parts, the MD5 of their MD5s) many servers do not
// keep: they make it of the text of the parts' ETags, of the upload id or by chance, tell another
// in HEAD than in the answer to the upload, or encrypt (apache/ozone#5162, basho/riak_cs#855,
// gaul/s3proxy#338, treeverse/lakeFS#2486). Where it is the one that was computed here, that is the
// proof; else the size and the bytes are, read back: of an object of one part all of them, of any
// other the end, which in every archive of this agent holds a digest of the rest, and a piece of
// some parts.
#pragma once

#include <string>

#include "s3/client.h"

namespace etcd_snapshot {

// s3_code where the object holds other bytes than were sent, although the server took them.
inline constexpr char kNotWhatWasSent[] = "NotWhatWasSent";
// The same, and it is no doing of this upload: somebody else wrote there after it.
inline constexpr char kReplacedThere[] = "ReplacedThere";
// s3_code where the server does not say that it encrypted the object as [s3] asks.
inline constexpr char kNotEncrypted[] = "NotEncryptedAsAsked";

struct SentObject {
  std::string key;
  FileRange file;  // the whole of it
  int64_t part_bytes = 0;
  // What the ETag is where it is made as S3 makes it; empty: not known.
  std::string computed_etag{};
};

// The object, where it is what was sent and kept as asked. `answered`: what the server said of it
// in the answer to the upload. kRemote otherwise: it is gone, cannot be read (where the server says
// the same of it twice, its word is taken for what nobody may read), kNotWhatWasSent,
// kReplacedThere, kNotEncrypted. Of the first and the last of these three the object is taken away,
// which is certain to be this upload's, and the error says what became of it.
Result<ObjectInfo> prove_stored(S3Session& session, S3Client& client, const SentObject& sent,
                                const ObjectInfo& answered);

// The same of an upload that failed by what the client saw: `failure`, unless the object is there
// and is what was sent.
Result<ObjectInfo> settle_failure(S3Session& session, S3Client& client, const SentObject& sent,
                                  Error failure);

// The error that further uploads get once the server did not encrypt one of them; nothing is sent.
Result<void> check_encrypts(const S3Session& session);

}  // namespace etcd_snapshot
