#include "base/http.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <utility>

#include "base/fd.h"
#include "base/http_loop.h"
#include "base/http_transfer.h"
#include "base/http_trust.h"
#include "base/shortage.h"
#include "base/stop.h"
#include "base/text.h"

namespace etcd_snapshot {
namespace {

// What libcurl hands over per call of the write function. Larger than its default of 16 KiB, so
// that a stream of gigabytes takes fewer turns; small against the memory budget.
constexpr long kBufferBytes = 128 * 1024;
// And what it asks for per call of the read function.
constexpr long kUploadBufferBytes = 256 * 1024;
// Before a larger body libcurl asks by "Expect: 100-continue" and waits so long for an answer: a
// server that refuses has not been sent gigabytes for nothing. By itself libcurl 7.88 asks before
// every PUT, however small, which costs a turn or that time.
constexpr int64_t kExpectBytes = 1 << 20;
constexpr long kExpectTimeoutMs = 1000;

struct CurlDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, ListDeleter>;

// libcurl's words on what happened. Those on a proxy that it cannot use repeat the URL, with the
// password in it.
std::string reason(CURLcode code, const char* detail) {
  const std::string text(trim(detail));
  const bool may_quote_proxy =
      code != CURLE_PEER_FAILED_VERIFICATION && text.find('@') != text.npos;
  // Where a peer has closed the connection, libcurl's first note is that it cannot ask for its
  // address ("getpeername() failed with errno 107"), and this note hides what failed.
  const bool side_note = text.starts_with("getpeername()") || text.starts_with("getsockname()");
  return text.empty() || may_quote_proxy || side_note ? curl_easy_strerror(code) : text;
}

std::string trusted_roots(const HttpRequest& request) {
  const std::string roots =
      request.tls.ca_file.empty() ? "the system's roots" : request.tls.ca_file;
  return roots + (request.extra_roots.empty() ? "" : " and the additional root certificates");
}

// What is known of a transfer that failed, beside libcurl's code and text.
struct Cause {
  int errnum = 0;          // of the system call that failed; 0: not known
  bool connected = false;  // to some address
};

// Why this host has no socket to give, where it has none; 0: it has. What a resolver lacked is not
// told otherwise than as "Could not resolve host".
int no_socket_because() {
  const UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return probe || !is_shortage(errno) ? 0 : errno;
}

// The one place where libcurl's codes become errors.
Error map_error(CURLcode code, const char* detail, const TlsTrust& trust,
                const HttpRequest& request, const Cause& cause) {
  Error error;
  error.kind = request.error_kind;
  error.code = code;
  error.retryable = true;
  if (is_shortage(cause.errnum)) {
    error.code = cause.errnum;
    error.message = origin(request.url) + ": " + strerror(cause.errnum) + " on this host";
    return own_shortage(std::move(error), request.error_kind);
  }
  std::string text = reason(code, detail);
  if (!trust.alert().empty()) {
    text = "the server ended the TLS connection: " + trust.alert();
  }
  error.message = origin(request.url) + ": " + text;
  if (trust.refused_own_certificate()) return error;
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
      error.hint = "check that it is running and that the address is right";
      break;
    case CURLE_COULDNT_RESOLVE_PROXY:
      error.hint = "check the address of the proxy";
      break;
    case CURLE_OPERATION_TIMEDOUT:
      error.hint = kStallHint;
      break;
    case CURLE_PEER_FAILED_VERIFICATION:
      error.retryable = false;
      error.message = origin(request.url) + ": its certificate is not accepted: " + text;
      if (!trust.rejection().empty()) error.message += " (" + trust.rejection() + ")";
      if (trust.accepted_peer()) {
        if (const std::string names = trust.peer_names(); !names.empty())
          error.message += " (it is for " + names + ")";
        error.hint = "use a host name or address that its certificate names";
        break;
      }
      error.hint = "it is checked against " + trusted_roots(request);
      if (request.tls.ca_file.empty()) error.hint += ": name the authority that signed it";
      break;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
      error.kind = ErrorKind::kConfig;
      error.retryable = false;
      if (request.tls.ca_file.empty()) {
        error.hint =
            "name the authority that signed its certificate (ca_file), or install the "
            "system's roots (package ca-certificates)";
      }
      break;
    case CURLE_SSL_CONNECT_ERROR:
      error.hint =
          "check that it speaks TLS on that port (write http:// if not) and takes the client "
          "certificate";
      break;
    case CURLE_UNSUPPORTED_PROTOCOL:
      // "Received HTTP/0.9 when not allowed": the peer's fault, not that of the URL.
      if (cause.connected) {
        error.hint = "check that what listens on that port speaks HTTP";
        break;
      }
      error.kind = ErrorKind::kConfig;
      error.retryable = false;
      break;
    case CURLE_URL_MALFORMAT:
      error.kind = ErrorKind::kConfig;
      error.retryable = false;
      break;
    default:
      break;
  }
  return error;
}

bool has_openssl() {
  const curl_version_info_data* const info = curl_version_info(CURLVERSION_NOW);
  return info->ssl_version != nullptr && TlsTrust::can_prepare(info->ssl_version);
}

class CurlClient final : public HttpClient {
 public:
  CurlClient(CURL* handle, CURLM* multi, std::string user_agent)
      : can_prepare_(has_openssl()),
        multi_(multi),
        handle_(handle),
        user_agent_(std::move(user_agent)) {}

