#include "explain_lab.h"

#include <vector>

using namespace etcd_snapshot;

TEST_GROUP_BASE(ExplainNetwork, ExplainBase){};

TEST(ExplainNetwork, NamesTheCallWithoutSayingTheHostTwice) {
  Error error{ErrorKind::kRemote,
              "https://bucket.s3.example.com:8443: Could not resolve host: bucket.s3.example.com",
              "a hint of below", true, 6};
  error = explain_network(name, error, {});
  STRCMP_EQUAL(
      "PutObject https://s3.example.com/bucket/key: Could not resolve host: bucket.s3.example.com",
      error.message.c_str());
  CHECK_TRUE(error.retryable);
  LONGS_EQUAL(6, error.code);
  check_hints(error, "check endpoint in cluster.yml");
  check_hints(error, "(getent hosts bucket.s3.example.com)");
  check_hints(error, "lookup = path");
}

TEST(ExplainNetwork, NamesTheRegionWhereAmazonsNameIsNotFound) {
  name.where = "https://s3.eu-central-9.amazonaws.com/bucket";
  const Error error =
      explain_network(name,
                      {ErrorKind::kRemote,
                       "https://bucket.s3.eu-central-9.amazonaws.com: Could not resolve host: "
                       "bucket.s3.eu-central-9.amazonaws.com",
                       "", true, 6},
                      {});
  STRCMP_EQUAL(
      "check endpoint and region in cluster.yml, and this host's DNS (getent hosts "
      "bucket.s3.eu-central-9.amazonaws.com)",
      error.hint.c_str());
}

// Connecting has a time of its own.
TEST(ExplainNetwork, NamesTheStallTimeoutOnlyWhereItWasOver) {
  for (const char* text :
       {"Connection timed out after 10001 milliseconds", "SSL connection timeout",
        "Connection timeout after 10000 ms", "Resolving timed out after 10000 milliseconds",
        "Failed to connect to s3.example.com port 443 after 10001 ms: Timeout was reached"}) {
    const Error error = explain_network(
        name, {ErrorKind::kRemote, std::string("https://s3.example.com: ") + text, "", true, 28},
        {});
    CHECK_FALSE_TEXT(holds(error.hint, "stall_timeout_s"), text);
    check_hints(error, "firewall");
  }
  for (const char* text : {"no byte moved for 60 seconds", "Operation too slow."}) {
    check_hints(explain_network(name,
                                {ErrorKind::kRemote,
                                 std::string("https://connect.example.com: ") + text, "", true, 28},
                                {}),
                "stall_timeout_s");
  }
}

TEST(ExplainNetwork, HintsByWhatTheNetworkDid) {
  constexpr char kProxy[] = "http://user:pass%40word@proxy.example.com:3128";
  const struct {
    int code;
    const char* text;
    bool roots;
    const char *proxy, *hints;
  } rows[] = {
      {5, "Could not resolve proxy: proxy.example.com", false, kProxy,
       "the proxy proxy.example.com:3128 ([s3] proxy)"},
      {5, "Could not resolve proxy: x", false, "", "https_proxy"},
      {1, "Received HTTP/0.9 when not allowed", false, "", "no HTTP server: check endpoint"},
      {6, "Could not resolve host: s3.example.com", false, "", "getent hosts"},
      {7, "Connection refused", false, "", "nothing listens there"},
      {7, "Connection refused", false, kProxy, "is the proxy proxy.example.com:3128"},
      {28, "Operation too slow. Less than 1 bytes/sec transferred the last 60 seconds", false, "",
       "stall_timeout_s"},
      {28, "Operation timed out", false, kProxy, "over the proxy proxy.example.com:3128"},
      {35, "wrong version number", false, "", "write http:// in endpoint"},
      {60, "its certificate is not accepted: unable to get local issuer certificate", false, "",
       "custom_ca of cluster.yml"},
      {60, "its certificate is not accepted: self-signed certificate", true, "",
       "the system's roots and custom_ca of cluster.yml: one of them must hold the CA certificate "
       "that signed it"},
      {60, "its certificate is not accepted: certificate has expired", true, "", "renew it there"},
      {60, "its certificate is not accepted: certificate is not yet valid", true, "",
       "timedatectl"},
      {60,
       "its certificate is not accepted: SSL: no alternative certificate subject name matches "
       "target host name 'bucket.s3.example.com'",
       true, "", "lookup = path"},
      {60,
       "its certificate is not accepted: SSL: no alternative certificate subject name matches "
       "target host name '10.0.0.1' (it is for expired.example.com)",
       true, "", "must be a name that the server's certificate holds"},
      {18, "transfer closed with 5 bytes remaining to read", false, "", "ended the connection"},
      {52, "Empty reply from server", false, "", "ended the connection"},
      {55, "Send failure: Broken pipe", false, "", "ended the connection"},
      {56, "Recv failure: Connection reset by peer", false, "", "ended the connection"},
      {56, "CONNECT tunnel failed, response 407", false, kProxy, "wants credentials"},
      {56, "Received HTTP code 407 from proxy after CONNECT", false, kProxy, "wants credentials"},
      {7, "Failed to connect to 127.0.0.1 port 39407 after 0 ms: Couldn't connect to server", false,
       kProxy, "running"},
      {56, "CONNECT tunnel failed, response 403", false, kProxy,
       "does not let the request through"},
      {97, "cannot complete SOCKS5 connection", false, kProxy, "SOCKS"},
      {92, "stream 1 was not closed cleanly", false, "", "a hint of below"},
  };
  for (const auto& row : rows) {
    Error error{ErrorKind::kRemote, std::string("https://s3.example.com: ") + row.text,
                "a hint of below", true, row.code};
    const ProxyInUse proxy{row.proxy, *row.proxy != '\0' ? "[s3] proxy" : ""};
    name.roots = row.roots ? " and custom_ca of cluster.yml" : "";
    error = explain_network(name, error, proxy);
    check_says(error, std::string("PutObject https://s3.example.com/bucket/key: ") + row.text);
    check_hints(error, row.hints);
    CHECK_FALSE_TEXT(holds(error.hint, "word@p"), error.hint.c_str());
    CHECK_FALSE_TEXT(holds(error.hint, "user:pass%"), error.hint.c_str());
  }
}

