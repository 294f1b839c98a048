// Random numbers that are the same on every machine and with every standard library, so that a
// filled etcd can be made again from its seed. Not for secrets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace etcd_snapshot::bench {

// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // 0 <= result < bound; the bias of the modulo does not matter for bounds this small.
  uint64_t below(uint64_t bound) { return next() % bound; }

  // low <= result <= high
  uint64_t between(uint64_t low, uint64_t high) { return low + below(high - low + 1); }

  bool chance(unsigned percent) { return below(100) < percent; }

  // `size` characters of `alphabet`.
  std::string text(size_t size, std::string_view alphabet) {
    std::string result(size, '\0');
    for (char& c : result) c = alphabet[below(alphabet.size())];
    return result;
  }

  template <typename Table>
  const auto& pick(const Table& table) {
    return table[below(std::size(table))];
  }

 private:
  uint64_t state_;
};

}  // namespace etcd_snapshot::bench
