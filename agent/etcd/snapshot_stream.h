// Reads the body of a Maintenance/Snapshot answer as it arrives, in pieces of any size, without
// holding a message: blob bytes are handed on where they lie in the receive buffer.
//
// Wire facts: messages prefixed by one byte of flags and four of length (PROTOCOL-HTTP2.md);
// SnapshotResponse{header = 1, remaining_bytes = 2, blob = 3, version = 4} (etcd
// api/etcdserverpb/rpc.proto). The SHA-256 of the database comes as a blob of its own after
// remaining_bytes reached 0. Whether the bytes are good is archive/proof.h's question.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace etcd_snapshot {

// What the stream is handed to.
class SnapshotReceiver {
 public:
  virtual ~SnapshotReceiver() = default;
  // Once, before the first byte: how many bytes will come (database and digest), as etcd announces.
  virtual Result<void> begin(int64_t expected_bytes) = 0;
  virtual Result<void> receive(Bytes bytes) = 0;
};

class SnapshotStream final : public ByteSink {
 public:
  explicit SnapshotStream(SnapshotReceiver& receiver) : receiver_(receiver) {}

  // Errors: kUnavailable for what is no such stream, and for one that does not go on (see
  // unreadable()); kUnverified for one that does not end; the receiver's own.
  Result<void> write(Bytes bytes) override;

  // After the end of the body: an error (kUnverified, retryable) when it ended inside a message, or
  // when etcd still had bytes to send.
  Result<void> finish() const;

  // Bytes of the database and its digest so far: what is progress.
  int64_t blob_bytes() const { return blob_bytes_; }

  // Whether etcd's last message held nothing, although bytes are still to come. Its file ends
  // before its database does, or cannot be read: etcd takes no error for the end, and sends such
  // messages for ever (server/etcdserver/api/v3rpc/maintenance.go, 3.4 to 3.7).
  bool ran_dry() const { return empty_messages_ > 0; }
  // The error for it; not retryable: the member's disk is what has to be looked at.
  Error unreadable() const;

 private:
  enum class State { kPrefix, kTag, kVarint, kLength, kBlob, kSkip };

  Result<void> step(uint8_t byte);
  Result<void> end_varint();
  Result<void> begin_blob();
  Result<void> check_length() const;
  Result<void> end_message();
  Result<void> next_field();
  void begin_bytes(uint64_t count, State state);

  SnapshotReceiver& receiver_;
  State state_ = State::kPrefix;
  uint8_t prefix_[5] = {};
  int prefix_bytes_ = 0;
  uint64_t message_left_ = 0;  // bytes of the message behind the current position
  uint64_t value_ = 0;         // varint being read
  int shift_ = 0;
  int field_ = 0;
  uint64_t run_left_ = 0;  // bytes left of a blob or of a field that is passed over
  int64_t remaining_ = 0;
  int64_t blob_bytes_ = 0;
  bool begun_ = false;
  int64_t announced_ = 0;     // of database and digest
  int64_t message_blob_ = 0;  // blob_bytes_ at the beginning of the message
  int empty_messages_ = 0;    // in a row
};

}  // namespace etcd_snapshot
