// One HTTP transfer as libcurl's callbacks see it: where headers and body go, where the request's
// body comes from, and what ends it early. http.cc alone uses it.
#pragma once

#include <curl/curl.h>

#include <optional>

#include "base/http.h"
#include "base/stop.h"

namespace etcd_snapshot {

constexpr long kExpectationFailed = 417;  // RFC 9110, 15.5.18

constexpr char kStallHint[] = "the peer accepted the connection or its address, but did not go on";

struct Transfer {
  Transfer(const HttpRequest& to_send, HttpResponse& answer, ByteSink& body)
      : request(to_send), response(answer), sink(body) {}
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  const HttpRequest& request;
  HttpResponse& response;
  ByteSink& sink;
  bool headers_done = false;
  bool announced = false;        // the body was, by "Expect: 100-continue"
  bool continued = false;        // an interim 100 came (RFC 9110, 15.2.1)
  int64_t sent_bytes = 0;        // of the request's body, since it was begun last
  std::optional<Error> failure;  // of ours, to be returned instead of libcurl's

  // For `stalled`: how many bytes moved in all, and when that was seen to change last.
  curl_off_t moved_bytes = 0;
  Nanoseconds moved_at = RealClock().monotonic();

  // A stop request or request.cancel: sets `failure`.
  bool called_off();
  // The same, or the deadline is over.
  bool must_end();
  // Whether stalls are timed here and no byte moved for the stall timeout, time spent waiting for
  // the rate aside: sets `failure`.
  bool stalled(curl_off_t moved);
};

// CURLOPT_HEADERFUNCTION, WRITEFUNCTION, READFUNCTION, SEEKFUNCTION and XFERINFOFUNCTION; `user` is
// the Transfer.
size_t on_header(char* data, size_t size, size_t count, void* user) noexcept;
size_t on_body(char* data, size_t size, size_t count, void* user) noexcept;
size_t on_read(char* buffer, size_t size, size_t count, void* user) noexcept;
int on_seek(void* user, curl_off_t offset, int origin) noexcept;
int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept;

int64_t body_bytes(const HttpRequest& request);
// Whether Transfer::stalled() looks for stalls and libcurl does not. Its own check cannot tell a
// stall from a wait for `rate`, and begins anew with each pause that ends, as those of a bulk
// response do (http_loop.cc).
bool times_stalls(const HttpRequest& request);
std::string_view trim(std::string_view text);
// The part of a URL that a message names: scheme, host and port, never a query.
std::string origin(const std::string& url);

}  // namespace etcd_snapshot
