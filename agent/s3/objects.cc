// S3Client's calls about what lies in the bucket: what it is, its bytes, the list, and the end of
// it.
#include <algorithm>
#include <charconv>
#include <optional>

#include "base/digest.h"
#include "s3/call.h"

namespace etcd_snapshot {
namespace {

constexpr size_t kMaxDeletes = 1000;
constexpr int64_t kMaxRangeBytes = 1 << 20;

bool not_found(long status, const S3Fault&) {
  return status == 404;
}

bool not_satisfiable(long status, const S3Fault&) {
  return status == 416;
}

// A digits-only number of bytes.
std::optional<int64_t> parse_size(std::string_view text) {
  int64_t size = 0;
  const char* const end = text.data() + text.size();
  const auto [read, problem] = std::from_chars(text.data(), end, size);
  if (problem != std::errc() || read != end || size < 0) return std::nullopt;
  return size;
}

// What is behind the slash of Content-Range: "bytes 0-0/123", "bytes */0" (RFC 9110, 14.4).
std::optional<int64_t> size_of_range(std::string_view content_range) {
  const size_t slash = content_range.find('/');
  if (slash == content_range.npos) return std::nullopt;
  return parse_size(content_range.substr(slash + 1));
}

// Google's "NotImplemented" (supabase/storage#898) and "InvalidArgument", "MethodNotAllowed" of
// Riak CS (basho/riak_cs#549) and Huawei, "InvalidURI" of Scality (scality/cloudserver#83), and
// what servers say that take any POST of a bucket for the form of a browser or cannot read its XML.
// What is a matter of rights is none of these: single calls need the same.
bool batch_unknown(long status, const S3Fault& fault) {
  if (status == 501 || status == 405) return true;
  if (status == 404) return fault.code.empty() || fault.code == "NoSuchKey";
  if (status == 412 || status == 415) return true;
  if (status != 400 && status != 403) return false;
  for (const char* code : {"NotImplemented", "NotSupported", "UnsupportedOperation",
                           "InvalidArgument", "MethodNotAllowed", "MalformedPOSTRequest",
                           "MalformedXML", "InvalidURI", "InvalidRequest", "MissingContentMD5"}) {
    if (fault.code == code) return true;
  }
  return false;
}

// What is said of one object: it is locked, or gone, or not ours to delete. Of any other refusal (a
// page that says 404, say) nobody knows what became of the object.
bool one_key_refused(long status, const S3Fault& fault) {
  const std::string& code = fault.code;
  if (status == 404) return code == "NoSuchKey";
  if (status == 403) return code == "AccessDenied" || code == "ObjectLocked";
  return status == 400 && code == "InvalidRequest";
}

}  // namespace

Result<std::optional<ObjectInfo>> S3Client::head(const std::string& key) {
  const Call call{.name = "HeadObject", .method = "HEAD", .key = key, .accepts = not_found};
  ES_ASSIGN(answer, send(call));
  if (!answer.good()) return std::optional<ObjectInfo>();
  ObjectInfo info = info_of(answer);
  if (info.etag.empty() && !has_s3_headers(answer.response)) return unexpected(call, kNoETag);
  // Of a body that is encoded on the way it would be that of the encoding (RFC 9110, 8.6).
  const std::string encoding = lower(answer.header("content-encoding"));
  const bool encoded = !encoding.empty() && encoding != "identity" && encoding != "aws-chunked";
  const auto length = parse_size(answer.header("content-length"));
  if (length && !encoded) {
    info.size_bytes = *length;
  } else {
    ES_ASSIGN(size, size_of(key));
    info.size_bytes = size;
  }
  return std::optional(std::move(info));
}

// Proxies leave Content-Length out of answers to HEAD, or compress (async-aws/aws#2077 of R2,
// minio/minio-hs#151 of Yandex).
Result<int64_t> S3Client::size_of(const std::string& key) {
  auto ranged = send({.name = "GetObject",
                      .method = "GET",
                      .key = key,
                      .headers = {{"range", "bytes=0-0"}},
                      .accepts = not_satisfiable});
  if (!ranged && ranged.error().kind != ErrorKind::kRemote) return ranged.take_error();
  if (ranged && ranged->response.status != 200) {
    const auto size = size_of_range(ranged->header("content-range"));
    if (size) return *size;
  }
  ES_ASSIGN(page, list(key, ""));
  for (const ListedObject& object : page.objects) {
    if (object.key == key) return object.size_bytes;
  }
  return unexpected({.name = "HeadObject", .method = "HEAD", .key = key},
                    "neither Content-Length nor Content-Range nor the list tells the size");
}

Result<std::string> S3Client::get_range(const std::string& key, int64_t offset, int64_t size) {
  Call call{.name = "GetObject", .method = "GET", .key = key};
  const std::string range = std::to_string(offset) + "-" + std::to_string(offset + size - 1);
  if (offset < 0 || size < 1 || size > kMaxRangeBytes) {
    Error error = unexpected(call, range + " is no range of at most 1 MiB");
    error.kind = ErrorKind::kInternal;
    return error;
  }
  call.headers = {{"range", "bytes=" + range}};
  ES_ASSIGN(answer, send(call));
  const auto wanted = static_cast<size_t>(size);
  if (answer.response.status == 206) {
    const std::string got = answer.header("content-range");
    if (!got.empty() && !got.starts_with("bytes " + std::to_string(offset) + "-")) {
      return unexpected(call, "asked for bytes " + range + ", the answer holds " + peer_text(got));
    }
  } else if (answer.response.status != 200) {
    return unexpected(
        call, "HTTP status " + std::to_string(answer.response.status) + " is no answer to a range");
  } else {
    // A server that does not know ranges sends all there is (RFC 9110, 14.2).
    answer.body.erase(0, std::min(answer.body.size(), static_cast<size_t>(offset)));
    if (answer.body.size() > wanted) answer.body.resize(wanted);
  }
  if (answer.body.size() != wanted) {
    return unexpected(call, "asked for bytes " + range + ", got " +
                                std::to_string(answer.body.size()) + " bytes");
  }
  return std::move(answer.body);
}

Result<ListPage> S3Client::list(const std::string& prefix, const std::string& token, int max_keys) {
  Call call{.name = "ListObjectsV2",
            .method = "GET",
            .query = {{"list-type", "2"},
                      {"encoding-type", "url"},
                      {"max-keys", std::to_string(max_keys)},
                      // What lies in deeper folders is somebody else's, and may be a great deal.
                      {"delimiter", "/"}}};
  if (!prefix.empty()) call.query.emplace_back("prefix", prefix);
  if (!token.empty()) call.query.emplace_back("continuation-token", token);
  ES_ASSIGN(answer, send(call));
  auto page = parse_list(answer.body);
  if (!page) return named(call, page.take_error());
  if (!page->next_token.empty() && page->next_token == token) {
    return unexpected(call, "a list that does not go on: a page came again");
  }
  return page;
}

// One call a key. Refusals of one key come back; what is refused of the first ten is of the rest.
Result<std::vector<DeleteFault>> S3Client::remove_each(const std::vector<std::string>& keys) {
  constexpr size_t kEnough = 10;
  std::vector<DeleteFault> faults;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i == faults.size() && i >= kEnough) {
      faults.push_back({keys[i], faults.back().code, faults.back().message});
      continue;
    }
    ES_ASSIGN(answer, send({.name = "DeleteObject",
                            .method = "DELETE",
                            .key = keys[i],
                            .accepts = one_key_refused}));
    const S3Fault& fault = answer.fault;
    if (answer.good() && !answer.body.empty() && !is_xml_answer(answer.body)) {
      return unexpected({.name = "DeleteObject", .method = "DELETE", .key = keys[i]},
                        "the answer is no S3 answer");
    }
    if (answer.good() || fault.code == "NoSuchKey") continue;
    faults.push_back({keys[i], fault.code, fault.message});
  }
  return faults;
}

