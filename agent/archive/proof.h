// The proof: a streaming check that an etcd snapshot is whole.
//
// etcd sends the database and then the 32 bytes of its SHA-256 (etcd server/etcdserver/api/v3rpc/
// maintenance.go, Snapshot). A snapshot is good when its size modulo 512 is 32 and the last 32
// bytes are the digest of all that precedes them; the third condition, grpc-status 0, is the
// client's. A digest alone, of no database at all, is not good.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"

namespace etcd_snapshot {

struct Proof {
  int64_t database_bytes = 0;  // without the trailer
  std::string sha256;          // 64 hex digits
};

class SnapshotProof {
 public:
  SnapshotProof();
  ~SnapshotProof();
  SnapshotProof(const SnapshotProof&) = delete;
  SnapshotProof& operator=(const SnapshotProof&) = delete;

  // The next bytes of the snapshot, in pieces of any size. Constant memory.
  Result<void> update(Bytes bytes);
  // After the last piece: kUnverified (retryable) with sizes and digests in the message, or the
  // proof.
  Result<Proof> finish();
  int64_t received_bytes() const { return received_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  int64_t received_ = 0;
};

}  // namespace etcd_snapshot
