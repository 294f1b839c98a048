#include "etcd/connect.h"

#include "../fakes/certificates.h"
#include "../fakes/etcd.h"
#include "../store/scratch.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

const UnixSeconds kNow{1525459216s};  // 2018-05-04T18:40:16Z

}  // namespace

TEST_GROUP(EndpointCandidates) {
  Scratch scratch;
  EtcdSettings settings;
};

TEST(EndpointCandidates, AreTheConfiguredOnesInTheirOrder) {
  scratch.write("password", "s3cret\n");
  settings.endpoints = {"https://b:2379", "http://a:2379"};
  settings.ca_file = "/ca";
  settings.cert_file = "/cert";
  settings.key_file = "/key";
  settings.username = "root";
  settings.password_file = scratch.path("password");
  const auto candidates = endpoint_candidates(settings, scratch.path());
  CHECK_TRUE(candidates.ok());
  LONGS_EQUAL(2, candidates->size());
  for (size_t i = 0; i < 2; ++i) {
    const Candidate& candidate = (*candidates)[i];
    STRCMP_EQUAL("etcd-snapshot.conf", candidate.source.c_str());
    STRCMP_EQUAL(settings.endpoints[i].c_str(), candidate.endpoint.url.c_str());
    STRCMP_EQUAL("/ca", candidate.endpoint.tls.ca_file.c_str());
    STRCMP_EQUAL("/cert", candidate.endpoint.tls.cert_file.c_str());
    STRCMP_EQUAL("/key", candidate.endpoint.tls.key_file.c_str());
    STRCMP_EQUAL("root", candidate.endpoint.username.c_str());
    STRCMP_EQUAL("s3cret", candidate.endpoint.password.c_str());
  }
}

TEST(EndpointCandidates, AreTheLocalOneOverTlsWhereOnlyCertificatesAreConfigured) {
  settings.ca_file = "/ca";
  const auto candidates = endpoint_candidates(settings, scratch.path());
  LONGS_EQUAL(1, candidates->size());
  STRCMP_EQUAL("https://127.0.0.1:2379", candidates->front().endpoint.url.c_str());
}

TEST(EndpointCandidates, AreLookedForWhereNothingIsConfigured) {
  scratch.write("password", "s3cret");
  settings.username = "root";
  settings.password_file = scratch.path("password");
  const auto candidates = endpoint_candidates(settings, scratch.path());
  LONGS_EQUAL(1, candidates->size());
  STRCMP_EQUAL("etcd's default", candidates->front().source.c_str());
  STRCMP_EQUAL("http://127.0.0.1:2379", candidates->front().endpoint.url.c_str());
  STRCMP_EQUAL("s3cret", candidates->front().endpoint.password.c_str());
}

TEST(EndpointCandidates, TakeThePasswordWithoutTheLineBreakThatEditorsAdd) {
  settings.endpoints = {"http://a:2379"};
  settings.username = "root";
  settings.password_file = scratch.path("password");
  const struct {
    const char *content, *password;
  } rows[] = {{"pw", "pw"}, {"pw\n", "pw"}, {"pw\r\n", "pw"}, {" p w \n", " p w "}};
  for (const auto& row : rows) {
    scratch.write("password", row.content);
    const auto candidates = endpoint_candidates(settings);
    STRCMP_EQUAL(row.password, candidates->front().endpoint.password.c_str());
  }
}

TEST(EndpointCandidates, NeedAPasswordThatCanBeRead) {
  settings.endpoints = {"http://a:2379"};
  settings.username = "root";
  settings.password_file = scratch.path("password");
  for (const char* content : {"", "\n", "\r\n"}) {
    scratch.write("password", content);
    const auto candidates = endpoint_candidates(settings);
    CHECK_FALSE(candidates.ok());
    CHECK_TRUE(candidates.error().kind == ErrorKind::kConfig);
    CHECK_TRUE(holds(candidates.error().message, scratch.path("password")));
  }
  std::filesystem::remove(scratch.path("password"));
  const auto missing = endpoint_candidates(settings);
  CHECK_FALSE(missing.ok());
  CHECK_TRUE(missing.error().kind == ErrorKind::kConfig);
  CHECK_TRUE(holds(missing.error().message, scratch.path("password")));
}

