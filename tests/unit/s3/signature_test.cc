#include "s3/signature.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "store/names.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

// Third-party data that lies beside the checkout on some machines.
constexpr char kPublishedCases[] = "../shared/vectors/sigv4";

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string line_of(const std::vector<std::string>& lines, const std::string& name) {
  for (const std::string& line : lines) {
    if (line.starts_with(name + ": ")) return line.substr(name.size() + 2);
  }
  return "";
}

std::string signature_of(const std::vector<std::string>& lines) {
  const std::string authorization = line_of(lines, "authorization");
  const size_t start = authorization.find("Signature=");
  return start == authorization.npos ? "" : authorization.substr(start + 10);
}

std::string percent_decode(const std::string& text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      decoded += from_hex(text.substr(i + 1, 2));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

// What other services than S3 do with a path before it is signed; S3 leaves it alone.
std::string normalize(const std::string& path) {
  std::vector<std::string> parts;
  std::stringstream in(path);
  for (std::string part; std::getline(in, part, '/');) {
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (part != ".." && part != "." && !part.empty()) parts.push_back(part);
  }
  std::string normalized;
  for (const std::string& part : parts) normalized += "/" + part;
  if (normalized.empty() || path.ends_with('/')) normalized += '/';
  return normalized;
}

QueryParameters parse_query(const std::string& query) {
  QueryParameters parameters;
  std::stringstream in(query);
  for (std::string part; std::getline(in, part, '&');) {
    const size_t equals = std::min(part.find('='), part.size());
    const std::string value = equals < part.size() ? part.substr(equals + 1) : "";
    parameters.emplace_back(percent_decode(part.substr(0, equals)), percent_decode(value));
  }
  return parameters;
}

// Reads the request of a case, "METHOD target HTTP/1.1", headers, body.
SigningRequest parse_request(const std::string& text, bool normalized) {
  SigningRequest request;
  std::stringstream in(text);
  std::string line;
  std::getline(in, line);
  const size_t target_start = line.find(' ') + 1;
  const std::string target = line.substr(target_start, line.rfind(" HTTP/") - target_start);
  const size_t question = std::min(target.find('?'), target.size());
  const std::string path = target.substr(0, question);
  request.method = line.substr(0, target_start - 1);
  request.path = percent_encode(normalized ? normalize(path) : path, /*keep_slash=*/true);
  if (question < target.size()) {
    request.query = canonical_query(parse_query(target.substr(question + 1)));
  }
  while (std::getline(in, line) && !line.empty()) {
    // A value that goes on in the next line (RFC 9112, 5.2): a space, for who reads it.
    if (line.starts_with(' ')) {
      request.headers.back().second += line;
      continue;
    }
    const size_t colon = line.find(':');
    const std::string name = line.substr(0, colon), value = line.substr(colon + 1);
    if (name == "Host") {
      request.host = value;
    } else if (name != "X-Amz-Date") {
      request.headers.emplace_back(name, value);
    }
  }
  std::string body;
  std::getline(in, body, '\0');
  request.payload_sha256 = to_hex(*sha256(body));
  return request;
}

// The examples of AWS' documentation.
const Credentials kDocumented = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                 ""};
constexpr char kDocumentedHost[] = "examplebucket.s3.amazonaws.com";

SigningScope documented_scope() {
  SigningScope scope;
  scope.region = "us-east-1";
  scope.time = *parse_rfc3339("2013-05-24T00:00:00Z");
  return scope;
}

}  // namespace

TEST_GROUP(Signature){};

