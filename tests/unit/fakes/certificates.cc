#include "certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdlib>

namespace etcd_snapshot {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

void must(bool done) {
  if (!done) abort();  // the test's own making, not what it tests
}

template <typename Write>
std::string pem(Write write) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  must(bio != nullptr && write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

FakeCertificate make_certificate(const std::string& common_name, UnixSeconds not_before,
                                 UnixSeconds not_after) {
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nullptr));
  EVP_PKEY* made = nullptr;
  must(context != nullptr && EVP_PKEY_keygen_init(context.get()) == 1);
  must(EVP_PKEY_keygen(context.get(), &made) == 1);
  const Owned<EVP_PKEY> key(made);
  const Owned<X509> certificate(X509_new());
  must(X509_set_version(certificate.get(), 2) == 1);
  must(ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1) == 1);
  must(ASN1_TIME_set(X509_getm_notBefore(certificate.get()),
                     not_before.time_since_epoch().count()) != nullptr);
  must(ASN1_TIME_set(X509_getm_notAfter(certificate.get()), not_after.time_since_epoch().count()) !=
       nullptr);
  X509_NAME* const name = X509_get_subject_name(certificate.get());
  must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(common_name.data()),
                                  static_cast<int>(common_name.size()), -1, 0) == 1);
  must(X509_set_issuer_name(certificate.get(), name) == 1);
  must(X509_set_pubkey(certificate.get(), key.get()) == 1);
  must(X509_sign(certificate.get(), key.get(), nullptr) != 0);

  FakeCertificate result;
  result.certificate = pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
  result.key = pem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  char passphrase[] = "secret";
  result.encrypted_key = pem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key.get(), EVP_aes_128_cbc(),
                                    reinterpret_cast<unsigned char*>(passphrase), 6, nullptr,
                                    nullptr);
  });
  return result;
}

}  // namespace etcd_snapshot
