// The manifest: what a proven snapshot is, written into the archive itself once it was proven. An
// archive that carries one was complete when it was written; an archive without one (RKE's own) may
// be good as well, but nobody vouches for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace etcd_snapshot {

struct Manifest {
  std::string name;     // snapshot name without extension
  std::string kind;     // "rolling" or "one-time"
  std::string created;  // RFC 3339, UTC
  uint64_t cluster_id = 0;
  uint64_t member_id = 0;
  // The revision that was agreed on just before the stream began, or of an unhealthy member the one
  // that it knew. The database holds at least this one, and later ones that came meanwhile: it is a
  // lower bound, and nothing may rest on equality.
  int64_t revision = 0;
  // False: of a learner or an unhealthy member, whose revision may be behind that of an earlier
  // snapshot. Left out of the JSON where it is true.
  bool current = true;
  std::string etcd_version;    // "3.4.23"
  int64_t database_bytes = 0;  // without the 32 bytes of the digest
  std::string sha256;          // of the database, 64 hex digits
  std::string host;
  std::string agent_version;
  int32_t format = 1;  // of this manifest
};

// One JSON object on one line, in ASCII. Ids are hexadecimal strings, as etcdctl's tables print
// them; bytes that are no UTF-8 become U+FFFD.
std::string to_json(const Manifest& manifest);

// Reads what to_json wrote; unknown members are ignored, a missing or ill-typed one, a number out
// of range or another format gives nullopt. Takes any bytes.
std::optional<Manifest> manifest_from_json(std::string_view json);

}  // namespace etcd_snapshot
