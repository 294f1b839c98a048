// Where the manifest lies in a zstd archive, for its writer and its reader: a skippable frame of
// fixed size at the very end, which every zstd decoder passes over (RFC 8878, section 3.1.2).
// Fixed, so that it is found from the end of the file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace etcd_snapshot::zstd {

inline constexpr uint32_t kFrameMagic = 0xfd2fb528;
// One of the sixteen (0x184d2a50 to 0x184d2a5f) that are free for users.
inline constexpr uint32_t kManifestMagic = 0x184d2a5e;
inline constexpr size_t kManifestHeaderBytes = 8;  // magic, size; little-endian
inline constexpr uint32_t kManifestBytes = 2048;   // JSON, padded with spaces
inline constexpr size_t kManifestFrameBytes = kManifestHeaderBytes + kManifestBytes;

}  // namespace etcd_snapshot::zstd
