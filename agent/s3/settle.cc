// Before the first call: what the host of the endpoint is, where its name may be that of the bucket
// or of a server that holds the bucket (S3Location). One reading after the other is asked for the
// list that every cycle needs anyway, with the same rights: only one of them is answered with the
// bucket's list. The other is the server's list of buckets, or an object that does not exist.
#include "s3/call.h"

namespace etcd_snapshot {
namespace {

bool lists(const std::string& body, const std::string& bucket) {
  if (!parse_list(body)) return false;
  return body.find("<Name>") == body.npos || contains(body, "<Name>" + bucket + "</Name>");
}

}  // namespace

Result<S3Client::Answer> S3Client::send(const Call& call) {
  if (session_.location.unsettled()) ES_TRY(settle_address());
  return send_settled(call);
}

Result<void> S3Client::settle_address() {
  S3Location& location = session_.location;
  const std::lock_guard lock(session_.settling);  // one client asks, the others wait for it
  if (!location.unsettled()) return {};
  Call call{.name = "ListObjectsV2",
            .method = "GET",
            .query = {{"list-type", "2"}, {"max-keys", "1"}, {"delimiter", "/"}}};
  if (!session_.prefix().empty()) call.query.emplace_back("prefix", session_.prefix());

  std::optional<Error> error;
  for (const auto host : {S3Location::Host::kBucket, S3Location::Host::kServer}) {
    location.assume(host);
    auto answer = send_settled(call);
    if (answer && lists(answer->body, session_.policy.bucket_name)) {
      location.settle();
      return {};
    }
    const bool key_is_missing = !answer && answer.error().s3_code == "NoSuchKey";
    if (answer) {
      error = unexpected(call, "the answer is not a list of the bucket");
    } else if (!error || !key_is_missing) {  // of the bucket's own host, which knows no such object
      error = answer.take_error();
    }
    if (error->kind != ErrorKind::kRemote || error->code != 0) break;  // nobody answered
  }
  location.assume(S3Location::Host::kServer);
  if (error->kind == ErrorKind::kRemote && error->code == 0) {
    const std::string& bucket = session_.policy.bucket_name;
    error->hint +=
        "; the endpoint begins with the name of the bucket: if it is the bucket's own "
        "address, write endpoint: " +
        location.host().substr(bucket.size() + 1);
  }
  return std::move(*error);
}

}  // namespace etcd_snapshot
