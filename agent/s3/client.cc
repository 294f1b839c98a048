#include "s3/client.h"

#include <string.h>

#include <algorithm>
#include <charconv>

#include "base/digest.h"
#include "base/stop.h"
#include "s3/call.h"

namespace etcd_snapshot {
namespace {

constexpr int64_t kMaxPutBytes = int64_t{5} << 30;
constexpr size_t kMaxDeletes = 1000;
constexpr int64_t kMaxRangeBytes = 1 << 20;
// "Processing of a CompleteMultipartUpload request could take several minutes" (API Reference). To
// give up sooner would abort what the server is still assembling.
constexpr int kCompletePatienceS = 300;
// Every S3 tells one of an object; a web page that answers everything with 200 does not.
constexpr char kNoETag[] = "the answer has no ETag";

// RFC 9110, 8.8.3: in quotes; a proxy that changes the body makes it weak.
std::string strip_quotes(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  return std::string(etag);
}

const char* content_type_of(std::string_view key) {
  if (key.ends_with(".zip")) return "application/zip";
  if (key.ends_with(".zst")) return "application/zstd";
  return "application/octet-stream";
}

using Headers = std::vector<std::pair<std::string, std::string>>;

// Of what begins an object: how it is to be kept.
Headers object_headers(const std::string& key, const S3Settings& settings) {
  Headers headers{{"content-type", content_type_of(key)}};
  const auto add = [&headers](const char* name, const std::string& value) {
    if (!value.empty()) headers.emplace_back(name, value);
  };
  add("x-amz-server-side-encryption", settings.sse);
  add("x-amz-server-side-encryption-aws-kms-key-id", settings.sse_kms_key_id);
  add("x-amz-storage-class", settings.storage_class);
  return headers;
}

bool not_found(long status, const S3Fault&) {
  return status == 404;
}

bool upload_is_gone(long status, const S3Fault& fault) {
  return status == 404 && fault.code == "NoSuchUpload";
}

// Amazon's word for a header that it does not know is 501 NotImplemented; others say 400 and name
// it.
bool condition_unknown(long status, const S3Fault& fault) {
  if (status == 501) return true;
  if (status != 400) return false;
  return fault.code == "NotImplemented" || fault.code == "NotSupported" ||
         strcasestr(fault.message.c_str(), "if-none-match") != nullptr;
}

// "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock
// parameters", as InvalidRequest; others say MissingContentMD5.
bool wants_md5(const Error& error) {
  return error.s3_code == "MissingContentMD5" ||
         (error.s3_code == "InvalidRequest" &&
          error.message.find("Content-MD5") != std::string::npos);
}

}  // namespace

Result<S3Client::Answer> S3Client::send_write_once(Call call, std::atomic<bool>& refused) {
  if (refused) return send(call);
  call.headers.emplace_back("if-none-match", "*");
  call.accepts = condition_unknown;
  ES_ASSIGN(answer, send(call));
  if (answer.good()) return answer;
  call.headers.pop_back();
  call.accepts = nullptr;
  ES_ASSIGN(plain, send(call));
  refused = true;  // it was the header, then
  return plain;
}

Result<void> S3Client::go_on() const {
  if (cancelled() || (!after_stop_ && stop_requested())) return cancelled_error();
  return {};
}

Result<S3Client::Answer> S3Client::send_file(Call call, const FileRange& file, bool write_once,
                                             std::string* sent_md5) {
  if (file.size < 0 || file.size > kMaxPutBytes) {
    Error error = unexpected(call, std::to_string(file.size) + " bytes are no size for one call");
    error.kind = ErrorKind::kInternal;
    return error;
  }
  call.file = &file;
  const auto look = [this] { return go_on(); };
  ES_ASSIGN(digest, sha256_of_range(file.fd, file.offset, file.size, look, sent_md5));
  call.payload_sha256 = to_hex(digest);
  const auto attempt = [&](bool with_md5) -> Result<Answer> {
    Call one = call;
    if (with_md5) {
      ES_ASSIGN(bytes_md5, md5_of_range(file.fd, file.offset, file.size, look));
      one.headers.emplace_back("content-md5", to_base64(bytes_md5));
    }
    return write_once ? send_write_once(std::move(one), session_.put_once_refused) : send(one);
  };
  const bool with_md5 = session_.content_md5_wanted;
  auto answer = attempt(with_md5);
  if (answer || with_md5 || !wants_md5(answer.error())) return answer;
  session_.content_md5_wanted = true;
  return attempt(true);
}

Result<std::string> S3Client::put_object(const std::string& key, const FileRange& file,
                                         bool write_once, std::string* sent_md5) {
  const Call call{.name = "PutObject",
                  .method = "PUT",
                  .key = key,
                  .headers = object_headers(key, session_.settings)};
  ES_ASSIGN(answer, send_file(call, file, write_once, sent_md5));
  std::string etag = strip_quotes(answer.header("etag"));
  if (etag.empty()) return unexpected(call, kNoETag);
  return etag;
}

Result<std::string> S3Client::create_upload(const std::string& key) {
  const Call call{.name = "CreateMultipartUpload",
                  .method = "POST",
                  .key = key,
                  .query = {{"uploads", ""}},
                  .headers = object_headers(key, session_.settings)};
  ES_ASSIGN(answer, send(call));
  auto id = parse_upload_id(answer.body);
  if (!id) return named(call, id.take_error());
  return id;
}

Result<std::string> S3Client::upload_part(const std::string& key, const std::string& upload_id,
                                          int number, const FileRange& file) {
  const Call call{.name = "UploadPart",
                  .method = "PUT",
                  .key = key,
                  .query = {{"partNumber", std::to_string(number)}, {"uploadId", upload_id}},
                  .headers = {{"content-type", "application/octet-stream"}}};
  if (number < 1 || number > kMaxParts) {
    Error error = unexpected(call, "there is no part " + std::to_string(number));
    error.kind = ErrorKind::kInternal;
    return error;
  }
  ES_ASSIGN(answer, send_file(call, file, false));
  std::string etag = strip_quotes(answer.header("etag"));
  if (etag.empty()) return unexpected(call, kNoETag);
  return etag;
}

Result<std::string> S3Client::complete_upload(const std::string& key, const std::string& upload_id,
                                              const std::vector<std::string>& etags,
                                              bool write_once) {
  Call call{.name = "CompleteMultipartUpload",
            .method = "POST",
            .key = key,
            .query = {{"uploadId", upload_id}},
            .headers = {{"content-type", "application/xml"}},
            .body = complete_body(etags),
            .patience_s = kCompletePatienceS};
  ES_ASSIGN(digest, sha256(call.body));
  call.payload_sha256 = to_hex(digest);
  ES_ASSIGN(answer,
            write_once ? send_write_once(call, session_.complete_once_refused) : send(call));
  auto etag = parse_complete(answer.body);
  if (!etag) return named(call, etag.take_error());
  return etag;
}

Result<void> S3Client::abort_upload(const std::string& key, const std::string& upload_id) {
  ES_TRY(send({.name = "AbortMultipartUpload",
               .method = "DELETE",
               .key = key,
               .query = {{"uploadId", upload_id}},
               .accepts = upload_is_gone}));
  return {};
}

Result<UploadPage> S3Client::list_uploads(const std::string& prefix, const std::string& key_marker,
                                          const std::string& id_marker) {
  Call call{.name = "ListMultipartUploads", .method = "GET", .query = {{"uploads", ""}}};
  if (!prefix.empty()) call.query.emplace_back("prefix", prefix);
  if (!key_marker.empty()) call.query.emplace_back("key-marker", key_marker);
  if (!id_marker.empty()) call.query.emplace_back("upload-id-marker", id_marker);
  ES_ASSIGN(answer, send(call));
  auto page = parse_uploads(answer.body);
  if (!page) return named(call, page.take_error());
  const bool last = page->next_key.empty() && page->next_upload_id.empty();
  if (!last && page->next_key == key_marker && page->next_upload_id == id_marker) {
    return unexpected(call, "a list that does not go on: a page came again");
  }
  return page;
}

Result<std::optional<ObjectInfo>> S3Client::head(const std::string& key) {
  const Call call{.name = "HeadObject", .method = "HEAD", .key = key, .accepts = not_found};
  ES_ASSIGN(answer, send(call));
  if (!answer.good()) return std::optional<ObjectInfo>();
  ObjectInfo info;
  const std::string length = answer.header("content-length");
  const char* const end = length.data() + length.size();
  const auto [read, problem] = std::from_chars(length.data(), end, info.size_bytes);
  if (problem != std::errc() || read != end || info.size_bytes < 0) {
    return unexpected(call, "the answer has no Content-Length that is a size");
  }
  info.etag = strip_quotes(answer.header("etag"));
  if (info.etag.empty()) return unexpected(call, kNoETag);
  info.encryption = answer.header("x-amz-server-side-encryption");
  return std::optional(std::move(info));
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

Result<std::vector<DeleteFault>> S3Client::remove(const std::vector<std::string>& keys) {
  Call call{.name = "DeleteObjects",
            .method = "POST",
            .query = {{"delete", ""}},
            .headers = {{"content-type", "application/xml"}}};
  if (keys.empty()) return std::vector<DeleteFault>();
  if (keys.size() > kMaxDeletes) {
    Error error = unexpected(call, std::to_string(keys.size()) + " keys are too many for one call");
    error.kind = ErrorKind::kInternal;
    return error;
  }
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
  auto faults = parse_delete(answer.body);
  if (!faults) return named(call, faults.take_error());
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
