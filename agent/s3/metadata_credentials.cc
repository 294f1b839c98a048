// Keys that a service beside the machine hands out: ask_service() for all of them, the container
// endpoint, and EC2's instance metadata.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/human.h"
#include "base/json.h"
#include "base/stop.h"
#include "s3/credential_sources.h"
#include "s3/wire_text.h"
#include "store/names.h"

namespace etcd_snapshot {
namespace {

using Found = Result<std::optional<FoundKeys>>;

constexpr size_t kAnswerBytes = 64 << 10;
constexpr Nanoseconds kAskAgainAfter = std::chrono::milliseconds(200);

// Both services are one hop away at most. A machine that has none often has a network that drops
// the packets: it must not wait long to learn that.
constexpr int kConnectTimeoutS = 2, kTotalTimeoutS = 5;

class LimitedText final : public ByteSink {
 public:
  explicit LimitedText(const std::string& subject) : subject_(subject) {}

  Result<void> write(Bytes bytes) override {
    if (text.size() + bytes.size() > kAnswerBytes) {
      Error error;
      error.kind = ErrorKind::kRemote;
      error.message =
          fmt::format("{}: its answer is larger than {} KiB, which no answer with keys is",
                      subject_, kAnswerBytes >> 10);
      error.hint = "look what answers at that address: a proxy or another service";
      return error;
    }
    text += as_text(bytes);
    return {};
  }

  std::string text;

