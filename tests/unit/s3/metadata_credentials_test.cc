#include "credentials_lab.h"

using namespace etcd_snapshot;

TEST_GROUP_BASE(MetadataCredentials, CredentialsBase){};

// --- EC2

TEST(MetadataCredentials, AsksEc2AsItWantsToBeAsked) {
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

TEST(MetadataCredentials, FallsBackToVersionOneWhereVersionTwoIsRefused) {
  for (const long status : {403, 404, 405}) {
    in_ec2();
    http.script[kToken] = {{status, "no", {}}};
    check_keys(*chain(), "ASIAROLE", "role/secret+1", "role//token==");
    STRCMP_EQUAL("(none)", header_of(http.last(kRole), "X-aws-ec2-metadata-token").c_str());
  }
  environment["AWS_EC2_METADATA_V1_DISABLED"] = "true";
  check_says(failure(*chain()), "version 1 is turned off");
}

TEST(MetadataCredentials, DoesNotFallBackOnABadRequestOrAFailure) {
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

TEST(MetadataCredentials, TriesEc2ASecondTime) {
  in_ec2();
  http.script[kToken] = {refused_connection(kInstance, 28), {200, "metadata-token", {}}};
  http.script[kRoles] = {{503, "", {}}, {200, "backup", {}}};
  check_keys(*chain(), "ASIAROLE", "role/secret+1", "role//token==");
}

TEST(MetadataCredentials, LooksForEc2WhereTheEnvironmentSays) {
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

TEST(MetadataCredentials, RefusesWhatIsNoTokenRoleOrKeys) {
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

// --- containers

TEST(MetadataCredentials, AsksTheContainerEndpoint) {
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
TEST(MetadataCredentials, TakesContainerKeysWithoutAnEnd) {
  with_container();
  http.script[kContainer] = {{200, R"({"AccessKeyId":"A","SecretAccessKey":"S"})", {}}};
  const auto source = chain();
  check_keys(*source, "A", "S", "");
  clock.pass(std::chrono::hours(1000));
  check_keys(*source, "A", "S", "");
  LONGS_EQUAL(1, http.requests.size());
  CHECK_TRUE(source->forget(*source->get()));
}

TEST(MetadataCredentials, NamesTheContainerEndpointThatFails) {
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

TEST(MetadataCredentials, SendsNoContainerTokenAcrossTheNetworkInTheClear) {
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
