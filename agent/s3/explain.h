// What an answer that refused means and what to do about it: S3's codes become Errors, in one
// place. Pure; sends nothing.
#pragma once

#include <functional>
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
  std::string kept_as{};        // what [s3] wants of an object: "sse = AES256"; empty: nothing
  bool bucket_in_host = false;  // dns style
  // What is trusted beside the system's roots, as a sentence goes on: " and [s3] ca_file"; empty:
  // nothing.
  std::string roots{};
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

// The proxy on the way to a URL; `url` empty: none. `set_in` for messages: "[s3] proxy",
// "https_proxy of the environment".
struct ProxyInUse {
  std::string url, set_in;
};
// `setting` is [s3] proxy; where it is empty, what libcurl takes from the environment
// (libcurl-env(3) and CURLOPT_NOPROXY(3); of no_proxy, names and plain addresses are looked at).
// `environment` gives a variable's value, or empty.
ProxyInUse proxy_for(const std::string& url, const std::string& setting,
                     const std::function<std::string(const char*)>& environment);

// A network error of base/http on the way to the bucket: the same error with call, bucket and what
// to look at (name not found, proxy, refused, untrusted certificate, stall). A proxy's user and
// password are in no message.
Error explain_network(const S3CallName& name, Error error, const ProxyInUse& proxy);

// Seconds that Retry-After asks for (a number or an HTTP date, RFC 9110 10.2.3), 0 for none.
int retry_after_s(const HttpResponse& response, UnixSeconds now);

}  // namespace etcd_snapshot
