// The certificates in files that a cycle depends on, and until when: for check, status and the
// metrics. What a server presents is the handshake's to judge, and is not looked at here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/settings.h"

namespace etcd_snapshot {

// One that expires sooner deserves a warning.
inline constexpr auto kExpiresSoon = std::chrono::days(14);

struct UsedCertificate {
  std::string_view use;     // "etcd_client", "etcd_ca", "bucket_ca": as the metric names it
  std::string place;        // the file, or where custom_ca stands
  UnixSeconds valid_until;  // of a file of authorities: the last of them that is valid
  std::string problem;      // expired or not valid yet; empty: valid now
};

// Those of the endpoint that the next cycle tries first, and of the bucket. What cannot be read is
// left out: connecting tells of it. `root`: for tests, as in etcd/discovery.h.
std::vector<UsedCertificate> used_certificates(const Settings& settings, UnixSeconds now,
                                               const std::string& root = "");

// "FILE expires in 13d (2018-05-18T18:40:16Z)", or the problem; empty: neither.
std::string expiry_warning(const UsedCertificate& certificate, UnixSeconds now);

}  // namespace etcd_snapshot
