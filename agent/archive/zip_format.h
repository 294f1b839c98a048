// The parts of the ZIP format that the writer and the reader of manifests share: signatures, sizes
// and marks. Source: PKWARE's APPNOTE.TXT 6.3.x, sections 4.3 and 4.5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace etcd_snapshot::zip {

inline constexpr uint32_t kLocalHeader = 0x04034b50;          // 4.3.7
inline constexpr uint32_t kDataDescriptor = 0x08074b50;       // 4.3.9.3
inline constexpr uint32_t kCentralHeader = 0x02014b50;        // 4.3.12
inline constexpr uint32_t kZip64EndOfDirectory = 0x06064b50;  // 4.3.14
inline constexpr uint32_t kZip64EndLocator = 0x07064b50;      // 4.3.15
inline constexpr uint32_t kEndOfDirectory = 0x06054b50;       // 4.3.16

inline constexpr size_t kCentralHeaderBytes = 46;
inline constexpr size_t kZip64EndOfDirectoryBytes = 56;  // of version 1, without extensible data
inline constexpr size_t kZip64EndLocatorBytes = 20;
inline constexpr size_t kEndOfDirectoryBytes = 22;  // without the comment
inline constexpr size_t kMaxCommentBytes = 0xffff;

inline constexpr uint16_t kZip64Extra = 0x0001;      // 4.5.3
inline constexpr uint16_t kTimestampExtra = 0x5455;  // "UT", Info-ZIP's extended timestamp
// What stands in a 32-bit field whose value is in the zip64 record instead.
inline constexpr uint32_t kSeeZip64 = 0xffffffff;

// RKE restores an archive only if its entry lies in this folder.
inline constexpr std::string_view kFolder = "/backup/";

}  // namespace etcd_snapshot::zip