TEST(ExplainNetwork, DoesNotTakeTheCertificatesNameForTheBuckets) {
  const Error error = explain_network(
      name,
      {ErrorKind::kRemote,
       "https://a.test: its certificate is not accepted: SSL: no alternative certificate subject "
       "name matches target host name 'a.test' (it is for bucket.example.com)",
       "", false, 60},
      {});
  CHECK_FALSE_TEXT(holds(error.hint, "lookup"), error.hint.c_str());
}

TEST(ExplainNetwork, TellsOfTlsBehindAPlainEndpoint) {
  for (const int code : {52, 55, 56}) {
    const Error reset{ErrorKind::kRemote, "http://s3.example.com: ended", "", true, code};
    CHECK_FALSE(holds(explain_network(name, reset, {}).hint, "http://"));
    S3CallName plain = name;
    plain.where = "http://s3.example.com/bucket";
    check_hints(explain_network(plain, reset, {}),
                "if that port speaks TLS, take http:// out of endpoint");
  }
}

// libcurl-env(3).
TEST(ExplainNetwork, KnowsWhichProxyIsUsed) {
  std::map<std::string, std::string> set;
  const auto check = [&](const char* url, const char* setting, const char* set_in) {
    const ProxyInUse proxy = proxy_for(url, setting, [&](const char* variable) {
      const auto found = set.find(variable);
      return found == set.end() ? std::string() : found->second;
    });
    STRCMP_EQUAL(set_in, proxy.set_in.c_str());
    CHECK_EQUAL(proxy.set_in.empty(), proxy.url.empty());
  };
  check("https://s3.test", "", "");
  check("https://s3.test", "http://p", "[s3] proxy");
  set["ALL_PROXY"] = "http://d";
  check("https://s3.test", "", "ALL_PROXY of the environment");
  set["all_proxy"] = "http://c";
  check("http://s3.test", "", "all_proxy of the environment");
  set["HTTPS_PROXY"] = set["HTTP_PROXY"] = "http://b";
  check("https://s3.test", "", "HTTPS_PROXY of the environment");
  check("http://s3.test", "", "all_proxy of the environment");  // never HTTP_PROXY
  set["https_proxy"] = set["http_proxy"] = "http://a";
  check("https://s3.test", "", "https_proxy of the environment");
  check("http://s3.test", "", "http_proxy of the environment");
  check("https://s3.test", "http://p", "[s3] proxy");
  for (const char* none : {"*", "s3.test", "a.test, .test", "x,S3.TEST", "test"}) {
    set["no_proxy"] = none;
    check("https://s3.test:9000/backups?list", "", "");
  }
  set["no_proxy"] = "::1,127.0.0.1";
  check("https://[::1]:9000/", "", "");
  check("https://127.0.0.1/", "", "");
  for (const char* other : {"3.test", "s3.test.example", "", ",", "est"}) {
    set["no_proxy"] = other;
    check("https://s3.test/", "", "https_proxy of the environment");
  }
}

TEST(ExplainNetwork, TellsAProxyWithoutItsPassword) {
  for (const char* url : {"http://user:pass@word@p.test:1/", "user:pass@p.test:1", "p.test:1",
                          "socks5://us/er:pa/ss@p.test:1/x"}) {
    for (const int code : {5, 7, 28, 97}) {
      const Error error = explain_network(name, {ErrorKind::kRemote, "x", "", true, code},
                                          {url, "https_proxy of the environment"});
      check_hints(error, "the proxy p.test:1 (https_proxy of the environment)");
      CHECK_FALSE_TEXT(holds(error.hint, "pa"), error.hint.c_str());
    }
  }
}

TEST(ExplainNetwork, LeavesWhatIsNotTheNetworksFault) {
  for (const ErrorKind kind : {ErrorKind::kCancelled, ErrorKind::kStorage}) {
    const Error error = explain_network(name, Error{kind, "stopped", "why", false, 4}, {});
    STRCMP_EQUAL("stopped", error.message.c_str());
    STRCMP_EQUAL("why", error.hint.c_str());
    CHECK_TRUE(error.kind == kind);
  }
}
