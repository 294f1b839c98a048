// Where a bucket is: endpoint, region and lookup style become URLs, and what a server says of its
// region is learned. Sends nothing.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "config/settings.h"
#include "s3/signature.h"

namespace etcd_snapshot {

// One consistent view of the address; a copy, for one request.
struct S3Address {
  std::string scheme;     // "https" or "http"
  std::string authority;  // host[:port] of the request: with the bucket in front in dns style
  std::string base_path;  // "" in dns style, "/bucket" (encoded) in path style
  std::string region;     // to sign with

  // Encoded path of a key; "" is the bucket itself.
  std::string path(std::string_view key) const;
  // `query` from canonical_query(), may be empty.
  std::string url(std::string_view key, const std::string& query) const;
};

// The region that the name of a service's endpoint tells ("s3.eu-central-1.amazonaws.com",
// "s3-eu-west-1.amazonaws.com", "s3.dualstack....", ".amazonaws.com.cn",
// "oss-cn-hangzhou.aliyuncs.com"), or empty. `host` without port, any case.
std::string region_of_endpoint(std::string_view host);

// Whether the bucket belongs into the host name: lookup = dns or path as set; auto: Amazon's,
// Google's and Aliyun's endpoints, unless the name of the bucket has a point and tls is on (no
// wildcard certificate covers it) or is no DNS name (RFC 1123) in lower case. Never for an IP
// address, whatever is set.
bool use_dns_style(S3Lookup lookup, std::string_view endpoint_host, std::string_view bucket,
                   bool tls);

// The address of the policy's bucket. Thread-safe: all transfers of a run share one.
class S3Location {
 public:
  S3Location(const S3Policy& policy, S3Lookup lookup);

  S3Address address() const;
  // "https://s3.example.com/bucket", for messages.
  std::string display() const;
  // The server says that the bucket is in `region`. For Amazon's endpoints the host changes with
  // it (".amazonaws.com.cn" for cn-*). False: nothing new, or no name of a region, so trying again
  // makes no sense.
  bool learn_region(const std::string& region);
  // Whether the region is a guess (us-east-1): nobody set or told it.
  bool region_is_guess() const;

 private:
  void rebuild();  // address_ from the members; with mutex_ held

  mutable std::mutex mutex_;
  const S3Lookup lookup_;
  std::string bucket_, scheme_, endpoint_host_, port_;
  std::string region_;
  bool region_guessed_ = false;
  S3Address address_;
};

}  // namespace etcd_snapshot
