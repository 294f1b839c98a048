#include "base/http_transfer.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/files.h"
#include "base/text.h"

namespace etcd_snapshot {
namespace {

// Of one request, interim answers and trailers among them. A server's are a few KiB; libcurl limits
// a single one, but not how many come.
constexpr size_t kMaxHeadBytes = 1 << 20;

Error endless_head(const HttpRequest& request) {
  Error error;
  error.kind = request.error_kind;
  error.message = origin(request.url) + ": more than 1 MiB of headers, which is no answer";
  error.hint = kBusyPeerHint;
  return error;
}

Error short_file(const FileRange& file, int64_t found) {
  Error error;
  error.kind = ErrorKind::kStorage;
  error.message = "the file to be sent is shorter than it was: " + std::to_string(found) + " of " +
                  std::to_string(file.size) + " bytes from byte " + std::to_string(file.offset) +
                  " on";
  error.hint = "look who changes it";
  return error;
}

// The next bytes of the request's body, at most `wanted`; 0: an error in `failure`.
size_t read_body(Transfer& transfer, char* buffer, size_t wanted) {
  const auto& file = transfer.request.file_body;
  if (!file) {
    return transfer.request.body.copy(buffer, wanted, static_cast<size_t>(transfer.sent_bytes));
  }
  const ssize_t got = uninterrupted(
      [&] { return pread(file->fd, buffer, wanted, file->offset + transfer.sent_bytes); });
  if (got > 0) return static_cast<size_t>(got);
  const int errnum = errno;
  transfer.failure = short_file(*file, transfer.sent_bytes);
  if (got < 0) {
    transfer.failure =
        system_error(ErrorKind::kStorage, "cannot read", "the file to be sent", errnum);
  }
  return 0;
}

}  // namespace

std::string origin(const std::string& url) {
  const size_t scheme = url.find("://");
  const size_t start = scheme == url.npos ? 0 : scheme + 3;
  return url.substr(0, url.find_first_of("/?", start));
}

int64_t body_bytes(const HttpRequest& request) {
  return request.file_body ? request.file_body->size : static_cast<int64_t>(request.body.size());
}

bool Transfer::called_off() {
  if (!request.after_stop && stop_requested()) {
    failure = cancelled_error();
  } else if (request.cancel != nullptr && *request.cancel) {
    Error error;
    error.kind = ErrorKind::kCancelled;
    error.message = origin(request.url) + ": called off before it was done";
    failure = std::move(error);
  } else {
    return false;
  }
  return true;
}

bool Transfer::must_end() {
  if (called_off()) return true;
  if (!request.deadline || RealClock().monotonic() < *request.deadline) return false;
  Error error;
  error.kind = request.error_kind;
  error.message = origin(request.url) + ": the time limit is over";
  error.hint = "find out why it takes so long, or raise backup_config.timeout if that is set";
  failure = std::move(error);
  return true;
}

size_t on_header(char* data, size_t size, size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  HttpResponse& response = transfer.response;
  transfer.head_bytes += size * count;
  if (transfer.head_bytes > kMaxHeadBytes) {
    transfer.failure = endless_head(transfer.request);
    return 0;
  }
  const std::string_view line = trim({data, size * count});
  if (line.starts_with("HTTP/")) {
    // A status line begins a response; an earlier one (100 Continue) is not the answer.
    response = {};
    transfer.headers_done = false;
    const size_t space = line.find(' ');
    if (space != line.npos)
      response.status = strtol(std::string(line.substr(space)).c_str(), nullptr, 10);
    if (response.status == 100) transfer.continued = true;
  } else if (line.empty()) {
    transfer.headers_done = true;
  } else if (const size_t colon = line.find(':', 1); colon != line.npos) {
    auto& fields = transfer.headers_done ? response.trailers : response.headers;
    fields[lower(line.substr(0, colon))] = std::string(trim(line.substr(colon + 1)));
  }
  return size * count;
}

size_t on_body(char* data, size_t size, size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.received_bytes += static_cast<int64_t>(size * count);
  // Not the answer: the request goes out again.
  if (transfer.announced && transfer.response.status == kExpectationFailed) return size * count;
  const Nanoseconds begin = RealClock().monotonic();
  auto written = transfer.sink.write(as_bytes({data, size * count}));
  transfer.progress_at += RealClock().monotonic() - begin;  // the peer was kept waiting
  if (written) return size * count;
  transfer.failure = written.take_error();
  return CURL_WRITEFUNC_ERROR;
}

size_t on_read(char* buffer, size_t size, size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  const HttpRequest& request = transfer.request;
  auto wanted = static_cast<size_t>(std::min<int64_t>(
      static_cast<int64_t>(size * count), body_bytes(transfer.request) - transfer.sent_bytes));
  if (wanted == 0) return 0;
  // Waits here, not by CURL_READFUNC_PAUSE, which would need a turn of libcurl's for every try.
  // After a stop request the limit's clock waits no more, and cleaning up is no load.
  if (request.rate != nullptr && request.file_body && !request.after_stop) {
    int64_t granted = 0;
    while (granted == 0) {
      if (transfer.must_end()) return CURL_READFUNC_ABORT;
      granted = request.rate->take(static_cast<int64_t>(wanted));
    }
    wanted = static_cast<size_t>(granted);
    transfer.progress_at = RealClock().monotonic();
  } else if (transfer.must_end()) {
    return CURL_READFUNC_ABORT;
  }
  const size_t got = read_body(transfer, buffer, wanted);
  if (got == 0) return CURL_READFUNC_ABORT;
  transfer.sent_bytes += static_cast<int64_t>(got);
  return got;
}

int on_seek(void* user, curl_off_t offset, int whence) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  if (whence != SEEK_SET || offset < 0 || offset > body_bytes(transfer.request)) {
    return CURL_SEEKFUNC_CANTSEEK;
  }
  transfer.sent_bytes = offset;
  return CURL_SEEKFUNC_OK;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
  return static_cast<Transfer*>(user)->must_end() ? 1 : 0;
}

}  // namespace etcd_snapshot
