#include <algorithm>

#include "s3/explain.h"
#include "s3/wire_text.h"

namespace etcd_snapshot {
namespace {

// libcurl's numbers (libcurl-errors(3)); only base/http knows its header.
enum CurlNumber {
  kNoHttp = 1,
  kProxyNotFound = 5,
  kNotFound = 6,
  kNoConnection = 7,
  kPartialFile = 18,
  kTimedOut = 28,
  kTlsFailed = 35,
  kBadCertificateOld = 51,
  kNoAnswer = 52,
  kSendFailed = 55,
  kReceiveFailed = 56,
  kBadCertificate = 60,
  kProxyFailed = 97,
};

// "host:port" of a proxy, without what may be a password.
std::string proxy_text(const ProxyInUse& proxy) {
  if (proxy.url.empty()) return "the environment's proxy (https_proxy)";
  std::string_view rest = proxy.url;
  if (const size_t scheme = rest.find("://"); scheme != rest.npos) rest.remove_prefix(scheme + 3);
  if (const size_t user_end = rest.rfind('@'); user_end != rest.npos)
    rest.remove_prefix(user_end + 1);
  return "the proxy " + peer_text(rest.substr(0, rest.find('/')), 300) + " (" + proxy.set_in + ")";
}

std::string_view host_of(std::string_view url) {
  if (const size_t scheme = url.find("://"); scheme != url.npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  if (url.starts_with('[')) return url.substr(1, url.find(']') - 1);
  return url.substr(0, url.find(':'));
}

// Whether no_proxy names the host: itself, or a domain that it lies in.
bool is_excepted(std::string_view host, std::string_view no_proxy) {
  if (no_proxy == "*") return true;
  while (!no_proxy.empty()) {
    const size_t end = std::min(no_proxy.find_first_of(", "), no_proxy.size());
    std::string_view name = no_proxy.substr(0, end);
    no_proxy.remove_prefix(std::min(end + 1, no_proxy.size()));
    if (name.starts_with('.')) name.remove_prefix(1);
    if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
    if (name.empty() || name.size() > host.size()) continue;
    const std::string_view tail = host.substr(host.size() - name.size());
    const bool whole = name.size() == host.size() || host[host.size() - name.size() - 1] == '.';
    if (whole && contains(tail, name)) return true;
  }
  return false;
}

// OpenSSL's and curl's words (X509_verify_cert_error_string(3), curl's lib/vtls).
std::string certificate_hint(const S3CallName& name, const std::string& message) {
  if (contains(message, "subject name") || contains(message, "does not match") ||
      contains(message, "mismatch")) {
    std::string hint = "endpoint in cluster.yml must be a name that the server's certificate holds";
    // In quotes: the name that was looked for, not those of the certificate.
    if (contains(message, "'" + name.bucket + ".")) hint += "; or set [s3] lookup = path";
    return hint;
  }
  if (contains(message, "not yet valid")) {
    return "the clock of this host may be behind (timedatectl), or the certificate is too new";
  }
  if (contains(message, "expired")) {
    return "the server's certificate, or one above it, has expired: renew it there; or the clock "
           "of this host is ahead (timedatectl)";
  }
  if (!name.roots.empty()) {
    return "it is checked against the system's roots" + name.roots +
           ": one of them must hold the CA certificate that signed it; an old CA certificate does "
           "not";
  }
  return "it is checked against the system's roots: put the certificate of the authority that "
         "signed it into custom_ca of cluster.yml, or name it in [s3] ca_file";
}

// libcurl-errors(3): of a name, a TCP connection or a handshake; else data came too slowly.
std::string timeout_hint(const std::string& message, const ProxyInUse& proxy) {
  const std::string_view what = without_origin(message);
  const bool connecting = contains(what, "connect") || contains(what, "resolving");
  std::string hint =
      "the server or something on the way to it does not answer: a firewall, a wrong address, an "
      "overloaded server";
  if (!connecting) hint += " ([s3] stall_timeout_s says how long is waited)";
  if (!proxy.url.empty()) hint += "; the way leads over " + proxy_text(proxy);
  return hint;
}

std::string not_found_hint(const S3CallName& name, const std::string& message) {
  // Its names hold the region, and are never without the bucket.
  const bool amazon = contains(name.where, ".amazonaws.com");
  const std::string host =
      without_origin(message) == message ? "" : " " + peer_text(host_of(message), 300);
  std::string hint = std::string("check endpoint") + (amazon ? " and region" : "") +
                     " in cluster.yml, and this host's DNS (getent hosts" + host + ")";
  if (!amazon && contains(message, name.bucket + "."))
    hint += "; where the bucket is no part of the server's name, set [s3] lookup = path";
  return hint;
}

std::string network_hint(const S3CallName& name, const Error& error, const ProxyInUse& proxy) {
  const std::string& message = error.message;
  // "CONNECT tunnel failed, response 407", "Received HTTP code 407 from proxy after CONNECT". A
  // port may have these digits, too.
  if (contains(message, "CONNECT tunnel failed") || contains(message, "from proxy after CONNECT")) {
    if (contains(message, "response 407") || contains(message, "code 407")) {
      return proxy_text(proxy) +
             " wants credentials: write them into it, as http://user:password@host:port";
    }
    return proxy_text(proxy) + " does not let the request through to " + name.where;
  }
  switch (error.code) {
    case kProxyNotFound:
      return "the name of " + proxy_text(proxy) + " is not found: check it, and this host's DNS";
    case kNotFound:
      return not_found_hint(name, message);
    case kNoConnection:
      if (!proxy.url.empty())
        return "is " + proxy_text(proxy) + " running, and may this host reach it?";
      return "nothing listens there, or a firewall refuses: check endpoint and port in "
             "cluster.yml, and whether the server is up";
    case kTimedOut:
      return timeout_hint(message, proxy);
    case kTlsFailed:
      return "check that the server speaks TLS 1.2 on that port (write http:// in endpoint if it "
             "speaks none)";
    case kBadCertificate:
    case kBadCertificateOld:
      return certificate_hint(name, message);
    case kPartialFile:
    case kNoAnswer:
    case kSendFailed:
    case kReceiveFailed: {
      std::string hint =
          "the server or something on the way (a proxy, firewall, load balancer) ended the "
          "connection; should it last, look at its log";
      if (name.where.starts_with("http://"))
        hint += "; if that port speaks TLS, take http:// out of endpoint";
      return hint;
    }
    case kNoHttp:
      return "what listens on that port is no HTTP server: check endpoint in cluster.yml";
    case kProxyFailed:
      return proxy_text(proxy) + " refused or is no SOCKS proxy: check its scheme and port";
    default:
      break;
  }
  // Of this machine (an errno), or of libcurl what has no row here.
  return error.hint.empty() ? "look whether it happens again; the number is libcurl's "
                              "(libcurl-errors(3)): " +
                                  std::to_string(error.code)
                            : error.hint;
}

}  // namespace

ProxyInUse proxy_for(const std::string& url, const std::string& setting,
                     const std::function<std::string(const char*)>& environment) {
  if (!setting.empty()) return {setting, "[s3] proxy"};
  std::string excepted = environment("no_proxy");
  if (excepted.empty()) excepted = environment("NO_PROXY");
  if (is_excepted(host_of(url), excepted)) return {};
  // HTTP_PROXY in capitals is what a web server makes of a client's header "Proxy".
  const bool tls = url.starts_with("https://");
  for (const char* name :
       {tls ? "https_proxy" : "http_proxy", tls ? "HTTPS_PROXY" : "", "all_proxy", "ALL_PROXY"}) {
    if (*name == '\0') continue;
    if (std::string value = environment(name); !value.empty())
      return {std::move(value), std::string(name) + " of the environment"};
  }
  return {};
}

Error explain_network(const S3CallName& name, Error error, const ProxyInUse& proxy) {
  // Neither a stop nor a file that cannot be read is the network's fault.
  if (error.kind == ErrorKind::kCancelled || error.kind == ErrorKind::kStorage) return error;
  error.hint = network_hint(name, error, proxy);
  error.message = to_string(name) + ": " + std::string(without_origin(error.message));
  return error;
}

}  // namespace etcd_snapshot