TEST_GROUP(CheckCertificates) {
  Scratch scratch;
  Endpoint endpoint{"https://127.0.0.1:2379", {}, "", ""};
  void setup() override {
    const auto good = make_certificate("client", kNow - 24h, kNow + 24h);
    scratch.write("ca.pem", make_certificate("authority", kNow - 24h, kNow + 24h).certificate);
    scratch.write("cert.pem", good.certificate);
    scratch.write("key.pem", good.key);
    endpoint.tls = {scratch.path("ca.pem"), scratch.path("cert.pem"), scratch.path("key.pem")};
  }
  // kConfig, names the file and has these words.
  void check_refused(const std::string& file, const char* part) {
    const auto note = check_certificates(endpoint, kNow);
    CHECK_FALSE_TEXT(note.ok(), part);
    CHECK_TRUE_TEXT(note.error().kind == ErrorKind::kConfig, part);
    CHECK_FALSE_TEXT(note.error().retryable, part);
    CHECK_TEXT(holds(note.error().message, scratch.path(file)), note.error().message.c_str());
    CHECK_TEXT(holds(note.error().message, part), note.error().message.c_str());
  }
};

TEST(CheckCertificates, SaysNothingWhereAllIsWell) {
  STRCMP_EQUAL("", check_certificates(endpoint, kNow)->c_str());
}

TEST(CheckCertificates, LooksAtNoneWithoutTls) {
  endpoint.url = "http://127.0.0.1:2379";
  endpoint.tls = {"/missing", "/missing", "/missing"};
  STRCMP_EQUAL("", check_certificates(endpoint, kNow)->c_str());
}

TEST(CheckCertificates, NeedsNoneWhereNoneIsNamed) {
  endpoint.tls = {};
  STRCMP_EQUAL("", check_certificates(endpoint, kNow)->c_str());
}

TEST(CheckCertificates, NamesTheFileThatIsMissing) {
  for (const char* file : {"ca.pem", "cert.pem", "key.pem"}) {
    setup();
    std::filesystem::remove(scratch.path(file));
    check_refused(file, "No such file");
  }
}

TEST(CheckCertificates, NamesTheFileThatCannotBeRead) {
  for (const char* file : {"ca.pem", "cert.pem", "key.pem"}) {
    std::filesystem::remove(scratch.path(file));
    LONGS_EQUAL(0, mkdir(scratch.path(file).c_str(), 0700));
    check_refused(file, "cannot read");
    std::filesystem::remove(scratch.path(file));
    setup();
  }
  chmod(scratch.path().c_str(), 0755);
  chmod(scratch.path("ca.pem").c_str(), 0644);
  chmod(scratch.path("cert.pem").c_str(), 0644);
  chmod(scratch.path("key.pem").c_str(), 0);
  const Unprivileged unprivileged;
  check_refused("key.pem", "Permission denied");
}

TEST(CheckCertificates, NamesTheFileThatIsNoPem) {
  const struct {
    const char *file, *part;
  } rows[] = {{"ca.pem", "no certificate in it"},
              {"cert.pem", "no certificate in it"},
              {"key.pem", "no private key in it"}};
  for (const auto& row : rows) {
    setup();
    for (const char* content : {"", "\n", "not PEM at all\n"}) {
      scratch.write(row.file, content);
      check_refused(row.file, row.part);
    }
  }
}

TEST(CheckCertificates, NamesTheFileThatHoldsTheOther) {
  scratch.write("cert.pem", scratch.read("key.pem"));
  check_refused("cert.pem", "no certificate in it");
  setup();
  scratch.write("key.pem", scratch.read("cert.pem"));
  check_refused("key.pem", "no private key in it");
}

TEST(CheckCertificates, SeesAKeyOfAnotherPair) {
  scratch.write("key.pem", make_certificate("client", kNow - 24h, kNow + 24h).key);
  check_refused("key.pem", "not the one of ");
  check_refused("cert.pem", "not the one of ");
}

