#include "run/certificates.h"

#include <fmt/format.h>

#include "base/human.h"
#include "base/x509.h"
#include "etcd/connect.h"
#include "store/names.h"

namespace etcd_snapshot {
namespace {

void add(std::string_view use, const std::string& place,
         const Result<std::vector<CertificateInfo>>& bundle, UnixSeconds now,
         std::vector<UsedCertificate>& used) {
  if (!bundle) return;
  used.push_back(
      {use, place, last_valid(*bundle, now).not_after, validity_problem(*bundle, place, now)});
}

}  // namespace

std::vector<UsedCertificate> used_certificates(const Settings& settings, UnixSeconds now,
                                               const std::string& root) {
  std::vector<UsedCertificate> used;
  if (const auto found = endpoint_candidates(settings.host.etcd, root)) {
    const std::vector<Candidate> candidates = valid_first(*found, now);
    const Endpoint& endpoint = candidates.front().endpoint;
    const TlsFiles& tls = endpoint.tls;
    const bool secure = endpoint.url.starts_with("https://");
    if (secure && !tls.cert_file.empty()) {
      // The first is the client's own; what follows leads to its authority.
      auto chain = read_certificates(tls.cert_file);
      if (chain) chain->resize(1);
      add("etcd_client", tls.cert_file, chain, now, used);
    }
    if (secure && !tls.ca_file.empty()) {
      add("etcd_ca", tls.ca_file, read_certificates(tls.ca_file), now, used);
    }
  }
  if (!settings.policy.s3) return used;
  const S3Policy& policy = *settings.policy.s3;
  const std::string& file = settings.host.s3.ca_file;
  if (!file.empty()) add("bucket_ca", file, read_certificates(file), now, used);
  if (file.empty() && !policy.custom_ca.empty()) {
    add("bucket_ca", policy.custom_ca_place, parse_certificates(policy.custom_ca, "custom_ca"), now,
        used);
  }
  return used;
}

std::string expiry_warning(const UsedCertificate& certificate, UnixSeconds now) {
  if (!certificate.problem.empty()) return certificate.problem;
  if (certificate.valid_until - now >= kExpiresSoon) return {};
  return fmt::format("{} expires in {} ({})", certificate.place,
                     human_age(certificate.valid_until - now), format_utc(certificate.valid_until));
}

}  // namespace etcd_snapshot
