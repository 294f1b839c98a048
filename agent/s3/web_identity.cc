// A role by the token of an identity provider (EKS, or any that mounts one): STS API Reference,
// AssumeRoleWithWebIdentity.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "s3/answers.h"
#include "s3/credential_sources.h"
#include "s3/providers.h"
#include "s3/wire_text.h"
#include "store/names.h"

namespace etcd_snapshot {
namespace {

using Found = Result<std::optional<FoundKeys>>;

// [\w+=,.@-]{2,64}; CloudTrail shows it.
bool is_session_name(std::string_view name) {
  return name.size() >= 2 && name.size() <= 64 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return isalnum(c) ||
                  std::string_view("_+=,.@-").find(static_cast<char>(c)) != std::string_view::npos;
         });
}

Result<std::string> session_name(const CredentialSearch& search) {
  std::string name = search.environment("AWS_ROLE_SESSION_NAME");
  if (!name.empty()) {
    if (is_session_name(name)) return name;
    return bad_credentials(fmt::format("AWS_ROLE_SESSION_NAME is '{}'", peer_text(name, 100)),
                           "accepted are 2 to 64 letters, digits and characters of _+=,.@-");
  }
  char host[65] = "";
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  name = "etcd-snapshot-" + (*host ? sanitize_host(host) : std::string("host"));
  return name.substr(0, 64);
}

// Where STS is: regional, as the SDKs' default is by now; the global one lives in us-east-1.
Result<std::string> sts_url(const CredentialSearch& search) {
  std::string url = search.environment("AWS_ENDPOINT_URL_STS");
  if (!url.empty()) {
    if (!is_plain_url(url)) {
      return bad_credentials("AWS_ENDPOINT_URL_STS is no http:// or https:// URL",
                             "write it as https://sts.example.com/, without user and password");
    }
    if (!url.ends_with('/')) url += '/';
    return url;
  }
  std::string region = search.inputs.region;
  if (!is_amazon_region(region)) region = search.environment("AWS_REGION");
  if (region.empty()) region = search.environment("AWS_DEFAULT_REGION");
  // As the SDKs have it. Amazon documents sts-fips for these regions alone, while s3-fips has more.
  const bool has_fips = region.starts_with("us-east-") || region.starts_with("us-west-");
  const StsVariant variant{
      .fips =
          search.environment("AWS_USE_FIPS_ENDPOINT") == "true" || (search.inputs.fips && has_fips),
      .dual_stack = search.environment("AWS_USE_DUALSTACK_ENDPOINT") == "true"};
  return "https://" + sts_host(region, variant) + "/";
}

// A refusal may repeat the token.
void hide(std::string& text, const std::string& secret) {
  constexpr std::string_view kHidden = "***";
  for (size_t at = 0; (at = text.find(secret, at)) != text.npos; at += kHidden.size()) {
    text.replace(at, secret.size(), kHidden);
  }
}

std::string sts_hint(const std::string& code, const std::string& role, const std::string& file) {
  if (code == "ExpiredTokenException" || code == "ExpiredToken") {
    return fmt::format(
        "the token in {} has expired: is that which renews it still running, and is the clock of "
        "this host right (timedatectl)?",
        file);
  }
  if (code == "AccessDenied") {
    return fmt::format(
        "the trust policy of {} has to allow sts:AssumeRoleWithWebIdentity to the subject of the "
        "token in {}",
        role, file);
  }
  if (code == "InvalidIdentityToken") {
    return fmt::format(
        "check that the identity provider of {} is the issuer of the token in {}, and takes its "
        "audience",
        role, file);
  }
  if (code == "ValidationError") return "check AWS_ROLE_ARN and AWS_ROLE_SESSION_NAME";
  return "check AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE and where STS is (AWS_ENDPOINT_URL_STS)";
}

Error sts_refused(const std::string& subject, ServiceAnswer answer, const std::string& token,
                  const std::string& role, const std::string& file) {
  hide(answer.body, token);
  const S3Fault fault = parse_fault(answer.body);
  Error error;
  error.kind = ErrorKind::kRemote;
  error.s3_code = peer_text(fault.code, 100);
  error.retryable =
      answer.status == 429 || answer.status >= 500 || fault.code == "IDPCommunicationError";
  error.message = fault.code.empty()
                      ? fmt::format("{}: HTTP {}, and no STS answer", subject, answer.status)
                      : fmt::format("{}: {}: {}", subject, error.s3_code, peer_text(fault.message));
  error.hint = sts_hint(fault.code, role, file);
  return error;
}

}  // namespace

Found from_web_identity(const CredentialSearch& search, std::string& absent) {
  const std::string file = search.environment("AWS_WEB_IDENTITY_TOKEN_FILE");
  if (file.empty()) {
    absent = "AWS_WEB_IDENTITY_TOKEN_FILE is not set";
    return std::optional<FoundKeys>();
  }
  const std::string role = search.environment("AWS_ROLE_ARN");
  if (role.empty()) return half_a_pair("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN");
  if (!is_one_word(role)) return no_word("AWS_ROLE_ARN");
  ES_ASSIGN(name, session_name(search));
  ES_ASSIGN(url, sts_url(search));
  ES_ASSIGN(token, read_secret_file(file, "AWS_WEB_IDENTITY_TOKEN_FILE"));

  HttpRequest request;
  request.method = "POST";
  request.url = url;
  request.headers = {"content-type: application/x-www-form-urlencoded", "accept: application/xml"};
  request.body = fmt::format(
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}&"
      "WebIdentityToken={}",
      percent_encode(role, false), percent_encode(name, false), percent_encode(token, false));
  request.extra_roots = search.inputs.extra_roots;
  request.proxy = search.inputs.proxy;
  request.proxy_from_environment = true;
  request.connect_timeout_s = 5;
  request.total_timeout_s = 15;
  const std::string subject = "STS at " + origin_of(url);
  ES_ASSIGN(answer, ask_service(search, request, subject));
  if (answer.status != 200) return sts_refused(subject, std::move(answer), token, role, file);
  auto parsed = parse_sts(answer.body);
  if (!parsed) return parsed.take_error().within(subject);
  FoundKeys found;
  found.keys = {parsed->access_key, parsed->secret_key, parsed->session_token};
  found.source = "the role " + role + " (web identity)";
  found.expires = parsed->expires;
  ES_TRY(check_found(found, subject, search.clock.now()));
  return std::optional(std::move(found));
}

}  // namespace etcd_snapshot