TEST(Signature, SignsEveryPublishedCase) {
  if (!std::filesystem::is_directory(kPublishedCases)) {
    UT_PRINT("skipped: AWS' published cases are not in ../shared/vectors/sigv4");
    return;
  }
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kPublishedCases)) {
    if (!entry.is_directory()) continue;
    const std::filesystem::path& folder = entry.path();
    const std::string name = folder.filename();
    const auto context = nlohmann::json::parse(read(folder / "context.json"));
    Credentials credentials = {context["credentials"]["access_key_id"],
                               context["credentials"]["secret_access_key"], ""};
    // A token that is added after signing takes no part in it.
    if (!context.value("omit_session_token", false)) {
      credentials.session_token = context["credentials"].value("token", "");
    }
    SigningScope scope;
    scope.region = context["region"];
    scope.service = context["service"];
    scope.time = *parse_rfc3339(context["timestamp"].get<std::string>());
    scope.content_sha256_header = context["sign_body"];
    const SigningRequest request =
        parse_request(read(folder / "request.txt"), context["normalize"]);
    const std::string canonical = canonical_request(request, credentials, scope);
    STRCMP_EQUAL_TEXT(read(folder / "header-canonical-request.txt").c_str(), canonical.c_str(),
                      name.c_str());
    const auto text = string_to_sign(canonical, scope);
    CHECK_TRUE_TEXT(text.ok(), name.c_str());
    STRCMP_EQUAL_TEXT(read(folder / "header-string-to-sign.txt").c_str(), text->c_str(),
                      name.c_str());
    const auto lines = sign_request(request, credentials, scope);
    CHECK_TRUE_TEXT(lines.ok(), name.c_str());
    STRCMP_EQUAL_TEXT(read(folder / "header-signature.txt").c_str(), signature_of(*lines).c_str(),
                      name.c_str());
    ++cases;
  }
  CHECK_TRUE(cases >= 38);
}

