#include "etcd/client.h"

#include <string>
#include <vector>

#include "../fakes/etcd.h"
#include "../text.h"
#include "etcd/grpc.h"
#include "etcd/protobuf.h"
#include "etcd/refusal.h"
#include "recorder.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

constexpr char kUrl[] = "https://10.0.0.1:2379";

}  // namespace

TEST_GROUP(Member) {
  FakeEtcd etcd;
  Endpoint endpoint{kUrl, {"/ca.pem", "/cert.pem", "/key.pem"}, "", ""};
  EtcdTimeouts timeouts{7, 33, Nanoseconds(5)};
  Member member() {
    return Member(etcd, endpoint, timeouts);
  }
  void check_unreadable(const Error& error) {
    CHECK_TRUE(error.kind == ErrorKind::kUnavailable);
    CHECK_FALSE(error.retryable);
    CHECK_TEXT(holds(error.message, kUrl), error.message.c_str());
  }
};

TEST(Member, AsksAsGrpcAsks) {
  CHECK_TRUE(member().status().ok());
  const HttpRequest& request = etcd.requests.at(0);
  STRCMP_EQUAL("https://10.0.0.1:2379/etcdserverpb.Maintenance/Status", request.url.c_str());
  STRCMP_EQUAL("POST", request.method.c_str());
  STRCMP_EQUAL("application/grpc", header_of(request, "content-type").c_str());
  STRCMP_EQUAL("trailers", header_of(request, "te").c_str());
  CHECK_TRUE(request.version == HttpVersion::kHttp2);
  CHECK_TRUE(request.body == std::string(5, '\0'));
  STRCMP_EQUAL("/ca.pem", request.tls.ca_file.c_str());
  STRCMP_EQUAL("/cert.pem", request.tls.cert_file.c_str());
  STRCMP_EQUAL("/key.pem", request.tls.key_file.c_str());
  STRCMP_EQUAL("", request.proxy.c_str());
  LONGS_EQUAL(7, request.connect_timeout_s);
  LONGS_EQUAL(33, request.stall_timeout_s);
  CHECK_TRUE(request.total_timeout_s > 7);
  CHECK_TRUE(request.deadline == Nanoseconds(5));
}

// A database of any size, at any pace that is not a stall.
TEST(Member, SetsNoTotalTimeForTheSnapshot) {
  Recorder recorder;
  CHECK_TRUE(member().snapshot(recorder).ok());
  STRCMP_EQUAL("https://10.0.0.1:2379/etcdserverpb.Maintenance/Snapshot",
               etcd.requests.at(0).url.c_str());
  LONGS_EQUAL(0, etcd.requests.at(0).total_timeout_s);
  LONGS_EQUAL(33, etcd.requests.at(0).stall_timeout_s);
}

TEST(Member, ReadsItsStatus) {
  etcd.errors = {"one", "two"};
  const auto status = member().status();
  CHECK_TRUE(status.ok());
  CHECK_TRUE(status->cluster_id == 0xcdf818194e3a8c32);
  CHECK_TRUE(status->member_id == 0x8e9e05c52164694d);
  CHECK_TRUE(status->leader == 0x8e9e05c52164694d);
  LONGS_EQUAL(1000, status->revision);
  LONGS_EQUAL(64 * 1024, status->database_bytes);
  STRCMP_EQUAL("3.4.23", status->version.c_str());
  CHECK_FALSE(status->is_learner);
  LONGS_EQUAL(2, status->errors.size());
}

TEST(Member, KnowsALearner) {
  std::string message = etcd.status_message();
  put_varint_field(message, 10, 1);
  etcd.script["Status"] = {reply_with(message)};
  CHECK_TRUE(member().status()->is_learner);
}

