// S3Client's way out: signs, sends, corrects region and credentials, waits and sends again.
#include <stdlib.h>

#include <algorithm>

#include "base/stop.h"
#include "s3/call.h"
#include "s3/credentials.h"
#include "s3/xml.h"

namespace etcd_snapshot {
namespace {

// A page of 1,000 keys of 1,024 bytes, encoded, is 3 MiB.
// Every other answer is a few lines; four threads may read one at a time.
constexpr size_t kMaxShortAnswerBytes = 256 << 10;
constexpr int kCleanUpS = 10;
// Of calls without a file. S3 may take minutes to complete an upload, and sends spaces meanwhile
// (API Reference, CompleteMultipartUpload; every 5 s: ceph/ceph#68980, every 10 s:
// minio/minio#7198) or nothing (Call::patience_s). The spaces are no progress, so this is what ends
// them.
constexpr int kCallS = 600;
constexpr double kFirstPauseS = 0.5, kMaxPauseS = 20;
constexpr int kMaxAskedS = 60;
constexpr Nanoseconds kCancelLook = std::chrono::milliseconds(200);

class AnswerBody final : public ByteSink {
 public:
  explicit AnswerBody(size_t limit) : limit_(limit) {}

  Result<void> write(Bytes bytes) override {
    if (bytes.size() > limit_ - text.size()) {
      too_large = true;
      return Error{ErrorKind::kRemote,
                   limit_ == kMaxXmlBytes ? "the answer is larger than 8 MiB"
                                          : "the answer is larger than 256 KiB",
                   "check that the endpoint is S3's API, and no web page or proxy in front of it"};
    }
    text += as_text(bytes);
    return {};
  }
  std::string text;
  bool too_large = false;

