#include "etcd/connect.h"

#include "base/files.h"
#include "base/x509.h"
#include "etcd/discovery.h"

namespace etcd_snapshot {
namespace {

constexpr char kDefaultTlsEndpoint[] = "https://127.0.0.1:2379";

// All of the file but the line break that editors add, which is not part of a password.
Result<std::string> read_password(const std::string& path) {
  ES_ASSIGN(text, read_file(path, ErrorKind::kConfig, 4096));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (!text.empty()) return text;
  return Error{ErrorKind::kConfig, path + ": the password file is empty",
               "put the password of the user [etcd] username into it", false, 0};
}

Result<Connection> connect_one(HttpClient& http, const Candidate& candidate,
                               const EtcdTimeouts& timeouts, UnixSeconds now) {
  ES_ASSIGN(note, check_certificates(candidate.endpoint, now));
  Member member(http, candidate.endpoint, timeouts);
  auto status = [&]() -> Result<MemberStatus> {
    ES_TRY(member.authenticate());
    return member.status();
  }();
  if (!status) {
    Error error = status.take_error();
    // The likely reason for a refused handshake comes first: it is what has to be mended.
    if (!note.empty() && error.kind == ErrorKind::kUnavailable) {
      error.hint = note + ": renew it, or set the clock";
    }
    return error;
  }
  const ClusterHealth health = member.health(*status);
  return Connection{std::move(member), candidate.source, std::move(*status), health, {}};
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
    note = validity_problem(authorities.front(), endpoint.tls.ca_file, now);
  }
  if (!endpoint.tls.cert_file.empty()) {
    ES_ASSIGN(client, check_key_pair(endpoint.tls.cert_file, endpoint.tls.key_file));
    const std::string problem = validity_problem(client, endpoint.tls.cert_file, now);
    if (!problem.empty()) note = problem;
  }
  return note;
}

Result<Connection> connect_member(HttpClient& http, const std::vector<Candidate>& candidates,
                                  const EtcdTimeouts& timeouts, UnixSeconds now) {
  std::vector<Error> errors;
  std::vector<std::string> passed_over;
  for (const Candidate& candidate : candidates) {
    auto connection = connect_one(http, candidate, timeouts, now);
    if (connection) {
      connection->passed_over = std::move(passed_over);
      return connection;
    }
    if (connection.error().kind == ErrorKind::kCancelled) return connection;
    passed_over.push_back(connection.error().message);
    errors.push_back(connection.take_error());
  }
  // Certificates that were found but cannot be read decide over an etcd that does not answer.
  Error all = errors.front();
  if (errors.size() == 1) return all;
  all.message = "no etcd answered";
  for (const std::string& message : passed_over) all.message += "; " + message;
  for (const Error& error : errors) all.retryable = all.retryable || error.retryable;
  return all;
}

}  // namespace etcd_snapshot