TEST(Member, RefusesAStatusThatIsNone) {
  std::string no_member, negative = etcd.status_message(), bad_header;
  put_bytes_field(no_member, 2, "3.4.23");
  put_varint_field(negative, 3, UINT64_MAX);
  put_bytes_field(bad_header, 1, "\x08");
  bad_header += etcd.status_message();
  const std::string whole = etcd.status_message();
  int number = 0;
  for (const std::string& message :
       {std::string(), no_member, negative, bad_header, whole.substr(0, whole.size() - 1),
        std::string("{\"health\":\"true\"}")}) {
    etcd.script["Status"] = {reply_with(message)};
    const auto status = member().status();
    CHECK_FALSE_TEXT(status.ok(), std::to_string(number).c_str());
    check_unreadable(status.error());
    ++number;
  }
}

TEST(Member, NamesTheEndpointInEveryError) {
  const struct {
    FakeReply reply;
    bool retryable;
  } rows[] = {
      {refuse(14, "etcdserver: no leader"), true},
      {refuse(7, "etcdserver: permission denied"), false},
      {FakeReply{.http_status = 503}, true},
      {FakeReply{.http_status = 404, .content_type = "text/plain", .body = "not found"}, false},
      {FakeReply{.content_type = "text/html", .body = "<html>"}, false},
      {FakeReply{.body = std::string(5, '\0'), .grpc_status = ""}, true},
      {FakeReply{.body = std::string("\0\0\0\0\7x", 6)}, true},
      {FakeReply{.body = std::string((4 << 20) + 6, '\0')}, false}};
  for (size_t i = 0; i < std::size(rows); ++i) {
    etcd.script["Status"] = {rows[i].reply};
    const auto status = member().status();
    CHECK_FALSE(status.ok());
    const std::string text = std::to_string(i) + ": " + status.error().message;
    CHECK_TRUE_TEXT(status.error().kind == ErrorKind::kUnavailable, text.c_str());
    CHECK_EQUAL_TEXT(rows[i].retryable, status.error().retryable, text.c_str());
    CHECK_TEXT(holds(status.error().message, kUrl), text.c_str());
  }
}

TEST(Member, AddsWhatToDoWhereTheNetworkSaysNothing) {
  etcd.script["Status"] = {network_error("reset")};
  CHECK_TRUE(holds(member().status().error().hint, "/cert.pem"));
  endpoint.tls.cert_file.clear();
  etcd.script["Status"] = {network_error("reset")};
  CHECK_TRUE(holds(member().status().error().hint, "[etcd] cert_file"));
  endpoint.url = "http://10.0.0.1:2379";
  etcd.script["Status"] = {network_error("reset")};
  CHECK_TRUE(holds(member().status().error().hint, "https://"));
  FakeReply with_hint = network_error("reset");
  with_hint.error->hint = "its own";
  etcd.script["Status"] = {with_hint};
  STRCMP_EQUAL("its own", member().status().error().hint.c_str());
}

// A server may refuse before it has read the request, and reset the stream then; libcurl reports
// the reset ("Stream error in the HTTP/2 framing layer"). grpc/grpc#27216.
TEST(Member, TellsTheRefusalThatCameBeforeTheStreamWasReset) {
  FakeReply early = refuse(2, "auth: permission denied");
  early.error = network_error("Stream error in the HTTP/2 framing layer").error;
  for (const char* method : {"Status", "Snapshot"}) {
    etcd.script[method] = {early};
    Recorder recorder;
    Member one = member();
    const Error error = method[1] == 't' ? one.status().error() : one.snapshot(recorder).error();
    STRCMP_EQUAL("https://10.0.0.1:2379: auth: permission denied (UNKNOWN)", error.message.c_str());
    CHECK_FALSE(error.retryable);
    CHECK_TRUE(permission_denied(error));
  }
}

TEST(Member, TellsThePageOfAWebServerThatResetTheStream) {
  FakeReply page = network_error("stream 1 was reset");
  page.http_status = 404;
  page.content_type = "text/plain";
  etcd.script["Status"] = {page};
  const auto status = member().status();
  CHECK_TEXT(holds(status.error().message, "HTTP status 404"), status.error().message.c_str());
}