TEST(CheckCertificates, SeesAKeyWithAPassphraseAndAsksNobodyForIt) {
  const auto good = make_certificate("client", kNow - 24h, kNow + 24h);
  scratch.write("cert.pem", good.certificate);
  scratch.write("key.pem", good.encrypted_key);
  check_refused("key.pem", "encrypted");
}

TEST(CheckCertificates, NotesWhatIsOutOfItsTimeWithoutRefusingIt) {
  const auto expired = make_certificate("old", kNow - 48h, kNow - 1s);
  scratch.write("cert.pem", expired.certificate);
  scratch.write("key.pem", expired.key);
  auto note = check_certificates(endpoint, kNow);
  CHECK_TRUE(note.ok());
  CHECK_TEXT(holds(*note, scratch.path("cert.pem") + " expired on 2018-05-04T18:40:15Z"),
             note->c_str());
  CHECK_TEXT(holds(*note, "CN=old"), note->c_str());

  setup();
  scratch.write("ca.pem", make_certificate("new", kNow + 1s, kNow + 24h).certificate);
  note = check_certificates(endpoint, kNow);
  CHECK_TRUE(note.ok());
  CHECK_TEXT(holds(*note, scratch.path("ca.pem") + " is not valid before 2018-05-04T18:40:17Z"),
             note->c_str());
}

// The next authority is put beside the old one before that ends.
TEST(CheckCertificates, IsContentWithOneValidAuthority) {
  const std::string old = make_certificate("old", kNow - 48h, kNow - 24h).certificate,
                    older = make_certificate("older", kNow - 48h, kNow - 36h).certificate,
                    valid = make_certificate("valid", kNow - 24h, kNow + 24h).certificate;
  for (const std::string& bundle : {old + valid, valid + old, old + valid + older}) {
    scratch.write("ca.pem", bundle);
    STRCMP_EQUAL("", check_certificates(endpoint, kNow)->c_str());
  }
  scratch.write("ca.pem", older + old);
  const auto note = check_certificates(endpoint, kNow);
  CHECK_TEXT(holds(*note, "CN=old;"), note->c_str());
}

TEST_GROUP(ConnectMember) {
  FakeEtcd etcd;
  std::vector<Candidate> candidates = {{"first", {"http://a:2379", {}, "", ""}},
                                       {"second", {"http://b:2379", {}, "", ""}},
                                       {"third", {"http://c:2379", {}, "", ""}}};
  Result<Connection> connect() {
    return connect_member(etcd, candidates, {}, kNow);
  }
};

TEST(ConnectMember, TakesTheFirstThatAnswersAndAsksNoOther) {
  const auto connection = connect();
  CHECK_TRUE(connection.ok());
  STRCMP_EQUAL("first", connection->source.c_str());
  STRCMP_EQUAL("http://a:2379", connection->member.url().c_str());
  LONGS_EQUAL(1000, connection->status.revision);
  CHECK_TRUE(connection->health.healthy);
  LONGS_EQUAL(0, connection->passed_over.size());
  LONGS_EQUAL(1, etcd.calls("Status"));
}

TEST(ConnectMember, PassesOverTheDeadAndSaysWhy) {
  etcd.dead = {"http://a:2379", "http://b:2379"};
  const auto connection = connect();
  CHECK_TRUE(connection.ok());
  STRCMP_EQUAL("third", connection->source.c_str());
  LONGS_EQUAL(2, connection->passed_over.size());
  STRCMP_EQUAL("http://a:2379: Connection refused", connection->passed_over[0].c_str());
  STRCMP_EQUAL("http://b:2379: Connection refused", connection->passed_over[1].c_str());
}

TEST(ConnectMember, PassesOverWhatRefusesToo) {
  etcd.script["Status"] = {refuse(12, "unknown service")};
  const auto connection = connect();
  CHECK_TRUE(connection.ok());
  STRCMP_EQUAL("second", connection->source.c_str());
}

