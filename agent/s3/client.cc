#include "s3/client.h"

#include "base/digest.h"
#include "base/stop.h"
#include "s3/call.h"

namespace etcd_snapshot {
namespace {

constexpr int64_t kMaxPutBytes = int64_t{5} << 30;
// "Processing of a CompleteMultipartUpload request could take several minutes" (API Reference). To
// give up sooner would abort what the server is still assembling.
constexpr int kCompletePatienceS = 300;

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

bool upload_is_gone(long status, const S3Fault& fault) {
  return status == 404 && fault.code == "NoSuchUpload";
}

// Amazon's word for a header that it does not know is 501 NotImplemented; others say 400 and name
// it.
bool condition_unknown(long status, const S3Fault& fault) {
  if (status == 501) return true;
  if (status != 400) return false;
  return fault.code == "NotImplemented" || fault.code == "NotSupported" ||
         contains(fault.message, "if-none-match") || contains(fault.message, "if-match");
}

bool not_the_same(long status, const S3Fault& fault) {
  return status == 412 || condition_unknown(status, fault);
}

// A bucket with a default retention of Object Lock takes nothing without a checksum. Servers say so
// under many codes (InvalidRequest, MissingContentMD5, MissingSecurityHeader, ...) and in as many
// words ("Content-MD5 OR x-amz-checksum- HTTP header is required for Put Part requests with Object
// Lock parameters", s3tools/s3cmd#1436; "Missing required header for this request: Content-MD5",
// versity/versitygw#1301): what they have in common is the header's name.
bool wants_md5(const Error& error) {
  const auto names_it = [](std::string_view text) {
    return contains(text, "content-md5") || contains(text, "contentmd5") ||
           contains(text, "x-amz-checksum");
  };
  return names_it(error.s3_code) || names_it(error.message);
}

}  // namespace

struct S3Client::Condition {
  const char* header;
  std::string value;
  bool (*fails)(long status, const S3Fault& fault);  // in a way that goes without
  std::atomic<bool>* refused;                        // may be null
};

bool is_conflict(const Error& error) {
  return error.s3_code == "ConditionalRequestConflict" || error.s3_code == "OperationAborted";
}

bool has_s3_headers(const HttpResponse& response) {
  const auto first = response.headers.lower_bound("x-amz-");
  return first != response.headers.end() && first->first.starts_with("x-amz-");
}

Result<S3Client::Answer> S3Client::send_if(Call call, const Condition& condition) {
  if (condition.refused != nullptr && *condition.refused) return send(call);
  call.headers.emplace_back(condition.header, condition.value);
  call.accepts = condition.fails;
  ES_ASSIGN(answer, send(call));
  if (answer.good()) return answer;
  call.headers.pop_back();
  call.accepts = nullptr;
  ES_ASSIGN(plain, send(call));
  if (condition.refused != nullptr) *condition.refused = true;  // it was the header, then
  return plain;
}

Result<void> S3Client::go_on() const {
  if (cancelled() || (!after_stop_ && stop_requested())) return cancelled_error();
  return {};
}

Result<S3Client::Answer> S3Client::send_file(Call call, const FileRange& file,
                                             const Condition* condition, std::string* sent_md5) {
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
    return condition != nullptr ? send_if(std::move(one), *condition) : send(one);
  };
  const bool with_md5 = session_.content_md5_wanted;
  auto answer = attempt(with_md5);
  if (answer || with_md5 || !wants_md5(answer.error())) return answer;
  session_.content_md5_wanted = true;
  return attempt(true);
}

Result<ObjectInfo> S3Client::put_if(const std::string& key, const FileRange& file,
                                    const Condition* condition, std::string* sent_md5) {
  const Call call{.name = "PutObject",
                  .method = "PUT",
                  .key = key,
                  .headers = object_headers(key, session_.settings)};
  ES_ASSIGN(answer, send_file(call, file, condition, sent_md5));
  ObjectInfo info = info_of(answer);
  info.size_bytes = file.size;
  // A proxy may have taken it away; a page that answers everything has none.
  if (info.etag.empty() && !has_s3_headers(answer.response)) return unexpected(call, kNoETag);
  return info;
}

Result<ObjectInfo> S3Client::put_object(const std::string& key, const FileRange& file,
                                        bool write_once, std::string* sent_md5) {
  const Condition nothing_there{"if-none-match", "*", condition_unknown,
                                &session_.put_once_refused};
  return put_if(key, file, write_once ? &nothing_there : nullptr, sent_md5);
}

Result<ObjectInfo> S3Client::replace_object(const std::string& key, const FileRange& file,
                                            const std::string& etag) {
  const Condition still_there{"if-match", "\"" + etag + "\"", not_the_same, nullptr};
  return put_if(key, file, etag.empty() ? nullptr : &still_there, nullptr);
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
  ES_ASSIGN(answer, send_file(call, file, nullptr));
  std::string etag = bare_etag(answer.header("etag"));
  if (!etag.empty()) return etag;
  if (!has_s3_headers(answer.response)) return unexpected(call, kNoETag);
  ES_ASSIGN(bytes_md5, md5_of_range(file.fd, file.offset, file.size, [this] { return go_on(); }));
  return to_hex(bytes_md5);
}

Result<ObjectInfo> S3Client::complete_upload(const std::string& key, const std::string& upload_id,
                                             const std::vector<std::string>& etags,
                                             bool write_once) {
  Call call{.name = "CompleteMultipartUpload",
            .method = "POST",
            .key = key,
            .query = {{"uploadId", upload_id}},
            .headers = {{"content-type", "application/xml"}},
            .body = complete_body(etags),
            .patience_s = kCompletePatienceS,
            .conflict_is_final = true};
  ES_ASSIGN(digest, sha256(call.body));
  call.payload_sha256 = to_hex(digest);
  const Condition nothing_there{"if-none-match", "*", condition_unknown,
                                &session_.complete_once_refused};
  ES_ASSIGN(answer, write_once ? send_if(call, nothing_there) : send(call));
  auto etag = parse_complete(answer.body);
  if (!etag) return named(call, etag.take_error());
  ObjectInfo info = info_of(answer);
  info.etag = std::move(*etag);
  return info;
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

}  // namespace etcd_snapshot
