#include "s3/session.h"

#include "../fakes/certificates.h"
#include "client_lab.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(S3Session) {
  ClientLab lab;
  Scratch scratch;

  std::string certificate(const char* name) {
    const UnixSeconds now = lab.clock.now();
    return make_certificate(name, now, now + std::chrono::hours(1)).certificate;
  }
  Result<std::unique_ptr<S3Session>> open() {
    return S3Session::open(lab.policy, lab.settings, lab.clock, lab.s3.factory());
  }
};

TEST(S3Session, AddsTheFileToTheRootsOfThePolicy) {
  std::string first = certificate("one");
  while (first.back() == '\n') first.pop_back();
  const std::string second = certificate("two");
  lab.policy.custom_ca = first;
  scratch.write("ca.pem", second);
  lab.settings.ca_file = scratch.path("ca.pem");
  const auto session = open();
  CHECK_TRUE(session.ok());
  STRCMP_EQUAL((first + "\n" + second).c_str(), (*session)->extra_roots.c_str());
}

TEST(S3Session, NamesAFileThatIsNoCertificate) {
  lab.settings.ca_file = scratch.path("ca.pem");
  const auto check = [this] {
    const auto session = open();
    CHECK_FALSE(session.ok());
    // The bucket's failure: a cycle goes on without it.
    CHECK_TRUE(session.error().kind == ErrorKind::kRemote);
    CHECK_TRUE(holds(session.error().message, "[s3] ca_file of etcd-snapshot.conf: "));
    CHECK_TRUE(holds(session.error().message, scratch.path("ca.pem")));
    CHECK_FALSE(session.error().hint.empty());
    return session.error().message + " -> " + session.error().hint;
  };
  const std::string missing = check();
  CHECK_TEXT(holds(missing, "No such file or directory") && holds(missing, "mount"),
             missing.c_str());
  for (const char* content : {"", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERT"}) {
    scratch.write("ca.pem", content);
    check();
  }
}

TEST(S3Session, TellsWhichRootsACertificateWasCheckedAgainst) {
  scratch.write("ca.pem", certificate("two"));
  const std::string pem = certificate("one"), file = scratch.path("ca.pem");
  const struct {
    std::string custom_ca, place, ca_file, hint;
  } rows[] = {
      {"", "", "", "the system's roots: put the certificate"},
      {pem, "cluster.yml:3: custom_ca", "", "roots and custom_ca of cluster.yml: one of them"},
      {pem, "--s3-endpoint-ca /c", "", "roots and --s3-endpoint-ca: one of them"},
      {"", "", file, "roots and [s3] ca_file: one of them"},
      {pem, "--s3-endpoint-ca /c", file, "roots, --s3-endpoint-ca and [s3] ca_file: one of"}};
  for (const auto& row : rows) {
    ClientLab own;
    own.policy.custom_ca = row.custom_ca;
    own.policy.custom_ca_place = row.place;
    own.settings.ca_file = row.ca_file;
    own.s3.before = [](const FakeCall&) {
      FakeAnswer refused;
      refused.network = Error{ErrorKind::kRemote, "its certificate is not accepted", "", false, 60};
      return refused;
    };
    const std::string hint = own.client().head("a").error().hint;
    CHECK_TEXT(holds(hint, row.hint), hint.c_str());
  }
}

TEST(S3Session, HasWhatTheSettingsSayAndNoMore) {
  const auto plain = open();
  CHECK_TRUE(plain.ok());
  CHECK_TRUE((*plain)->rate == nullptr);
  STRCMP_EQUAL("", (*plain)->extra_roots.c_str());
  STRCMP_EQUAL("", (*plain)->prefix().c_str());
  STRCMP_EQUAL(kLabAccessKey, (*plain)->credentials->get()->access_key.c_str());
  lab.settings.max_rate_mib_s = 2;
  lab.policy.folder = "p1";
  const auto limited = open();
  CHECK_TRUE((*limited)->rate != nullptr);
  STRCMP_EQUAL("p1/", (*limited)->prefix().c_str());
  LONGS_EQUAL(0, lab.s3.calls.size());
}

TEST(S3Session, RefusesAnEndpointThatIsNoneForIt) {
  lab.policy.endpoint = "https://backups.s3-website-us-east-1.amazonaws.com";
  const auto session = open();
  CHECK_FALSE(session.ok());
  CHECK_TRUE(session.error().kind == ErrorKind::kRemote);  // the snapshot here does not need it
  CHECK_TRUE(holds(session.error().message, "serves a website"));
}

TEST(S3Session, NeedsAnHttpClient) {
  const auto session = S3Session::open(
      lab.policy, lab.settings, lab.clock, []() -> Result<std::unique_ptr<HttpClient>> {
        return Error{ErrorKind::kInternal, "libcurl cannot start", ""};
      });
  STRCMP_EQUAL("libcurl cannot start", session.error().message.c_str());
}
