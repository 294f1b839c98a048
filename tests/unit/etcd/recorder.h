// A receiver that keeps what it gets, and the feeding of a stream in pieces. Include before
// CppUTest's headers.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "etcd/snapshot_stream.h"

namespace etcd_snapshot {

class Recorder final : public SnapshotReceiver {
 public:
  Result<void> begin(int64_t expected_bytes) override {
    ++begins;
    expected = expected_bytes;
    if (fail_begin) return *fail_begin;
    return {};
  }
  Result<void> receive(Bytes bytes) override {
    if (begins == 0) out_of_order = true;
    if (fail_receive && content.size() >= fail_after_bytes) return *fail_receive;
    content += as_text(bytes);
    largest = std::max(largest, bytes.size());
    return {};
  }
  int begins = 0;
  int64_t expected = 0;
  bool out_of_order = false;
  std::string content;
  size_t largest = 0;
  std::optional<Error> fail_begin, fail_receive;
  size_t fail_after_bytes = 0;
};

struct Outcome {
  std::optional<Error> error;  // of a write, or of finish()
};

// Each piece is a copy of its own: the sanitizer sees who reads beyond it.
inline Outcome feed(const std::string& body, size_t piece, SnapshotReceiver& receiver) {
  SnapshotStream stream(receiver);
  for (size_t at = 0; at < body.size(); at += piece) {
    const std::string copy = body.substr(at, piece);
    if (auto written = stream.write(as_bytes(copy)); !written) return {written.take_error()};
  }
  if (auto finished = stream.finish(); !finished) return {finished.take_error()};
  return {};
}

}  // namespace etcd_snapshot
