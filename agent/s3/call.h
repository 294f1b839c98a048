// One call of S3's API and what came back: between client.cc and
// objects.cc, which know what the calls mean, and send.cc, which gets them through. For these only.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "s3/client.h"
#include "s3/explain.h"
#include "s3/wire_text.h"

namespace etcd_snapshot {

struct S3Client::Call {
  const char* name;
  const char* method;
  std::string key{};
  QueryParameters query{};
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  const FileRange* file = nullptr;
  std::string payload_sha256 = kEmptySha256;
  // For a server that is at work and says nothing, or that it still is: where the settings say
  // less.
  int patience_s = 0;
  // 409: the same call again would meet the same; the caller begins anew.
  bool conflict_is_final = false;
  // Which refusals are answers, too.
  bool (*accepts)(long status, const S3Fault& fault) = nullptr;

  bool is(std::string_view what) const { return what == method; }
};

struct S3Client::Answer {
  S3CallName name;
  Credentials keys;  // that it was signed with
  HttpResponse response{};
  std::string body{};
  S3Fault fault{};

  bool good() const {
    return response.status >= 200 && response.status <= 299 && fault.code.empty();
  }
  std::string header(const char* header_name) const {
    const auto found = response.headers.find(header_name);
    return found == response.headers.end() ? std::string() : found->second;
  }
};

// Of what an answer says of the object: ETag, encryption, key; no size.
template <typename Answer>
ObjectInfo info_of(const Answer& answer) {
  return {0, normal_etag(answer.header("etag")), answer.header("x-amz-server-side-encryption"),
          answer.header("x-amz-server-side-encryption-aws-kms-key-id")};
}

inline constexpr char kNoETag[] = "the answer has no ETag";

// Every S3 tells something in headers of its own (x-amz-request-id, ...); a web page does not.
bool has_s3_headers(const HttpResponse& response);

}  // namespace etcd_snapshot