TEST(Member, TellsOfTheNetworkWhereNothingWasRefusedYet) {
  FakeReply cut = network_error("reset");
  cut.http_status = 200;
  cut.content_type = "application/grpc";
  etcd.script["Status"] = {cut};
  CHECK_TRUE(holds(member().status().error().message, "reset"));
  cut.error->kind = ErrorKind::kCancelled;
  cut.grpc_status = "7";
  etcd.script["Status"] = {cut};
  CHECK_TRUE(member().status().error().kind == ErrorKind::kCancelled);
}

TEST(Member, TriesTheSnapshotUpToItsFirstBytes) {
  const auto announced = member().try_snapshot();
  CHECK_TRUE(announced.ok());
  LONGS_EQUAL(64 * 1024 + 32, *announced);
  etcd.script["Snapshot"] = {refuse(2, "auth: permission denied")};
  const auto refused = member().try_snapshot();
  CHECK_FALSE(refused.ok());
  CHECK_TRUE(permission_denied(refused.error()));
  etcd.script["Snapshot"] = {reply_with("")};
  CHECK_FALSE(member().try_snapshot().ok());
}

TEST(Member, IsHealthyWhereItAnswersALinearizableRead) {
  const auto health = member().health(*member().status());
  CHECK_TRUE(health.healthy);
  STRCMP_EQUAL("", health.summary().c_str());
  const HttpRequest& request = etcd.requests.back();
  STRCMP_EQUAL("https://10.0.0.1:2379/etcdserverpb.KV/Range", request.url.c_str());
  ProtoReader reader(std::string_view(request.body).substr(5));
  const auto key = reader.next();
  STRCMP_EQUAL("health", std::string(key->bytes).c_str());
  CHECK_FALSE(reader.next().has_value());  // not serializable, which needs no quorum
}

TEST(Member, CountsARefusalForLackOfPermissionAsHealthy) {
  etcd.script["Range"] = {refuse(7, "etcdserver: permission denied")};
  CHECK_TRUE(member().health(*member().status()).healthy);
}

// curl's 7, CURLE_COULDNT_CONNECT, is no gRPC status 7, PERMISSION_DENIED.
TEST(Member, TakesARefusedConnectionForNoRefusalOfEtcd) {
  const auto status = member().status();
  FakeReply refused;
  refused.error = Error{ErrorKind::kUnavailable, "Connection refused", "", true, 7};
  LONGS_EQUAL(0, refused.error->grpc_code);
  etcd.script["Range"] = {refused};
  const auto health = member().health(*status);
  CHECK_FALSE(health.healthy);
  CHECK_TEXT(
      holds(health.reason, "no linearizable read: ") && holds(health.reason, "Connection refused"),
      health.reason.c_str());
}

TEST(Member, IsUnhealthyForAReasonThatItTells) {
  const struct {
    uint64_t leader;
    std::vector<std::string> errors;
    std::deque<FakeReply> range;
    const char *alarms, *reason;
  } rows[] = {
      {0, {}, {}, "", "the member knows no leader"},
      {0, {"etcdserver: no leader"}, {}, "", "etcdserver: no leader"},
      {1, {"memberID:7 alarm:NOSPACE "}, {}, "NOSPACE (member 7)", ""},
      // As etcdctl prints the id; the blanks vary with the Go library.
      {1,
       {"memberID:10501334649042878790  alarm:NOSPACE"},
       {},
       "NOSPACE (member 91bc3c398fb3c146)",
       ""},
      {1, {"alarm:NOSPACE "}, {}, "NOSPACE", ""},
      {1,
       {"memberID:7 alarm:NOSPACE ", "memberID:8 alarm:CORRUPT "},
       {},
       "NOSPACE (member 7); CORRUPT (member 8)",
       ""},
      {1,
       {},
       {network_error("https://10.0.0.1:2379: timed out")},
       "",
       "no linearizable read: https://10.0.0.1:2379: timed out"},
      {0,
       {"memberID:7 alarm:NOSPACE ", "etcdserver: no leader"},
       {refuse(14, "not asked: it would wait for a leader until its time is over")},
       "NOSPACE (member 7)",
       "etcdserver: no leader"},
      {1,
       {},
       {refuse(14, "etcdserver: request timed out")},
       "",
       "no linearizable read: https://10.0.0.1:2379: etcdserver: request timed out (UNAVAILABLE)"},
  };
  for (const auto& row : rows) {
    etcd.leader = row.leader;
    etcd.errors = row.errors;
    etcd.script["Range"] = row.range;
    const auto health = member().health(*member().status());
    CHECK_FALSE_TEXT(health.healthy, row.reason);
    STRCMP_EQUAL(row.alarms, health.alarms.c_str());
    STRCMP_EQUAL(row.reason, health.reason.c_str());
  }
}

