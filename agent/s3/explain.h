// What an answer that refused means and what to do about it: S3's codes become Errors, in one
// place. Pure; sends nothing.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/http.h"
#include "s3/answers.h"

namespace etcd_snapshot {

// What was asked, for messages.
struct S3CallName {
  std::string call;   // "PutObject"
  std::string where;  // S3Location::display()
  std::string key;    // may be empty
  std::string bucket;
  std::string region;  // that it was signed with
  std::string source;  // of the credentials
  UnixSeconds now;
};
// "PutObject https://s3.example.com/bucket/key"
std::string to_string(const S3CallName& name);

// Of an HTTP answer outside 2xx, or of an <Error> inside a 200. `body` may be anything, also empty
// (HEAD) or a proxy's HTML. retryable for 408, 429, 5xx but 501, 505 and 507, and codes such as
// SlowDown, InternalError, RequestTimeout, OperationAborted. Hints for: wrong access key, wrong
// secret, expired token, access denied (names the IAM action), clock skew (by how much, from the
// Date header), no such bucket, bucket elsewhere (301/307: which region), method refused, entity
// too large, archived storage class, locked object, 501, a proxy that wants credentials (407), an
// answer that is no S3 at all.
Error explain_answer(const S3CallName& name, const HttpResponse& response, std::string_view body);

// A network error of base/http on the way to the bucket: the same error with call, bucket and what
// to look at (name not found, proxy, refused, untrusted certificate, stall).
Error explain_network(const S3CallName& name, Error error, bool custom_roots,
                      const std::string& proxy);

// Seconds that Retry-After asks for (a number or an HTTP date, RFC 9110 10.2.3), 0 for none.
int retry_after_s(const HttpResponse& response, UnixSeconds now);

}  // namespace etcd_snapshot
