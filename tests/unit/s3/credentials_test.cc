#include "s3/credentials.h"

#include <fmt/format.h>

#include <deque>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "../fakes/clock.h"
#include "../store/scratch.h"
#include "base/stop.h"
#include "store/names.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

constexpr char kInstance[] = "http://169.254.169.254";
constexpr char kToken[] = "PUT http://169.254.169.254/latest/api/token";
constexpr char kRoles[] = "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/";
constexpr char kRole[] =
    "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/backup";
constexpr char kSts[] = "POST https://sts.eu-central-1.amazonaws.com/";
constexpr char kContainer[] = "GET http://169.254.170.2/v2/credentials/1";

struct Reply {
  long status = 200;
  std::string body{};
  std::optional<Error> error{};
};

Reply refused_connection(const std::string& origin, int code = 7) {
  Error error;
  error.kind = ErrorKind::kRemote;
  error.message = origin + ": Connection refused";
  error.hint = "check that it is running and that the address is right";
  error.retryable = true;
  error.code = code;
  return Reply{0, "", error};
}

// Answers by method and URL: what is queued, then the last of it; anything else is refused as by a
// machine that listens nowhere.
class FakeHttp final : public HttpClient {
 public:
  Result<void> perform(const HttpRequest& request, HttpResponse& response,
                       ByteSink& body) override {
    CHECK_FALSE(busy.exchange(true));
    requests.push_back(request);
    if (during) during();
    auto result = answer(request, response, body);
    busy = false;
    return result;
  }

  int calls(const std::string& what) const {
    int count = 0;
    for (const HttpRequest& request : requests) count += request.method + " " + request.url == what;
    return count;
  }
  const HttpRequest& last(const std::string& what) const {
    const HttpRequest* found = nullptr;
    for (const HttpRequest& request : requests) {
      if (request.method + " " + request.url == what) found = &request;
    }
    CHECK_TEXT(found != nullptr, what.c_str());
    return *found;
  }

  std::map<std::string, std::deque<Reply>> script;
  std::vector<HttpRequest> requests;
  std::function<void()> during;
  std::atomic<bool> busy = false;

 private:
  Result<void> answer(const HttpRequest& request, HttpResponse& response, ByteSink& body) {
    auto found = script.find(request.method + " " + request.url);
    if (found == script.end()) {
      return *refused_connection(request.url.substr(0, request.url.find('/', 8))).error;
    }
    Reply reply = found->second.front();
    if (found->second.size() > 1) found->second.pop_front();
    if (reply.error) return *reply.error;
    response.status = reply.status;
    for (size_t at = 0; at < reply.body.size(); at += 1000) {
      const std::string piece = reply.body.substr(at, 1000);
      ES_TRY(body.write(as_bytes(piece)));
    }
    return {};
  }
};

std::string header_of(const HttpRequest& request, const std::string& name) {
  for (const std::string& line : request.headers) {
    if (line.starts_with(name + ": ")) return line.substr(name.size() + 2);
  }
  return "(none)";
}

std::string role_keys(const std::string& expiration, const std::string& key = "ASIAROLE") {
  return R"({"Code":"Success","Type":"AWS-HMAC","AccessKeyId":")" + key +
         R"(","SecretAccessKey":"role/secret+1","Token":"role//token==","Expiration":")" +
         expiration + "\"}";
}

std::string sts_keys(const std::string& expiration) {
  return R"(<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>sts//token==</SessionToken>
<SecretAccessKey>sts/secret</SecretAccessKey><Expiration>)" +
         expiration + R"(</Expiration><AccessKeyId>ASIASTS</AccessKeyId></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>)";
}

std::string sts_error(const std::string& code, const std::string& message) {
  return "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender"
         "</Type><Code>" +
         code + "</Code><Message>" + message +
         "</Message></Error><RequestId>1-2-3</RequestId></ErrorResponse>";
}

}  // namespace

