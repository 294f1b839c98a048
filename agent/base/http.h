// HTTP as a seam: one request at a time, the response body streamed into a sink. The only folder
// that knows curl.h. Knows nothing of gRPC or S3; does not retry and does not log.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/rate_limit.h"
#include "base/result.h"

namespace etcd_snapshot {

// Files in PEM form; empty = not set (no ca_file: the system's roots).
struct TlsFiles {
  std::string ca_file, cert_file, key_file;
};

enum class HttpVersion {
  kHttp1,
  // HTTP/2: by ALPN over TLS, by prior knowledge (RFC 9113, 3.3) without.
  kHttp2,
};

// Bytes of a file as a request's body. Read with pread(2) as they are sent, and again where the
// request is sent again: never held in memory, and the descriptor's own position does not matter.
// The caller keeps the descriptor open during the call.
struct FileRange {
  int fd = -1;
  int64_t offset = 0, size = 0;
};

struct HttpRequest {
  std::string method = "GET";  // GET, HEAD, POST, PUT, DELETE
  std::string url;
  std::vector<std::string> headers;    // "name: value"
  std::string body;                    // of a POST or PUT
  std::optional<FileRange> file_body;  // instead of `body`; PUT only
  RateLimit* rate = nullptr;           // file_body: limits how fast it is sent; may be shared
  // A body above 1 MiB is announced ("Expect: 100-continue", RFC 9110 10.1.1) until this becomes
  // true: the server refused with 417, and got the request again without, or it took a body without
  // an answer to the question. May be shared by clients of one server. Null: nothing is announced.
  std::atomic<bool>* expect_refused = nullptr;
  HttpVersion version = HttpVersion::kHttp1;
  TlsFiles tls;
  // PEM certificates that are trusted beside the roots (the system's, or tls.ca_file).
  std::string extra_roots;
  std::string proxy;                    // empty: none, whatever the environment says
  bool proxy_from_environment = false;  // where proxy is empty: https_proxy, no_proxy, ...
  // Gigabytes are to come, from a peer that sends them in small pieces: they are read some at a
  // time.
  bool bulk_response = false;
  int connect_timeout_s = 10;  // TCP and TLS handshake
  // A stall, which is an error: for so long less progress than `least_bytes_per_s`. Progress are
  // bytes of a file_body that the peer has acknowledged (time spent waiting for `rate` aside), and
  // what `progress` counts. Headers, interim answers and frames of HTTP/2 are none, and neither is
  // a body that is shorter than the least, as long as it does not end. The time between the
  // request's last byte and the end of a short answer is thus limited by it, too.
  int stall_timeout_s = 60;
  // Faster than any transfer that comes to an end goes; 0: a byte within stall_timeout_s is enough.
  int least_bytes_per_s = 1024;
  // Called from perform(): how much of the response was of use; null: each byte of its body is.
  std::function<int64_t()> progress;
  // Called from perform(), now and then while there is progress in that sense. May be null.
  std::function<void()> on_progress;
  int total_timeout_s = 0;                         // 0 = none
  std::optional<Nanoseconds> deadline;             // Clock::monotonic() of the whole cycle's end
  ErrorKind error_kind = ErrorKind::kUnavailable;  // of network errors
  // Ends the transfer with kCancelled when it becomes true; set by another thread. May be null.
  const std::atomic<bool>* cancel = nullptr;
  // Performed although the process was asked to stop: cleaning up behind an interrupted upload.
  // Give it a total_timeout_s.
  bool after_stop = false;
};

struct HttpResponse {
  long status = 0;
  // Names in lower case. Trailers are what came after the body (RFC 9113, 8.1); a response without
  // a body has them among the headers.
  std::map<std::string, std::string, std::less<>> headers, trailers;

  // The trailer of that name, else the header, else empty.
  std::string trailer(std::string_view name) const;
};

class HttpClient {
 public:
  virtual ~HttpClient() = default;

  // Performs the request; `body` gets the response body piece by piece, whatever the status is.
  // Errors: the sink's own; kCancelled on a stop request or `cancel`; kStorage where file_body
  // cannot be read or is shorter than it says; kConfig where libcurl cannot use a certificate file;
  // else request.error_kind, retryable, with curl's code and text. Not retryable is a stall during
  // which the peer went on to send (of a file_body it is).
  // The response headers are complete in `response` before the first byte of the body arrives.
  virtual Result<void> perform(const HttpRequest& request, HttpResponse& response,
                               ByteSink& body) = 0;
};

// Whether an error of perform() says that no connection came about, so that nothing is known of
// what listens there: the address is not known, or nobody answers.
bool never_connected(const Error& error);

// libcurl; keeps connections open between requests. One per thread.
Result<std::unique_ptr<HttpClient>> make_curl_client(const std::string& user_agent);

// Makes a client for each thread that needs one.
using HttpFactory = std::function<Result<std::unique_ptr<HttpClient>>()>;

// libcurl's own version line, for `--version`.
std::string curl_version_text();

}  // namespace etcd_snapshot