TEST(ConnectMember, PassesOverCertificatesThatCannotBeRead) {
  candidates[0].endpoint.url = "https://a:2379";
  candidates[0].endpoint.tls.ca_file = "/nonexistent/ca.pem";
  const auto connection = connect();
  CHECK_TRUE(connection.ok());
  STRCMP_EQUAL("second", connection->source.c_str());
  CHECK_TRUE(holds(connection->passed_over.at(0), "/nonexistent/ca.pem"));
}

TEST(ConnectMember, TakesAnUnhealthyMember) {
  etcd.leader = 0;
  const auto connection = connect();
  CHECK_TRUE(connection.ok());
  STRCMP_EQUAL("first", connection->source.c_str());
  CHECK_FALSE(connection->health.healthy);
}

// A member that is cut off from its peers still serves what it has.
TEST(ConnectMember, TakesTheFirstThatIsHealthy) {
  FakeEtcd cut;
  cut.leader = 0;
  cut.revision = 2;
  cut.errors = {"etcdserver: no leader"};
  etcd.at["http://a:2379"]["Status"] = reply_with(cut.status_message());
  const auto connection = connect();
  CHECK_TRUE(connection.ok());
  STRCMP_EQUAL("second", connection->source.c_str());
  CHECK_TRUE(connection->health.current());
  LONGS_EQUAL(1, connection->passed_over.size());
  STRCMP_EQUAL("http://a:2379: unhealthy: etcdserver: no leader",
               connection->passed_over[0].c_str());
  LONGS_EQUAL(2, etcd.calls("Status"));  // and asks none behind it
}

TEST(ConnectMember, PassesOverAMemberThatServesNoLinearizableRead) {
  etcd.at["http://a:2379"]["Range"] = refuse(14, "etcdserver: request timed out");
  STRCMP_EQUAL("second", connect()->source.c_str());
}

TEST(ConnectMember, TakesTheCutOffOneThatKnowsMost) {
  for (const auto& [origin, revision] :
       {std::pair{"a", 2}, std::pair{"b", 11}, std::pair{"c", 7}}) {
    FakeEtcd cut;
    cut.leader = 0;
    cut.revision = revision;
    etcd.at["http://"s + origin + ":2379"]["Status"] = reply_with(cut.status_message());
  }
  const auto connection = connect();
  STRCMP_EQUAL("second", connection->source.c_str());
  LONGS_EQUAL(11, connection->status.revision);
  CHECK_FALSE(connection->health.healthy);
  LONGS_EQUAL(2, connection->passed_over.size());
}

// etcd-io/etcd#12890: learners serve the snapshot from 3.5 on.
TEST(ConnectMember, TakesALearnerBeforeACutOffMemberAndBehindAHealthyOne) {
  FakeEtcd learner, cut;
  learner.learner = true;
  cut.leader = 0;
  const auto place = [&](const std::string& version, bool healthy_one) {
    learner.version = version;
    etcd.at["http://a:2379"]["Status"] = reply_with(learner.status_message());
    etcd.at["http://b:2379"]["Status"] = reply_with(cut.status_message());
    etcd.at["http://c:2379"].clear();
    if (!healthy_one) etcd.at["http://c:2379"]["Status"] = reply_with(cut.status_message());
  };
  place("3.5.16", true);
  STRCMP_EQUAL("third", connect()->source.c_str());
  place("3.5.16", false);
  const auto connection = connect();
  STRCMP_EQUAL("first", connection->source.c_str());
  CHECK_TRUE(connection->health.learner);
  CHECK_FALSE(connection->health.current());
  place("3.4.23", false);
  STRCMP_EQUAL("second", connect()->source.c_str());
}

TEST(ConnectMember, TakesTheFirstWhereTheClusterHasAnAlarm) {
  etcd.errors = {"memberID:7 alarm:NOSPACE "};
  STRCMP_EQUAL("first", connect()->source.c_str());
  etcd.errors = {"memberID:" + std::to_string(etcd.member_id) + " alarm:CORRUPT "};
  FakeEtcd other;
  other.errors = etcd.errors;
  other.member_id = 9;
  etcd.at["http://c:2379"]["Status"] = reply_with(other.status_message());
  STRCMP_EQUAL("third", connect()->source.c_str());
}