 private:
  const std::string& subject_;
};

Error refused(const std::string& subject, std::string what, std::string hint) {
  Error error;
  error.kind = ErrorKind::kRemote;
  error.message = subject + ": " + std::move(what);
  error.hint = std::move(hint);
  return error;
}

// --- the document that both services answer with

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// `hint` for an answer that is no such document. A role's keys come with a token and an end.
Result<FoundKeys> read_keys(const std::string& body, const std::string& subject, bool of_a_role,
                            const std::string& hint) {
  const auto object = parse_json(body);
  if (!object.is_object()) return refused(subject, "its answer is no JSON object", hint);
  if (const std::string code = text_of(object, "Code"); !code.empty() && code != "Success") {
    const std::string message = text_of(object, "Message");
    return refused(subject,
                   "it has no keys: " + peer_text(code, 100) +
                       (message.empty() ? "" : ": " + peer_text(message)),
                   "check the role and its trust policy");
  }
  FoundKeys found;
  found.keys = {text_of(object, "AccessKeyId"), text_of(object, "SecretAccessKey"),
                text_of(object, "Token")};
  const std::string expiration = text_of(object, "Expiration");
  const char* const missing = found.keys.access_key.empty()                   ? "AccessKeyId"
                              : found.keys.secret_key.empty()                 ? "SecretAccessKey"
                              : of_a_role && found.keys.session_token.empty() ? "Token"
                              : of_a_role && expiration.empty()               ? "Expiration"
                                                                              : nullptr;
  if (missing != nullptr)
    return refused(subject, fmt::format("its answer has no {}", missing), hint);
  if (!expiration.empty()) {
    found.expires = parse_rfc3339(expiration);
    if (!found.expires) {
      return refused(subject,
                     fmt::format("'{}' is no time (Expiration)", peer_text(expiration, 100)), hint);
    }
  }
  return found;
}

// --- container endpoint (AWS SDKs and Tools Reference Guide, "Container credential provider")

constexpr char kContainerHint[] =
    "check what AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI names";

// Without TLS the keys may only come from this machine, or from where ECS and EKS have them.
bool may_be_plain(std::string_view origin) {
  std::string_view host = origin.substr(origin.find("://") + 3);
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    if (end == host.npos) return false;
    const std::string_view rest = host.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') return false;
    in6_addr address = {}, eks = {};
    if (inet_pton(AF_INET6, std::string(host.substr(1, end - 1)).c_str(), &address) != 1 ||
        inet_pton(AF_INET6, "fd00:ec2::23", &eks) != 1) {
      return false;
    }
    return IN6_IS_ADDR_LOOPBACK(&address) || IN6_ARE_ADDR_EQUAL(&address, &eks);
  }
  host = host.substr(0, host.find(':'));
  if (host == "localhost" || host == "169.254.170.2" || host == "169.254.170.23") return true;
  in_addr address = {};
  return inet_pton(AF_INET, std::string(host).c_str(), &address) == 1 &&
         ntohl(address.s_addr) >> 24 == 127;
}

// The value of the Authorization header, or empty. The file comes first: its token is renewed.
Result<std::string> container_token(const CredentialSearch& search) {
  const std::string file = search.environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  if (!file.empty()) return read_secret_file(file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  const std::string token = search.environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  // "Basic ..." and the like: one space is no harm, a line end would begin another header.
  const bool printable = std::all_of(token.begin(), token.end(),
                                     [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
  if (printable) return token;
  return bad_credentials(
      "AWS_CONTAINER_AUTHORIZATION_TOKEN holds a line end or other character that no header holds "
      "(not shown)",
      "write the token alone, in printable ASCII");
}

// The URL to ask, empty where none is set.
Result<std::string> container_url(const CredentialSearch& search) {
  const std::string relative = search.environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!relative.empty()) {
    if (relative.starts_with('/') && is_one_word(relative))
      return "http://169.254.170.2" + relative;
    return bad_credentials(
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with a / or holds a character that "
        "no URL holds",
        "it is what the container service sets; do not set it by hand");
  }
  const std::string full = search.environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (full.empty()) return full;
  if (!is_plain_url(full)) {
    return bad_credentials("AWS_CONTAINER_CREDENTIALS_FULL_URI is no http:// or https:// URL",
                           "write it as https://host/path, without user and password");
  }
  if (full.starts_with("https://") || may_be_plain(origin_of(full))) return full;
  return bad_credentials(
      fmt::format("AWS_CONTAINER_CREDENTIALS_FULL_URI names {}, which is not this machine",
                  origin_of(full)),
      "keys must not cross the network in the clear: use https:// (http:// is for 127.0.0.1, "
      "[::1], 169.254.170.2, 169.254.170.23 and [fd00:ec2::23])");
}

// --- EC2 (EC2 User Guide, "Use instance metadata"; fallback as the AWS SDKs have it)

constexpr char kRolePath[] = "/latest/meta-data/iam/security-credentials/";

constexpr char kInstanceHint[] =
    "if this machine is not in EC2, set access_key and secret_key in cluster.yml; if it is, check "
    "its metadata options";

bool is_true(const CredentialSearch& search, const char* name) {
  return lower(search.environment(name)) == "true";
}

Result<std::string> metadata_url(const CredentialSearch& search) {
  std::string url = search.environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (!url.empty()) {
    if (!is_plain_url(url)) {
      return bad_credentials("AWS_EC2_METADATA_SERVICE_ENDPOINT is no http:// or https:// URL",
                             "write it as http://169.254.169.254");
    }
    while (url.ends_with('/')) url.pop_back();
    return url;
  }
  const std::string mode = lower(search.environment("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"));
  if (mode == "ipv6") return std::string("http://[fd00:ec2::254]");
  if (mode.empty() || mode == "ipv4") return std::string("http://169.254.169.254");
  return bad_credentials(
      fmt::format("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is '{}'", peer_text(mode, 100)),
      "accepted are IPv4 and IPv6");
}

HttpRequest metadata_request(const std::string& url, const std::string& token) {
  HttpRequest request;
  request.url = url;
  request.connect_timeout_s = kConnectTimeoutS;
  request.total_timeout_s = kTotalTimeoutS;
  if (!token.empty()) request.headers.push_back("X-aws-ec2-metadata-token: " + token);
  return request;
}

// The session token of version 2; empty where the service has version 1 alone.
Result<std::string> metadata_token(const CredentialSearch& search, const std::string& url,
                                   const std::string& subject) {
  HttpRequest request = metadata_request(url + "/latest/api/token", "");
  request.method = "PUT";
  request.headers = {"X-aws-ec2-metadata-token-ttl-seconds: 21600"};
  auto answer = ask_service(search, std::move(request), subject);
  if (!answer) {
    Error error = answer.take_error();
    // The answer to the PUT lives for one hop only, unless the instance is told otherwise.
    constexpr int kTimedOut = 28;
    if (error.code == kTimedOut) {
      error.hint =
          "if this machine is in EC2 and this is a container, raise the instance's "
          "http-put-response-hop-limit to 2; if it is not, set access_key and secret_key";
    }
    return error;
  }
  const long status = answer->status;
  if (status == 403 || status == 404 || status == 405) {
    if (!is_true(search, "AWS_EC2_METADATA_V1_DISABLED")) return std::string();
    return refused(subject,
                   fmt::format("HTTP {} to the request for a token, and version 1 is turned off "
                               "(AWS_EC2_METADATA_V1_DISABLED)",
                               status),
                   kInstanceHint);
  }
  if (status != 200) {
    Error error =
        refused(subject, fmt::format("HTTP {} to the request for a token", status), kInstanceHint);
    error.retryable = status == 429 || status >= 500;
    return error;
  }
  const std::string& token = answer->body;
  // A web server that answers every path with its page.
  if (token.empty() || token.front() == '<' || !is_one_word(token)) {
    return refused(subject, "its answer to the request for a token is no token", kInstanceHint);
  }
  return token;
}

// The name of an IAM role: [\w+=,.@-]{1,64}; goes into the URL as it is.
bool is_role_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return isalnum(c) ||
                  std::string_view("_+=,.@-").find(static_cast<char>(c)) != std::string_view::npos;
         });
}

