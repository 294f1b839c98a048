#include "s3.h"

#include <strings.h>
#include <unistd.h>

#include <algorithm>

#include "base/stop.h"
#include "s3/signature.h"

namespace etcd_snapshot {
namespace {

std::string percent_decode(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool code = text[i] == '%' && i + 2 < text.size();
    out += code ? from_hex(text.substr(i + 1, 2)) : std::string(1, text[i]);
    if (code) i += 2;
  }
  return out;
}

std::string operation_of(const std::string& method, const std::string& key,
                         const std::map<std::string, std::string>& query) {
  const bool object = !key.empty(), upload = query.count("uploadId") != 0;
  if (method == "PUT") return upload ? "UploadPart" : "PutObject";
  if (method == "HEAD") return object ? "HeadObject" : "HeadBucket";
  if (method == "DELETE") return upload ? "AbortMultipartUpload" : "DeleteObject";
  if (method == "POST" && query.count("delete")) return "DeleteObjects";
  if (method == "POST") return upload ? "CompleteMultipartUpload" : "CreateMultipartUpload";
  if (object) return "GetObject";
  if (query.count("location")) return "GetBucketLocation";
  return query.count("uploads") ? "ListMultipartUploads" : "ListObjectsV2";
}

Result<std::string> body_of(const HttpRequest& request) {
  if (!request.file_body) return request.body;
  const FileRange& file = *request.file_body;
  std::string bytes(static_cast<size_t>(file.size), '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = pread(file.fd, bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(file.offset + static_cast<int64_t>(done)));
    if (count <= 0) return Error{ErrorKind::kStorage, "the file is shorter than it was said", ""};
    done += static_cast<size_t>(count);
  }
  return bytes;
}

// What `Authorization` says after `name`, up to a comma or the end.
std::string authorization_part(const FakeCall& call, const std::string& name) {
  const std::string line = call.header("authorization");
  const size_t at = line.find(name + "=");
  if (!line.starts_with("AWS4-HMAC-SHA256 ") || at == line.npos) return {};
  const size_t from = at + name.size() + 1;
  return line.substr(from, line.find(',', from) - from);
}

class Visitor final : public HttpClient {
 public:
  explicit Visitor(FakeS3& store) : store_(store) {}
  Result<void> perform(const HttpRequest& request, HttpResponse& response,
                       ByteSink& body) override {
    return store_.perform(request, response, body);
  }

 private:
  FakeS3& store_;
};

}  // namespace

std::string FakeCall::header(const std::string& name) const {
  for (const std::string& line : request.headers) {
    const size_t colon = line.find(": ");
    if (colon == name.size() && strncasecmp(line.c_str(), name.c_str(), colon) == 0) {
      return line.substr(colon + 2);
    }
  }
  return {};
}

FakeAnswer s3_error(long status, const std::string& code, const std::string& message,
                    const std::string& more_xml) {
  FakeAnswer answer;
  answer.status = status;
  answer.headers["content-type"] = "application/xml";
  answer.body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" +
                tag("Error", tag("Code", code) + tag("Message", message) + more_xml +
                                 tag("RequestId", "tx000001"));
  return answer;
}

FakeAnswer lost_connection() {
  FakeAnswer answer;
  answer.network = Error{ErrorKind::kRemote, "the connection was reset", "", true, 56};
  return answer;
}

FakeAnswer time_is_over() {
  FakeAnswer answer;
  answer.network = Error{ErrorKind::kRemote, "the time for the whole cycle is over",
                         "raise backup_config.timeout, or find out why it takes so long"};
  return answer;
}

FakeAnswer archived() {
  return s3_error(403, "InvalidObjectState",
                  "The operation is not valid for the object's storage class");
}

HttpFactory FakeS3::factory() {
  return [this]() -> Result<std::unique_ptr<HttpClient>> {
    return std::unique_ptr<HttpClient>(std::make_unique<Visitor>(*this));
  };
}

void FakeS3::put(const std::string& key, const std::string& bytes) {
  buckets["backups"][key] = {bytes, hex_of(md5(bytes))};
}

int FakeS3::count(const std::string& operation) const {
  return static_cast<int>(std::count_if(calls.begin(), calls.end(), [&](const FakeCall& call) {
    return call.operation == operation;
  }));
}