// etcd-io/etcd#12789, ahrtr/etcd-defrag#26: a learner refuses such reads, which is no trouble.
TEST(Member, IsNotUnhealthyForBeingALearner) {
  etcd.learner = true;
  etcd.script["Range"] = {refuse(14, "etcdserver: rpc not supported for learner")};
  const auto health = member().health(*member().status());
  CHECK_TRUE(health.healthy);
  CHECK_TRUE(health.learner);
  CHECK_FALSE(health.current());
  STRCMP_EQUAL("", health.summary().c_str());
  etcd.leader = 0;
  CHECK_FALSE(member().health(*member().status()).healthy);
}

TEST(Member, KnowsThatItIsTheCorruptOne) {
  etcd.errors = {"memberID:" + std::to_string(etcd.member_id) + " alarm:CORRUPT "};
  CHECK_TRUE(member().health(*member().status()).corrupt);
  etcd.errors = {"memberID:7 alarm:CORRUPT "};
  CHECK_FALSE(member().health(*member().status()).corrupt);
}

TEST(Member, PutsAlarmsAndReasonInOneText) {
  STRCMP_EQUAL("a; r", (ClusterHealth{false, "a", "r"}).summary().c_str());
  STRCMP_EQUAL("a", (ClusterHealth{false, "a", ""}).summary().c_str());
  STRCMP_EQUAL("r", (ClusterHealth{false, "", "r"}).summary().c_str());
}

TEST(Member, AsksForNoTokenWithoutAUser) {
  Member one = member();
  CHECK_TRUE(one.authenticate().ok());
  LONGS_EQUAL(0, etcd.requests.size());
}

TEST(Member, SendsTheTokenWithEveryLaterCall) {
  etcd.username = endpoint.username = "root";
  etcd.password = endpoint.password = "s3cret pass";
  etcd.token = "AbCd.42";
  Member one = member();
  CHECK_TRUE(one.authenticate().ok());
  STRCMP_EQUAL("https://10.0.0.1:2379/etcdserverpb.Auth/Authenticate",
               etcd.requests.at(0).url.c_str());
  STRCMP_EQUAL("", header_of(etcd.requests.at(0), "token").c_str());
  const auto status = one.status();
  CHECK_TRUE(status.ok());
  CHECK_TRUE(one.health(*status).healthy);
  Recorder recorder;
  CHECK_TRUE(one.snapshot(recorder).ok());
  LONGS_EQUAL(4, etcd.requests.size());
  for (size_t i = 1; i < 4; ++i) {
    STRCMP_EQUAL("AbCd.42", header_of(etcd.requests[i], "token").c_str());
    CHECK_FALSE(holds(etcd.requests[i].body, "s3cret"));
  }
}

TEST(Member, GoesOnWithoutATokenWhereTheClusterHasNoUsers) {
  endpoint.username = "root";
  endpoint.password = "s3cret";
  Member one = member();
  CHECK_TRUE(one.authenticate().ok());
  CHECK_TRUE(one.status().ok());
  STRCMP_EQUAL("", header_of(etcd.requests.back(), "token").c_str());
}

