// The zstd form of a snapshot: one frame, written with libarchive, then the manifest in a skippable
// frame. `zstd -d` gives the bytes as etcd sent them. Not for RKE, which reads zip only.
#pragma once

#include <memory>

#include "archive/writer.h"

namespace etcd_snapshot {

// kInternal when this host's libarchive was built without zstd.
Result<std::unique_ptr<ArchiveWriter>> make_zstd_writer(ByteSink& sink);

}  // namespace etcd_snapshot
