// Reads a snapshot back out of an archive: for proving what is on disk, and for restoring.
#pragma once

#include <string>

#include "archive/proof.h"
#include "base/bytes.h"
#include "config/settings.h"

namespace etcd_snapshot {

// Streams the snapshot (database and digest, as etcd sent it) out of an open archive into `sink`.
// zip: the entry named `/backup/...` or, failing that, the only entry. Its CRC-32 and size are
// checked. zstd: its frame has no checksum, so the bytes are held against the digest of the
// manifest where there is one. none: no check. Damage may be found after the sink has had the
// bytes: they are good only once this returned without an error. The descriptor's own offset is
// neither used nor moved. Errors: kUnverified for a damaged archive, kStorage for a read error, the
// sink's own.
Result<void> extract_snapshot(int fd, Compression compression, ByteSink& sink);

// extract_snapshot into a SnapshotProof: proves what is in an archive, with a manifest or without.
// Not retryable: a file does not mend.
Result<Proof> prove_archive(int fd, Compression compression);

}  // namespace etcd_snapshot
