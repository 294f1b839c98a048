#include "base/http_loop.h"

#include <openssl/ssl.h>
#include <time.h>

#include "base/http_stall.h"

namespace etcd_snapshot {
namespace {

// etcd writes its snapshot in TLS records of 16 KiB. A reader that keeps up with it is woken for
// each of them, which costs both sides processor time; one that rests so long between its reads
// finds a hundred KiB. Measured: 5 percent less for the whole cycle on two busy processors.
constexpr timespec kRestBetweenReads{0, 500'000};
constexpr int kLongestWaitMs = 1000;

// Lets OpenSSL take what the socket has with one call, up to TlsTrust::kReadAheadBytes. By itself
// it asks for the five bytes of a record's header and then for the record, and every second one of
// etcd's holds but a few bytes: eight calls for 32 KiB. Measured: 15 percent less processor time of
// the agent.
//
// Of what OpenSSL holds then, poll(2) says nothing and libcurl does not ask: at the end of a stream
// it would wait for a socket that has no more. So where the socket is silent and OpenSSL holds
// something, libcurl is made to look, which it does when a pause ends (curl_easy_pause(3)).
class ReadAhead {
 public:
  ReadAhead(CURL* handle, bool wanted) : handle_(handle), wanted_(wanted) {}

  // How long to wait for the socket. Begins with the first bytes of the body: what comes before is
  // small, and its connection may serve other requests.
  int wait_ms() {
    if (!holds_something()) return kLongestWaitMs;
    return looks_ < kManyLooks ? 1 : kIdleWaitMs;
  }

  void waited(bool socket_ready) {
    if (socket_ready) {
      looks_ = 0;
    } else if (holds_something()) {
      ++looks_;
      curl_easy_pause(handle_, CURLPAUSE_RECV);
      curl_easy_pause(handle_, CURLPAUSE_CONT);
    }
  }

 private:
  // More looks in a row than records can be held: it is a part of one, whose rest is yet to come.
  static constexpr int kManyLooks = 256;
  static constexpr int kIdleWaitMs = 50;

  bool holds_something() {
    if (!wanted_) return false;
    curl_off_t received = 0;
    curl_easy_getinfo(handle_, CURLINFO_SIZE_DOWNLOAD_T, &received);
    if (received == 0) return false;
    // Asked for each time: it goes with its connection.
    const curl_tlssessioninfo* info = nullptr;
    if (curl_easy_getinfo(handle_, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == nullptr ||
        info->internals == nullptr) {
      return false;
    }
    auto* const ssl = static_cast<SSL*>(info->internals);
    SSL_set_read_ahead(ssl, 1);
    return SSL_has_pending(ssl) != 0;
  }

  CURL* const handle_;
  const bool wanted_;
  int looks_ = 0;  // in a row, with nothing from the socket in between
};

}  // namespace

CURLcode drive_transfer(CURLM* multi, CURL* handle, Transfer& transfer, bool own_openssl) {
  const HttpRequest& request = transfer.request;
  if (curl_multi_add_handle(multi, handle) != CURLM_OK) return CURLE_FAILED_INIT;
  CURLMcode status = CURLM_OK;
  ReadAhead ahead(handle, own_openssl && request.bulk_response);
  StallWatch watch(multi, handle, transfer);
  bool stalled = false;
  for (int running = 1;;) {
    status = curl_multi_perform(multi, &running);
    if (status != CURLM_OK || running == 0) break;
    if ((stalled = watch.stalled())) break;
    if (request.bulk_response || request.file_body) nanosleep(&kRestBetweenReads, nullptr);
    int ready = 0;
    errno = 0;
    status = curl_multi_poll(multi, nullptr, 0, ahead.wait_ms(), &ready);
    if (status != CURLM_OK) {
      transfer.errnum = errno;
      break;
    }
    ahead.waited(ready > 0);
  }
  CURLcode code = status == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT;
  int left = 0;
  while (const CURLMsg* const message = curl_multi_info_read(multi, &left)) {
    if (message->msg == CURLMSG_DONE) code = message->data.result;
  }
  curl_multi_remove_handle(multi, handle);
  return stalled ? CURLE_OPERATION_TIMEDOUT : code;
}

}  // namespace etcd_snapshot
