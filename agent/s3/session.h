// What all requests to the bucket share: where it is, whose keys, which roots, how patient. Made
// once a run; every thread has its own S3Client on it. Must not be moved or destroyed while one
// lives.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/http.h"
#include "config/settings.h"
#include "s3/address.h"
#include "s3/credentials.h"

namespace etcd_snapshot {

class S3Session {
  std::unique_ptr<HttpClient> credentials_http_;  // outlives `credentials`

 public:
  // Reads ca_file; kRemote where it cannot be read or is no certificate, and where the endpoint is
  // one that is no S3 for this agent (check_service()). `clock` and `make_http`
  // outlive the session.
  static Result<std::unique_ptr<S3Session>> open(const S3Policy& policy, const S3Settings& settings,
                                                 Clock& clock, HttpFactory make_http);
  S3Session(const S3Session&) = delete;
  S3Session& operator=(const S3Session&) = delete;

  const S3Policy policy;
  const S3Settings settings;
  Clock& clock;
  const HttpFactory make_http;
  std::string extra_roots;  // custom_ca and ca_file, PEM
  S3Location location;
  std::unique_ptr<RateLimit> rate;                // null: no limit
  std::optional<Nanoseconds> deadline;            // Clock::monotonic(); set before threads start
  std::unique_ptr<CredentialSource> credentials;  // with an HttpClient of its own

  // Held while the server is asked whether the endpoint names the bucket (S3Location::unsettled()).
  std::mutex settling;
  // --- what this server cannot do; found out on the way, by whichever client
  // It does not know If-None-Match in this call: left out from then on.
  std::atomic<bool> put_once_refused{false}, complete_once_refused{false};
  // It has no DeleteObjects: one DELETE a key.
  std::atomic<bool> batch_delete_refused{false};
  // It stays silent when it is asked by "Expect: 100-continue", or refuses (HttpRequest::expect).
  std::atomic<bool> expect_refused{false};
  // It does not encrypt as [s3] sse asks: nothing more is sent to it.
  std::atomic<bool> encryption_refused{false};
  // The bucket asked for Content-MD5: with a default retention of Object Lock it takes nothing
  // without (S3 User Guide, "Considerations for using Object Lock").
  std::atomic<bool> content_md5_wanted{false};

  // "folder/", or empty. What belongs to this agent begins with it, exactly.
  std::string prefix() const { return policy.folder.empty() ? "" : policy.folder + "/"; }

 private:
  S3Session(const S3Policy& policy, const S3Settings& settings, Clock& clock,
            HttpFactory make_http);
};

}  // namespace etcd_snapshot
