#include "base/x509.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "base/files.h"
#include "base/human.h"

namespace etcd_snapshot {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

// The newest reason that OpenSSL gave, and an empty queue behind it.
std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "unknown reason";
  const char* const reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
}

Error config_error(std::string message, std::string hint = "") {
  Error error;
  error.kind = ErrorKind::kConfig;
  error.message = std::move(message);
  error.hint = std::move(hint);
  return error;
}

std::string name_text(const X509_NAME* name) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return "?";
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string("(empty name)");
}

Result<UnixSeconds> unix_time(const ASN1_TIME* time, const std::string& where) {
  tm broken = {};
  if (ASN1_TIME_to_tm(time, &broken) != 1) {
    return config_error(where + ": a certificate with an unreadable time");
  }
  return UnixSeconds(std::chrono::seconds(timegm(&broken)));
}

Result<CertificateInfo> describe(const X509* certificate, const std::string& where) {
  CertificateInfo info;
  info.subject = name_text(X509_get_subject_name(certificate));
  info.issuer = name_text(X509_get_issuer_name(certificate));
  ES_ASSIGN(not_before, unix_time(X509_get0_notBefore(certificate), where));
  ES_ASSIGN(not_after, unix_time(X509_get0_notAfter(certificate), where));
  info.not_before = not_before;
  info.not_after = not_after;
  return info;
}

Owned<BIO> memory_bio(const std::string& text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// OpenSSL asks for a passphrase on the terminal unless it is given a function that has none.
int no_passphrase(char*, int, int, void*) noexcept {
  return -1;
}

}  // namespace

Result<std::vector<CertificateInfo>> parse_certificates(const std::string& pem,
                                                        const std::string& where) {
  const Owned<BIO> bio = memory_bio(pem);
  if (!bio) return Error{ErrorKind::kInternal, "out of memory", "", true, ENOMEM};
  std::vector<CertificateInfo> found;
  for (;;) {
    const Owned<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
    if (!certificate) break;
    ES_ASSIGN(info, describe(certificate.get(), where));
    found.push_back(std::move(info));
  }
  const unsigned long code = ERR_peek_last_error();
  // "No start line" is how PEM reading ends; anything else is a damaged block.
  const bool at_end =
      ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (found.empty() && at_end) {
    ERR_clear_error();
    return config_error(where + ": no certificate in it",
                        "PEM is expected: -----BEGIN CERTIFICATE----- ...");
  }
  if (!at_end) {
    return config_error(where + ": certificate " + std::to_string(found.size() + 1) +
                            " in it cannot be read: " + openssl_reason(),
                        "PEM is expected: -----BEGIN CERTIFICATE----- ...");
  }
  ERR_clear_error();
  return found;
}

Result<std::vector<CertificateInfo>> read_certificates(const std::string& path) {
  ES_ASSIGN(pem, read_file(path, ErrorKind::kConfig, 1 << 20));
  return parse_certificates(pem, path);
}

Result<CertificateInfo> check_key_pair(const std::string& cert_file, const std::string& key_file) {
  ES_ASSIGN(cert_pem, read_file(cert_file, ErrorKind::kConfig, 1 << 20));
  ES_ASSIGN(all, parse_certificates(cert_pem, cert_file));
  ES_ASSIGN(key_pem, read_file(key_file, ErrorKind::kConfig, 1 << 20));
  const Owned<BIO> key_bio = memory_bio(key_pem);
  const Owned<BIO> cert_bio = memory_bio(cert_pem);
  if (!key_bio || !cert_bio) return Error{ErrorKind::kInternal, "out of memory", "", true, ENOMEM};
  const Owned<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, no_passphrase, nullptr));
  if (!key) {
    ERR_clear_error();
    if (key_pem.find("ENCRYPTED") != key_pem.npos) {
      return config_error(key_file + ": the private key is encrypted",
                          "a key without passphrase is needed: openssl pkey -in OLD -out NEW");
    }
    return config_error(key_file + ": no private key in it",
                        "a private key in PEM form is expected");
  }
  const Owned<X509> certificate(PEM_read_bio_X509(cert_bio.get(), nullptr, no_passphrase, nullptr));
  if (!certificate || X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return config_error(key_file + ": the private key is not the one of " + cert_file,
                        "certificate and key must be of one pair");
  }
  return all.front();
}

std::string validity_problem(const CertificateInfo& certificate, const std::string& path,
                             UnixSeconds now) {
  std::string about = path;
  if (now > certificate.not_after) {
    about += " expired on " + format_utc(certificate.not_after);
  } else if (now < certificate.not_before) {
    about += " is not valid before " + format_utc(certificate.not_before);
  } else {
    return {};
  }
  return about + " (subject " + certificate.subject + "; the clock says " + format_utc(now) + ")";
}

const CertificateInfo& last_valid(const std::vector<CertificateInfo>& bundle, UnixSeconds now) {
  const auto rank = [now](const CertificateInfo& one) {
    return std::pair(one.not_before <= now && now <= one.not_after, one.not_after);
  };
  return *std::max_element(
      bundle.begin(), bundle.end(),
      [&](const CertificateInfo& a, const CertificateInfo& b) { return rank(a) < rank(b); });
}

std::string validity_problem(const std::vector<CertificateInfo>& bundle, const std::string& path,
                             UnixSeconds now) {
  return validity_problem(last_valid(bundle, now), path, now);
}

}  // namespace etcd_snapshot