TEST_GROUP(Credentials) {
  Scratch scratch;
  FakeHttp http;
  FakeClock clock;
  std::map<std::string, std::string> environment;
  CredentialInputs inputs;
  // What must be in no error.
  std::vector<std::string> secrets{
      "role/secret+1", "role//token==",  "sts/secret",       "sts//token==",    "file/secret",
      "env/secret",    "metadata-token", "eyJ.web.identity", "container-token", "ASIAROLE"};

  std::unique_ptr<CredentialSource> chain() {
    inputs.environment = [this](const char* name) {
      const auto found = environment.find(name);
      return found == environment.end() ? std::string() : found->second;
    };
    return make_credential_chain(inputs, http, clock);
  }
  std::string in(std::chrono::seconds time) {
    return format_utc(clock.now() + time);
  }
  // A machine in EC2 with the role `backup`.
  void in_ec2(std::chrono::seconds valid = std::chrono::hours(6)) {
    http.script[kToken] = {{200, "metadata-token", {}}};
    http.script[kRoles] = {{200, "backup\nanother", {}}};
    http.script[kRole] = {{200, role_keys(in(valid)), {}}};
  }
  void with_web_identity() {
    scratch.write("token", "eyJ.web.identity\n");
    environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = scratch.path("token");
    environment["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/backup";
    inputs.region = "eu-central-1";
    http.script[kSts] = {{200, sts_keys(in(std::chrono::hours(1))), {}}};
  }
  void with_container() {
    environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/v2/credentials/1";
    http.script[kContainer] = {{200, role_keys(in(std::chrono::hours(1)), "ASIATASK"), {}}};
  }
  void check_keys(CredentialSource & source, const char* key, const char* secret,
                  const char* token) {
    const auto keys = source.get();
    CHECK_TEXT(keys.ok(), keys.ok() ? "" : keys.error().message.c_str());
    STRCMP_EQUAL(key, keys->access_key.c_str());
    STRCMP_EQUAL(secret, keys->secret_key.c_str());
    STRCMP_EQUAL(token, keys->session_token.c_str());
  }
  Error failure(CredentialSource & source) {
    const auto keys = source.get();
    CHECK_FALSE(keys.ok());
    Error error = keys.ok() ? Error() : keys.error();
    for (const std::string& secret : secrets) {
      CHECK_FALSE_TEXT(holds(error.message + error.hint, secret), error.message.c_str());
    }
    return error;
  }
  void check_says(const Error& error, const std::string& part) {
    CHECK_TEXT(holds(error.message, part), ("'" + error.message + "' lacks: " + part).c_str());
  }
  void check_hints(const Error& error, const std::string& part) {
    CHECK_TEXT(holds(error.hint, part), ("'" + error.hint + "' lacks: " + part).c_str());
  }
  void check_kind(ErrorKind kind, const Error& error) {
    CHECK_TEXT(error.kind == kind, error.message.c_str());
  }
};

// --- written down

TEST(Credentials, TakesEachSourceBeforeTheNext) {
  in_ec2();
  with_container();
  with_web_identity();
  scratch.write("s3-access-key", "AKIASYSTEMD\n");
  scratch.write("s3-secret-key", "systemd/secret\n");
  environment["CREDENTIALS_DIRECTORY"] = scratch.path();
  environment["AWS_ACCESS_KEY_ID"] = "AKIAENV";
  environment["AWS_SECRET_ACCESS_KEY"] = "env/secret";
  scratch.write("access", " AKIAFILE \n");
  scratch.write("secret", "file/secret\r\n");
  inputs.access_key_file = scratch.path("access");
  inputs.secret_key_file = scratch.path("secret");
  inputs.access_key = "AKIAPOLICY";
  inputs.secret_key = "policy/secret";

  const auto check = [&](const char* key, const char* secret, const char* token,
                         const std::string& from) {
    const auto source = chain();
    check_keys(*source, key, secret, token);
    STRCMP_EQUAL(from.c_str(), source->source().c_str());
  };
  check("AKIAPOLICY", "policy/secret", "", "cluster.yml");
  inputs.keys_from = "the command line";
  check("AKIAPOLICY", "policy/secret", "", "the command line");
  inputs.access_key = inputs.secret_key = "";
  check("AKIAFILE", "file/secret", "", "the file " + scratch.path("access"));
  inputs.access_key_file = inputs.secret_key_file = "";
  check("AKIAENV", "env/secret", "", "the environment (AWS_ACCESS_KEY_ID)");
  environment["AWS_SESSION_TOKEN"] = "env//token==";
  check("AKIAENV", "env/secret", "env//token==", "the environment (AWS_ACCESS_KEY_ID)");
  environment.erase("AWS_ACCESS_KEY_ID");
  environment.erase("AWS_SECRET_ACCESS_KEY");
  check("AKIASYSTEMD", "systemd/secret", "",
        "systemd's credentials (" + scratch.path("s3-access-key") + ")");
  scratch.write("s3-session-token", "systemd//token==");
  check("AKIASYSTEMD", "systemd/secret",
        "systemd//token==", "systemd's credentials (" + scratch.path("s3-access-key") + ")");
  LONGS_EQUAL(0, http.requests.size());
  environment["CREDENTIALS_DIRECTORY"] = scratch.path("elsewhere");
  check("ASIASTS", "sts/secret",
        "sts//token==", "the role arn:aws:iam::1:role/backup (web identity)");
  environment.erase("AWS_WEB_IDENTITY_TOKEN_FILE");
  check("ASIATASK", "role/secret+1", "role//token==", "the role of this container");
  environment.erase("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  LONGS_EQUAL(0, http.calls(kToken));
  check("ASIAROLE", "role/secret+1", "role//token==", "the role backup of this machine");
}

// Nobody can renew them.
TEST(Credentials, DoesNotForgetWhatIsWrittenDown) {
  inputs.access_key = "AKIA";
  inputs.secret_key = "policy/secret";
  const auto source = chain();
  CHECK_FALSE(source->forget({"AKIA", "policy/secret", ""}));
  const auto keys = source->get();
  CHECK_TRUE(keys.ok());
  CHECK_FALSE(source->forget(*keys));
}

TEST(Credentials, RefusesHalfAPairAndNamesTheOtherHalf) {
  scratch.write("key", "AKIA");
  const std::string file = scratch.path("key");
  const struct {
    std::function<void()> set;
    const char* says;
  } rows[] = {
      {[&] { inputs.access_key = "AKIA"; }, "access_key of cluster.yml is set, but secret_key"},
      {[&] { inputs.secret_key = "env/secret"; },
       "secret_key of cluster.yml is set, but access_key"},
      {[&] { inputs.access_key_file = file; },
       "[s3] access_key_file is set, but secret_key_file is not"},
      {[&] { inputs.secret_key_file = file; },
       "[s3] secret_key_file is set, but access_key_file is not"},
      {[&] { environment["AWS_ACCESS_KEY_ID"] = "AKIA"; },
       "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"},
      {[&] { environment["AWS_SECRET_ACCESS_KEY"] = "env/secret"; },
       "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not"},
      {[&] { environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = file; },
       "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not"},
  };
  in_ec2();
  for (const auto& row : rows) {
    inputs = {};
    environment.clear();
    row.set();
    const Error error = failure(*chain());
    check_kind(ErrorKind::kConfig, error);
    check_says(error, row.says);
    CHECK_FALSE(error.hint.empty());
  }
  LONGS_EQUAL(0, http.requests.size());
}

TEST(Credentials, RefusesHalfOfSystemdsCredentials) {
  environment["CREDENTIALS_DIRECTORY"] = scratch.path();
  scratch.write("s3-secret-key", "env/secret");
  const Error error = failure(*chain());
  check_kind(ErrorKind::kConfig, error);
  check_says(error, "there is " + scratch.path("s3-secret-key") + ", but no " +
                        scratch.path("s3-access-key"));
}

TEST(Credentials, NamesTheKeyFileThatCannotBeUsed) {
  scratch.write("good", "AKIA");
  scratch.write("empty", "\n \n");
  scratch.write("two", "env/secret\nenv/secret\n");
  scratch.write("binary", std::string("env/secret\0", 11));
  scratch.write("umlaut", "env/secret\xc3\xa4");
  scratch.write("large", std::string(65 << 10, 'x'));
  for (const char* name : {"empty", "two", "binary", "umlaut", "large", "missing", "."}) {
    inputs.access_key_file = scratch.path("good");
    inputs.secret_key_file = scratch.path(name);
    const Error error = failure(*chain());
    check_kind(ErrorKind::kConfig, error);
    check_says(error, scratch.path(name));
  }
}

// A line end in a value would begin a header of its own.
TEST(Credentials, RefusesValuesThatNoHeaderCanHold) {
  const char* const kNames[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"};
  for (const char* name : kNames) {
    for (const char* value : {"env/secret\r\nx: y", "env/secret ", "env/secret\xc3\xa4", "\x7f"}) {
      environment = {{"AWS_ACCESS_KEY_ID", "AKIA"}, {"AWS_SECRET_ACCESS_KEY", "other"}};
      environment[name] = value;
      const Error error = failure(*chain());
      check_kind(ErrorKind::kConfig, error);
      check_says(error, name);
    }
  }
}

// --- EC2

TEST(Credentials, AsksEc2AsItWantsToBeAsked) {
  in_ec2();
  inputs.proxy = "http://proxy:3128";
  inputs.extra_roots = "PEM";
  const auto source = chain();
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  LONGS_EQUAL(3, http.requests.size());
  STRCMP_EQUAL("21600",
               header_of(http.last(kToken), "X-aws-ec2-metadata-token-ttl-seconds").c_str());
  for (const char* url : {kRoles, kRole}) {
    STRCMP_EQUAL("metadata-token", header_of(http.last(url), "X-aws-ec2-metadata-token").c_str());
  }
  for (const HttpRequest& request : http.requests) {
    STRCMP_EQUAL("", request.proxy.c_str());
    CHECK_FALSE(request.proxy_from_environment);
    CHECK_TRUE(request.connect_timeout_s <= 2);
    CHECK_TRUE(request.total_timeout_s > 0 && request.total_timeout_s <= 5);
    CHECK_TRUE(request.error_kind == ErrorKind::kRemote);
    CHECK_FALSE(request.after_stop);
  }
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  LONGS_EQUAL(3, http.requests.size());
}

TEST(Credentials, FallsBackToVersionOneWhereVersionTwoIsRefused) {
  for (const long status : {403, 404, 405}) {
    in_ec2();
    http.script[kToken] = {{status, "no", {}}};
    check_keys(*chain(), "ASIAROLE", "role/secret+1", "role//token==");
    STRCMP_EQUAL("(none)", header_of(http.last(kRole), "X-aws-ec2-metadata-token").c_str());
  }
  environment["AWS_EC2_METADATA_V1_DISABLED"] = "true";
  check_says(failure(*chain()), "version 1 is turned off");
}

TEST(Credentials, DoesNotFallBackOnABadRequestOrAFailure) {
  for (const long status : {400, 401, 301, 500, 503}) {
    in_ec2();
    http.requests.clear();
    http.script[kToken] = {{status, "metadata-token", {}}};
    const Error error = failure(*chain());
    check_kind(ErrorKind::kRemote, error);
    check_says(error, fmt::format("HTTP {} to the request for a token", status));
    LONGS_EQUAL(status >= 500 ? 2 : 1, http.calls(kToken));
    LONGS_EQUAL(0, http.calls(kRoles));
  }
}

TEST(Credentials, TriesEc2ASecondTime) {
  in_ec2();
  http.script[kToken] = {refused_connection(kInstance, 28), {200, "metadata-token", {}}};
  http.script[kRoles] = {{503, "", {}}, {200, "backup", {}}};
  check_keys(*chain(), "ASIAROLE", "role/secret+1", "role//token==");
}

TEST(Credentials, LooksForEc2WhereTheEnvironmentSays) {
  environment["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"] = "IPv6";
  (void)failure(*chain());
  STRCMP_EQUAL("http://[fd00:ec2::254]/latest/api/token", http.requests.back().url.c_str());
  environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:1338/";
  (void)failure(*chain());
  STRCMP_EQUAL("http://127.0.0.1:1338/latest/api/token", http.requests.back().url.c_str());
  http.requests.clear();
  for (const char* url :
       {"127.0.0.1", "file:///etc/shadow", "http://", "http://u:env/secret@h", "http://a b"}) {
    environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = url;
    check_kind(ErrorKind::kConfig, failure(*chain()));
  }
  environment = {{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv5"}};
  check_kind(ErrorKind::kConfig, failure(*chain()));
  environment = {{"AWS_EC2_METADATA_DISABLED", "True"}};
  check_says(failure(*chain()), "EC2 metadata is turned off (AWS_EC2_METADATA_DISABLED)");
  LONGS_EQUAL(0, http.requests.size());
}

TEST(Credentials, RefusesWhatIsNoTokenRoleOrKeys) {
  const std::string good = role_keys(in(std::chrono::hours(1)));
  const std::string html = "<html><body>Welcome</body></html>";
  const std::string large(70 << 10, 'x');
  const struct {
    const char* url;
    Reply reply;
    const char* says;
  } rows[] = {
      {kToken, {200, html, {}}, "no token"},
      {kToken, {200, "", {}}, "no token"},
      {kToken, {200, "a\r\nx: y", {}}, "no token"},
      {kToken, {200, large, {}}, "larger than 64 KiB"},
      {kRoles, {404, html, {}}, "this machine has no role"},
      {kRoles, {401, "", {}}, "HTTP 401 to the request for the role's name"},
      {kRoles, {200, html, {}}, "no name of a role"},
      {kRoles, {200, "", {}}, "no name of a role"},
      {kRoles, {200, "../../user-data", {}}, "no name of a role"},
      {kRoles, {200, "..", {}}, "no name of a role"},
      {kRoles, {200, large, {}}, "larger than 64 KiB"},
      {kRole, {404, html, {}}, "HTTP 404 to the request for the role's keys"},
      {kRole, {200, html, {}}, "no JSON object"},
      {kRole, {200, "", {}}, "no JSON object"},
      {kRole, {200, "[1]", {}}, "no JSON object"},
      {kRole, {200, good.substr(0, good.size() - 2), {}}, "no JSON object"},
      {kRole, {200, std::string(60000, '['), {}}, "no JSON object"},
      {kRole, {200, good + std::string(65 << 10, ' '), {}}, "larger than 64 KiB"},
      {kRole, {200, R"({"Code":"Success","AccessKeyId":7})", {}}, "no AccessKeyId"},
      {kRole, {200, R"({"AccessKeyId":"A","SecretAccessKey":null})", {}}, "no SecretAccessKey"},
      {kRole, {200, R"({"AccessKeyId":"A","SecretAccessKey":"role/secret+1"})", {}}, "no Token"},
      {kRole,
       {200, R"({"AccessKeyId":"A","SecretAccessKey":"role/secret+1","Token":"t"})", {}},
       "no Expiration"},
      {kRole, {200, role_keys("tomorrow"), {}}, "'tomorrow' is no time"},
      {kRole, {200, role_keys(in(std::chrono::hours(1)), R"(A\r\nx: y)"), {}}, "no key holds"},
      {kRole,
       {200, R"({"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot\nassume"})", {}},
       "AssumeRoleUnauthorizedAccess: EC2 cannot assume"},
  };
  for (const auto& row : rows) {
    in_ec2();
    http.script[row.url] = {row.reply};
    const Error error = failure(*chain());
    check_kind(ErrorKind::kRemote, error);
    check_says(error, "EC2 metadata at http://169.254.169.254: ");
    check_says(error, row.says);
    CHECK_FALSE(error.hint.empty());
  }
}

// --- the whole chain

TEST(Credentials, SaysOfEveryStepWhyItHadNothing) {
  const Error error = failure(*chain());
  check_kind(ErrorKind::kRemote, error);
  CHECK_FALSE(error.retryable);
  STRCMP_EQUAL(
      "there are no credentials for S3: cluster.yml has no access_key; [s3] access_key_file is not "
      "set; AWS_ACCESS_KEY_ID is not set; there is no $CREDENTIALS_DIRECTORY; "
      "AWS_WEB_IDENTITY_TOKEN_FILE is not set; AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and "
      "AWS_CONTAINER_CREDENTIALS_FULL_URI are not set; EC2 metadata at http://169.254.169.254: "
      "Connection refused",
      error.message.c_str());
  check_hints(error, "set access_key and secret_key in cluster.yml");
  LONGS_EQUAL(2, http.requests.size());
}

// Each thread of an upload would wait for it anew.
TEST(Credentials, LetsAFailureStandForAMoment) {
  const auto source = chain();
  const Error first = failure(*source), second = failure(*source);
  STRCMP_EQUAL(first.message.c_str(), second.message.c_str());
  LONGS_EQUAL(2, http.requests.size());
  clock.pass(std::chrono::seconds(6));
  in_ec2();
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
}

TEST(Credentials, ReturnsACancelledRequestAsItIs) {
  http.script[kToken] = {{0, "", cancelled_error()}};
  const auto source = chain();
  check_kind(ErrorKind::kCancelled, failure(*source));
  // And does not let it stand: cleaning up asks after the stop.
  in_ec2();
  CHECK_TRUE(source->get(true).ok());
  CHECK_TRUE(http.requests.back().after_stop);
}

// --- renewal

TEST(Credentials, RenewsBeforeTheEnd) {
  in_ec2(std::chrono::minutes(20));
  const auto source = chain();
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  clock.pass(std::chrono::minutes(15));
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  LONGS_EQUAL(1, http.calls(kRole));
  clock.pass(std::chrono::seconds(1));
  http.script[kRole] = {{200, role_keys(in(std::chrono::hours(6)), "ASIASECOND"), {}}};
  check_keys(*source, "ASIASECOND", "role/secret+1", "role//token==");
  LONGS_EQUAL(2, http.calls(kRole));
}

TEST(Credentials, KeepsTheOldOnesWhileTheyServe) {
  in_ec2(std::chrono::minutes(20));
  const auto source = chain();
  CHECK_TRUE(source->get().ok());
  clock.pass(std::chrono::minutes(16));
  http.script[kToken] = {refused_connection(kInstance)};
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  const int asked = http.calls(kToken);
  LONGS_EQUAL(3, asked);
  // Not with every request of an upload.
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  LONGS_EQUAL(asked, http.calls(kToken));
  clock.pass(std::chrono::seconds(31));
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  CHECK_TRUE(http.calls(kToken) > asked);
  const std::string end = in(std::chrono::seconds(3 * 60 + 29));
  clock.pass(std::chrono::minutes(4));
  const Error error = failure(*source);
  check_kind(ErrorKind::kRemote, error);
  check_says(error, "the credentials of the role backup of this machine expired at " + end +
                        " and could not be renewed: EC2 metadata at http://169.254.169.254: ");
  CHECK_TRUE(error.retryable);
  clock.pass(std::chrono::seconds(6));
  in_ec2();
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
}

// Cleaning up has seconds.
TEST(Credentials, DoesNotRenewEarlyAfterAStop) {
  in_ec2(std::chrono::minutes(4));
  const auto source = chain();
  CHECK_TRUE(source->get().ok());
  clock.pass(std::chrono::minutes(2));
  CHECK_TRUE(source->get(true).ok());
  LONGS_EQUAL(1, http.calls(kRole));
  clock.pass(std::chrono::minutes(3));
  in_ec2();
  CHECK_TRUE(source->get(true).ok());
  LONGS_EQUAL(2, http.calls(kRole));
}

TEST(Credentials, RefusesKeysThatHaveExpiredAlready) {
  in_ec2(-std::chrono::hours(1));
  const Error error = failure(*chain());
  check_kind(ErrorKind::kRemote, error);
  check_says(error, "expired at " + in(-std::chrono::hours(1)));
  check_hints(error, "timedatectl");
}

TEST(Credentials, FetchesAnewWhatTheServerDoesNotKnow) {
  in_ec2();
  const auto source = chain();
  CHECK_FALSE(source->forget({"ASIAROLE", "", ""}));
  const auto keys = source->get();
  CHECK_TRUE(keys.ok());
  CHECK_TRUE(source->forget(*keys));
  http.script[kRole] = {{200, role_keys(in(std::chrono::hours(6)), "ASIASECOND"), {}}};
  check_keys(*source, "ASIASECOND", "role/secret+1", "role//token==");
}

// Several threads are told at once that the old ones have expired.
TEST(Credentials, KeepsWhatAnotherThreadHasRenewed) {
  in_ec2();
  const auto source = chain();
  const auto old = source->get();
  CHECK_TRUE(source->forget(*old));
  CHECK_TRUE(source->forget(*old));  // before anybody has asked for others
  http.script[kRole] = {{200, role_keys(in(std::chrono::hours(6)), "ASIASECOND"), {}}};
  CHECK_TRUE(source->get().ok());
  const size_t asked = http.requests.size();
  CHECK_TRUE(source->forget(*old));
  check_keys(*source, "ASIASECOND", "role/secret+1", "role//token==");
  LONGS_EQUAL(asked, http.requests.size());
  // The same key with another token is another.
  Credentials token = *source->get();
  token.session_token = "before";
  CHECK_TRUE(source->forget(token));
  CHECK_TRUE(source->get().ok());
  LONGS_EQUAL(asked, http.requests.size());
}

TEST(Credentials, TellsWhichVariableNamesAFileThatIsMissing) {
  with_web_identity();
  environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/nonexistent/token";
  const Error error = failure(*chain());
  check_kind(ErrorKind::kConfig, error);
  check_says(error, "/nonexistent/token");
  check_hints(error, "AWS_WEB_IDENTITY_TOKEN_FILE");
  inputs.access_key_file = inputs.secret_key_file = "/nonexistent/key";
  check_hints(failure(*chain()), "[s3] access_key_file");
}

TEST(Credentials, FetchesOnceForManyThreads) {
  in_ec2();
  http.during = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  const auto source = chain();
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto keys = source->get();
      if (keys && keys->access_key == "ASIAROLE") ++good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  LONGS_EQUAL(8, good);
  LONGS_EQUAL(3, http.requests.size());
}

// --- web identity

TEST(Credentials, AsksStsWithTheToken) {
  with_web_identity();
  inputs.extra_roots = "PEM";
  environment["AWS_ROLE_SESSION_NAME"] = "host+1@example";
  const auto source = chain();
  check_keys(*source, "ASIASTS", "sts/secret", "sts//token==");
  const HttpRequest& request = http.last(kSts);
  STRCMP_EQUAL(
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2F"
      "backup&RoleSessionName=host%2B1%40example&WebIdentityToken=eyJ.web.identity",
      request.body.c_str());
  STRCMP_EQUAL("application/x-www-form-urlencoded", header_of(request, "content-type").c_str());
  STRCMP_EQUAL("PEM", request.extra_roots.c_str());
  CHECK_TRUE(request.proxy_from_environment);
  // The token is renewed in its file.
  scratch.write("token", "eyJ.second");
  CHECK_TRUE(source->forget(*source->get()));
  CHECK_TRUE(source->get().ok());
  CHECK_TRUE(http.last(kSts).body.ends_with("WebIdentityToken=eyJ.second"));
}

TEST(Credentials, NamesItsSessionAfterTheHost) {
  with_web_identity();
  CHECK_TRUE(chain()->get().ok());
  const std::string body = http.last(kSts).body;
  CHECK_TEXT(holds(body, "&RoleSessionName=etcd-snapshot-"), body.c_str());
  for (const std::string& name : {std::string("a b"), std::string("x"), std::string(65, 'x')}) {
    environment["AWS_ROLE_SESSION_NAME"] = name;
    check_kind(ErrorKind::kConfig, failure(*chain()));
  }
}

TEST(Credentials, FindsSts) {
  const struct {
    const char *region, *aws_region, *endpoint, *url;
  } rows[] = {
      {"eu-west-1", "", "", "https://sts.eu-west-1.amazonaws.com/"},
      {"cn-north-1", "", "", "https://sts.cn-north-1.amazonaws.com.cn/"},
      {"", "", "", "https://sts.amazonaws.com/"},
      {"", "eu-west-2", "", "https://sts.eu-west-2.amazonaws.com/"},
      {"evil.example/", "", "", "https://sts.amazonaws.com/"},
      {"eu-west-1", "", "http://rgw.example.com:8000", "http://rgw.example.com:8000/"},
      {"eu-west-1", "", "https://sts.example.com/", "https://sts.example.com/"},
  };
  for (const auto& row : rows) {
    with_web_identity();
    inputs.region = row.region;
    environment["AWS_REGION"] = row.aws_region;
    environment["AWS_ENDPOINT_URL_STS"] = row.endpoint;
    inputs.proxy = "http://proxy:3128";
    (void)chain()->get();
    STRCMP_EQUAL(row.url, http.requests.back().url.c_str());
    STRCMP_EQUAL("http://proxy:3128", http.requests.back().proxy.c_str());
  }
  http.requests.clear();
  for (const char* url : {"sts.example.com", "ftp://sts.example.com", "https://u:env/secret@h/"}) {
    environment["AWS_ENDPOINT_URL_STS"] = url;
    check_kind(ErrorKind::kConfig, failure(*chain()));
  }
  LONGS_EQUAL(0, http.requests.size());
}

TEST(Credentials, NeverShowsTheTokenThatStsRefuses) {
  const std::string echo = "The token eyJ.web.identity is not good";
  const struct {
    Reply reply;
    const char *says, *hints;
    bool retryable;
  } rows[] = {
      {{400, sts_error("InvalidIdentityToken", echo), {}},
       "InvalidIdentityToken: The token *** is not good",
       "identity provider",
       false},
      {{400, sts_error("ExpiredTokenException", "Token expired"), {}},
       "ExpiredTokenException: Token expired",
       "has expired",
       false},
      {{403, sts_error("AccessDenied", "Not authorized"), {}},
       "AccessDenied: Not authorized",
       "trust policy of arn:aws:iam::1:role/backup",
       false},
      {{400, sts_error("IDPCommunicationError", "Later"), {}},
       "IDPCommunicationError",
       "AWS_ROLE",
       true},
      {{502, "<html>eyJ.web.identity</html>", {}}, "HTTP 502, and no STS answer", "STS", true},
      {{200, "<html>eyJ.web.identity</html>", {}}, "AssumeRoleWithWebIdentity", "", false},
      {{200, sts_keys("soon"), {}}, "Expiration", "", false},
      {{200, std::string(65 << 10, 'x') + "x", {}}, "larger than 64 KiB", "", false},
      {refused_connection("https://sts.eu-central-1.amazonaws.com"), "Connection refused", "",
       true},
  };
  for (const auto& row : rows) {
    with_web_identity();
    http.script[kSts] = {row.reply};
    const Error error = failure(*chain());
    check_kind(ErrorKind::kRemote, error);
    check_says(error, "STS at https://sts.eu-central-1.amazonaws.com: ");
    check_says(error, row.says);
    check_hints(error, row.hints);
    CHECK_EQUAL_TEXT(row.retryable, error.retryable, error.message.c_str());
  }
}

// It was meant: the machine's own role may be allowed other things.
TEST(Credentials, EndsTheSearchWhereASourceFails) {
  in_ec2();
  with_web_identity();
  http.script[kSts] = {{403, sts_error("AccessDenied", "no"), {}}};
  (void)failure(*chain());
  scratch.write("token", "");
  check_says(failure(*chain()), scratch.path("token") + " is empty");
  environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = "";
  with_container();
  http.script[kContainer] = {{500, "", {}}};
  (void)failure(*chain());
  LONGS_EQUAL(0, http.calls(kToken));
}

// --- containers

TEST(Credentials, AsksTheContainerEndpoint) {
  const char* const kPod = "GET http://169.254.170.23/v1/credentials";
  environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.170.23/v1/credentials";
  environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "Basic container-token";
  http.script[kPod] = {{200, role_keys(in(std::chrono::hours(1)), "ASIAPOD"), {}}};
  inputs.proxy = "http://proxy:3128";
  check_keys(*chain(), "ASIAPOD", "role/secret+1", "role//token==");
  STRCMP_EQUAL("Basic container-token", header_of(http.last(kPod), "authorization").c_str());
  STRCMP_EQUAL("", http.last(kPod).proxy.c_str());
  CHECK_FALSE(http.last(kPod).proxy_from_environment);
  scratch.write("token", "container-token\n");
  environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = scratch.path("token");
  CHECK_TRUE(chain()->get().ok());
  STRCMP_EQUAL("container-token", header_of(http.last(kPod), "authorization").c_str());
  environment.erase("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "container-token\r\nx: y";
  check_kind(ErrorKind::kConfig, failure(*chain()));
}

// Keys of a task may be without a session token and without an end.
TEST(Credentials, TakesContainerKeysWithoutAnEnd) {
  with_container();
  http.script[kContainer] = {{200, R"({"AccessKeyId":"A","SecretAccessKey":"S"})", {}}};
  const auto source = chain();
  check_keys(*source, "A", "S", "");
  clock.pass(std::chrono::hours(1000));
  check_keys(*source, "A", "S", "");
  LONGS_EQUAL(1, http.requests.size());
  CHECK_TRUE(source->forget(*source->get()));
}

TEST(Credentials, NamesTheContainerEndpointThatFails) {
  for (const Reply& reply :
       {Reply{403, "container-token", {}}, Reply{200, "<html>", {}},
        Reply{200, std::string(65 << 10, ' '), {}}, refused_connection("http://169.254.170.2")}) {
    with_container();
    http.script[kContainer] = {reply};
    const Error error = failure(*chain());
    check_kind(ErrorKind::kRemote, error);
    check_says(error, "the container's credentials at http://169.254.170.2: ");
    CHECK_FALSE(holds(error.message, "there are no credentials"));
  }
}

TEST(Credentials, SendsNoContainerTokenAcrossTheNetworkInTheClear) {
  environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "container-token";
  for (const char* url :
       {"http://example.com/", "http://127.0.0.1.example.com/", "http://127.0.0.1@example.com/",
        "http://169.254.170.22/", "http://169.254.169.254/", "http://127.1/", "http://2130706433/",
        "http://[fd00:ec2::254]/", "http://[::ffff:1.2.3.4]/", "http://[::1]example.com/",
        "http://localhost.example.com/", "http://example.com\\@127.0.0.1/", "ftp://127.0.0.1/",
        "//127.0.0.1/", "https://", "http://127.0.0.1/ x"}) {
    environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url;
    const Error error = failure(*chain());
    check_kind(ErrorKind::kConfig, error);
    check_says(error, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
  }
  environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "@example.com/";
  check_kind(ErrorKind::kConfig, failure(*chain()));
  LONGS_EQUAL(0, http.requests.size());
  environment.erase("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  for (const char* url : {"https://example.com/x", "http://127.0.0.1:51679/x", "http://[::1]:80/x",
                          "http://[fd00:ec2::23]/x", "http://localhost/x", "http://127.9.9.9/x",
                          "http://169.254.170.2/x"}) {
    environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url;
    check_kind(ErrorKind::kRemote, failure(*chain()));
    STRCMP_EQUAL(url, http.requests.back().url.c_str());
  }
}