Result<std::vector<DeleteFault>> S3Client::remove(const std::vector<std::string>& keys) {
  Call call{.name = "DeleteObjects",
            .method = "POST",
            .query = {{"delete", ""}},
            .headers = {{"content-type", "application/xml"}},
            .accepts = batch_unknown};
  if (keys.empty()) return std::vector<DeleteFault>();
  if (keys.size() > kMaxDeletes) {
    Error error = unexpected(call, std::to_string(keys.size()) + " keys are too many for one call");
    error.kind = ErrorKind::kInternal;
    return error;
  }
  if (session_.batch_delete_refused) return remove_each(keys);
  call.body = delete_body(keys);
  ES_ASSIGN(digest, sha256(call.body));
  call.payload_sha256 = to_hex(digest);
  if (const auto sum = md5(call.body)) {
    call.headers.emplace_back("content-md5", to_base64(*sum));
  } else {
    // A host that forbids MD5; Amazon takes this one instead (API Reference, DeleteObjects).
    call.headers.emplace_back("x-amz-checksum-sha256", to_base64(digest));
  }
  ES_ASSIGN(answer, send(call));
  // An empty answer says of no key what became of it; any other that cannot be read is not S3's.
  if (answer.good() && !answer.body.empty()) {
    auto faults = parse_delete(answer.body);
    if (!faults) return named(call, faults.take_error());
    return faults;
  }
  // To delete what is gone is no error, so that it does not matter how far the server came.
  ES_ASSIGN(faults, remove_each(keys));
  session_.batch_delete_refused = true;  // it was the call, then
  return faults;
}

Result<std::string> S3Client::bucket_location() {
  const Call call{.name = "GetBucketLocation", .method = "GET", .query = {{"location", ""}}};
  ES_ASSIGN(answer, send(call));
  auto region = parse_location(answer.body);
  if (!region) return named(call, region.take_error());
  return region;
}

}  // namespace etcd_snapshot
