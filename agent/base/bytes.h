// Views of bytes, and the narrow interface that streamed bytes flow through.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/result.h"

namespace etcd_snapshot {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Takes a stream piece by piece, in order. `bytes` is valid during the call only. After an error
// the sink must not be written to again.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Result<void> write(Bytes bytes) = 0;
};

}  // namespace etcd_snapshot