TEST(Member, SaysThatThePasswordIsWrongButNotWhatItIs) {
  etcd.username = endpoint.username = "root";
  etcd.password = "right";
  endpoint.password = "s3cret";
  const auto result = member().authenticate();
  CHECK_FALSE(result.ok());
  CHECK_TRUE(result.error().kind == ErrorKind::kUnavailable);
  CHECK_FALSE(result.error().retryable);
  STRCMP_EQUAL(
      "user 'root': https://10.0.0.1:2379: etcdserver: authentication failed, invalid user ID or "
      "password (INVALID_ARGUMENT)",
      result.error().message.c_str());
  STRCMP_EQUAL("check [etcd] username and password_file", result.error().hint.c_str());
}

TEST(Member, TellsThePasswordInNoError) {
  endpoint.username = "root";
  endpoint.password = "s3cret";
  for (const FakeReply& reply :
       {network_error("reset"), refuse(14, "unavailable"), refuse(9, "other precondition"),
        reply_with(""), reply_with("\x12"), FakeReply{.http_status = 404}}) {
    etcd.script["Authenticate"] = {reply};
    const auto result = member().authenticate();
    CHECK_FALSE(result.ok());
    CHECK_FALSE(holds(result.error().message + result.error().hint, "s3cret"));
  }
}

TEST(Member, SaysThatAUserIsNeeded) {
  etcd.username = "root";
  const auto status = member().status();
  CHECK_FALSE(status.ok());
  CHECK_FALSE(status.error().retryable);
  CHECK_TRUE(holds(status.error().hint, "set [etcd] username and password_file"));
}

TEST(Member, RefusesATokenThatWouldBecomeHeadersOfItsOwn) {
  endpoint.username = "root";
  endpoint.password = "s3cret";
  for (const char* token : {"", "a\nx-evil: 1", "a\rb", "a\r\n"}) {
    std::string message;
    put_bytes_field(message, 2, token);
    etcd.script["Authenticate"] = {reply_with(message)};
    Member one = member();
    const auto result = one.authenticate();
    CHECK_FALSE_TEXT(result.ok(), token);
    check_unreadable(result.error());
    CHECK_TRUE(one.status().ok());
    STRCMP_EQUAL("", header_of(etcd.requests.back(), "token").c_str());
  }
}

TEST(Member, HandsOnTheSnapshotAsItCame) {
  Recorder recorder;
  CHECK_TRUE(member().snapshot(recorder).ok());
  CHECK_TRUE(recorder.content == etcd.database + digest_of(etcd.database));
  LONGS_EQUAL(64 * 1024 + 32, recorder.expected);
  LONGS_EQUAL(1, recorder.begins);
}

TEST(Member, DoesNotTakeAnErrorPageForASnapshot) {
  etcd.script["Snapshot"] = {
      FakeReply{.http_status = 502, .content_type = "text/html", .body = "\x01<html>bad</html>"}};
  Recorder recorder;
  const auto result = member().snapshot(recorder);
  CHECK_FALSE(result.ok());
  CHECK_TRUE(holds(result.error().message, "HTTP status 502"));
  LONGS_EQUAL(0, recorder.begins);
}

TEST(Member, TellsTheStatusOfAStreamThatEndedWithAnError) {
  FakeReply reply = refuse(14, "etcdserver: server stopped");
  reply.body = snapshot_message(100, "abc");
  etcd.script["Snapshot"] = {reply};
  Recorder recorder;
  const auto result = member().snapshot(recorder);
  CHECK_FALSE(result.ok());
  CHECK_TRUE(holds(result.error().message, "server stopped"));
  CHECK_TRUE(result.error().retryable);
}

TEST(Member, TellsThatTheStreamWasCutThoughEtcdSaysItIsDone) {
  FakeReply reply;
  reply.body = snapshot_message(100, "abc");
  etcd.script["Snapshot"] = {reply};
  Recorder recorder;
  const auto result = member().snapshot(recorder);
  CHECK_FALSE(result.ok());
  CHECK_TRUE(result.error().kind == ErrorKind::kUnverified);
}

