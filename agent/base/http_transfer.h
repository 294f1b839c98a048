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
constexpr char kBusyPeerHint[] =
    "the peer is alive, but does not go on: look at its log, and at a proxy or load balancer "
    "between";

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
  int64_t received_bytes = 0;    // of the response's body
  size_t head_bytes = 0;         // of all headers and trailers
  int errnum = 0;                // of a system call that this machine had no means for; 0 = none
  std::optional<Error> failure;  // of ours, to be returned instead of libcurl's

  // For StallWatch: when progress was seen last, or libcurl was kept waiting by us.
  Nanoseconds progress_at = RealClock().monotonic();
  // From StallWatch: whether bytes of any kind came lately.
  bool peer_talks = false;

  // A stop request or request.cancel: sets `failure`.
  bool called_off();
  // The same, or the deadline is over.
  bool must_end();
};

// CURLOPT_HEADERFUNCTION, WRITEFUNCTION, READFUNCTION, SEEKFUNCTION and XFERINFOFUNCTION; `user` is
// the Transfer.
size_t on_header(char* data, size_t size, size_t count, void* user) noexcept;
size_t on_body(char* data, size_t size, size_t count, void* user) noexcept;
size_t on_read(char* buffer, size_t size, size_t count, void* user) noexcept;
int on_seek(void* user, curl_off_t offset, int origin) noexcept;
int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept;

int64_t body_bytes(const HttpRequest& request);
// The part of a URL that a message names: scheme, host and port, never a query.
std::string origin(const std::string& url);

}  // namespace etcd_snapshot
