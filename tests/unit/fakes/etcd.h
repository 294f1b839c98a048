// An etcd behind the HTTP seam: answers Status, Range, Authenticate and Snapshot as the real one
// does, and as a test scripts it. Include before CppUTest's headers.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/http.h"

namespace etcd_snapshot {

// What one call gets.
struct FakeReply {
  std::optional<Error> error{};  // of the network, after everything else was handed over
  long http_status = 200;
  std::string content_type = "application/grpc";
  std::string body{};      // framed messages
  size_t piece_bytes = 0;  // how the body is cut for the sink; 0 = in one piece
  std::string grpc_status = "0", grpc_message{};  // trailers; an empty status is left out
};

// A message in its frame.
FakeReply reply_with(const std::string& message);
// Trailers-only, as etcd refuses a call.
FakeReply refuse(int grpc_code, const std::string& message);
// The network's fault: no body, a retryable kUnavailable.
FakeReply network_error(const std::string& message);

// SnapshotResponse{remaining_bytes, blob} in its frame.
std::string snapshot_message(uint64_t remaining_bytes, std::string_view blob);
// What etcd streams of a database: messages of `blob_bytes`, then the digest in one of its own.
std::string snapshot_body(const std::string& database, size_t blob_bytes = 32 * 1024);
// A database of so many bytes (a multiple of 512), compressible by about a half.
std::string fake_database(size_t bytes, unsigned seed = 1);
// Its SHA-256, raw.
std::string digest_of(const std::string& database);

class FakeEtcd final : public HttpClient {
 public:
  Result<void> perform(const HttpRequest& request, HttpResponse& response, ByteSink& body) override;

  // --- what it says of itself
  uint64_t cluster_id = 0xcdf818194e3a8c32, member_id = 0x8e9e05c52164694d, leader = member_id;
  int64_t revision = 1000;
  std::string version = "3.4.23";
  std::vector<std::string> errors;
  std::string database = fake_database(64 * 1024);
  std::optional<uint64_t> claimed_bytes;  // what Status says of its size; unset: the truth
  std::string username, password;         // where set, every call but Authenticate asks for `token`
  std::string token = "simple.1";
  bool learner = false;
  std::optional<int64_t> read_revision;  // in the header of a Range answer

  // --- what goes wrong
  std::map<std::string, std::deque<FakeReply>> script;  // by method; used up, then as above
  // By origin and method, each time: a member of its own.
  std::map<std::string, std::map<std::string, FakeReply>> at;
  std::set<std::string> dead;  // origins that refuse connections
  // Called with the method before each answer.
  std::function<void(const std::string&)> before_answer;

  // --- what it was asked
  std::vector<HttpRequest> requests;
  int calls(const std::string& method) const;
  std::string status_message() const;

 private:
  FakeReply answer(const HttpRequest& request, const std::string& method) const;
};

// The value of a request's header, empty where it has none.
std::string header_of(const HttpRequest& request, const std::string& name);

}  // namespace etcd_snapshot
