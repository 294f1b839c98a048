// From settings to a member that answers: which endpoints to ask, with which certificates and whose
// password, in which order.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"
#include "etcd/client.h"

namespace etcd_snapshot {

// One place to try.
struct Candidate {
  std::string source;  // "etcd-snapshot.conf", or where it was found (etcd/discovery.h)
  Endpoint endpoint;
  // What could not be read in the search for it: it may be what was looked for.
  std::vector<std::string> notes{};
};

// The configured endpoints, else what is found under `root`. Reads the password file; kConfig.
Result<std::vector<Candidate>> endpoint_candidates(const EtcdSettings& settings,
                                                   const std::string& root = "");

// Looks at the candidate's certificate files before they are used. kConfig naming the file:
// missing, unreadable, no certificate, not a pair. A certificate out of its time is not an error
// here (the clock may be the wrong one): it comes back as the text of a note, empty when all is
// well.
Result<std::string> check_certificates(const Endpoint& endpoint, UnixSeconds now);

// A member that answered, and what it said.
struct Connection {
  Member member;
  std::string source;
  MemberStatus status;
  ClusterHealth health;
  std::vector<std::string> passed_over;  // why earlier candidates were not taken
};

// Asks the candidates in order until one answers. The error is the one candidate's, or names them
// all; retryable if any of them is.
Result<Connection> connect_member(HttpClient& http, const std::vector<Candidate>& candidates,
                                  const EtcdTimeouts& timeouts, UnixSeconds now);

}  // namespace etcd_snapshot
