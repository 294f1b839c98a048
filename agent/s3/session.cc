#include "s3/session.h"

#include <utility>

#include "base/files.h"
#include "base/x509.h"
#include "s3/credential_sources.h"

namespace etcd_snapshot {
namespace {

constexpr size_t kMaxRootsBytes = 4 << 20;  // the bundles of whole distributions are below 1 MiB

void append_pem(std::string& roots, const std::string& pem) {
  if (!roots.empty() && roots.back() != '\n') roots += '\n';
  roots += pem;
}

Result<std::string> read_roots(const std::string& path) {
  auto pem = read_file(path, ErrorKind::kRemote, kMaxRootsBytes);
  if (!pem) return bucket_file_error("ca_file", pem.take_error());
  if (auto parsed = parse_certificates(*pem, path); !parsed) {
    return bucket_file_error("ca_file", parsed.take_error());
  }
  return pem;
}

}  // namespace

S3Session::S3Session(const S3Policy& policy_in, const S3Settings& settings_in, Clock& clock_in,
                     HttpFactory make_http_in)
    : policy(policy_in),
      settings(settings_in),
      clock(clock_in),
      make_http(std::move(make_http_in)),
      extra_roots(policy.custom_ca),
      location(policy, settings.lookup) {}

Result<std::unique_ptr<S3Session>> S3Session::open(const S3Policy& policy,
                                                   const S3Settings& settings, Clock& clock,
                                                   HttpFactory make_http) {
  std::unique_ptr<S3Session> session(
      new S3Session(policy, settings, clock, std::move(make_http)));  // its constructor is private
  ES_TRY(check_service(session->location.host(), settings.lookup));
  if (!settings.ca_file.empty()) {
    ES_ASSIGN(pem, read_roots(settings.ca_file));
    append_pem(session->extra_roots, pem);
  }
  if (settings.max_rate_mib_s) {
    session->rate =
        std::make_unique<RateLimit>(clock, static_cast<int64_t>(*settings.max_rate_mib_s) << 20);
  }
  ES_ASSIGN(http, session->make_http());
  session->credentials_http_ = std::move(http);

  CredentialInputs inputs;
  inputs.access_key = policy.access_key;
  inputs.secret_key = policy.secret_key;
  inputs.keys_from = policy.keys_place;
  inputs.access_key_file = settings.access_key_file;
  inputs.secret_key_file = settings.secret_key_file;
  // A guess would send the token to another region's STS than the machine is in.
  if (!session->location.region_is_guess()) inputs.region = session->location.address().region;
  inputs.fips = is_fips_host(session->location.host());
  inputs.extra_roots = session->extra_roots;
  inputs.proxy = settings.proxy;
  session->credentials =
      make_credential_chain(std::move(inputs), *session->credentials_http_, clock);
  return session;
}

}  // namespace etcd_snapshot
