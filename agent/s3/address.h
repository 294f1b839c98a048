// Where a bucket is: endpoint, region and lookup style become URLs, and what a server says of its
// region is learned. Sends nothing.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>

#include "config/settings.h"
#include "s3/providers.h"
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

// Whether the bucket belongs into the host name: lookup = dns or path as set; auto: where
// is_dns_service(), unless the name of the bucket has a point and tls is on (no wildcard
// certificate covers it) or is no DNS name (RFC 1123) in lower case. Never, whatever is set, for an
// IP address or a bucket with a colon ("tenant:bucket" of Ceph).
bool use_dns_style(S3Lookup lookup, std::string_view endpoint_host, std::string_view bucket,
                   bool tls);

// The address of the policy's bucket. Thread-safe: all transfers of a run share one.
//
// Consoles show the bucket's own host name as "endpoint" ("backups.fra1.digitaloceanspaces.com").
// Its bucket is taken off where the rest is a known service. Elsewhere the name says nothing:
// backups.example.com may be the bucket "backups" of example.com as well as a server of its own
// that holds a bucket of that name, and the wrong guess would make the bucket a part of every key.
// So the server is asked, once, before anything else (S3Client), with assume() and settle().
class S3Location {
 public:
  S3Location(const S3Policy& policy, S3Lookup lookup);

  // Whether the server has to be asked what the host is: the bucket's, or its server's.
  enum class Host { kServer, kBucket };
  bool unsettled() const { return unsettled_; }
  // Addresses are made for this reading from now on; settle(): and it is right.
  void assume(Host host);
  void settle() { unsettled_ = false; }

  S3Address address() const;
  std::string host() const;  // of the server, without port
  // "https://s3.example.com/bucket", for messages.
  std::string display() const;
  // The server says that the bucket is in `region`. For Amazon's endpoints the host changes with
  // it, and its partition. False: nothing new, or no name of a region, so trying again
  // makes no sense.
  bool learn_region(const std::string& region);
  // Whether the region is a guess (us-east-1): nobody set or told it.
  bool region_is_guess() const;

 private:
  void rebuild();  // address_ from the members; with mutex_ held

  mutable std::mutex mutex_;
  const S3Lookup lookup_;
  std::string bucket_, scheme_, endpoint_host_, port_;
  Host host_ = Host::kServer;
  std::atomic<bool> unsettled_ = false;
  std::string region_;
  bool region_guessed_ = false;
  S3Address address_;
};

}  // namespace etcd_snapshot
