#include "etcd/protobuf.h"

namespace etcd_snapshot {
namespace {

void put_varint(std::string& message, uint64_t value) {
  for (; value >= 0x80; value >>= 7) message.push_back(static_cast<char>(value | 0x80));
  message.push_back(static_cast<char>(value));
}

void put_tag(std::string& message, int field, WireType type) {
  put_varint(message, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(type));
}

}  // namespace

void put_varint_field(std::string& message, int field, uint64_t value) {
  put_tag(message, field, WireType::kVarint);
  put_varint(message, value);
}

void put_bytes_field(std::string& message, int field, std::string_view value) {
  put_tag(message, field, WireType::kBytes);
  put_varint(message, value.size());
  message.append(value);
}

std::optional<ProtoField> ProtoReader::next() {
  if (failed_ || rest_.empty()) return std::nullopt;
  failed_ = true;  // until the field has been read whole
  const auto tag = varint();
  if (!tag || *tag >> 3 == 0 || *tag >> 3 > 0x1fffffff) return std::nullopt;
  ProtoField field;
  field.number = static_cast<int>(*tag >> 3);
  field.type = static_cast<WireType>(*tag & 7);
  switch (field.type) {
    case WireType::kVarint: {
      const auto value = varint();
      if (!value) return std::nullopt;
      field.varint = *value;
      break;
    }
    case WireType::kBytes: {
      const auto size = varint();
      const auto bytes = size ? take(*size) : std::nullopt;
      if (!bytes) return std::nullopt;
      field.bytes = *bytes;
      break;
    }
    case WireType::kFixed64:
      if (!take(8)) return std::nullopt;
      break;
    case WireType::kFixed32:
      if (!take(4)) return std::nullopt;
      break;
    default:  // groups are not used by etcd
      return std::nullopt;
  }
  failed_ = false;
  return field;
}

std::optional<uint64_t> ProtoReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> ProtoReader::take(uint64_t count) {
  if (count > rest_.size()) return std::nullopt;
  const std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

}  // namespace etcd_snapshot
