// Little-endian numbers, as zip and zstd have them. Pure; nothing here reads or writes a file.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>

namespace etcd_snapshot {

template <std::unsigned_integral T>
void put_le(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

// REQUIRES: sizeof(T) readable bytes at `bytes`.
template <std::unsigned_integral T>
T get_le(const char* bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return static_cast<T>(value);
}

}  // namespace etcd_snapshot