// A full disk is not mended by another certificate, and not by looking at the member's log.
TEST(Member, LeavesTheErrorOfTheReceiverAsItIs) {
  for (const size_t after : {size_t{0}, size_t{20000}}) {
    Recorder recorder;
    recorder.fail_receive = Error{ErrorKind::kStorage, "cannot write x: I/O error", "", false, EIO};
    recorder.fail_after_bytes = after;
    const auto result = member().snapshot(recorder);
    CHECK_FALSE(result.ok());
    CHECK_TRUE(result.error().kind == ErrorKind::kStorage);
    STRCMP_EQUAL("cannot write x: I/O error", result.error().message.c_str());
    STRCMP_EQUAL("", result.error().hint.c_str());
    LONGS_EQUAL(EIO, result.error().code);
  }
}

TEST(Member, LeavesARequestToStopAsItIs) {
  FakeReply reply;
  reply.body = snapshot_body(etcd.database).substr(0, 40000);
  reply.error = Error{ErrorKind::kCancelled, "asked to stop (SIGTERM)", "", false, 15};
  etcd.script["Snapshot"] = {reply};
  Recorder recorder;
  const auto result = member().snapshot(recorder);
  CHECK_TRUE(result.error().kind == ErrorKind::kCancelled);
  STRCMP_EQUAL("asked to stop (SIGTERM)", result.error().message.c_str());
  STRCMP_EQUAL("", result.error().hint.c_str());
}

TEST(Member, NamesTheEndpointWhereTheStreamIsNotWhole) {
  FakeReply cut, noise, broken = network_error("transfer closed");
  cut.body = snapshot_message(100, "abc");
  noise.body = "HTTP/1.1 400 Bad Request";
  broken.body = snapshot_message(100, "abc");
  for (const FakeReply& reply : {cut, noise, broken}) {
    etcd.script["Snapshot"] = {reply};
    Recorder recorder;
    const auto result = member().snapshot(recorder);
    CHECK_FALSE(result.ok());
    CHECK_TEXT(result.error().message.starts_with(std::string(kUrl) + ": "),
               result.error().message.c_str());
    CHECK_TRUE(result.error().message.size() > std::string(kUrl).size() + 10);
    CHECK_TRUE(result.error().retryable);
    CHECK_FALSE(result.error().hint.empty());
  }
}

// Empty messages that come slowly: the transfer stalls before there are many of them.
TEST(Member, SaysThatTheDatabaseCannotBeReadWhereTheStreamRanDry) {
  FakeReply dry;
  dry.error = Error{ErrorKind::kUnavailable, "no progress for 60 seconds", "", true, 28};
  dry.grpc_status.clear();  // the stream has not ended
  dry.body = snapshot_message(100, "abc") + snapshot_message(100, "") + snapshot_message(100, "");
  etcd.script["Snapshot"] = {dry};
  Recorder recorder;
  const auto result = member().snapshot(recorder);
  CHECK_FALSE(result.ok());
  CHECK_TRUE(result.error().kind == ErrorKind::kUnavailable);
  CHECK_FALSE(result.error().retryable);
  CHECK_TRUE(holds(result.error().message, std::string(kUrl) + ": the member cannot read"));
  CHECK_TRUE(holds(result.error().hint, "another member"));
}

TEST(Member, CountsTheDatabaseForProgressAndNothingElse) {
  FakeReply reply;
  reply.body = snapshot_message(1, "abc") + snapshot_message(1, "");
  etcd.script["Snapshot"] = {reply};
  int64_t progress = -1;
  // While the stream is there to be asked.
  class Asking final : public HttpClient {
   public:
    Asking(FakeEtcd& etcd, int64_t& seen) : etcd_(etcd), seen_(seen) {}
    Result<void> perform(const HttpRequest& request, HttpResponse& response,
                         ByteSink& body) override {
      auto done = etcd_.perform(request, response, body);
      seen_ = request.progress();
      return done;
    }

   private:
    FakeEtcd& etcd_;
    int64_t& seen_;
  } http(etcd, progress);
  Recorder recorder;
  CHECK_FALSE(Member(http, endpoint, timeouts).snapshot(recorder).ok());
  LONGS_EQUAL(3, progress);
}
