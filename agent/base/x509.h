// Looks at certificates and keys before they are used, so that a message can name the file and what
// is wrong with it; libcurl's own errors name neither. Verifies no chains: that is the handshake's.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace etcd_snapshot {

struct CertificateInfo {
  std::string subject;  // RFC 2253 form
  std::string issuer;
  UnixSeconds not_before, not_after;
};

// Every certificate of a PEM text; at least one. kConfig with `where` in front otherwise.
Result<std::vector<CertificateInfo>> parse_certificates(const std::string& pem,
                                                        const std::string& where);

// Reads a file of certificates. kConfig: unreadable, no PEM, not a certificate.
Result<std::vector<CertificateInfo>> read_certificates(const std::string& path);

// Whether the private key can be used with the certificate: readable, not encrypted, and of the
// same pair. Returns the certificate. kConfig otherwise, naming the file at fault.
Result<CertificateInfo> check_key_pair(const std::string& cert_file, const std::string& key_file);

// Of a file with several authorities, as while one is being replaced by the next: the one that
// decides, which is the one that is valid the longest from `now` on, else the one that was valid
// last.
const CertificateInfo& last_valid(const std::vector<CertificateInfo>& bundle, UnixSeconds now);

// "" while the certificate is valid at `now`, else "PATH expired on 2024-05-04T18:40:16Z (subject
// CN=x)" or "... is not valid before ...".
std::string validity_problem(const CertificateInfo& certificate, const std::string& path,
                             UnixSeconds now);
// "" while one of them is valid: an authority that has expired beside it hinders nothing.
std::string validity_problem(const std::vector<CertificateInfo>& bundle, const std::string& path,
                             UnixSeconds now);

}  // namespace etcd_snapshot
