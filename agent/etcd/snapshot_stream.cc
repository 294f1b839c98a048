#include "etcd/snapshot_stream.h"

#include <algorithm>
#include <string>

namespace etcd_snapshot {
namespace {

constexpr int kRemainingBytes = 2;
constexpr int kBlob = 3;
constexpr int64_t kDigestBytes = 32;
// No etcd that can read its file sends one; so many are a loop, and cost it half a processor.
constexpr int kManyEmptyMessages = 1000;

Error malformed(const std::string& what) {
  Error error;
  error.kind = ErrorKind::kUnavailable;
  error.message = "the snapshot stream is not one of etcd: " + what;
  error.hint = "check that the address is etcd's client port and that nothing between changes it";
  error.retryable = true;
  return error;
}

}  // namespace

Result<void> SnapshotStream::write(Bytes bytes) {
  while (!bytes.empty()) {
    if (state_ == State::kBlob || state_ == State::kSkip) {
      const auto count = static_cast<size_t>(std::min<uint64_t>(run_left_, bytes.size()));
      if (state_ == State::kBlob) {
        ES_TRY(receiver_.receive(bytes.first(count)));
        blob_bytes_ += static_cast<int64_t>(count);
      }
      bytes = bytes.subspan(count);
      run_left_ -= count;
      message_left_ -= count;
      if (run_left_ == 0) ES_TRY(next_field());
      continue;
    }
    ES_TRY(step(static_cast<uint8_t>(bytes.front())));
    bytes = bytes.subspan(1);
  }
  return {};
}

Result<void> SnapshotStream::finish() const {
  if (state_ == State::kPrefix && prefix_bytes_ == 0 && remaining_ == 0) return {};
  Error error;
  error.kind = ErrorKind::kUnverified;
  error.message =
      "the snapshot stream was cut short after " + std::to_string(blob_bytes_) + " bytes";
  if (remaining_ > 0) error.message += ", " + std::to_string(remaining_) + " were still to come";
  error.hint = "nothing was stored; older snapshots are untouched";
  error.retryable = true;
  return error;
}

Error SnapshotStream::unreadable() const {
  Error error;
  error.kind = ErrorKind::kUnavailable;
  error.message =
      "the member cannot read its database file to the end: it sends empty messages after " +
      std::to_string(blob_bytes_) + " bytes";
  if (remaining_ > 0) error.message += ", " + std::to_string(remaining_) + " were still to come";
  error.hint =
      "take the snapshot from another member ([etcd] endpoints); look at this member's disk "
      "(journalctl -k) and at the file member/snap/db in its data directory, then replace the "
      "member "
      "(etcdctl member remove, etcdctl member add)";
  return error;
}

// One byte of anything but payload.
Result<void> SnapshotStream::step(uint8_t byte) {
  if (state_ == State::kPrefix) {
    prefix_[prefix_bytes_++] = byte;
    if (prefix_bytes_ < 5) return {};
    if (prefix_[0] != 0) return malformed("a compressed message, which was not asked for");
    message_left_ = 0;
    for (int i = 1; i < 5; ++i) message_left_ = message_left_ << 8 | prefix_[i];
    prefix_bytes_ = 0;
    remaining_ = 0;  // proto3 leaves out a field that is zero
    message_blob_ = blob_bytes_;
    return next_field();
  }
  --message_left_;
  if (shift_ > 63) return malformed("a number of more than ten bytes");
  value_ |= static_cast<uint64_t>(byte & 0x7f) << shift_;
  shift_ += 7;
  if ((byte & 0x80) != 0) {
    return message_left_ > 0 ? Result<void>() : malformed("a number that goes beyond its message");
  }
  return end_varint();
}

Result<void> SnapshotStream::end_varint() {
  const uint64_t value = std::exchange(value_, 0);
  shift_ = 0;
  switch (state_) {
    case State::kTag: {
      field_ = static_cast<int>(std::min<uint64_t>(value >> 3, 1 << 29));
      switch (value & 7) {
        case 0:
          state_ = State::kVarint;
          break;
        case 1:
          begin_bytes(8, State::kSkip);
          break;
        case 2:
          state_ = State::kLength;
          break;
        case 5:
          begin_bytes(4, State::kSkip);
          break;
        default:
          return malformed("a field of an unknown type");
      }
      break;
    }
    case State::kVarint:
      if (field_ == kRemainingBytes) {
        // Beyond any database, and what is added to it stays within an int64_t.
        if (value > INT64_MAX / 2) return malformed("a remaining_bytes that no database has");
        remaining_ = static_cast<int64_t>(value);
      }
      return next_field();
    case State::kLength:
      begin_bytes(value, field_ == kBlob ? State::kBlob : State::kSkip);
      break;
    default:
      break;
  }
  if ((state_ == State::kBlob || state_ == State::kSkip) && run_left_ > message_left_) {
    return malformed("a field that goes beyond its message");
  }
  if (state_ == State::kBlob) ES_TRY(begin_blob());
  if ((state_ == State::kBlob || state_ == State::kSkip) && run_left_ == 0) ES_TRY(next_field());
  if ((state_ == State::kVarint || state_ == State::kLength) && message_left_ == 0) {
    return malformed("a field that goes beyond its message");
  }
  return {};
}

Result<void> SnapshotStream::begin_blob() {
  if (begun_) return check_length();
  begun_ = true;
  // remaining_bytes counts the database behind this blob; the digest comes on top of it.
  announced_ = remaining_ + static_cast<int64_t>(run_left_) + kDigestBytes;
  return receiver_.begin(announced_);
}

// A stream without end would fill the disk.
Result<void> SnapshotStream::check_length() const {
  if (blob_bytes_ + static_cast<int64_t>(run_left_) <= announced_) return {};
  Error error;
  error.kind = ErrorKind::kUnverified;
  error.message = "the snapshot stream goes on after the " + std::to_string(announced_) +
                  " bytes that it announced";
  error.hint = "check that the address is etcd's client port and that nothing between changes it";
  error.retryable = true;
  return error;
}

Result<void> SnapshotStream::next_field() {
  if (message_left_ > 0) {
    state_ = State::kTag;
    return {};
  }
  state_ = State::kPrefix;
  return end_message();
}

Result<void> SnapshotStream::end_message() {
  if (blob_bytes_ > message_blob_ || (begun_ && remaining_ == 0)) {
    empty_messages_ = 0;
    return {};
  }
  return ++empty_messages_ < kManyEmptyMessages ? Result<void>() : unreadable();
}

void SnapshotStream::begin_bytes(uint64_t count, State state) {
  run_left_ = count;
  state_ = state;
}

}  // namespace etcd_snapshot
