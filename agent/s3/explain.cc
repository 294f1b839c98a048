#include "s3/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "s3/meanings.h"
#include "s3/wire_text.h"
#include "store/names.h"

namespace etcd_snapshot {
namespace {

// IAM User Guide, "Actions, resources, and condition keys for Amazon S3".
constexpr struct {
  const char* call;
  const char* action;
  bool on_objects;
} kActions[] = {
    {"PutObject", "s3:PutObject", true},
    {"CreateMultipartUpload", "s3:PutObject", true},
    {"UploadPart", "s3:PutObject", true},
    {"CompleteMultipartUpload", "s3:PutObject", true},
    {"AbortMultipartUpload", "s3:AbortMultipartUpload", true},
    {"HeadObject", "s3:GetObject", true},
    {"GetObject", "s3:GetObject", true},
    {"DeleteObject", "s3:DeleteObject", true},
    {"DeleteObjects", "s3:DeleteObject", true},
    {"HeadBucket", "s3:ListBucket", false},
    {"ListObjectsV2", "s3:ListBucket", false},
    {"ListMultipartUploads", "s3:ListBucketMultipartUploads", false},
    {"GetBucketLocation", "s3:GetBucketLocation", false},
};

std::string action_of(const S3CallName& name) {
  for (const auto& row : kActions) {
    if (name.call != row.call) continue;
    return fmt::format("{} on arn:aws:s3:::{}{}", row.action, name.bucket,
                       row.on_objects ? "/*" : "");
  }
  return "the IAM action of " + name.call;
}

bool worth_another_try(long status) {
  if (const StatusMeaning* const row = meaning_of(status)) return row->again == Again::kYes;
  return status >= 500;
}

// --- the clock

// How far this host's clock is from the server's; nullopt: the answer does not tell.
std::optional<std::chrono::seconds> skew_of(const S3CallName& name, const HttpResponse& response,
                                            const S3Fault& fault) {
  std::optional<UnixSeconds> there = parse_rfc3339(fault.server_time);
  if (!there) there = parse_http_date(response.trailer("date"));
  if (!there) return std::nullopt;
  return name.now - *there;
}

// S3 takes a quarter of an hour; what is close to it is worth a word where S3 says nothing.
bool is_far(std::optional<std::chrono::seconds> skew) {
  return skew && std::chrono::abs(*skew) >= std::chrono::minutes(10);
}

std::string skew_text(std::optional<std::chrono::seconds> skew) {
  if (!skew || std::chrono::abs(*skew) < std::chrono::minutes(1)) {
    return "the clock of this host is more than 15 minutes off, by the server's word";
  }
  const auto minutes = std::chrono::round<std::chrono::minutes>(std::chrono::abs(*skew)).count();
  return fmt::format("the clock of this host is {} minute{} {} the server's", minutes,
                     minutes == 1 ? "" : "s", skew->count() > 0 ? "ahead of" : "behind");
}

// --- the hint

constexpr char kOrPath[] =
    "; where the server takes the bucket's name from the path, set [s3] lookup = path";
// Of a code that nobody knows here, where the status does not tell either.
constexpr char kUnknownHint[] = "see the server's message and its log (request id)";

struct HintValue {
  std::string_view name;
  std::string value;
};

std::string fill_in(std::string_view pattern, const std::vector<HintValue>& values) {
  std::string text;
  while (!pattern.empty()) {
    const size_t open = std::min(pattern.find('{'), pattern.size());
    text += pattern.substr(0, open);
    pattern.remove_prefix(open);
    if (pattern.empty()) break;
    const size_t close = std::min(pattern.find('}'), pattern.size() - 1);
    const std::string_view name = pattern.substr(1, close - 1);
    for (const HintValue& value : values) {
      if (value.name == name) text += value.value;
    }
    pattern.remove_prefix(close + 1);
  }
  return text;
}

std::string region_of(const HttpResponse& response, const S3Fault& fault) {
  const std::string region =
      fault.region.empty() ? response.trailer("x-amz-bucket-region") : fault.region;
  return peer_text(region, 64);
}

// Where the bucket is as far as the server says, and what to set. A redirect may name where it
// leads in place of the region.
std::string elsewhere(const S3CallName& name, const HttpResponse& response, const S3Fault& fault) {
  const std::string signed_for = name.region.empty() ? "no region" : name.region;
  const std::string region = region_of(response, fault);
  if (!region.empty() && region == name.region) {
    return fmt::format(
        "the server names region {}, which the request was signed for: check endpoint and region "
        "in cluster.yml",
        region);
  }
  if (!region.empty()) {
    return fmt::format(
        "the bucket is in region {}; the request was signed for {}: set region in cluster.yml to "
        "that",
        region, signed_for);
  }
  const std::string location = peer_text(response.trailer("location"), 200);
  const size_t scheme = location.find("://");
  if (scheme != location.npos) {
    return fmt::format(
        "the server sends the request on to {}: set endpoint in cluster.yml to where the bucket "
        "is, "
        "or region (the request was signed for {})",
        location.substr(0, location.find_first_of("/?#", scheme + 3)), signed_for);
  }
  return fmt::format(
      "the bucket is in another region or at another endpoint; the request was signed for {}: set "
      "region in cluster.yml to the bucket's, or correct endpoint",
      signed_for);
}

std::vector<HintValue> hint_values(const S3CallName& name, const HttpResponse& response,
                                   const S3Fault& fault, std::optional<std::chrono::seconds> skew) {
  return {{"source", "the keys from " + (name.source.empty() ? "the settings" : name.source)},
          {"bucket", name.bucket},
          {"or_path", name.bucket_in_host ? kOrPath : ""},
          {"region", name.region.empty() ? "no region" : name.region},
          {"elsewhere", elsewhere(name, response, fault)},
          {"action", action_of(name)},
          {"skew", skew_text(skew)}};
}

// --- the message

// What the body is, as it is no error of S3; empty where there is none. Never the text itself, as
// some servers send back what they were sent.
std::string_view text_kind(const HttpResponse& response, std::string_view body) {
  const size_t begin = body.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  const bool called_html = contains(response.trailer("content-type"), "text/html");
  // HEAD tells the type of what it leaves out.
  if (begin == body.npos) return called_html ? "HTML" : "";
  if (called_html && !is_xml_answer(body)) return "HTML";
  body.remove_prefix(begin);
  const std::string_view top = body.substr(0, 256);
  if (contains(top, "<html") || contains(top, "<!doctype html")) return "HTML";
  return body.starts_with('<') ? "XML, but no error of S3" : "some other text";
}

constexpr char kNotListedHint[] =
    "; without s3:ListBucket, S3 says the same of an object that is not there";

bool reads_object(const S3CallName& name) {
  return name.call == "HeadObject" || name.call == "GetObject";
}

bool begins_object(const S3CallName& name) {
  return name.call == "PutObject" || name.call == "CreateMultipartUpload";
}

// Of an answer that does not name a code of S3.
void explain_status(const S3CallName& name, const HttpResponse& response, std::string_view body,
                    const std::vector<HintValue>& values, Error& error) {
  const long status = response.status;
  const std::string_view what = text_kind(response, body);
  const StatusMeaning* const row = meaning_of(status);
  error.message = fmt::format("{}: HTTP {}", to_string(name), status);
  if (row != nullptr) {
    error.message += fmt::format(" {}", row->text);
    error.hint = fill_in(row->hint, values);
  }
  if (!what.empty()) error.message += fmt::format(", and the answer is no S3 answer: {}", what);
  if (!what.empty() && status <= 299) {
    error.hint =
        "is the endpoint right (the S3 port, not a console), or does a proxy or a portal that "
        "wants "
        "a login answer in its place?";
  } else if (!what.empty() && (status < 400 || status == 403 || status == 404 || row == nullptr)) {
    error.hint = "is the endpoint right, or is there a proxy between?" +
                 (error.hint.empty() ? "" : " " + error.hint);
  }
  if (status == 412) error.s3_code = "PreconditionFailed";
  if (status == 409) {
    error.s3_code = "OperationAborted";
    error.retryable = true;
  }
  if (status == 403 && reads_object(name)) error.hint += kNotListedHint;
  if (error.hint.empty()) error.hint = kUnknownHint;
}

void explain_fault(const S3CallName& name, long status, const S3Fault& fault,
                   const std::vector<HintValue>& values, Error& error) {
  error.s3_code = peer_text(fault.code, 100);
  error.message = to_string(name) + ": " + error.s3_code;
  if (!fault.message.empty()) error.message += ": " + peer_text(fault.message);
  const CodeMeaning* const row = meaning_of(fault);
  if (row == nullptr && fault.code == "InvalidArgument" && begins_object(name) &&
      !name.kept_as.empty()) {
    error.hint = fmt::format("does the server know what [s3] asks of it ({})? correct or remove it",
                             name.kept_as);
  } else if (row != nullptr) {
    error.hint = fill_in(row->hint, values);
    if (fault.code == "AccessDenied" && reads_object(name)) error.hint += kNotListedHint;
    if (row->again != Again::kByStatus) error.retryable = row->again == Again::kYes;
  } else {
    // What these mean without a word is no help where there are words.
    const bool vague = status == 400 || status == 409;
    const StatusMeaning* const by_status = vague ? nullptr : meaning_of(status);
    error.hint = by_status == nullptr ? kUnknownHint : fill_in(by_status->hint, values);
  }
}

}  // namespace

std::string to_string(const S3CallName& name) {
  std::string subject = name.call + " " + name.where;
  if (!name.key.empty()) subject += "/" + peer_text(name.key, 1024);
  return subject;
}

Error explain_answer(const S3CallName& name, const HttpResponse& response, std::string_view body) {
  const S3Fault fault = parse_fault(body);
  const long status = response.status;
  const auto skew = skew_of(name, response, fault);
  const auto values = hint_values(name, response, fault, skew);
  Error error;
  error.kind = ErrorKind::kRemote;
  error.retryable = worth_another_try(status);
  if (fault.code.empty()) {
    explain_status(name, response, body, values, error);
  } else {
    explain_fault(name, status, fault, values, error);
  }
  const std::string id =
      fault.request_id.empty() ? response.trailer("x-amz-request-id") : fault.request_id;
  if (!id.empty()) error.message += fmt::format(" (request id {})", peer_text(id, 100));

  const bool clock_named = contains(error.hint, "the clock of this host is");
  if ((status != 403 && status != 400) || !is_far(skew) || clock_named) return error;
  const std::string clock = fill_in(kClockHint, values);
  if (error.hint.empty()) {
    error.hint = clock;
  } else {
    error.hint =
        fault.code.empty() ? clock + "; else: " + error.hint : error.hint + "; besides, " + clock;
  }
  return error;
}

int retry_after_s(const HttpResponse& response, UnixSeconds now) {
  constexpr int64_t kMost = 24 * 60 * 60;
  const std::string text = response.trailer("retry-after");
  if (!text.empty() && text.find_first_not_of("0123456789") == text.npos) {
    return text.size() > 9 ? static_cast<int>(kMost)
                           : static_cast<int>(std::min<int64_t>(std::stol(text), kMost));
  }
  const auto until = parse_http_date(text);
  if (!until) return 0;
  return static_cast<int>(std::clamp<int64_t>((*until - now).count(), 0, kMost));
}

}  // namespace etcd_snapshot
