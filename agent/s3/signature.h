// AWS Signature Version 4, header form, with S3's rules for paths: a pure function of the request,
// the credentials and the time. Sends nothing.
//
// Source: AWS General Reference, "Create a signed AWS API request"; S3's own path rule (encoded
// once, not normalized): S3 API Reference, "Authenticating Requests: Using the Authorization
// Header".
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace etcd_snapshot {

struct Credentials {
  std::string access_key, secret_key;
  std::string session_token;  // empty: long-lived keys
};

// Names and values as they are, not encoded.
using QueryParameters = std::vector<std::pair<std::string, std::string>>;

// Every byte but A-Z a-z 0-9 - . _ ~ as %XX, and "/" too unless `keep_slash`.
std::string percent_encode(std::string_view text, bool keep_slash);

// Encoded and in the order that the signature asks for; good for the URL, too.
std::string canonical_query(QueryParameters parameters);

struct SigningRequest {
  std::string method;
  std::string path;   // encoded, begins with "/"; signed as it is
  std::string query;  // from canonical_query()
  std::string host;   // the Host header: with the port where it is not the scheme's own
  // Further headers that are sent and signed: "x-amz-...", "content-type", "content-md5",
  // "if-none-match", "range". Names in any case; values are trimmed and runs of spaces folded for
  // the signature. Not: host, x-amz-date, x-amz-content-sha256, x-amz-security-token.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string payload_sha256;  // 64 hex digits
};

struct SigningScope {
  std::string region;
  std::string service = "s3";
  UnixSeconds time;
  // AWS' published cases are signed without it; S3 demands it.
  bool content_sha256_header = true;
};

// What the request has to carry beside `request.headers`, each "name: value": x-amz-date,
// x-amz-content-sha256, x-amz-security-token where there is one, authorization. kInternal where
// OpenSSL fails.
Result<std::vector<std::string>> sign_request(const SigningRequest& request,
                                              const Credentials& credentials,
                                              const SigningScope& scope);

// For tests and for nobody else: the two texts on the way to the signature.
std::string canonical_request(const SigningRequest& request, const Credentials& credentials,
                              const SigningScope& scope);
Result<std::string> string_to_sign(const std::string& canonical, const SigningScope& scope);

// The SHA-256 of nothing, in hex.
inline constexpr char kEmptySha256[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

}  // namespace etcd_snapshot
