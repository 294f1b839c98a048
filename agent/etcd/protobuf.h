// The few pieces of the protobuf wire format that etcd's messages need: writing fields, and reading
// a small message field by field. Source: protobuf.dev/programming-guides/encoding. The snapshot
// stream, which is not small, has its own reader (etcd/snapshot_stream.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace etcd_snapshot {

enum class WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Appends one field to `message`.
void put_varint_field(std::string& message, int field, uint64_t value);
void put_bytes_field(std::string& message, int field, std::string_view value);

struct ProtoField {
  int number = 0;
  WireType type = WireType::kVarint;
  uint64_t varint = 0;     // kVarint
  std::string_view bytes;  // kBytes: valid as long as the message is
};

// Reads the fields of a message in their order. `failed()` tells a malformed message from its end.
class ProtoReader {
 public:
  explicit ProtoReader(std::string_view message) : rest_(message) {}
  std::optional<ProtoField> next();
  bool failed() const { return failed_; }

 private:
  std::optional<uint64_t> varint();
  std::optional<std::string_view> take(uint64_t count);

  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace etcd_snapshot
