// The etcd member as the agent sees it: who it is, whether its cluster is well, and its snapshot.
// One Member is one endpoint; choosing among endpoints and retrying is the caller's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/http.h"
#include "etcd/snapshot_stream.h"

namespace etcd_snapshot {

// Where and as whom to reach a member.
struct Endpoint {
  std::string url;  // http://host:port or https://host:port
  TlsFiles tls;
  std::string username,
      password;  // empty: etcd's RBAC is off, or the client certificate is the user
};

struct EtcdTimeouts {
  int connect_timeout_s = 10;
  int stall_timeout_s = 60;
  std::optional<Nanoseconds> deadline;  // of the cycle
  // What a question before the stream may take beyond connect_timeout_s. etcd gives up on a read
  // after 5 s plus two election timeouts (server config ReqTimeout), and what it answers then says
  // more than a timeout of ours.
  int patience_s = 15;
};

// Maintenance/Status (etcd api/etcdserverpb/rpc.proto, StatusResponse and ResponseHeader).
struct MemberStatus {
  uint64_t cluster_id = 0;
  uint64_t member_id = 0;
  int64_t revision = 0;
  std::string version;         // "3.4.23"
  int64_t database_bytes = 0;  // allocated, as the stream will send it
  uint64_t leader = 0;         // 0: the member knows none
  bool is_learner = false;
  std::vector<std::string> errors;  // alarms and "no leader", as etcd words them (3.4 and later)
};

// How the cluster is, as far as this member can tell.
struct ClusterHealth {
  bool healthy = true;   // it served a linearizable read (a learner: knows a leader), no alarm
  std::string alarms;    // "NOSPACE (member 91bc3c398fb3c146)", "; " between; empty = none
  std::string reason;    // what else is wrong; empty = nothing
  bool learner = false;  // the member has no vote: it serves no such read, and may lag behind
  bool corrupt = false;  // the alarm CORRUPT names this very member
  int64_t revision = 0;  // of the linearizable read; 0 = there was none

  // Whether what this member holds is what the cluster has agreed on, and all is well: what pruning
  // rests on.
  bool current() const { return healthy && !learner; }

  // Alarms and reason in one text.
  std::string summary() const;
};

class Member {
 public:
  Member(HttpClient& http, Endpoint endpoint, EtcdTimeouts timeouts)
      : http_(&http), endpoint_(std::move(endpoint)), timeouts_(timeouts) {}

  const std::string& url() const { return endpoint_.url; }
  const Endpoint& endpoint() const { return endpoint_; }

  // Gets a token where a user name is set; no user name, or a cluster without RBAC: nothing to do.
  // Errors (all calls): kUnavailable with the endpoint in the message, retryable where time may
  // mend it; kConfig for a certificate file that cannot be used; kCancelled.
  Result<void> authenticate();

  Result<MemberStatus> status();

  // A linearizable read, and the alarms of `status`. Never an error: not to be able to tell is not
  // healthy either. As `etcdctl endpoint health`, a refusal for lack of permission is an answer. A
  // member that knows no leader is not asked: it would wait for one until its time is over.
  ClusterHealth health(const MemberStatus& status);

  // Asks for the snapshot and ends the call at the first bytes of its stream: whether this member
  // serves one, and to this user. The number of bytes that it announces, as SnapshotReceiver.
  Result<int64_t> try_snapshot();

  // Streams the snapshot. Good only if it returns ok AND the receiver proves the bytes.
  Result<void> snapshot(SnapshotReceiver& receiver);

 private:
  HttpRequest request(const char* method, std::string message) const;
  Result<std::string> unary(const char* method, std::string message);
  Error explain(Error error, const HttpResponse& response) const;

  HttpClient* http_;  // a pointer, so that a Member can be assigned
  Endpoint endpoint_;
  EtcdTimeouts timeouts_;
  std::string token_;
};

}  // namespace etcd_snapshot