// A follower may tell its status before it has caught up.
TEST(ConnectMember, TakesTheRevisionOfTheLinearizableRead) {
  etcd.read_revision = 1042;
  LONGS_EQUAL(1042, connect()->status.revision);
  etcd.read_revision = 900;
  LONGS_EQUAL(1000, connect()->status.revision);
}

TEST(ConnectMember, DoesNotWaitLongForOneOfSeveral) {
  CHECK_TRUE(connect().ok());
  for (const HttpRequest& request : etcd.requests) LONGS_EQUAL(10, request.total_timeout_s);
  etcd.requests.clear();
  candidates.resize(1);
  CHECK_TRUE(connect().ok());
  for (const HttpRequest& request : etcd.requests) LONGS_EQUAL(25, request.total_timeout_s);
}

TEST(ConnectMember, GivesOutTheNextAfterARefusal) {
  MemberChoice members(etcd, candidates, {}, kNow);
  STRCMP_EQUAL("first", members.next()->source.c_str());
  members.pass_over(Error{ErrorKind::kUnavailable, "a refuses", "its hint", false, 0},
                    MemberChoice::Then::kAny);
  const auto second = members.next();
  STRCMP_EQUAL("second", second->source.c_str());
  STRCMP_EQUAL("a refuses", second->passed_over.at(0).c_str());
  members.pass_over(Error{ErrorKind::kUnavailable, "b refuses", "", true, 0},
                    MemberChoice::Then::kAny);
  etcd.dead = {"http://c:2379"};
  const auto none = members.next();
  CHECK_FALSE(none.ok());
  STRCMP_EQUAL("no etcd served a snapshot; a refuses; b refuses; http://c:2379: Connection refused",
               none.error().message.c_str());
  STRCMP_EQUAL("its hint", none.error().hint.c_str());
  CHECK_TRUE(none.error().retryable);
}

TEST(ConnectMember, GivesOutNoOlderStateWhereAskingAgainMayDo) {
  FakeEtcd cut;
  cut.leader = 0;
  etcd.at["http://b:2379"]["Status"] = etcd.at["http://c:2379"]["Status"] =
      reply_with(cut.status_message());
  for (const auto then : {MemberChoice::Then::kHealthy, MemberChoice::Then::kAny}) {
    MemberChoice members(etcd, candidates, {}, kNow);
    STRCMP_EQUAL("first", members.next()->source.c_str());
    members.pass_over(Error{ErrorKind::kUnavailable, "reset", "", true, 0}, then);
    CHECK_EQUAL(then == MemberChoice::Then::kAny, members.next().ok());
  }
}

TEST(ConnectMember, NamesThemAllWhereNoneAnswers) {
  etcd.dead = {"http://a:2379", "http://b:2379", "http://c:2379"};
  const auto connection = connect();
  CHECK_FALSE(connection.ok());
  CHECK_TRUE(connection.error().kind == ErrorKind::kUnavailable);
  CHECK_TRUE(connection.error().retryable);
  STRCMP_EQUAL(
      "no etcd answered; http://a:2379: Connection refused; http://b:2379: Connection refused; "
      "http://c:2379: Connection refused",
      connection.error().message.c_str());
  CHECK_FALSE(connection.error().hint.empty());
}

TEST(ConnectMember, GivesTheErrorAsItIsWhereThereIsOnlyOne) {
  candidates.resize(1);
  etcd.dead = {"http://a:2379"};
  STRCMP_EQUAL("http://a:2379: Connection refused", connect().error().message.c_str());
}

TEST(ConnectMember, IsWorthARetryIfAnyIs) {
  etcd.script["Status"] = {refuse(7, "denied"), network_error("reset"), refuse(7, "denied")};
  CHECK_TRUE(connect().error().retryable);
  etcd.script["Status"] = {refuse(7, "denied"), refuse(7, "denied"), refuse(7, "denied")};
  CHECK_FALSE(connect().error().retryable);
}

