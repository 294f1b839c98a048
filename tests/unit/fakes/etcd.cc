#include "etcd.h"

#include <openssl/sha.h>

#include <algorithm>

#include "etcd/grpc.h"
#include "etcd/protobuf.h"

namespace etcd_snapshot {

FakeReply reply_with(const std::string& message) {
  FakeReply reply;
  reply.body = grpc_frame(message);
  return reply;
}

FakeReply refuse(int grpc_code, const std::string& message) {
  FakeReply reply;
  reply.grpc_status = std::to_string(grpc_code);
  reply.grpc_message = message;
  return reply;
}

FakeReply network_error(const std::string& message) {
  FakeReply reply;
  reply.error = Error{ErrorKind::kUnavailable, message, "", true, 56};
  reply.http_status = 0;
  reply.content_type.clear();
  reply.grpc_status.clear();
  return reply;
}

std::string snapshot_message(uint64_t remaining_bytes, std::string_view blob) {
  std::string message;
  if (remaining_bytes != 0) put_varint_field(message, 2, remaining_bytes);
  if (!blob.empty()) put_bytes_field(message, 3, blob);
  return grpc_frame(message);
}

std::string snapshot_body(const std::string& database, size_t blob_bytes) {
  std::string body;
  for (size_t at = 0; at < database.size();) {
    const size_t count = std::min(blob_bytes, database.size() - at);
    body += snapshot_message(database.size() - at - count, database.substr(at, count));
    at += count;
  }
  return body + snapshot_message(0, digest_of(database));
}

std::string fake_database(size_t bytes, unsigned seed) {
  std::string database(bytes, '\0');
  uint32_t state = seed;
  for (size_t i = 0; i < bytes; i += 2) {
    state = state * 1664525 + 1013904223;
    database[i] = static_cast<char>(state >> 24);
  }
  return database;
}

std::string digest_of(const std::string& database) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(database.data()), database.size(), digest);
  return {reinterpret_cast<const char*>(digest), sizeof digest};
}

std::string header_of(const HttpRequest& request, const std::string& name) {
  for (const std::string& line : request.headers) {
    if (line.starts_with(name + ": ")) return line.substr(name.size() + 2);
  }
  return {};
}

std::string FakeEtcd::status_message() const {
  std::string header;
  put_varint_field(header, 1, cluster_id);
  put_varint_field(header, 2, member_id);
  put_varint_field(header, 3, static_cast<uint64_t>(revision));
  put_varint_field(header, 4, 7);  // raft_term
  std::string message;
  put_bytes_field(message, 1, header);
  put_bytes_field(message, 2, version);
  put_varint_field(message, 3, claimed_bytes.value_or(database.size()));
  if (leader != 0) put_varint_field(message, 4, leader);
  put_varint_field(message, 5, 4242);  // raftIndex
  put_varint_field(message, 6, 7);     // raftTerm
  put_varint_field(message, 7, 4242);  // raftAppliedIndex
  for (const std::string& error : errors) put_bytes_field(message, 8, error);
  put_varint_field(message, 9, database.size() / 2);  // dbSizeInUse
  if (learner) put_varint_field(message, 10, 1);
  return message;
}

FakeReply FakeEtcd::answer(const HttpRequest& request, const std::string& method) const {
  if (method == "Authenticate") {
    if (username.empty()) return refuse(9, "etcdserver: authentication is not enabled");
    std::string name, word;
    ProtoReader reader(std::string_view(request.body).substr(5));
    while (const auto field = reader.next()) {
      if (field->number == 1) name = field->bytes;
      if (field->number == 2) word = field->bytes;
    }
    if (name != username || word != password) {
      return refuse(3, "etcdserver: authentication failed, invalid user ID or password");
    }
    std::string message;
    put_bytes_field(message, 1, "");
    put_bytes_field(message, 2, token);
    return reply_with(message);
  }
  if (!username.empty() && header_of(request, "token") != token) {
    return refuse(3, "etcdserver: user name is empty");
  }
  if (method == "Status") return reply_with(status_message());
  if (method == "Range") {
    std::string header, message;
    if (read_revision) {
      put_varint_field(header, 3, static_cast<uint64_t>(*read_revision));
      put_bytes_field(message, 1, header);
    }
    return reply_with(message);
  }
  if (method == "Snapshot") {
    FakeReply reply;
    reply.body = snapshot_body(database);
    reply.piece_bytes = 16 * 1024;
    return reply;
  }
  return refuse(12, "unknown method " + method);
}

Result<void> FakeEtcd::perform(const HttpRequest& request, HttpResponse& response, ByteSink& body) {
  requests.push_back(request);
  response = {};
  const size_t path = request.url.find('/', request.url.find("://") + 3);
  const std::string origin = request.url.substr(0, path);
  const std::string method = request.url.substr(request.url.rfind('/') + 1);
  if (before_answer) before_answer(method);
  if (dead.contains(origin)) {
    return Error{ErrorKind::kUnavailable, origin + ": Connection refused",
                 "check that it is running and that the address is right", true, 7};
  }
  FakeReply reply;
  if (auto& next = script[method]; !next.empty()) {
    reply = next.front();
    next.pop_front();
  } else if (at[origin].contains(method)) {
    reply = at[origin][method];
  } else {
    reply = answer(request, method);
  }
  response.status = reply.http_status;
  response.headers["content-type"] = reply.content_type;
  const size_t piece =
      reply.piece_bytes == 0 ? std::max<size_t>(reply.body.size(), 1) : reply.piece_bytes;
  for (size_t begin = 0; begin < reply.body.size(); begin += piece) {
    // A copy of its own, so that the sanitizer sees who reads beyond a piece.
    const std::string copy = reply.body.substr(begin, piece);
    ES_TRY(body.write(as_bytes(copy)));
  }
  // Without a body the trailers are the headers' frame (Trailers-Only).
  auto& fields = reply.body.empty() ? response.headers : response.trailers;
  if (!reply.grpc_status.empty()) fields["grpc-status"] = reply.grpc_status;
  if (!reply.grpc_message.empty()) fields["grpc-message"] = reply.grpc_message;
  if (reply.error) return *reply.error;
  return {};
}

int FakeEtcd::calls(const std::string& method) const {
  return static_cast<int>(std::count_if(
      requests.begin(), requests.end(),
      [&](const HttpRequest& request) { return request.url.ends_with("/" + method); }));
}

}  // namespace etcd_snapshot