Result<void> FakeS3::perform(const HttpRequest& request, HttpResponse& response, ByteSink& sink) {
  ES_ASSIGN(body, body_of(request));
  FakeCall call{request, "", "", ""};
  call.request.body.clear();
  call.body_bytes = static_cast<int64_t>(body.size());
  const size_t authority = request.url.find("://") + 3;
  const size_t path = std::min(request.url.find('/', authority), request.url.size());
  const size_t question = std::min(request.url.find('?'), request.url.size());
  const std::string host = request.url.substr(authority, path - authority);
  call.key = percent_decode(request.url.substr(path, question - path)).substr(path < question);
  for (size_t at = question; at < request.url.size();) {
    const size_t end = std::min(request.url.find('&', at + 1), request.url.size());
    const std::string pair = request.url.substr(at + 1, end - at - 1);
    const size_t equals = std::min(pair.find('='), pair.size());
    call.query[percent_decode(pair.substr(0, equals))] =
        percent_decode(pair.substr(std::min(equals + 1, pair.size())));
    at = end;
  }
  {
    const std::lock_guard lock(store_mutex_);
    for (const auto& [name, ignored] : buckets) {
      if (!path_style_only && host.starts_with(name + ".")) call.bucket = name;
    }
    if (call.bucket.empty()) {
      const size_t slash = std::min(call.key.find('/'), call.key.size());
      call.bucket = call.key.substr(0, slash);
      call.key.erase(0, slash + 1);
    }
    call.operation = operation_of(request.method, call.key, call.query);
    call.number = static_cast<int>(calls.size()) + 1;
    calls.push_back(call);
  }
  if (latency) latency(call);
  if (request.cancel != nullptr && *request.cancel) return cancelled_error();

  const auto ask = [&](const Hook& hook) -> std::optional<FakeAnswer> {
    const std::lock_guard lock(hook_mutex_);
    return hook ? hook(call) : std::nullopt;
  };
  auto answered = ask(before);
  if (!answered) {
    {
      const std::lock_guard lock(store_mutex_);
      answered = answer(call, body);
    }
    if (auto instead = ask(after)) answered = std::move(instead);
  }
  if (answered->network) return *answered->network;
  if (html_type && answered->headers["content-type"] == "application/xml") {
    answered->headers["content-type"] = "text/html; charset=UTF-8";
  }
  response.status = answered->status;
  response.headers = answered->headers;
  response.headers.try_emplace("content-length", std::to_string(answered->body.size()));
  if (request.method == "HEAD" || answered->body.empty()) return {};
  return sink.write(as_bytes(answered->body));
}

// What S3 looks at before it does anything.
std::optional<FakeAnswer> FakeS3::refusal(const FakeCall& call, const std::string& body) const {
  const std::string scope = authorization_part(call, "Credential");
  std::string names = ";" + authorization_part(call, "SignedHeaders") + ";";
  if (scope.empty() || authorization_part(call, "Signature").size() != 64 ||
      call.header("x-amz-date").empty()) {
    return s3_error(403, "AccessDenied", "not signed");
  }
  for (const std::string& line : call.request.headers) {
    std::string name = line.substr(0, line.find(':'));
    std::transform(name.begin(), name.end(), name.begin(), ::tolower);
    if (name != "authorization" && names.find(";" + name + ";") == names.npos) {
      return s3_error(403, "AccessDenied", "a header was not signed: " + name);
    }
  }
  const std::string access_key = scope.substr(0, scope.find('/'));
  if (expired_keys.count(access_key)) return s3_error(400, "ExpiredToken", "it has expired");
  const bool wrong_region = !region.empty() && scope.find("/" + region + "/s3/") == scope.npos;
  if (wrong_region && call.operation != "GetBucketLocation") {
    if (tells_region == TellsRegion::kInBody) {
      return s3_error(400, "AuthorizationHeaderMalformed", "another region is expected",
                      tag("Region", region));
    }
    if (tells_region != TellsRegion::kInHeader) return s3_error(403, "SignatureDoesNotMatch");
    FakeAnswer answer = s3_error(301, "PermanentRedirect");
    answer.headers["x-amz-bucket-region"] = region;
    return answer;
  }
  if (call.header("x-amz-content-sha256") != hex_of(sha256(body))) {
    return s3_error(400, "XAmzContentSHA256Mismatch");
  }
  const std::string sum = call.header("content-md5");
  if (const auto digest = md5(body); !sum.empty() && (!digest || sum != to_base64(*digest))) {
    return s3_error(400, "BadDigest");
  }
  if (denied.count(call.operation)) return s3_error(403, "AccessDenied", "Access Denied");
  if (!buckets.count(call.bucket)) return s3_error(404, "NoSuchBucket");
  return std::nullopt;
}

}  // namespace etcd_snapshot
