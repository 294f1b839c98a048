// Credentials: a network that answers from a script, the machine around the chain of sources, and
// the answers of EC2, of a container's endpoint and of STS.
#pragma once

#include "s3/credentials.h"

#include <fmt/format.h>

#include <deque>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "../fakes/clock.h"
#include "../store/scratch.h"
#include "base/human.h"
#include "base/stop.h"

#include <CppUTest/TestHarness.h>

namespace etcd_snapshot {

inline constexpr char kInstance[] = "http://169.254.169.254";
inline constexpr char kToken[] = "PUT http://169.254.169.254/latest/api/token";
inline constexpr char kRoles[] =
    "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/";
inline constexpr char kRole[] =
    "GET http://169.254.169.254/latest/meta-data/iam/security-credentials/backup";
inline constexpr char kStsCall[] = "POST https://sts.eu-central-1.amazonaws.com/";
inline constexpr char kContainer[] = "GET http://169.254.170.2/v2/credentials/1";

struct Reply {
  long status = 200;
  std::string body{};
  std::optional<Error> error{};
};

inline Reply refused_connection(const std::string& origin, int code = 7) {
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

inline std::string header_of(const HttpRequest& request, const std::string& name) {
  for (const std::string& line : request.headers) {
    if (line.starts_with(name + ": ")) return line.substr(name.size() + 2);
  }
  return "(none)";
}

inline std::string role_keys(const std::string& expiration, const std::string& key = "ASIAROLE") {
  return R"({"Code":"Success","Type":"AWS-HMAC","AccessKeyId":")" + key +
         R"(","SecretAccessKey":"role/secret+1","Token":"role//token==","Expiration":")" +
         expiration + "\"}";
}

inline std::string sts_keys(const std::string& expiration) {
  return R"(<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>sts//token==</SessionToken>
<SecretAccessKey>sts/secret</SecretAccessKey><Expiration>)" +
         expiration + R"(</Expiration><AccessKeyId>ASIASTS</AccessKeyId></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>)";
}

inline std::string sts_error(const std::string& code, const std::string& message) {
  return "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender"
         "</Type><Code>" +
         code + "</Code><Message>" + message +
         "</Message></Error><RequestId>1-2-3</RequestId></ErrorResponse>";
}

// A chain of sources on a machine that a test makes up, and what its answers are checked for.
TEST_BASE(CredentialsBase) {
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
    http.script[kStsCall] = {{200, sts_keys(in(std::chrono::hours(1))), {}}};
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

}  // namespace etcd_snapshot
