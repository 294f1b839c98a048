// Ends an HTTP transfer that does not go on. What counts is progress of the work, not that bytes
// come: headers, interim answers, frames of HTTP/2, and what HttpRequest::progress does not count
// may arrive for ever. http_loop.cc alone uses it.
#pragma once

#include "base/http_transfer.h"

namespace etcd_snapshot {

class StallWatch {
 public:
  // All three outlive the watch; `handle` is one of `multi`'s.
  StallWatch(CURLM* multi, CURL* handle, Transfer& transfer)
      : multi_(multi), handle_(handle), transfer_(transfer) {}

  // To be called often, between libcurl's turns; looks itself 20 times a second at most. True: the
  // transfer has stalled, and its `failure` says how. While the connection is made nothing is a
  // stall: that has HttpRequest::connect_timeout_s.
  bool stalled();

 private:
  // What the kernel says of the connection (tcp(7), TCP_INFO).
  struct Wire {
    int fd = -1;
    int64_t received = 0, acknowledged = 0;
  };
  Wire look_at_wire() const;
  bool is_connected() const;
  void count_wire(Nanoseconds now);
  int64_t work_done() const;
  Error stall_error(int64_t done) const;

  CURLM* const multi_;
  CURL* const handle_;
  Transfer& transfer_;
  Nanoseconds looked_at_{0};
  Nanoseconds received_at_{0};  // when bytes of any kind were seen to arrive last
  Wire wire_;
  int64_t acknowledged_ = 0;  // by the peer's kernel
  int64_t begin_ = 0;         // work_done() when progress was seen last
  bool all_sent_ = false;
};

}  // namespace etcd_snapshot
