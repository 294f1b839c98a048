// Certificates and keys of a test's own, in PEM form. Include before CppUTest's headers.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"

namespace etcd_snapshot {

struct FakeCertificate {
  std::string certificate, key, encrypted_key;  // PEM; the passphrase is "secret"
};

// Self-signed, Ed25519, valid between the two times (to the second).
FakeCertificate make_certificate(const std::string& common_name, UnixSeconds not_before,
                                 UnixSeconds not_after);

}  // namespace etcd_snapshot