Error metadata_refused(const std::string& subject, long status, const char* what) {
  Error error =
      refused(subject, fmt::format("HTTP {} to the request for {}", status, what), kInstanceHint);
  error.retryable = status == 429 || status >= 500;
  return error;
}

}  // namespace

bool is_plain_url(std::string_view url) {
  const size_t start = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  // An @ may be the end of a password, wherever it stands: such a URL is not even named.
  return start != 0 && url.size() > start && is_one_word(url) &&
         url.find_first_of("\\@") == url.npos && url.find_first_of("/?#", start) != start;
}

std::string origin_of(const std::string& url) {
  return url.substr(0, url.find_first_of("/?#", url.find("://") + 3));
}

Result<ServiceAnswer> ask_service(const CredentialSearch& search, HttpRequest request,
                                  const std::string& subject) {
  request.error_kind = ErrorKind::kRemote;
  request.after_stop = search.after_stop;
  const int tries = search.after_stop ? 1 : 2;
  for (int left = tries - 1;; --left) {
    HttpResponse response;
    LimitedText body(subject);
    auto done = search.http.perform(request, response, body);
    if (done) {
      const bool passing = response.status == 429 || response.status >= 500;
      if (!passing || left == 0) return ServiceAnswer{response.status, std::move(body.text)};
    } else {
      Error error = done.take_error();
      if (!error.retryable || left == 0) {
        if (error.kind == ErrorKind::kCancelled || error.message.starts_with(subject)) return error;
        error.message = subject + ": " + std::string(without_origin(error.message));
        return error;
      }
    }
    if (!search.clock.sleep_for(kAskAgainAfter)) return cancelled_error();
  }
}

Result<void> check_found(const FoundKeys& found, const std::string& subject, UnixSeconds now) {
  if (found.keys.access_key.empty() || found.keys.secret_key.empty() ||
      !is_one_word(found.keys.access_key) || !is_one_word(found.keys.secret_key) ||
      !is_one_word(found.keys.session_token)) {
    return refused(subject, "its answer holds a key with characters that no key holds (not shown)",
                   "is that the right service, or is there a proxy between?");
  }
  if (!found.expires || *found.expires > now) return {};
  return refused(subject,
                 fmt::format("its keys expired at {}, and by the clock of this host it is {}",
                             format_utc(*found.expires), format_utc(now)),
                 "check the clock of this host (timedatectl)");
}

Found from_container(const CredentialSearch& search, std::string& absent) {
  ES_ASSIGN(url, container_url(search));
  if (url.empty()) {
    absent =
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI are not set";
    return std::optional<FoundKeys>();
  }
  const std::string subject = "the container's credentials at " + origin_of(url);
  ES_ASSIGN(token, container_token(search));
  HttpRequest request = metadata_request(url, "");
  request.headers = {"accept: application/json"};
  if (!token.empty()) request.headers.push_back("authorization: " + token);
  ES_ASSIGN(answer, ask_service(search, std::move(request), subject));
  if (answer.status != 200) {
    Error error = refused(subject, fmt::format("HTTP {}", answer.status), kContainerHint);
    error.retryable = answer.status == 429 || answer.status >= 500;
    return error;
  }
  ES_ASSIGN(found, read_keys(answer.body, subject, /*of_a_role=*/false, kContainerHint));
  found.source = "the role of this container";
  ES_TRY(check_found(found, subject, search.clock.now()));
  return std::optional(std::move(found));
}

Found from_instance(const CredentialSearch& search, std::string& absent) {
  if (is_true(search, "AWS_EC2_METADATA_DISABLED")) {
    absent = "EC2 metadata is turned off (AWS_EC2_METADATA_DISABLED)";
    return std::optional<FoundKeys>();
  }
  ES_ASSIGN(url, metadata_url(search));
  const std::string subject = "EC2 metadata at " + origin_of(url);
  ES_ASSIGN(token, metadata_token(search, url, subject));

  ES_ASSIGN(roles, ask_service(search, metadata_request(url + kRolePath, token), subject));
  if (roles.status == 404) {
    absent = subject + ": this machine has no role";
    return std::optional<FoundKeys>();
  }
  if (roles.status != 200) return metadata_refused(subject, roles.status, "the role's name");
  std::string role = roles.body.substr(0, roles.body.find('\n'));
  if (role.ends_with('\r')) role.pop_back();
  if (!is_role_name(role)) {
    return refused(subject, "its answer to the request for the role's name is no name of a role",
                   kInstanceHint);
  }

  ES_ASSIGN(keys, ask_service(search, metadata_request(url + kRolePath + role, token), subject));
  if (keys.status != 200) return metadata_refused(subject, keys.status, "the role's keys");
  ES_ASSIGN(found, read_keys(keys.body, subject, /*of_a_role=*/true, kInstanceHint));
  found.source = "the role " + role + " of this machine";
  ES_TRY(check_found(found, subject, search.clock.now()));
  return std::optional(std::move(found));
}

}  // namespace etcd_snapshot
