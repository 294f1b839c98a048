// From settings to a member that answers: which endpoints to ask, with which certificates and whose
// password, in which order.
#pragma once

#include <optional>
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

// The candidates in their order, but those whose client certificate is out of its time behind the
// others: of several, the one that works is taken.
std::vector<Candidate> valid_first(std::vector<Candidate> candidates, UnixSeconds now);

// A member that answered, and what it said.
struct Connection {
  Member member;
  std::string source;
  MemberStatus status;  // its revision is that of the linearizable read, where there was one
  ClusterHealth health;
  std::vector<std::string> passed_over;  // why other candidates were not taken
};

// Gives out the members one after the other, the best first: a healthy one, in the order of the
// candidates and without asking those behind it; a healthy learner whose version serves its
// snapshot; one whose cluster has an alarm; then those that are cut off, the one that knows most
// first. Where there are several, each question has connect_timeout_s and no more.
class MemberChoice {
 public:
  MemberChoice(HttpClient& http, std::vector<Candidate> candidates, const EtcdTimeouts& timeouts,
               UnixSeconds now);

  // The best that was not given out yet. Error, where none is left: that of the one candidate, or
  // one that names them all; retryable if any of them is.
  Result<Connection> next();

  // What is taken after a member that refused its snapshot, or whose stream broke off.
  enum class Then {
    kAny,      // whoever is left
    kHealthy,  // none but a healthy one: to ask again later is better than an older state
  };
  void pass_over(Error error, Then then);

 private:
  struct Answered {
    int rank;
    Connection connection;
  };

  std::optional<Connection> take_best(int worst);
  std::vector<std::string> reasons() const;
  Error none_left() const;

  HttpClient& http_;
  std::vector<Candidate> candidates_;
  EtcdTimeouts timeouts_;
  UnixSeconds now_;
  size_t asked_ = 0;  // of the candidates
  std::vector<Answered> waiting_;
  std::vector<Error> errors_;    // of those that did not answer, in their order
  std::vector<Error> refusals_;  // of those that were given out
  Then then_ = Then::kAny;
};

// The first that a MemberChoice gives out.
Result<Connection> connect_member(HttpClient& http, const std::vector<Candidate>& candidates,
                                  const EtcdTimeouts& timeouts, UnixSeconds now);

}  // namespace etcd_snapshot
