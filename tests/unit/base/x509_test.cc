#include "base/x509.h"

#include "../fakes/certificates.h"
#include "../store/scratch.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {
const UnixSeconds kNow{1525459216s};  // 2018-05-04T18:40:16Z
const UnixSeconds kFar{4102444800s};  // 2100-01-01T00:00:00Z: a GeneralizedTime (RFC 5280, 4.1.2.5)
}  // namespace

TEST_GROUP(X509) {
  FakeCertificate one = make_certificate("one", kNow, kFar),
                  two = make_certificate("two", kNow - 1h, kNow + 1h);
  Scratch scratch;
  void check_config(const Error& error, const char* part) {
    CHECK_TRUE_TEXT(error.kind == ErrorKind::kConfig, error.message.c_str());
    CHECK_TEXT(holds(error.message, part), error.message.c_str());
  }
};

TEST(X509, ReadsEveryCertificateOfATextInOrder) {
  const auto found = parse_certificates(
      "Subject: one\n" + one.certificate + "\nsome words between\n\n" + two.certificate + "end\n",
      "here");
  CHECK_TRUE(found.ok());
  LONGS_EQUAL(2, found->size());
  STRCMP_EQUAL("CN=one", found->at(0).subject.c_str());
  STRCMP_EQUAL("CN=one", found->at(0).issuer.c_str());
  STRCMP_EQUAL("CN=two", found->at(1).subject.c_str());
  CHECK_TRUE(found->at(0).not_before == kNow);
  CHECK_TRUE(found->at(0).not_after == kFar);
  CHECK_TRUE(found->at(1).not_before == kNow - 1h);
}

TEST(X509, TakesLineEndsOfOtherSystems) {
  std::string text;
  for (const char c : one.certificate) text += c == '\n' ? std::string("\r\n") : std::string(1, c);
  CHECK_TRUE(parse_certificates(text, "here").ok());
}

TEST(X509, PassesOverAKeyBesideTheCertificate) {
  const auto found = parse_certificates(one.key + one.certificate, "here");
  CHECK_TRUE(found.ok());
  LONGS_EQUAL(1, found->size());
}

TEST(X509, RefusesWhatHoldsNoCertificate) {
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("words"), one.key, std::string(1, '\0'),
        std::string(
            "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")}) {
    const auto found = parse_certificates(text, "cluster.yml: custom_ca");
    CHECK_FALSE(found.ok());
    check_config(found.error(), "cluster.yml: custom_ca: no certificate in it");
    CHECK_FALSE(found.error().hint.empty());
  }
}

TEST(X509, RefusesATextOfWhichOneIsDamaged) {
  std::string damaged = two.certificate;
  damaged[damaged.size() / 2] = '!';
  const std::string cut = two.certificate.substr(0, two.certificate.size() / 2);
  const struct {
    std::string text;
    const char* part;
  } rows[] = {{damaged, "certificate 1 in it cannot be read"},
              {cut, "certificate 1 in it cannot be read"},
              {one.certificate + damaged, "certificate 2 in it cannot be read"},
              {one.certificate + cut, "certificate 2 in it cannot be read"},
              {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
               "certificate 1 in it cannot be read"},
              {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
               "certificate 1 in it cannot be read"}};
  for (const auto& row : rows) {
    const auto found = parse_certificates(row.text, "here");
    CHECK_FALSE_TEXT(found.ok(), row.part);
    check_config(found.error(), row.part);
  }
  // An error leaves nothing behind that the next text is blamed for.
  CHECK_TRUE(parse_certificates(one.certificate, "here").ok());
}

TEST(X509, ReadsAFile) {
  scratch.write("ca.pem", one.certificate);
  CHECK_TRUE(read_certificates(scratch.path("ca.pem")).ok());
  LONGS_EQUAL(0, symlink("ca.pem", scratch.path("link.pem").c_str()));
  CHECK_TRUE(read_certificates(scratch.path("link.pem")).ok());
  const auto missing = read_certificates(scratch.path("missing.pem"));
  CHECK_FALSE(missing.ok());
  check_config(missing.error(), scratch.path("missing.pem").c_str());
}

TEST(X509, TakesAPair) {
  scratch.write("cert.pem", one.certificate);
  scratch.write("key.pem", one.key);
  const auto pair = check_key_pair(scratch.path("cert.pem"), scratch.path("key.pem"));
  CHECK_TRUE(pair.ok());
  STRCMP_EQUAL("CN=one", pair->subject.c_str());
}

TEST(X509, TakesAPairInOneFileWithItsChain) {
  scratch.write("both.pem", one.key + one.certificate + two.certificate);
  const auto pair = check_key_pair(scratch.path("both.pem"), scratch.path("both.pem"));
  CHECK_TRUE(pair.ok());
  STRCMP_EQUAL("CN=one", pair->subject.c_str());
}

TEST(X509, RefusesAPairThatIsNoneAndNamesTheFileAtFault) {
  const struct {
    std::string certificate, key;
    const char *file, *part;
  } rows[] = {{one.certificate, two.key, "key.pem", "the private key is not the one of"},
              {two.certificate + one.certificate, one.key, "key.pem", "is not the one of"},
              {one.certificate, one.encrypted_key, "key.pem", "the private key is encrypted"},
              {one.certificate, "", "key.pem", "no private key in it"},
              {one.certificate, one.certificate, "key.pem", "no private key in it"},
              {one.certificate, one.key.substr(0, 60), "key.pem", "no private key in it"},
              {one.key, one.key, "cert.pem", "no certificate in it"},
              {"", one.key, "cert.pem", "no certificate in it"}};
  for (const auto& row : rows) {
    scratch.write("cert.pem", row.certificate);
    scratch.write("key.pem", row.key);
    const auto pair = check_key_pair(scratch.path("cert.pem"), scratch.path("key.pem"));
    CHECK_FALSE_TEXT(pair.ok(), row.part);
    check_config(pair.error(), row.part);
    CHECK_TEXT(pair.error().message.starts_with(scratch.path(row.file)),
               pair.error().message.c_str());
    CHECK_FALSE(pair.error().hint.empty());
    CHECK_FALSE(holds(pair.error().message + pair.error().hint, "PRIVATE KEY---"));
  }
}

TEST(X509, SaysWhatIsWrongWithTheTime) {
  const CertificateInfo info{"CN=x", "CN=ca", kNow, kNow + 24h};
  const struct {
    UnixSeconds now;
    const char* text;  // its beginning
  } rows[] = {{kNow, ""},
              {kNow + 24h, ""},
              {kNow - 1s, "/c.pem is not valid before 2018-05-04T18:40:16Z (subject CN=x"},
              {kNow + 24h + 1s, "/c.pem expired on 2018-05-05T18:40:16Z (subject CN=x"}};
  for (const auto& row : rows) {
    const std::string problem = validity_problem(info, "/c.pem", row.now);
    CHECK_EQUAL(*row.text == '\0', problem.empty());
    CHECK_TEXT(problem.starts_with(row.text), problem.c_str());
  }
}

TEST(X509, WritesNamesInOneLine) {
  const auto odd = make_certificate("a,b=\"c\"\nd", kNow, kFar);
  const auto found = parse_certificates(odd.certificate, "here");
  CHECK_TRUE(found.ok());
  const std::string& subject = found->at(0).subject;
  CHECK_TEXT(subject.starts_with("CN=a\\,b"), subject.c_str());
  CHECK_TEXT(!holds(subject, "\n"), subject.c_str());
}