  Result<void> perform(const HttpRequest& request, HttpResponse& response,
                       ByteSink& body) override {
    // A server may answer before it has read the request, and reset the stream then (RFC
    // 9113, 8.1). Where the reset comes while the request is sent, libcurl drops the answer; it is
    // a race, which the next try does not lose as a rule.
    constexpr int kLostAnswers = 3;
    for (int lost = 0;; ++lost) {
      bool again = false;
      auto done = perform_once(request, response, body, again);
      if (again) return perform_once(request, response, body, again);
      const bool dropped = !done && done.error().code == CURLE_HTTP2_STREAM &&
                           request.version == HttpVersion::kHttp2 && response.status == 0;
      if (!dropped || lost == kLostAnswers) return done;
    }
  }

 private:
  // `again`: the server takes no Expect.
  Result<void> perform_once(const HttpRequest& request, HttpResponse& response, ByteSink& body,
                            bool& again) {
    Transfer transfer(request, response, body);
    transfer.announced = announces(request);
    if (transfer.called_off()) return std::move(*transfer.failure);
    char detail[CURL_ERROR_SIZE] = "";
    List headers;
    response = {};
    ES_TRY(set_roots(request));
    curl_easy_reset(handle_.get());
    ES_TRY(add_headers(request, headers));
    ES_TRY(set_request(request, headers.get()));
    ES_TRY(set_connection(request));
    ES_TRY(set_callbacks(transfer, detail));
    const CURLcode code = drive_transfer(multi_.get(), handle_.get(), transfer, can_prepare_);
    const Cause cause = cause_of(transfer, code);
    // `detail` and `transfer` end with this call; the handle must not keep pointers to them.
    curl_easy_setopt(handle_.get(), CURLOPT_ERRORBUFFER, nullptr);
    if (code != CURLE_OK) renew_handle();
    if (transfer.failure) return std::move(*transfer.failure);
    if (code == CURLE_OK) {
      again = learn_expect(transfer);
      return {};
    }
    if (transfer.called_off()) return std::move(*transfer.failure);
    Error error = map_error(code, detail, trust_, request, cause);
    // The time of the whole request is over, as in a stall (http_stall.cc).
    if (code == CURLE_OPERATION_TIMEDOUT && transfer.peer_talks && !request.file_body) {
      error.retryable = false;
      error.hint = kBusyPeerHint;
    }
    return error;
  }

 private:
  Cause cause_of(const Transfer& transfer, CURLcode code) const {
    Cause cause;
    long value = 0;
    if (curl_easy_getinfo(handle_.get(), CURLINFO_OS_ERRNO, &value) == CURLE_OK) {
      cause.errnum = static_cast<int>(value);
    }
    // libcurl keeps no errno of a socket that could not be made, or of a poll that failed.
    if (transfer.errnum != 0) cause.errnum = transfer.errnum;
    if (code == CURLE_OUT_OF_MEMORY) cause.errnum = ENOMEM;
    if (code == CURLE_COULDNT_RESOLVE_HOST && cause.errnum == 0) cause.errnum = no_socket_because();
    cause.connected =
        curl_easy_getinfo(handle_.get(), CURLINFO_PRIMARY_PORT, &value) == CURLE_OK && value != 0;
    return cause;
  }

  // After a name that could not be resolved libcurl 7.88 keeps the transfer's buffer, and refuses
  // CURLOPT_BUFFERSIZE from then on. The connections are the multi handle's, and stay.
  void renew_handle() {
    if (CURL* const fresh = curl_easy_init()) handle_.reset(fresh);
  }

  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(handle_.get(), option, value);
    if (code != CURLE_OK && setting_ == CURLE_OK) setting_ = code;
  }

