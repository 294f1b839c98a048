#include "etcd/client.h"

#include <fmt/format.h>

#include <charconv>
#include <sstream>

#include "etcd/grpc.h"
#include "etcd/protobuf.h"
#include "etcd/refusal.h"

namespace etcd_snapshot {
namespace {

constexpr char kAuthenticate[] = "/etcdserverpb.Auth/Authenticate";
constexpr char kStatus[] = "/etcdserverpb.Maintenance/Status";
constexpr char kRange[] = "/etcdserverpb.KV/Range";
constexpr char kSnapshot[] = "/etcdserverpb.Maintenance/Snapshot";

Error malformed(const std::string& url, const char* what) {
  Error error;
  error.kind = ErrorKind::kUnavailable;
  error.message = url + ": its " + what + " cannot be read";
  error.hint = "check that the address is etcd's client port";
  return error;
}

void read_header(std::string_view bytes, MemberStatus& status, bool& failed) {
  ProtoReader reader(bytes);
  while (const auto field = reader.next()) {
    if (field->type != WireType::kVarint) continue;
    if (field->number == 1) status.cluster_id = field->varint;
    if (field->number == 2) status.member_id = field->varint;
    if (field->number == 3) status.revision = static_cast<int64_t>(field->varint);
  }
  failed = failed || reader.failed();
}

// An alarm as Status words it: "memberID:10501334649042878790 alarm:NOSPACE ", with one blank or
// more (AlarmMember's text; the Go library varies the blanks on purpose).
struct Alarm {
  std::string kind;
  uint64_t member_id = 0;  // 0: none named
};

std::optional<Alarm> read_alarm(const std::string& error) {
  Alarm alarm;
  std::istringstream words(error);
  for (std::string word; words >> word;) {
    constexpr std::string_view kMember = "memberID:", kAlarm = "alarm:";
    if (word.starts_with(kAlarm)) alarm.kind = word.substr(kAlarm.size());
    if (!word.starts_with(kMember)) continue;
    std::from_chars(word.data() + kMember.size(), word.data() + word.size(), alarm.member_id);
  }
  if (alarm.kind.empty()) return std::nullopt;
  return alarm;
}

// Hexadecimal, as etcdctl prints ids and takes them.
std::string alarm_text(const Alarm& alarm) {
  if (alarm.member_id == 0) return alarm.kind;
  return fmt::format("{} (member {:x})", alarm.kind, alarm.member_id);
}

// RangeResponse.header.revision; 0 where it cannot be read.
int64_t revision_of(std::string_view answer) {
  MemberStatus header;
  bool failed = false;
  ProtoReader reader(answer);
  while (const auto field = reader.next()) {
    if (field->number == 1 && field->type == WireType::kBytes)
      read_header(field->bytes, header, failed);
  }
  return failed ? 0 : header.revision;
}

}  // namespace

HttpRequest Member::request(const char* method, std::string message) const {
  HttpRequest request;
  request.method = "POST";
  request.url = endpoint_.url + method;
  request.version = HttpVersion::kHttp2;
  request.headers = {"content-type: application/grpc", "te: trailers"};
  if (!token_.empty()) request.headers.push_back("token: " + token_);
  request.body = grpc_frame(message);
  request.tls = endpoint_.tls;
  request.connect_timeout_s = timeouts_.connect_timeout_s;
  request.stall_timeout_s = timeouts_.stall_timeout_s;
  request.deadline = timeouts_.deadline;
  return request;
}

Result<std::string> Member::unary(const char* method, std::string message) {
  HttpRequest call = request(method, std::move(message));
  call.total_timeout_s = timeouts_.connect_timeout_s + timeouts_.patience_s;
  HttpResponse response;
  UnaryMessage answer(response);
  if (auto done = http_->perform(call, response, answer); !done) {
    return explain(done.take_error(), response);
  }
  ES_TRY(check_grpc_response(response, endpoint_.url, endpoint_.username));
  return answer.take(endpoint_.url);
}

// Adds what is known here and not below: which member it was, which files were used, and what it
// had answered before the transfer failed.
Error Member::explain(Error error, const HttpResponse& response) const {
  const bool of_etcd =
      error.kind == ErrorKind::kUnavailable || error.kind == ErrorKind::kUnverified;
  if (!of_etcd) return error;
  if (auto refusal = early_refusal(response, endpoint_.url, endpoint_.username)) {
    return std::move(*refusal);
  }
  if (!error.message.starts_with(endpoint_.url)) error = std::move(error).within(endpoint_.url);
  if (!error.hint.empty()) return error;
  if (!endpoint_.url.starts_with("https://")) {
    error.hint = "if etcd asks for TLS on this port, write https:// and name the certificates";
  } else if (endpoint_.tls.cert_file.empty()) {
    error.hint = "etcd may ask for a client certificate: set [etcd] cert_file and key_file";
  } else {
    error.hint = "etcd may not accept the client certificate " + endpoint_.tls.cert_file;
  }
  return error;
}

Result<void> Member::authenticate() {
  if (endpoint_.username.empty()) return {};
  token_.clear();
  std::string message;
  put_bytes_field(message, 1, endpoint_.username);
  put_bytes_field(message, 2, endpoint_.password);
  auto answer = unary(kAuthenticate, std::move(message));
  if (!answer) {
    // A cluster whose RBAC is off says so; it then serves without a token, as etcdctl relies on
    // too.
    if (answer.error().grpc_code == kGrpcFailedPrecondition &&
        answer.error().message.find("authentication is not enabled") != std::string::npos) {
      return {};
    }
    return answer.take_error().within("user '" + endpoint_.username + "'");
  }
  ProtoReader reader(*answer);
  while (const auto field = reader.next()) {
    if (field->number == 2 && field->type == WireType::kBytes) token_ = field->bytes;
  }
  // The token becomes a header line: one with a line break in it would add lines of its own.
  if (reader.failed() || token_.empty() || token_.find_first_of("\r\n") != token_.npos) {
    token_.clear();
    return malformed(endpoint_.url, "answer to Authenticate");
  }
  return {};
}

Result<MemberStatus> Member::status() {
  ES_ASSIGN(answer, unary(kStatus, ""));
  MemberStatus status;
  bool failed = false;
  ProtoReader reader(answer);
  while (const auto field = reader.next()) {
    const bool varint = field->type == WireType::kVarint;
    const bool bytes = field->type == WireType::kBytes;
    if (field->number == 1 && bytes) read_header(field->bytes, status, failed);
    if (field->number == 2 && bytes) status.version = field->bytes;
    if (field->number == 3 && varint) status.database_bytes = static_cast<int64_t>(field->varint);
    if (field->number == 4 && varint) status.leader = field->varint;
    if (field->number == 8 && bytes) status.errors.emplace_back(field->bytes);
    if (field->number == 10 && varint) status.is_learner = field->varint != 0;
  }
  if (failed || reader.failed() || status.member_id == 0 || status.database_bytes < 0) {
    return malformed(endpoint_.url, "answer to Status");
  }
  return status;
}

ClusterHealth Member::health(const MemberStatus& status) {
  ClusterHealth health;
  const auto add = [&health](std::string& where, const std::string& text) {
    health.healthy = false;
    if (!where.empty()) where += "; ";
    where += text;
  };
  health.learner = status.is_learner;
  for (const std::string& error : status.errors) {
    const auto alarm = read_alarm(error);
    if (!alarm) {
      add(health.reason, error);
      continue;
    }
    add(health.alarms, alarm_text(*alarm));
    if (alarm->kind == "CORRUPT" && alarm->member_id == status.member_id) health.corrupt = true;
  }
  if (status.leader == 0 && status.errors.empty()) add(health.reason, "the member knows no leader");
  if (status.leader == 0 || status.is_learner) return health;
  std::string message;
  put_bytes_field(message, 1, "health");  // RangeRequest.key; serializable = false is the default
  const auto answer = unary(kRange, std::move(message));
  if (answer) {
    health.revision = revision_of(*answer);
  } else if (!permission_denied(answer.error())) {
    add(health.reason, "no linearizable read: " + answer.error().message);
  }
  return health;
}

std::string ClusterHealth::summary() const {
  return alarms + (alarms.empty() || reason.empty() ? "" : "; ") + reason;
}

Result<int64_t> Member::try_snapshot() {
  class FirstBytes final : public SnapshotReceiver {
   public:
    Result<void> begin(int64_t expected_bytes) override {
      announced = expected_bytes;
      return Error{ErrorKind::kCancelled, "the first bytes are enough", "", false, 0};
    }
    Result<void> receive(Bytes) override { return {}; }
    std::optional<int64_t> announced;
  } first;
  auto streamed = snapshot(first);
  if (first.announced) return *first.announced;
  if (!streamed) return streamed.take_error();
  return malformed(endpoint_.url, "snapshot");
}

Result<void> Member::snapshot(SnapshotReceiver& receiver) {
  HttpResponse response;
  // Only the body of a good answer is a stream; an error page is not parsed as one.
  class Guard final : public ByteSink {
   public:
    Guard(const HttpResponse& answer, SnapshotStream& into) : answer_(answer), into_(into) {}
    Result<void> write(Bytes bytes) override {
      return is_grpc(answer_) ? into_.write(bytes) : Result<void>();
    }

   private:
    const HttpResponse& answer_;
    SnapshotStream& into_;
  };
  SnapshotStream stream(receiver);
  Guard guard(response, stream);
  HttpRequest call = request(kSnapshot, "");
  call.bulk_response = true;
  call.progress = [&stream] { return stream.blob_bytes(); };
  if (auto done = http_->perform(call, response, guard); !done) {
    Error error = done.take_error();
    // Few of them in a long time, where something between holds them up.
    if (error.kind == ErrorKind::kUnavailable && stream.ran_dry()) {
      return explain(stream.unreadable(), response);
    }
    if (error.kind == ErrorKind::kUnavailable && stream.blob_bytes() > 0 && error.hint.empty()) {
      error.hint = "it went away in the middle of the stream: look at the member's log";
    }
    return explain(std::move(error), response);
  }
  ES_TRY(check_grpc_response(response, endpoint_.url, endpoint_.username));
  if (auto whole = stream.finish(); !whole) return explain(whole.take_error(), response);
  return {};
}

}  // namespace etcd_snapshot