// S3 API Reference, "Authenticating Requests: Using the Authorization Header (AWS Signature
// Version 4)", examples.
TEST(Signature, SignsWhatTheS3ReferenceSigns) {
  struct Example {
    const char* method;
    const char* path;
    QueryParameters query;
    std::vector<std::pair<std::string, std::string>> headers;
    const char* body;
    const char* signature;
  };
  const Example table[] = {
      {"GET",
       "/test.txt",
       {},
       {{"Range", "bytes=0-9"}},
       "",
       "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
      {"PUT",
       "/test$file.text",
       {},
       {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
       "Welcome to Amazon S3.",
       "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
      {"GET",
       "/",
       {{"lifecycle", ""}},
       {},
       "",
       "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
      {"GET",
       "/",
       {{"prefix", "J"}, {"max-keys", "2"}},
       {},
       "",
       "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
  };
  for (const Example& example : table) {
    const SigningRequest request = {example.method,
                                    percent_encode(example.path, /*keep_slash=*/true),
                                    canonical_query(example.query),
                                    kDocumentedHost,
                                    example.headers,
                                    to_hex(*sha256(example.body))};
    const auto lines = sign_request(request, kDocumented, documented_scope());
    CHECK_TRUE(lines.ok());
    STRCMP_EQUAL_TEXT(example.signature, signature_of(*lines).c_str(), example.path);
  }
}

TEST(Signature, TellsWhatTheRequestHasToCarry) {
  const SigningRequest request = {
      "GET", "/test.txt", "", kDocumentedHost, {{"range", "bytes=0-9"}}, kEmptySha256};
  const auto lines = sign_request(request, kDocumented, documented_scope());
  CHECK_TRUE(lines.ok());
  LONGS_EQUAL(3, lines->size());
  STRCMP_EQUAL("20130524T000000Z", line_of(*lines, "x-amz-date").c_str());
  STRCMP_EQUAL(kEmptySha256, line_of(*lines, "x-amz-content-sha256").c_str());
  STRCMP_EQUAL(
      "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
      "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
      "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
      line_of(*lines, "authorization").c_str());
}

TEST(Signature, FoldsHeadersAndJoinsThoseOfOneName) {
  const SigningRequest request = {
      "GET",       "/", "a=b", "host:9000", {{"X-B", "  1  2 "}, {"x-a", ""}, {"x-b", "0"}},
      kEmptySha256};
  SigningScope scope = documented_scope();
  scope.content_sha256_header = false;
  STRCMP_EQUAL((std::string("GET\n/\na=b\nhost:host:9000\nx-a:\nx-amz-date:20130524T000000Z\n"
                            "x-b:1 2,0\n\nhost;x-a;x-amz-date;x-b\n") +
                kEmptySha256)
                   .c_str(),
               canonical_request(request, kDocumented, scope).c_str());
}

TEST(Signature, SignsTheSessionTokenAndSendsIt) {
  const SigningRequest request = {"GET", "/", "", kDocumentedHost, {}, kEmptySha256};
  Credentials credentials = kDocumented;
  credentials.session_token = "Example+Token/==";
  const auto lines = sign_request(request, credentials, documented_scope());
  CHECK_TRUE(lines.ok());
  LONGS_EQUAL(4, lines->size());
  STRCMP_EQUAL("Example+Token/==", line_of(*lines, "x-amz-security-token").c_str());
  CHECK_TRUE(
      line_of(*lines, "authorization")
          .find("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,") !=
      std::string::npos);
  const auto without = sign_request(request, kDocumented, documented_scope());
  CHECK_TRUE(signature_of(*lines) != signature_of(*without));
}

TEST(Signature, NeverHoldsTheSecretItself) {
  const SigningRequest request = {"GET", "/", "", kDocumentedHost, {}, kEmptySha256};
  const auto lines = sign_request(request, kDocumented, documented_scope());
  for (const std::string& line : *lines) {
    CHECK_TRUE(line.find(kDocumented.secret_key) == std::string::npos);
  }
  CHECK_TRUE(
      canonical_request(request, kDocumented, documented_scope()).find(kDocumented.secret_key) ==
      std::string::npos);
}

TEST(Signature, ChangesWithEverythingThatIsSigned) {
  const SigningRequest request = {"PUT",       "/key", "a=b", "host:9000", {{"x-amz-a", "b"}},
                                  kEmptySha256};
  const SigningScope scope = documented_scope();
  std::vector<std::string> signatures = {signature_of(*sign_request(request, kDocumented, scope))};
  const auto add = [&](auto change) {
    SigningRequest other = request;
    SigningScope other_scope = scope;
    Credentials credentials = kDocumented;
    change(other, other_scope, credentials);
    signatures.push_back(signature_of(*sign_request(other, credentials, other_scope)));
  };
  add([](auto& r, auto&, auto&) { r.method = "GET"; });
  add([](auto& r, auto&, auto&) { r.path = "/Key"; });
  add([](auto& r, auto&, auto&) { r.query = "a=c"; });
  add([](auto& r, auto&, auto&) { r.host = "host"; });
  add([](auto& r, auto&, auto&) { r.headers[0].second = "c"; });
  add([](auto& r, auto&, auto&) { r.payload_sha256 = std::string(64, '0'); });
  add([](auto&, auto& s, auto&) { s.region = "eu-west-1"; });
  add([](auto&, auto& s, auto&) { s.service = "sts"; });
  add([](auto&, auto& s, auto&) { s.time += std::chrono::seconds(1); });
  add([](auto&, auto&, auto& c) { c.secret_key += "x"; });
  for (const std::string& signature : signatures) LONGS_EQUAL(64, signature.size());
  std::sort(signatures.begin(), signatures.end());
  CHECK_TRUE(std::adjacent_find(signatures.begin(), signatures.end()) == signatures.end());
}

TEST(Signature, EncodesAsTheOlderToolDid) {
  std::ifstream in("tests/data/minio_encodepath.tsv");
  CHECK_TRUE(in.is_open());
  int rows = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('#')) continue;
    const size_t first = line.find('\t'), second = line.find('\t', first + 1);
    const std::string key = nlohmann::json::parse(line.substr(0, first));
    STRCMP_EQUAL(line.substr(first + 1, second - first - 1).c_str(),
                 percent_encode(key, /*keep_slash=*/true).c_str());
    STRCMP_EQUAL(line.substr(second + 1).c_str(), canonical_query({{"prefix", key}}).c_str());
    ++rows;
  }
  CHECK_TRUE(rows >= 10);
}

TEST(Signature, EncodesEveryByte) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  const std::string encoded = percent_encode(all, /*keep_slash=*/false);
  LONGS_EQUAL(66 + (256 - 66) * 3, encoded.size());
  CHECK_TRUE(percent_decode(encoded) == all);
  STRCMP_EQUAL("a/b%2F", (percent_encode("a/b", true) + percent_encode("/", false)).c_str());
}

TEST(Signature, OrdersTheQueryByEncodedNameAndValue) {
  STRCMP_EQUAL("", canonical_query({}).c_str());
  STRCMP_EQUAL("%C3%A9=&A=2&a=1&a=2&a%2Bb=&a-b=&uploads=", canonical_query({{"uploads", ""},
                                                                            {"a-b", ""},
                                                                            {"a+b", ""},
                                                                            {"a", "2"},
                                                                            {"a", "1"},
                                                                            {"A", "2"},
                                                                            {"\xc3\xa9", ""}})
                                                               .c_str());
}