  Result<void> checked() {
    const CURLcode code = std::exchange(setting_, CURLE_OK);
    if (code == CURLE_OK) return {};
    Error error;
    error.message = std::string("libcurl refused an option: ") + curl_easy_strerror(code);
    error.hint = "this libcurl may have been built without HTTP/2 or TLS";
    error.code = code;
    return error;
  }

  // Neither connections, nor TLS sessions to be resumed, nor libcurl's own store of roots may serve
  // a request that trusts others than the one that made them: libcurl cannot tell by itself.
  Result<void> set_roots(const HttpRequest& request) {
    trust_.forget_peer();
    if (request.extra_roots == trust_.extra_roots()) return {};
    if (!can_prepare_) {
      Error error;
      error.kind = ErrorKind::kConfig;
      error.message = "additional root certificates cannot be used: this libcurl has no OpenSSL " +
                      std::to_string(OPENSSL_VERSION_MAJOR) + " (" + curl_version() + ")";
      error.hint =
          "add them to the system's roots instead (update-ca-certificates, update-ca-trust)";
      return error;
    }
    std::unique_ptr<CURL, CurlDeleter> fresh(curl_easy_init());
    std::unique_ptr<CURLM, MultiDeleter> connections(curl_multi_init());
    if (!fresh || !connections) {
      return Error{ErrorKind::kInternal, "out of memory", "", true, ENOMEM};
    }
    ES_TRY(trust_.set_extra_roots(request.extra_roots));
    handle_ = std::move(fresh);
    multi_ = std::move(connections);
    return {};
  }

  Result<void> add_headers(const HttpRequest& request, List& headers) const {
    const auto add = [&headers](const char* line) {
      curl_slist* const list = curl_slist_append(headers.get(), line);
      if (list != nullptr && !headers) headers.reset(list);  // later ones are linked behind it
      return list != nullptr;
    };
    bool added = true;
    for (const std::string& line : request.headers) added = added && add(line.c_str());
    if (!announces(request)) added = added && add("Expect:");
    if (added) return {};
    return Error{ErrorKind::kInternal, "out of memory", "", true, ENOMEM};
  }

  static bool announces(const HttpRequest& request) {
    return body_bytes(request) > kExpectBytes && request.expect_refused != nullptr &&
           !*request.expect_refused;
  }

  // A server that takes large bodies but never answers "Expect: 100-continue" is not asked again:
  // each part of an upload would begin with a pause. True: it answered 417 to the question, and
  // gets the same without.
  static bool learn_expect(const Transfer& transfer) {
    if (!transfer.announced) return false;
    const bool refused = transfer.response.status == kExpectationFailed;
    const bool taken = transfer.response.status / 100 == 2 && transfer.sent_bytes > kExpectBytes;
    if (refused || (taken && !transfer.continued)) *transfer.request.expect_refused = true;
    return refused;
  }

