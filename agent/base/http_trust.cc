#include "base/http_trust.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "base/stop.h"
#include "base/x509.h"

namespace etcd_snapshot {
namespace {

// A peer's names in messages: as long as a name may sensibly be.
constexpr size_t kMaxNameBytes = 200;
// Enough to see whom it is for; a shared host may have hundreds.
constexpr int kMaxNames = 5;

struct FreeNames {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

// Where an SSL_CTX keeps its TlsTrust; negative: OpenSSL has no room for it.
int trust_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

std::string cut(const std::string& name) {
  return name.size() <= kMaxNameBytes ? name : name.substr(0, kMaxNameBytes) + "...";
}

std::optional<CertificateInfo> describe(const X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), const_cast<X509*>(certificate)) != 1) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  auto parsed = parse_certificates(std::string(data, static_cast<size_t>(size)), "the peer");
  if (!parsed) return {};
  CertificateInfo info = std::move(parsed->front());
  info.subject = cut(info.subject);
  info.issuer = cut(info.issuer);
  return info;
}

// A host name or address as it may stand in a message; empty: it is neither.
std::string host_text(const GENERAL_NAME& name) {
  if (name.type != GEN_DNS && name.type != GEN_IPADD) return {};
  const ASN1_STRING* const value = name.type == GEN_DNS ? name.d.dNSName : name.d.iPAddress;
  const unsigned char* const data = ASN1_STRING_get0_data(value);
  const auto size = static_cast<size_t>(ASN1_STRING_length(value));
  if (name.type == GEN_DNS) {
    std::string text(data, data + size);
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c <= 0x20 || c >= 0x7f; }, '?');
    return cut(text);
  }
  char text[INET6_ADDRSTRLEN] = "";
  const int family = size == 4 ? AF_INET : AF_INET6;
  if ((size != 4 && size != 16) || inet_ntop(family, data, text, sizeof text) == nullptr) return {};
  return text;
}

// What is wrong with the certificate, beside libcurl's text, which says what but not which.
std::string explain(int reason, const CertificateInfo& info) {
  switch (reason) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return info.subject + " was issued by " + info.issuer + ", which is not trusted";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return info.subject + " signed itself and is not trusted";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: {
      std::string problem = validity_problem(info, "it", RealClock().now());
      if (!problem.empty()) return problem;
      break;
    }
    default:
      break;
  }
  return "it is the certificate of " + info.subject + ", issued by " + info.issuer;
}

}  // namespace

bool TlsTrust::can_prepare(std::string_view ssl_version) {
  // "OpenSSL/3.0.19"; where libcurl has several and this is not the one in use: "(OpenSSL/...)".
  const std::string major = std::to_string(OPENSSL_VERSION_NUMBER >> 28);
  return ssl_version.starts_with("OpenSSL/" + major + ".") &&
         ssl_version.find(' ') == ssl_version.npos;
}

Result<void> TlsTrust::set_extra_roots(const std::string& pem) {
  if (pem == pem_) return {};
  pem_.clear();
  roots_.clear();
  if (pem.empty()) return {};
  ES_TRY(parse_certificates(pem, "the additional root certificates"));
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  for (;;) {
    std::unique_ptr<X509, Free> root(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)
                                         : nullptr);
    if (!root) break;
    roots_.push_back(std::move(root));
  }
  ERR_clear_error();  // "no start line": the end of the text
  if (roots_.empty()) return Error{ErrorKind::kInternal, "out of memory", "", true, ENOMEM};
  pem_ = pem;
  return {};
}

bool TlsTrust::prepare(void* ssl_ctx) noexcept {
  auto* const context = static_cast<SSL_CTX*>(ssl_ctx);
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  bool done = store != nullptr && trust_index() >= 0 &&
              SSL_CTX_set_ex_data(context, trust_index(), this) == 1;
  for (const auto& root : roots_) done = done && X509_STORE_add_cert(store, root.get()) == 1;
  if (done) SSL_CTX_set_info_callback(context, on_info);
  if (done) SSL_CTX_set_verify(context, SSL_CTX_get_verify_mode(context), on_verify);
  SSL_CTX_set_default_read_buffer_len(context, kReadAheadBytes);
  ERR_clear_error();
  return done;
}

std::string TlsTrust::peer_names() const {
  if (!peer_) return {};
  const std::unique_ptr<GENERAL_NAMES, FreeNames> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(peer_.get(), NID_subject_alt_name, nullptr, nullptr)));
  std::string text;
  int count = 0;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const std::string host = host_text(*sk_GENERAL_NAME_value(names.get(), i));
    if (host.empty()) continue;
    if (count++ > 0) text += ", ";
    if (count > kMaxNames) {
      text += "...";
      break;
    }
    text += host;
  }
  ERR_clear_error();
  return text;
}

// Under TLS 1.3 a server refuses a client's certificate after the handshake has ended for the
// client: libcurl then tells of the connection that was closed.
void TlsTrust::on_info(const SSL* ssl, int where, int value) noexcept {
  if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT || (value >> 8) != SSL3_AL_FATAL) return;
  auto* const trust =
      static_cast<TlsTrust*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), trust_index()));
  if (trust == nullptr) return;
  trust->alert_ = SSL_alert_desc_string_long(value);
  switch (value & 0xff) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case 116:  // certificate_required, which OpenSSL 1.1.1 has no name for
      trust->of_own_certificate_ = true;
      break;
    default:
      break;
  }
}

int TlsTrust::on_verify(int accepted, X509_STORE_CTX* context) noexcept {
  // Of an accepted chain the peer's own certificate is kept: libcurl looks at its names later.
  if (accepted == 1 && X509_STORE_CTX_get_error_depth(context) != 0) return accepted;
  const auto* const ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const trust =
      ssl == nullptr
          ? nullptr
          : static_cast<TlsTrust*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), trust_index()));
  X509* const certificate = X509_STORE_CTX_get_current_cert(context);
  if (trust == nullptr || certificate == nullptr) return accepted;
  if (accepted == 1) {
    if (X509_up_ref(certificate) == 1) trust->peer_.reset(certificate);
    return accepted;
  }
  const auto info = describe(certificate);
  if (info) trust->rejection_ = explain(X509_STORE_CTX_get_error(context), *info);
  return accepted;
}

}  // namespace etcd_snapshot
