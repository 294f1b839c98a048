#include "http_lab.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/stop.h"

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {

UnixSeconds in_days(int days) {
  return RealClock().now() + std::chrono::days(days);
}

FakeCertificate valid_for(const std::string& name) {
  return make_certificate(name, in_days(-1), in_days(1));
}

template <typename T, typename Read>
T* from_pem(const std::string& pem, Read read) {
  const std::unique_ptr<BIO, void (*)(BIO*)> bio(BIO_new_mem_buf(pem.data(), -1), BIO_free_all);
  return read(bio.get(), nullptr, nullptr, nullptr);
}

// Signs `changed` and puts it in the place of the certificate.
void sign(FakeCertificate& own, X509* changed, EVP_PKEY* key) {
  CHECK_TRUE(X509_sign(changed, key, nullptr) != 0);
  BIO* const out = BIO_new(BIO_s_mem());
  CHECK_TRUE(PEM_write_bio_X509(out, changed) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  own.certificate.assign(data, static_cast<size_t>(size));
  BIO_free_all(out);
}

// The same certificate, issued by another's key.
void issue(FakeCertificate& own, const FakeCertificate& issuer) {
  X509* const leaf = from_pem<X509>(own.certificate, PEM_read_bio_X509);
  X509* const authority = from_pem<X509>(issuer.certificate, PEM_read_bio_X509);
  EVP_PKEY* const key = from_pem<EVP_PKEY>(issuer.key, PEM_read_bio_PrivateKey);
  CHECK_TRUE(X509_set_issuer_name(leaf, X509_get_subject_name(authority)) == 1);
  sign(own, leaf, key);
  EVP_PKEY_free(key);
  X509_free(authority);
  X509_free(leaf);
}

// The same certificate with a subjectAltName: "DNS:a,IP:::1".
void name_hosts(FakeCertificate& own, const std::string& names) {
  X509* const certificate = from_pem<X509>(own.certificate, PEM_read_bio_X509);
  X509_EXTENSION* const extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
  CHECK_TRUE(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
  EVP_PKEY* const key = from_pem<EVP_PKEY>(own.key, PEM_read_bio_PrivateKey);
  sign(own, certificate, key);
  EVP_PKEY_free(key);
  X509_free(certificate);
}

}  // namespace

TEST_GROUP_BASE(HttpTls, HttpBase) {
  const FakeCertificate server_certificate_ = valid_for("localhost");
  const FakeCertificate other_ = valid_for("other.example");
};

TEST(HttpTls, ExtraRootsAreTrusted) {
  LoopbackServer server(take, &server_certificate_);
  request_.url = server.url("/", "localhost");
  const TemporaryFile other_ca(other_.certificate);
  for (const std::string& roots :
       {server_certificate_.certificate, other_.certificate + server_certificate_.certificate,
        server_certificate_.certificate + "\n# more\n" + other_.certificate,
        server_certificate_.certificate + server_certificate_.certificate}) {
    for (const char* ca_file : {"", other_ca.path}) {
      renew();
      request_.extra_roots = roots;
      request_.tls.ca_file = ca_file;
      STRCMP_EQUAL("", perform().c_str());
      LONGS_EQUAL(200, response_.status);
    }
  }
}

TEST(HttpTls, ExtraRootsAddToTheCaFile) {
  LoopbackServer server(take, &server_certificate_);
  request_.url = server.url("/", "localhost");
  const TemporaryFile ca(server_certificate_.certificate);
  request_.tls.ca_file = ca.path;
  request_.extra_roots = other_.certificate;
  STRCMP_EQUAL("", perform().c_str());
}

// Neither by an open connection, nor a TLS session, nor a store that libcurl keeps.
TEST(HttpTls, ExtraRootsAreOfTheirRequestAlone) {
  LoopbackServer server(take, &server_certificate_);
  const TemporaryFile ca(valid_for("unrelated").certificate);
  for (const char* ca_file : {"", ca.path}) {
    request_.tls.ca_file = ca_file;
    request_.url = server.url("/", "localhost");
    for (int turn = 0; turn < 3; ++turn) {
      request_.extra_roots = server_certificate_.certificate;
      STRCMP_EQUAL("", perform().c_str());
      request_.extra_roots.clear();
      CHECK_TRUE(perform().find("not accepted") != std::string::npos);
      request_.extra_roots = other_.certificate;
      CHECK_TRUE(perform().find("not accepted") != std::string::npos);
    }
  }
}

TEST(HttpTls, ExtraRootsThatAreNoneAreAConfigError) {
  request_.url = "https://127.0.0.1:1/";
  const std::string damaged = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
  for (const std::string& roots :
       {std::string("nothing"), damaged, other_.key, other_.certificate + damaged}) {
    request_.extra_roots = roots;
    for (int turn = 0; turn < 2; ++turn) {
      const Error error = failure();
      CHECK_TRUE(error.kind == ErrorKind::kConfig);
      CHECK_FALSE(error.retryable);
      STRCMP_CONTAINS("the additional root certificates", error.message.c_str());
    }
  }
}

TEST(HttpTls, NamesTheIssuerThatIsNotTrusted) {
  FakeCertificate issued = valid_for("localhost");
  issue(issued, valid_for("Company Root"));
  LoopbackServer server(take, &issued);
  request_.url = server.url("/", "localhost");
  const Error error = failure();
  CHECK_TRUE(error.kind == ErrorKind::kRemote);
  CHECK_FALSE(error.retryable);
  STRCMP_CONTAINS("local issuer certificate", error.message.c_str());  // libcurl's words vary
  STRCMP_CONTAINS(" (CN=localhost was issued by CN=Company Root, which is not trusted)",
                  error.message.c_str());
  STRCMP_EQUAL("it is checked against the system's roots: name the authority that signed it",
               error.hint.c_str());
}

TEST(HttpTls, NamesACertificateThatSignedItself) {
  LoopbackServer server(take, &server_certificate_);
  request_.url = server.url("/", "localhost");
  request_.extra_roots = other_.certificate;
  const Error error = failure();
  STRCMP_CONTAINS("(CN=localhost signed itself and is not trusted)", error.message.c_str());
  STRCMP_CONTAINS("additional root certificates", error.hint.c_str());
}

TEST(HttpTls, NamesTheHostsThatACertificateIsFor) {
  const struct {
    const char *names, *text;
  } cases[] = {
      {"DNS:a.example", "(it is for a.example)"},
      {"DNS:a.example,email:x@y.example,IP:10.1.2.3,IP:2001:db8::1,URI:http://z.example/,DNS:*.b",
       "(it is for a.example, 10.1.2.3, 2001:db8::1, *.b)"},
      {"DNS:a,DNS:b,DNS:c,DNS:d,DNS:e,DNS:f,DNS:g", "(it is for a, b, c, d, e, ...)"},
      {"DNS:evil\x1b[2Jx y", "(it is for evil?[2Jx?y)"},
  };
  for (const auto& test : cases) {
    FakeCertificate certificate = valid_for("localhost");
    name_hosts(certificate, test.names);
    LoopbackServer server(take, &certificate);
    request_.url = server.url("/", "localhost");
    request_.extra_roots = certificate.certificate;
    const Error error = failure();
    STRCMP_CONTAINS("its certificate is not accepted: ", error.message.c_str());
    STRCMP_CONTAINS(test.text, error.message.c_str());
    STRCMP_CONTAINS("use a host name or address", error.hint.c_str());
  }
}

TEST(HttpTls, TellsExpiredFromEarlyFromAWrongHost) {
  const struct {
    FakeCertificate certificate;
    const char *first, *second;
  } cases[] = {
      {make_certificate("localhost", in_days(-9), in_days(-2)), "certificate has expired",
       "it expired on "},
      {make_certificate("localhost", in_days(2), in_days(9)), "certificate is not yet valid",
       "it is not valid before "},
      // "host name" in libcurl 7.88, "hostname" in 8.14.
      {valid_for("elsewhere.example"), "does not match target host", "'elsewhere.example'"},
  };
  for (const auto& test : cases) {
    LoopbackServer server(take, &test.certificate);
    request_.url = server.url("/", "localhost");
    request_.extra_roots = test.certificate.certificate;
    const Error error = failure();
    CHECK_FALSE(error.retryable);
    STRCMP_CONTAINS(test.first, error.message.c_str());
    STRCMP_CONTAINS(test.second, error.message.c_str());
  }
}