  Result<void> set_request(const HttpRequest& request, curl_slist* headers) {
    set(CURLOPT_URL, request.url.c_str());
    // As it was signed: libcurl would take "/./" and "/../" out.
    set(CURLOPT_PATH_AS_IS, 1L);
    // A redirect is an answer of its own; following it blindly would carry credentials along.
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_USERAGENT, user_agent_.c_str());
    set(CURLOPT_HTTPHEADER, headers);
    if (request.method == "POST") {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDS, request.body.data());
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    } else if (request.method == "PUT") {
      set(CURLOPT_UPLOAD, 1L);
      set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(body_bytes(request)));
      set(CURLOPT_UPLOAD_BUFFERSIZE, kUploadBufferBytes);
    } else if (request.method == "HEAD") {
      set(CURLOPT_NOBODY, 1L);
    } else {
      set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
    set(CURLOPT_EXPECT_100_TIMEOUT_MS, kExpectTimeoutMs);
    const bool tls = request.url.starts_with("https://");
    if (!tls && !request.url.starts_with("http://")) {
      return Error{ErrorKind::kConfig,
                   "'" + origin(request.url) + "' is no http:// or https:// URL", "", false, 0};
    }
    if (request.version == HttpVersion::kHttp2) {
      set(CURLOPT_HTTP_VERSION,
          static_cast<long>(tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
      // libcurl 7.88 (Debian 12) fails the second request of a prior-knowledge connection with
      // "Error in the HTTP2 framing layer"; a new connection without TLS costs next to nothing.
      if (!tls) set(CURLOPT_FRESH_CONNECT, 1L);
    } else {
      set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    }
    return checked();
  }

  Result<void> set_connection(const HttpRequest& request) {
    if (!request.proxy.empty()) {
      set(CURLOPT_PROXY, request.proxy.c_str());
      set(CURLOPT_NOPROXY, "");  // hides the environment's no_proxy
    } else if (!request.proxy_from_environment) {
      set(CURLOPT_PROXY, "");  // hides the environment's
      set(CURLOPT_NOPROXY, "*");
    }
    // A proxy's answer to CONNECT is not the server's.
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (!request.tls.ca_file.empty()) {
      set(CURLOPT_CAINFO, request.tls.ca_file.c_str());
      // Debian's libcurl has a default directory of roots too: only the named authority may count.
      set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
    }
    if (!request.tls.cert_file.empty()) {
      set(CURLOPT_SSLCERT, request.tls.cert_file.c_str());
      set(CURLOPT_SSLKEY, request.tls.key_file.c_str());
    }
    if (can_prepare_) {
      set(CURLOPT_SSL_CTX_FUNCTION, on_ssl_context);
      set(CURLOPT_SSL_CTX_DATA, static_cast<void*>(&trust_));
    }
    // libcurl keeps the store that it made of a ca_file, and puts the same one into several
    // contexts: what is added in one would count in the others, and some versions put it there only
    // after the context function, so that what is added is lost (curl issue 11800).
    // (7.87; older ones keep none.)
#if LIBCURL_VERSION_NUM >= 0x075700
    if (!request.extra_roots.empty()) set(CURLOPT_CA_CACHE_TIMEOUT, 0L);
    // Does not wait for a name server that does not answer when a transfer is given up.
    set(CURLOPT_QUICK_EXIT, 1L);
#endif
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(request.connect_timeout_s));
    set(CURLOPT_TIMEOUT, static_cast<long>(request.total_timeout_s));
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_BUFFERSIZE, kBufferBytes);
    if (request.bulk_response) set(CURLOPT_FORBID_REUSE, 1L);  // see drive_transfer()
    return checked();
  }

  Result<void> set_callbacks(Transfer& transfer, char* detail) {
    set(CURLOPT_ERRORBUFFER, detail);
    set(CURLOPT_HEADERFUNCTION, on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
    set(CURLOPT_WRITEFUNCTION, on_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
    set(CURLOPT_READFUNCTION, on_read);
    set(CURLOPT_READDATA, static_cast<void*>(&transfer));
    // Lets libcurl begin anew where a connection that it kept open turns out to be closed.
    set(CURLOPT_SEEKFUNCTION, on_seek);
    set(CURLOPT_SEEKDATA, static_cast<void*>(&transfer));
    set(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&transfer));
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, on_progress);
    set(CURLOPT_XFERINFODATA, static_cast<void*>(&transfer));
    return checked();
  }

  static curl_socket_t on_open_socket(void* user, curlsocktype, curl_sockaddr* address) noexcept {
    const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0 && is_shortage(errno)) static_cast<Transfer*>(user)->errnum = errno;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
  }

  static CURLcode on_ssl_context(CURL*, void* context, void* trust) noexcept {
    return static_cast<TlsTrust*>(trust)->prepare(context) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
  }

  const bool can_prepare_;
  TlsTrust trust_;                              // the connections point to it
  std::unique_ptr<CURLM, MultiDeleter> multi_;  // keeps the connections
  std::unique_ptr<CURL, CurlDeleter> handle_;
  std::string user_agent_;
  CURLcode setting_ = CURLE_OK;
};

}  // namespace

std::string HttpResponse::trailer(std::string_view name) const {
  if (const auto found = trailers.find(name); found != trailers.end()) return found->second;
  if (const auto found = headers.find(name); found != headers.end()) return found->second;
  return {};
}

Result<std::unique_ptr<HttpClient>> make_curl_client(const std::string& user_agent) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURL* const handle = initialised == CURLE_OK ? curl_easy_init() : nullptr;
  CURLM* const multi = handle != nullptr ? curl_multi_init() : nullptr;
  if (multi == nullptr) {
    curl_easy_cleanup(handle);
    return Error{ErrorKind::kInternal, "libcurl cannot be initialised", "", false, initialised};
  }
  return std::unique_ptr<HttpClient>(std::make_unique<CurlClient>(handle, multi, user_agent));
}

bool never_connected(const Error& error) {
  return error.code == CURLE_COULDNT_CONNECT || error.code == CURLE_COULDNT_RESOLVE_HOST;
}

std::string curl_version_text() {
  return curl_version();
}

}  // namespace etcd_snapshot
