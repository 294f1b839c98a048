#include "base/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>

#include "base/stop.h"

namespace etcd_snapshot {
namespace {

// What libcurl hands over per call of the write function. Larger than its default of 16 KiB, so
// that a stream of gigabytes takes fewer turns; small against the memory budget.
constexpr long kBufferBytes = 128 * 1024;

struct CurlDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, ListDeleter>;

// One transfer: what the callbacks share.
struct Transfer {
  const HttpRequest* request = nullptr;
  HttpResponse* response = nullptr;
  ByteSink* sink = nullptr;
  bool headers_done = false;
  bool timed_out = false;
  std::optional<Error> sink_error;
};

std::string_view trim(std::string_view text) {
  while (!text.empty() && isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

size_t on_header(char* data, size_t size, size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  HttpResponse& response = *transfer.response;
  const std::string_view line = trim({data, size * count});
  if (line.starts_with("HTTP/")) {
    // A status line begins a response; an earlier one (100 Continue) is not the answer.
    response = {};
    transfer.headers_done = false;
    const size_t space = line.find(' ');
    if (space != line.npos)
      response.status = strtol(std::string(line.substr(space)).c_str(), nullptr, 10);
  } else if (line.empty()) {
    transfer.headers_done = true;
  } else if (const size_t colon = line.find(':', 1); colon != line.npos) {
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return tolower(c); });
    auto& fields = transfer.headers_done ? response.trailers : response.headers;
    fields[name] = std::string(trim(line.substr(colon + 1)));
  }
  return size * count;
}

size_t on_body(char* data, size_t size, size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  auto written = transfer.sink->write(as_bytes({data, size * count}));
  if (written) return size * count;
  transfer.sink_error = written.take_error();
  return CURL_WRITEFUNC_ERROR;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  if (stop_requested()) return 1;
  const auto& deadline = transfer.request->deadline;
  if (deadline && RealClock().monotonic() >= *deadline) {
    transfer.timed_out = true;
    return 1;
  }
  return 0;
}

// The part of a URL that a message names: scheme, host and port, never a query.
std::string origin(const std::string& url) {
  const size_t scheme = url.find("://");
  const size_t start = scheme == url.npos ? 0 : scheme + 3;
  return url.substr(0, url.find_first_of("/?", start));
}

// The one place where libcurl's codes become errors.
Error map_error(CURLcode code, const char* detail, const HttpRequest& request) {
  Error error;
  error.kind = request.error_kind;
  error.code = code;
  error.retryable = true;
  const std::string text = *detail ? std::string(trim(detail)) : curl_easy_strerror(code);
  error.message = origin(request.url) + ": " + text;
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
      error.hint = "check that it is running and that the address is right";
      break;
    case CURLE_OPERATION_TIMEDOUT:
      error.hint = "the peer accepted the connection or its address, but did not go on";
      break;
    case CURLE_PEER_FAILED_VERIFICATION:
      error.retryable = false;
      error.message = origin(request.url) + ": its certificate is not accepted: " + text;
      error.hint =
          request.tls.ca_file.empty()
              ? "it is checked against the system's roots: name the authority that signed it"
              : "it is checked against " + request.tls.ca_file;
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
    case CURLE_URL_MALFORMAT:
      error.kind = ErrorKind::kConfig;
      error.retryable = false;
      break;
    default:
      break;
  }
  return error;
}

class CurlClient final : public HttpClient {
 public:
  CurlClient(CURL* handle, std::string user_agent)
      : handle_(handle), user_agent_(std::move(user_agent)) {}

  Result<void> perform(const HttpRequest& request, HttpResponse& response,
                       ByteSink& body) override {
    if (stop_requested()) return cancelled_error();
    Transfer transfer;
    transfer.request = &request;
    transfer.response = &response;
    transfer.sink = &body;
    char detail[CURL_ERROR_SIZE] = "";
    List headers;
    response = {};
    curl_easy_reset(handle_.get());
    ES_TRY(add_headers(request, headers));
    ES_TRY(set_request(request, headers.get()));
    ES_TRY(set_connection(request));
    ES_TRY(set_callbacks(transfer, detail));
    const CURLcode code = curl_easy_perform(handle_.get());
    // `detail` and `transfer` end with this call; the handle must not keep pointers to them.
    curl_easy_setopt(handle_.get(), CURLOPT_ERRORBUFFER, nullptr);
    if (transfer.sink_error) return std::move(*transfer.sink_error);
    if (transfer.timed_out) {
      Error error;
      error.kind = request.error_kind;
      error.message = origin(request.url) + ": the time for the whole cycle is over";
      error.hint = "raise backup_config.timeout, or find out why it takes so long";
      return error;
    }
    if (code == CURLE_OK) return {};
    if (stop_requested()) return cancelled_error();
    return map_error(code, detail, request);
  }

 private:
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

  static Result<void> add_headers(const HttpRequest& request, List& headers) {
    for (const std::string& line : request.headers) {
      curl_slist* const list = curl_slist_append(headers.get(), line.c_str());
      if (list == nullptr) return Error{ErrorKind::kInternal, "out of memory", "", true, ENOMEM};
      if (!headers) headers.reset(list);  // later ones are linked behind the first
    }
    return {};
  }

  Result<void> set_request(const HttpRequest& request, curl_slist* headers) {
    set(CURLOPT_URL, request.url.c_str());
    // A redirect is an answer of its own; following it blindly would carry credentials along.
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_USERAGENT, user_agent_.c_str());
    set(CURLOPT_HTTPHEADER, headers);
    if (request.method == "POST") {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDS, request.body.data());
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    } else if (request.method == "HEAD") {
      set(CURLOPT_NOBODY, 1L);
    } else {
      set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
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
    set(CURLOPT_PROXY, request.proxy.c_str());  // "" also hides the environment's
    if (request.proxy.empty()) set(CURLOPT_NOPROXY, "*");
    if (!request.tls.ca_file.empty()) {
      set(CURLOPT_CAINFO, request.tls.ca_file.c_str());
      // Debian's libcurl has a default directory of roots too: only the named authority may count.
      set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
    }
    if (!request.tls.cert_file.empty()) {
      set(CURLOPT_SSLCERT, request.tls.cert_file.c_str());
      set(CURLOPT_SSLKEY, request.tls.key_file.c_str());
    }
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(request.connect_timeout_s));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall_timeout_s));
    set(CURLOPT_TIMEOUT, static_cast<long>(request.total_timeout_s));
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_BUFFERSIZE, kBufferBytes);
    return checked();
  }

  Result<void> set_callbacks(Transfer& transfer, char* detail) {
    set(CURLOPT_ERRORBUFFER, detail);
    set(CURLOPT_HEADERFUNCTION, on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
    set(CURLOPT_WRITEFUNCTION, on_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, on_progress);
    set(CURLOPT_XFERINFODATA, static_cast<void*>(&transfer));
    return checked();
  }

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
  if (handle == nullptr)
    return Error{ErrorKind::kInternal, "libcurl cannot be initialised", "", false, initialised};
  return std::unique_ptr<HttpClient>(std::make_unique<CurlClient>(handle, user_agent));
}

std::string curl_version_text() {
  return curl_version();
}

}  // namespace etcd_snapshot