TEST(ConnectMember, AsksNoOtherAfterARequestToStop) {
  FakeReply stopped;
  stopped.error = Error{ErrorKind::kCancelled, "asked to stop (SIGTERM)", "", false, 15};
  etcd.script["Status"] = {stopped};
  const auto connection = connect();
  CHECK_FALSE(connection.ok());
  CHECK_TRUE(connection.error().kind == ErrorKind::kCancelled);
  LONGS_EQUAL(1, etcd.calls("Status"));
}

TEST(ConnectMember, LogsInBeforeItAsks) {
  etcd.username = "root";
  etcd.password = "s3cret";
  for (Candidate& candidate : candidates) {
    candidate.endpoint.username = "root";
    candidate.endpoint.password = "s3cret";
  }
  const auto connection = connect();
  CHECK_TRUE(connection.ok());
  CHECK_TRUE(connection->health.healthy);
  candidates[0].endpoint.password = "wrong";
  candidates.resize(1);
  const auto refused = connect();
  CHECK_FALSE(refused.ok());
  CHECK_FALSE(refused.error().retryable);
  CHECK_FALSE(holds(refused.error().message + refused.error().hint, "wrong"));
}

TEST(ConnectMember, HintsAtTheExpiredCertificateWhereTheHandshakeFails) {
  const Scratch scratch;
  const auto expired = make_certificate("old", kNow - 48h, kNow - 24h);
  scratch.write("cert.pem", expired.certificate);
  scratch.write("key.pem", expired.key);
  candidates = {
      {"first",
       {"https://a:2379", {"", scratch.path("cert.pem"), scratch.path("key.pem")}, "", ""}}};
  CHECK_TRUE(connect().ok());  // the clock may be the wrong one: etcd decides
  etcd.script["Status"] = {network_error("alert certificate expired")};
  const auto refused = connect();
  CHECK_FALSE(refused.ok());
  CHECK_TEXT(holds(refused.error().hint, scratch.path("cert.pem") + " expired on"),
             refused.error().hint.c_str());
  // Where nobody listens, a certificate is not the reason.
  etcd.dead = {"https://a:2379"};
  const auto stopped = connect();
  CHECK_FALSE(stopped.ok());
  STRCMP_EQUAL("check that it is running and that the address is right",
               stopped.error().hint.c_str());
}

// RKE leaves the certificates of former addresses (rancher/rancher#23827): the one that is valid is
// tried first, the others keep their turn, as the clock may be the wrong one.
TEST(ConnectMember, AsksWithAValidCertificateFirst) {
  const Scratch scratch;
  const auto put = [&](const std::string& name, UnixSeconds until) {
    const auto made = make_certificate(name, kNow - 48h, until);
    scratch.write(name + ".pem", made.certificate);
    scratch.write(name + "-key.pem", made.key);
    return TlsFiles{"", scratch.path(name + ".pem"), scratch.path(name + "-key.pem")};
  };
  candidates = {{"old", {"https://a:2379", put("old", kNow - 24h), "", ""}},
                {"new", {"https://a:2379", put("new", kNow + 24h), "", ""}},
                {"missing", {"https://a:2379", {"", "/missing", "/missing"}, "", ""}}};
  const auto connection = connect();
  CHECK_TRUE(connection.ok());
  STRCMP_EQUAL("new", connection->source.c_str());
  LONGS_EQUAL(0, connection->passed_over.size());
  etcd.script["Status"] = {network_error("handshake")};
  STRCMP_EQUAL("old", connect()->source.c_str());
}

// What could not be read may be what was looked for.
TEST(ConnectMember, TellsWhatCouldNotBeReadWhereNothingAnswers) {
  candidates.resize(1);
  candidates[0].notes = {"cannot read /etc/default/etcd: Input/output error"};
  CHECK_TRUE(connect().ok());
  etcd.dead = {"http://a:2379"};
  const auto refused = connect();
  STRCMP_CONTAINS("http://a:2379: Connection refused; cannot read /etc/default/etcd",
                  refused.error().message.c_str());
}
