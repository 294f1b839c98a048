// The one grammar of snapshot names: builds and parses them. Whatever does not parse is somebody
// else's file and is never touched.
//
//   file      = name [ ".zip" | ".zst" ]
//   name      = rolling | one-time
//   rolling   = time [ "_" host ] "_etcd"
//   one-time  = "rke_etcd_snapshot_" time           (`save` without a name)
//   time      = RFC 3339 from 1970 on, UTC "Z" or a numeric offset, fractions of a second allowed;
//               or the same with every ":" as "-" (safe_timestamp)
//   host      = a host name: 1 to 64 letters, digits, "-", "."; no "_"
//
// RKE reads the time as what stands before the first "_", so its pruning understands ours. It
// writes local offsets and may write no extension; both parse here. Where its reader is lax
// (one-digit hours, offsets of a day, anything after the "_") this one is not, because what parses
// may be deleted.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "config/settings.h"

namespace etcd_snapshot {

enum class SnapshotKind { kRolling, kOneTime };

struct SnapshotName {
  std::string base;  // without extension; what the log calls the name
  SnapshotKind kind = SnapshotKind::kRolling;
  UnixSeconds time;                             // UTC; fractions of a second are cut off
  std::string host;                             // empty where the name has none
  Compression compression = Compression::kZip;  // from the extension
};

// nullopt: not ours.
std::optional<SnapshotName> parse_snapshot_name(std::string_view file_name);

// The instant of an RFC 3339 time with ":" (the manifest's `created`); nullopt: it is none.
std::optional<UnixSeconds> parse_rfc3339(std::string_view text);

// What the grammar allows of a host name: every other byte becomes "-", cut off after 64 bytes (the
// kernel's own limit). Empty stays empty.
std::string sanitize_host(std::string_view hostname);

// The name (without extension) of a rolling snapshot; host may be empty and is sanitized.
std::string rolling_name(UnixSeconds time, std::string_view host, bool safe_timestamp);
// The name of a one-time snapshot.
std::string one_time_name(UnixSeconds time, bool safe_timestamp);

// Another name for the snapshot `base` where that one is taken by other content: of a rolling one
// "<time>_<host>_etcd" (number 1) or, where it has a host or that is taken too, the same with
// ".<number>" behind the seconds, which is no other time; of any other "<base>_<host>",
// "<base>_<host>-<number>".
std::string name_beside(const std::string& base, std::string_view host, int number);

// Whether an operator may call a one-time snapshot so (`save --name`): 1 to 200 bytes, printable
// UTF-8 without "/", no leading "." or "-", no space at either end, no archive extension, not a
// rolling name, not the name of the certificate bundle. kUsage otherwise.
Result<void> check_one_time_name(std::string_view name);

}  // namespace etcd_snapshot
