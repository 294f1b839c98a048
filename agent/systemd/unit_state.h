// What systemd says of a unit, over its private or the system bus. Changes nothing.
#pragma once

#include <optional>
#include <string>

namespace etcd_snapshot {

// "active", "inactive", "failed", ...; nullopt: this is no systemd host, or it does not answer.
std::optional<std::string> unit_active_state(const std::string& unit);

}  // namespace etcd_snapshot
