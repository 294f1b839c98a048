// The zip form of a snapshot: one deflate entry, streamed with ISA-L, then the manifest as archive
// comment. Sees every byte once, keeps under 1 MiB of its own and never seeks in its output.
#pragma once

#include <memory>

#include "archive/writer.h"

namespace etcd_snapshot {

// kInternal for a name that no zip entry can have (empty, or beyond 65,535 bytes with its folder).
Result<std::unique_ptr<ArchiveWriter>> make_zip_writer(const ArchiveOptions& options,
                                                       ByteSink& sink);

}  // namespace etcd_snapshot
