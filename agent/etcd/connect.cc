#include "etcd/connect.h"

#include <algorithm>
#include <cstdio>

#include "base/files.h"
#include "base/shortage.h"
#include "base/x509.h"
#include "etcd/discovery.h"

namespace etcd_snapshot {
namespace {

constexpr char kDefaultTlsEndpoint[] = "https://127.0.0.1:2379";

// All of the file but the line break that editors add, which is not part of a password.
Result<std::string> read_password(const std::string& path) {
  auto read = read_file(path, ErrorKind::kConfig, 4096);
  if (!read) return own_shortage(read.take_error(), ErrorKind::kUnavailable);
  std::string text = std::move(*read);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (!text.empty()) return text;
  return Error{ErrorKind::kConfig, path + ": the password file is empty",
               "put the password of the user [etcd] username into it", false, 0};
}

Result<Connection> connect_one(HttpClient& http, const Candidate& candidate,
                               const EtcdTimeouts& timeouts, UnixSeconds now) {
  auto checked = check_certificates(candidate.endpoint, now);
  if (!checked) return own_shortage(checked.take_error(), ErrorKind::kUnavailable);
  const std::string& note = *checked;
  Member member(http, candidate.endpoint, timeouts);
  auto status = [&]() -> Result<MemberStatus> {
    ES_TRY(member.authenticate());
    return member.status();
  }();
  if (!status) {
    Error error = status.take_error();
    // The likely reason for a refused handshake comes first: it is what has to be mended.
    if (!note.empty() && error.kind == ErrorKind::kUnavailable && !never_connected(error)) {
      error.hint = note + ": renew it, or set the clock";
    }
    return error;
  }
  const ClusterHealth health = member.health(*status);
  // What the cluster had agreed on when the read was served; a follower may have been behind it
  // when it told its status.
  status->revision = std::max(status->revision, health.revision);
  return Connection{std::move(member), candidate.source, std::move(*status), health, {}};
}

// How good a member is for a snapshot; smaller is better.
constexpr int kHealthyRank = 0, kLearnerRank = 1, kAlarmRank = 2, kCutOffRank = 3, kCorruptRank = 4,
              kRefusingRank = 5, kWorstRank = kRefusingRank;

// From 3.5 on (etcd pull request 12890). Another version that serves it is found out by asking.
bool serves_learners_snapshot(const std::string& version) {
  int major = 0, minor = 0;
  if (sscanf(version.c_str(), "%d.%d", &major, &minor) != 2) return true;
  return major > 3 || (major == 3 && minor >= 5);
}

int rank_of(const MemberStatus& status, const ClusterHealth& health) {
  if (health.corrupt) return kCorruptRank;
  if (health.learner && !serves_learners_snapshot(status.version)) return kRefusingRank;
  if (health.healthy) return health.learner ? kLearnerRank : kHealthyRank;
  return health.reason.empty() && !health.learner ? kAlarmRank : kCutOffRank;
}

std::string why_not_first(const Connection& connection) {
  const std::string trouble = connection.health.summary();
  return connection.member.url() + ": " + (connection.health.learner ? "a learner" : "unhealthy") +
         (trouble.empty() ? "" : ": " + trouble);
}

}  // namespace

Result<std::vector<Candidate>> endpoint_candidates(const EtcdSettings& settings,
                                                   const std::string& root) {
  std::string password;
  if (!settings.password_file.empty()) {
    ES_ASSIGN(read, read_password(settings.password_file));
    password = read;
  }
  const TlsFiles tls{settings.ca_file, settings.cert_file, settings.key_file};
  const bool tls_set = !tls.ca_file.empty() || !tls.cert_file.empty();
  std::vector<Candidate> candidates;
  for (const std::string& url : settings.endpoints) {
    candidates.push_back({"etcd-snapshot.conf", {url, tls, settings.username, password}});
  }
  // Certificates without an endpoint mean the local member, over TLS.
  if (candidates.empty() && tls_set) {
    candidates.push_back(
        {"etcd-snapshot.conf", {kDefaultTlsEndpoint, tls, settings.username, password}});
  }
  if (!candidates.empty()) return candidates;
  Discovery discovery = discover_etcd(root);
  for (const FoundEtcd& found : discovery.found) {
    candidates.push_back({found.source, {found.url, found.tls, settings.username, password}});
  }
  candidates.front().notes = std::move(discovery.notes);
  return candidates;
}

Result<std::string> check_certificates(const Endpoint& endpoint, UnixSeconds now) {
  if (!endpoint.url.starts_with("https://")) return std::string();
  std::string note;
  if (!endpoint.tls.ca_file.empty()) {
    ES_ASSIGN(authorities, read_certificates(endpoint.tls.ca_file));
    note = validity_problem(authorities, endpoint.tls.ca_file, now);
  }
  if (!endpoint.tls.cert_file.empty()) {
    ES_ASSIGN(client, check_key_pair(endpoint.tls.cert_file, endpoint.tls.key_file));
    const std::string problem = validity_problem(client, endpoint.tls.cert_file, now);
    if (!problem.empty()) note = problem;
  }
  return note;
}

std::vector<Candidate> valid_first(std::vector<Candidate> candidates, UnixSeconds now) {
  std::stable_partition(candidates.begin(), candidates.end(), [now](const Candidate& candidate) {
    const auto note = check_certificates(candidate.endpoint, now);
    return !note || note->empty();  // one that cannot be read is told in its turn
  });
  return candidates;
}

MemberChoice::MemberChoice(HttpClient& http, std::vector<Candidate> candidates,
                           const EtcdTimeouts& timeouts, UnixSeconds now)
    : http_(http),
      candidates_(valid_first(std::move(candidates), now)),
      timeouts_(timeouts),
      now_(now) {
  if (candidates_.size() > 1) timeouts_.patience_s = 0;
}

Result<Connection> MemberChoice::next() {
  while (asked_ < candidates_.size()) {
    if (auto best = take_best(kHealthyRank)) return std::move(*best);
    auto connection = connect_one(http_, candidates_[asked_++], timeouts_, now_);
    if (connection) {
      const int rank = rank_of(connection->status, connection->health);
      waiting_.push_back({rank, std::move(*connection)});
    } else if (connection.error().kind == ErrorKind::kCancelled) {
      return connection;
    } else {
      errors_.push_back(connection.take_error());
    }
  }
  if (auto best = take_best(then_ == Then::kHealthy ? kHealthyRank : kWorstRank)) {
    return std::move(*best);
  }
  return none_left();
}

void MemberChoice::pass_over(Error error, Then then) {
  refusals_.push_back(std::move(error));
  then_ = then;
}

// The best of those that wait, if it is no worse than that.
std::optional<Connection> MemberChoice::take_best(int worst) {
  const auto best =
      std::min_element(waiting_.begin(), waiting_.end(), [](const Answered& a, const Answered& b) {
        if (a.rank != b.rank || a.rank < kCutOffRank) return a.rank < b.rank;
        return a.connection.status.revision > b.connection.status.revision;
      });
  if (best == waiting_.end() || best->rank > worst) return std::nullopt;
  Connection taken = std::move(best->connection);
  waiting_.erase(best);
  taken.passed_over = reasons();
  return taken;
}

std::vector<std::string> MemberChoice::reasons() const {
  std::vector<std::string> reasons;
  for (const Error& error : refusals_) reasons.push_back(error.message);
  for (const Error& error : errors_) reasons.push_back(error.message);
  for (const Answered& other : waiting_) reasons.push_back(why_not_first(other.connection));
  return reasons;
}

Error MemberChoice::none_left() const {
  // What was refused says more than who did not answer; of those, certificates that were found but
  // cannot be read decide over an etcd that does not answer.
  Error all = refusals_.empty() ? errors_.front() : refusals_.front();
  if (errors_.size() + refusals_.size() > 1) {
    all.message = refusals_.empty() ? "no etcd answered" : "no etcd served a snapshot";
    for (const std::string& reason : reasons()) all.message += "; " + reason;
  }
  for (const Candidate& candidate : candidates_) {
    for (const std::string& note : candidate.notes) all.message += "; " + note;
  }
  for (const auto* errors : {&errors_, &refusals_}) {
    for (const Error& error : *errors) all.retryable = all.retryable || error.retryable;
  }
  return all;
}

Result<Connection> connect_member(HttpClient& http, const std::vector<Candidate>& candidates,
                                  const EtcdTimeouts& timeouts, UnixSeconds now) {
  return MemberChoice(http, candidates, timeouts, now).next();
}

}  // namespace etcd_snapshot
