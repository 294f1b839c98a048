#include "base/http_stall.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace etcd_snapshot {
namespace {

constexpr Nanoseconds kBetweenLooks = std::chrono::milliseconds(50);

}  // namespace

bool StallWatch::stalled() {
  const Nanoseconds now = RealClock().monotonic();
  if (now - looked_at_ < kBetweenLooks) return false;
  looked_at_ = now;
  if (!is_connected()) {
    transfer_.progress_at = now;
    return false;
  }
  count_wire(now);
  const HttpRequest& request = transfer_.request;
  const int64_t timeout_s = request.stall_timeout_s;
  const int64_t done = work_done();
  begin_ = std::min(begin_, done);  // libcurl may have begun again
  const bool sent = transfer_.sent_bytes == body_bytes(request);
  if (done - begin_ >= std::max<int64_t>(1, request.least_bytes_per_s * timeout_s) ||
      (sent && !all_sent_)) {
    transfer_.progress_at = now;
    begin_ = done;
    if (request.on_progress) request.on_progress();
  }
  all_sent_ = all_sent_ || sent;
  // The time of the whole request may be over long before that of a stall; what arrived in its
  // first moments, of the handshake most likely, says nothing of a peer that is silent since.
  const int64_t total_s = request.total_timeout_s;
  const auto lately = total_s > 0 && total_s < timeout_s
                          ? std::chrono::milliseconds(total_s * 250)
                          : std::chrono::milliseconds(timeout_s * 500);
  transfer_.peer_talks = received_at_ > Nanoseconds::zero() && now - received_at_ < lately;
  if (now - transfer_.progress_at < std::chrono::seconds(timeout_s)) return false;
  transfer_.failure = stall_error(done - begin_);
  return true;
}

// CURLINFO_ACTIVESOCKET says nothing before the transfer is over.
StallWatch::Wire StallWatch::look_at_wire() const {
  fd_set reading, writing, failing;
  FD_ZERO(&reading);
  FD_ZERO(&writing);
  FD_ZERO(&failing);
  int last = -1;
  if (curl_multi_fdset(multi_, &reading, &writing, &failing, &last) != CURLM_OK) return {};
  for (int fd = 0; fd <= last; ++fd) {
    if (!FD_ISSET(fd, &reading) && !FD_ISSET(fd, &writing)) continue;
    tcp_info info = {};
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) continue;
    if (size < offsetof(tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received) continue;
    return {fd, static_cast<int64_t>(info.tcpi_bytes_received),
            static_cast<int64_t>(info.tcpi_bytes_acked)};
  }
  return {};
}

bool StallWatch::is_connected() const {
  curl_off_t connected_us = 0;
  curl_easy_getinfo(handle_, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
  return connected_us > 0;
}

void StallWatch::count_wire(Nanoseconds now) {
  const Wire wire = look_at_wire();
  if (wire.fd < 0) return;  // libcurl waits for no socket at this moment
  const Wire before = std::exchange(wire_, wire);
  // Where libcurl made another connection, what went over the first one counts no more.
  if (wire.fd != before.fd || wire.acknowledged < before.acknowledged) return;
  acknowledged_ += wire.acknowledged - before.acknowledged;
  if (wire.received > before.received) received_at_ = now;
}

// What was handed to the kernel may lie in its buffer for minutes, so what the peer has
// acknowledged counts. Over HTTP/2, answers to PING frames are among that, and no large body is
// sent.
int64_t StallWatch::work_done() const {
  const HttpRequest& request = transfer_.request;
  const int64_t received = request.progress ? request.progress() : transfer_.received_bytes;
  if (request.version == HttpVersion::kHttp2 || body_bytes(request) == 0) return received;
  return received + (wire_.fd < 0 ? transfer_.sent_bytes : acknowledged_);
}

Error StallWatch::stall_error(int64_t done) const {
  const HttpRequest& request = transfer_.request;
  const std::string time = std::to_string(request.stall_timeout_s) + " seconds";
  Error error;
  error.kind = request.error_kind;
  error.code = CURLE_OPERATION_TIMEDOUT;
  error.message = origin(request.url) + ": ";
  error.hint = kStallHint;
  if (done > 0) {
    error.message += "too slow: " + std::to_string(done) + " bytes moved within " + time;
  } else if (transfer_.peer_talks) {
    error.message += "no progress for " + time + ": the peer sends, but nothing that was asked for";
  } else {
    error.message += "no byte moved for " + time;
  }
  // A peer that keeps the connection busy does the same with the next one. A part of an upload is
  // worth another try.
  error.retryable = !transfer_.peer_talks || request.file_body.has_value();
  if (!error.retryable) error.hint = kBusyPeerHint;
  return error;
}

}  // namespace etcd_snapshot