 private:
  const size_t limit_;
};

bool is_one_of(std::string_view code, std::initializer_list<std::string_view> codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// A HEAD that is refused so has no body that tells why; a GET of the same has one.
bool is_bare_refusal(long status) {
  return status == 301 || status == 307 || status == 400 || status == 401 || status == 403;
}

// What a portal or console answers to anything. An answer is judged by its body, not by its type:
// Swift calls XML HTML, and some servers call an answer without a body so. A HEAD has none; there,
// S3's own headers tell.
bool is_web_page(const HttpResponse& response, bool head, const std::string& body) {
  if (!contains(response.trailer("content-type"), "text/html")) return false;
  return head ? !has_s3_headers(response) : !body.empty() && !is_xml_answer(body);
}

// What [s3] wants of an object, for messages; empty: nothing.
std::string kept_as(const S3Settings& settings) {
  std::string text;
  if (!settings.storage_class.empty()) text = "storage_class = " + settings.storage_class;
  if (!settings.sse.empty()) text += (text.empty() ? "sse = " : ", sse = ") + settings.sse;
  return text;
}

// S3CallName::roots.
std::string roots_text(const S3Policy& policy, const S3Settings& settings) {
  const bool by_flag = policy.custom_ca_place.starts_with("--s3-endpoint-ca");
  const std::string ca = by_flag ? "--s3-endpoint-ca" : "custom_ca of cluster.yml";
  if (policy.custom_ca.empty()) return settings.ca_file.empty() ? "" : " and [s3] ca_file";
  return settings.ca_file.empty() ? " and " + ca : ", " + ca + " and [s3] ca_file";
}

}  // namespace

S3Client::S3Client(S3Session& session, HttpClient& http)
    : session_(session),
      http_(http),
      // Clients that start together must not wait alike.
      random_(static_cast<unsigned>(session.clock.monotonic().count()) ^
              static_cast<unsigned>(reinterpret_cast<uintptr_t>(this) >> 4)) {}

Error S3Client::named(const Call& call, Error error) const {
  const std::string key = call.key.empty() ? "" : "/" + peer_text(call.key, 1024);
  return std::move(error).within(std::string(call.name) + " " + session_.location.display() + key);
}

Error S3Client::unexpected(const Call& call, const std::string& what) const {
  return named(call, {ErrorKind::kRemote, what,
                      "check that the endpoint is S3, and what is between (a proxy, a portal that "
                      "wants a login)"});
}

Result<S3Client::Answer> S3Client::send_once(const Call& call) {
  const S3Settings& settings = session_.settings;
  ES_ASSIGN(keys, session_.credentials->get(after_stop_));
  const S3Address address = session_.location.address();
  const UnixSeconds now = session_.clock.now();
  const S3CallName name{call.name,
                        session_.location.display(),
                        call.key,
                        session_.policy.bucket_name,
                        address.region,
                        session_.credentials->source(),
                        now,
                        kept_as(settings),
                        address.base_path.empty(),
                        roots_text(session_.policy, settings)};
  const std::string query = canonical_query(call.query);
  ES_ASSIGN(signed_headers, sign_request({call.method, address.path(call.key), query,
                                          address.authority, call.headers, call.payload_sha256},
                                         keys, {.region = address.region, .time = now}));
  HttpRequest request;
  request.method = call.method;
  request.url = address.url(call.key, query);
  for (const auto& [header, value] : call.headers) {
    request.headers.push_back(header + ": " + value);
  }
  for (std::string& line : signed_headers) request.headers.push_back(std::move(line));
  request.body = call.body;
  if (call.file != nullptr) {
    request.file_body = *call.file;
    request.rate = session_.rate.get();
    request.expect_refused = &session_.expect_refused;
  }
  request.extra_roots = session_.extra_roots;
  request.proxy = settings.proxy;
  request.proxy_from_environment = settings.proxy.empty();
  request.stall_timeout_s = std::max(settings.stall_timeout_s, call.patience_s);
  if (call.patience_s > 0) request.least_bytes_per_s = 0;
  request.total_timeout_s = after_stop_ ? kCleanUpS : call.file != nullptr ? 0 : kCallS;
  if (!after_stop_) request.deadline = session_.deadline;
  request.error_kind = ErrorKind::kRemote;
  request.cancel = cancel_;
  request.after_stop = after_stop_;

  Answer answer{name, keys};
  // A list, an object, or what of a thousand keys could not be deleted.
  const bool may_be_long = call.is("GET") || std::string_view(call.name) == "DeleteObjects";
  AnswerBody body(may_be_long ? kMaxXmlBytes : kMaxShortAnswerBytes);
  if (auto done = http_.perform(request, answer.response, body); !done) {
    if (body.too_large) return unexpected(call, done.error().message);
    const ErrorKind kind = done.error().kind;
    if (kind != ErrorKind::kRemote && kind != ErrorKind::kConfig) return done.take_error();
    return explain_network(name, done.take_error(),
                           proxy_for(request.url, settings.proxy, process_environment));
  }
  answer.body = std::move(body.text);
  // An object may hold anything; every other good answer may be an error all the same (S3 API
  // Reference, CompleteMultipartUpload).
  const bool object = call.is("GET") && !call.key.empty() && answer.response.status <= 299;
  if (!object && answer.body.find("<Error") != answer.body.npos) {
    answer.fault = parse_fault(answer.body);
  }
  return answer;
}

Result<void> S3Client::learn_reason(const Call& call, Answer& answer) {
  auto told = send_once({.name = call.name,  // what is not allowed is the same action
                         .method = "GET",
                         .key = call.key,
                         .headers = {{"range", "bytes=0-0"}}});
  if (!told) {
    if (told.error().kind == ErrorKind::kCancelled) return told.take_error();
    return {};
  }
  if (is_bare_refusal(told->response.status) && !told->fault.code.empty()) {
    answer = std::move(*told);
  }
  return {};
}

bool S3Client::learn_region(const Call& call, const Answer& answer) {
  const long status = answer.response.status;
  const std::string& used = answer.name.region;
  if (session_.location.address().region != used) return true;  // another thread has learned it
  std::string region = answer.fault.region;
  if (region.empty()) region = answer.header("x-amz-bucket-region");
  if (region.empty()) {
    const bool location_call = call.name == std::string_view("GetBucketLocation");
    const bool unclear =
        is_one_of(answer.fault.code, {"SignatureDoesNotMatch", "AuthorizationHeaderMalformed"}) ||
        status == 301 ||
        (call.is("HEAD") && answer.fault.code.empty() && (status == 400 || status == 403));
    if (!unclear || location_call || !session_.location.region_is_guess()) return false;
    auto asked =
        send_once({.name = "GetBucketLocation", .method = "GET", .query = {{"location", ""}}});
    if (!asked || asked->response.status != 200) return false;
    auto parsed = parse_location(asked->body);
    if (!parsed) return false;
    region = std::move(*parsed);
  }
  return session_.location.learn_region(region) || session_.location.address().region != used;
}

Nanoseconds S3Client::pause(int retry, int asked_s) {
  if (asked_s > 0) return std::chrono::seconds(std::min(asked_s, kMaxAskedS));
  const double longest = std::min(kFirstPauseS * (1 << std::min(retry, 10)), kMaxPauseS);
  // Half of it by chance: threads and hosts that failed together should not come back together.
  const double seconds = std::uniform_real_distribution<double>(longest / 2, longest)(random_);
  return std::chrono::duration_cast<Nanoseconds>(std::chrono::duration<double>(seconds));
}

bool S3Client::wait(Nanoseconds duration) {
  while (duration > Nanoseconds::zero() && !cancelled()) {
    const Nanoseconds step = cancel_ == nullptr ? duration : std::min(duration, kCancelLook);
    if (!session_.clock.sleep_for(step)) return false;
    duration -= step;
  }
  return !cancelled();
}

Result<S3Client::Answer> S3Client::send_settled(const Call& call) {
  const int retries = after_stop_ ? 0 : session_.settings.retries;
  bool region_tried = false, keys_tried = false;
  for (int retry = 0;; ++retry) {
    Error error;
    int asked_s = 0;
    for (;;) {
      if (cancelled()) return cancelled_error();
      auto answer = send_once(call);
      if (!answer) {
        error = answer.take_error();
        break;
      }
      long status = answer->response.status;
      const bool object = call.is("GET") && !call.key.empty();
      if (answer->good() && !object &&
          is_web_page(answer->response, call.is("HEAD"), answer->body)) {
        error = explain_answer(answer->name, answer->response, answer->body);
        break;
      }
      if (answer->good() || (call.accepts != nullptr && call.accepts(status, answer->fault))) {
        return answer;
      }
      // Where the answer tells another region, that is the reason.
      const std::string there = answer->header("x-amz-bucket-region");
      const bool elsewhere = !region_tried && !there.empty() && there != answer->name.region;
      if (call.is("HEAD") && is_bare_refusal(status) && !elsewhere) {
        ES_TRY(learn_reason(call, *answer));
        status = answer->response.status;
      }
      const bool refused = (status >= 300 && status <= 399) || status == 400 || status == 403;
      if (refused && !region_tried) {
        region_tried = true;
        if (learn_region(call, *answer)) continue;
      }
      // Of a HEAD whose reason stays unknown.
      const bool expired =
          is_one_of(answer->fault.code,
                    {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "RequestExpired",
                     "TokenRefreshRequired", "InvalidAccessKeyId"}) ||
          (call.is("HEAD") && status == 400 && answer->fault.code.empty());
      if (refused && expired && !keys_tried) {
        keys_tried = true;
        if (session_.credentials->forget(answer->keys)) continue;
      }
      error = explain_answer(answer->name, answer->response, answer->body);
      if (call.conflict_is_final && is_conflict(error)) return error;
      asked_s = retry_after_s(answer->response, session_.clock.now());
      break;
    }
    if (!error.retryable || retry >= retries) return error;
    const Nanoseconds duration = pause(retry, asked_s);
    if (session_.deadline && session_.clock.monotonic() + duration >= *session_.deadline) {
      return error;
    }
    if (!wait(duration)) return cancelled_error();
  }
}

}  // namespace etcd_snapshot
