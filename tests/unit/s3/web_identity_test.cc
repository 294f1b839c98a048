#include "credentials_lab.h"

using namespace etcd_snapshot;

TEST_GROUP_BASE(WebIdentity, CredentialsBase){};

// --- web identity

TEST(WebIdentity, AsksStsWithTheToken) {
  with_web_identity();
  inputs.extra_roots = "PEM";
  environment["AWS_ROLE_SESSION_NAME"] = "host+1@example";
  const auto source = chain();
  check_keys(*source, "ASIASTS", "sts/secret", "sts//token==");
  const HttpRequest& request = http.last(kStsCall);
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
  CHECK_TRUE(http.last(kStsCall).body.ends_with("WebIdentityToken=eyJ.second"));
}

TEST(WebIdentity, NamesItsSessionAfterTheHost) {
  with_web_identity();
  CHECK_TRUE(chain()->get().ok());
  const std::string body = http.last(kStsCall).body;
  CHECK_TEXT(holds(body, "&RoleSessionName=etcd-snapshot-"), body.c_str());
  for (const std::string& name : {std::string("a b"), std::string("x"), std::string(65, 'x')}) {
    environment["AWS_ROLE_SESSION_NAME"] = name;
    check_kind(ErrorKind::kConfig, failure(*chain()));
  }
}

TEST(WebIdentity, FindsSts) {
  const struct {
    const char *region, *aws_region, *endpoint, *url;
  } rows[] = {
      {"eu-west-1", "", "", "https://sts.eu-west-1.amazonaws.com/"},
      {"cn-north-1", "", "", "https://sts.cn-north-1.amazonaws.com.cn/"},
      {"", "", "", "https://sts.amazonaws.com/"},
      {"", "eu-west-2", "", "https://sts.eu-west-2.amazonaws.com/"},
      {"evil.example/", "", "", "https://sts.amazonaws.com/"},
      {"us-isob-east-1", "", "", "https://sts.us-isob-east-1.sc2s.sgov.gov/"},
      {"eusc-de-east-1", "", "", "https://sts.eusc-de-east-1.amazonaws.eu/"},
      // Another provider's region is none of STS's.
      {"fr-par", "eu-west-2", "", "https://sts.eu-west-2.amazonaws.com/"},
      {"auto", "", "", "https://sts.amazonaws.com/"},
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

TEST(WebIdentity, FindsStsWithFipsAndIpv6) {
  const struct {
    const char* region;
    bool fips_endpoint;
    const char *fips, *dual_stack, *url;
  } rows[] = {
      {"us-east-2", true, "", "", "https://sts-fips.us-east-2.amazonaws.com/"},
      {"us-gov-west-1", true, "", "", "https://sts.us-gov-west-1.amazonaws.com/"},
      {"ca-central-1", true, "", "", "https://sts.ca-central-1.amazonaws.com/"},
      {"us-west-1", false, "true", "", "https://sts-fips.us-west-1.amazonaws.com/"},
      {"us-west-1", false, "false", "", "https://sts.us-west-1.amazonaws.com/"},
      {"eu-west-1", false, "", "true", "https://sts.eu-west-1.api.aws/"},
  };
  for (const auto& row : rows) {
    with_web_identity();
    inputs.region = row.region;
    inputs.fips = row.fips_endpoint;
    environment["AWS_USE_FIPS_ENDPOINT"] = row.fips;
    environment["AWS_USE_DUALSTACK_ENDPOINT"] = row.dual_stack;
    (void)chain()->get();
    STRCMP_EQUAL(row.url, http.requests.back().url.c_str());
  }
}

TEST(WebIdentity, NeverShowsTheTokenThatStsRefuses) {
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
    http.script[kStsCall] = {row.reply};
    const Error error = failure(*chain());
    check_kind(ErrorKind::kRemote, error);
    check_says(error, "STS at https://sts.eu-central-1.amazonaws.com: ");
    check_says(error, row.says);
    check_hints(error, row.hints);
    CHECK_EQUAL_TEXT(row.retryable, error.retryable, error.message.c_str());
  }
}

// It was meant: the machine's own role may be allowed other things.
TEST(WebIdentity, EndsTheSearchWhereASourceFails) {
  in_ec2();
  with_web_identity();
  http.script[kStsCall] = {{403, sts_error("AccessDenied", "no"), {}}};
  (void)failure(*chain());
  scratch.write("token", "");
  check_says(failure(*chain()), scratch.path("token") + " is empty");
  environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = "";
  with_container();
  http.script[kContainer] = {{500, "", {}}};
  (void)failure(*chain());
  LONGS_EQUAL(0, http.calls(kToken));
}
