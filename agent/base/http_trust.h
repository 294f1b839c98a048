// What libcurl leaves to OpenSSL: further roots for a TLS connection, and which certificate it was
// that a handshake did not accept. Knows nothing of curl.h; http.cc alone uses it.
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace etcd_snapshot {

// Stays where it is and outlives every connection that it prepared. Not for several threads.
class TlsTrust {
 public:
  TlsTrust() = default;
  TlsTrust(const TlsTrust&) = delete;
  TlsTrust& operator=(const TlsTrust&) = delete;

  // Whether libcurl's TLS library (curl_version_info_data::ssl_version) is the OpenSSL that this
  // program is linked with, so that its contexts can be handed to it.
  static bool can_prepare(std::string_view ssl_version);

  // The certificates of a PEM text, trusted by what is prepared from now on; empty: none. kConfig:
  // no certificate in it, or a damaged one.
  Result<void> set_extra_roots(const std::string& pem);
  const std::string& extra_roots() const { return pem_; }

  // What OpenSSL may take from the socket at once where it is told to read ahead (http_loop.cc).
  static constexpr size_t kReadAheadBytes = 64 * 1024;

  // Of an SSL_CTX before its handshake: adds the roots to its store, listens to the check of the
  // peer's certificates and gives its connections a buffer of that size. False: out of memory.
  bool prepare(void* ssl_ctx) noexcept;

  // Which certificate was not accepted last and whose it is ("CN=x was issued by CN=y, which is
  // not trusted"); empty: OpenSSL refused none. A wrong host name is libcurl's to find.
  const std::string& rejection() const { return rejection_; }
  // The host names and addresses in the certificate that was accepted last, at most a few ("a, b,
  // ..."); empty: it has none, or there was none. A subject alone is named by libcurl.
  std::string peer_names() const;
  // Whether OpenSSL accepted the peer's certificates: what is refused all the same is the name.
  bool accepted_peer() const { return peer_ != nullptr && rejection_.empty(); }
  // What the peer said of this side in its last fatal alert (RFC 8446, 6.2: "certificate
  // required"); empty: it sent none.
  const std::string& alert() const { return alert_; }
  // Whether that alert is about this side's certificate.
  bool refused_own_certificate() const { return of_own_certificate_; }
  void forget_peer() {
    rejection_.clear();
    alert_.clear();
    of_own_certificate_ = false;
    peer_.reset();
  }

 private:
  struct Free {
    void operator()(X509* certificate) const { X509_free(certificate); }
  };

  static void on_info(const SSL* ssl, int where, int value) noexcept;
  static int on_verify(int accepted, X509_STORE_CTX* context) noexcept;

  std::string pem_;
  std::vector<std::unique_ptr<X509, Free>> roots_;
  std::string rejection_, alert_;
  bool of_own_certificate_ = false;
  std::unique_ptr<X509, Free> peer_;
};

}  // namespace etcd_snapshot
