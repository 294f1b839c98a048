#include "http_request.h"

#include <openssl/evp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace etcd_snapshot::bench {
namespace {

constexpr size_t kRead = 64 << 10;

std::string percent_decode(std::string_view text) {
  std::string plain;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%' && at + 2 < text.size()) {
      plain += static_cast<char>(strtol(std::string(text.substr(at + 1, 2)).c_str(), nullptr, 16));
      at += 2;
    } else {
      plain += text[at];
    }
  }
  return plain;
}

void take_query(Request& request, std::string_view text) {
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    const size_t equals = std::min(pair.find('='), pair.size());
    request.query[percent_decode(pair.substr(0, equals))] =
        percent_decode(pair.substr(std::min(equals + 1, pair.size())));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
  }
}

void take_field(Request& request, std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == line.npos) return;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(tolower(c)); });
  line.remove_prefix(colon + 1);
  while (line.starts_with(' ')) line.remove_prefix(1);
  request.fields[name] = line;
}

}  // namespace

HttpConnection::~HttpConnection() {
  close(fd_);
}

bool HttpConnection::fill() {
  const size_t before = buffer_.size();
  buffer_.resize(before + kRead);
  ssize_t count = -1;
  do {
    count = recv(fd_, buffer_.data() + before, kRead, 0);
  } while (count < 0 && errno == EINTR);
  buffer_.resize(before + static_cast<size_t>(std::max<ssize_t>(count, 0)));
  return count > 0;
}

bool HttpConnection::send_all(const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = send(fd_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

std::optional<Request> HttpConnection::read() {
  size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return std::nullopt;
  }
  Request request;
  std::string_view head = std::string_view(buffer_).substr(0, end);
  const std::string_view first = head.substr(0, head.find("\r\n"));
  const size_t method_end = first.find(' '), target_end = first.rfind(' ');
  if (method_end == first.npos || target_end <= method_end) return std::nullopt;
  request.method = first.substr(0, method_end);
  const std::string_view target = first.substr(method_end + 1, target_end - method_end - 1);
  const size_t mark = std::min(target.find('?'), target.size());
  request.path = percent_decode(target.substr(0, mark));
  take_query(request, target.substr(std::min(mark + 1, target.size())));
  head.remove_prefix(first.size());
  while (head.starts_with("\r\n")) {
    head.remove_prefix(2);
    const std::string_view line = head.substr(0, head.find("\r\n"));
    take_field(request, line);
    head.remove_prefix(line.size());
  }
  buffer_.erase(0, end + 4);
  const size_t length = strtoull(request.header("content-length").c_str(), nullptr, 10);
  // RFC 9110, 10.1.1
  if (request.fields.contains("expect") && buffer_.size() < length &&
      !send_all("HTTP/1.1 100 Continue\r\n\r\n")) {
    return std::nullopt;
  }
  while (buffer_.size() < length) {
    if (!fill()) return std::nullopt;
  }
  request.body = buffer_.substr(0, length);
  buffer_.erase(0, length);
  return request;
}

bool HttpConnection::write(const Request& request, const Response& response) {
  const size_t length = response.length.value_or(response.body.size());
  std::string bytes = "HTTP/1.1 " + std::to_string(response.status) +
                      " -\r\nServer: many_objects\r\nContent-Type: application/xml\r\n" +
                      response.headers;
  if (response.status != 204) bytes += "Content-Length: " + std::to_string(length) + "\r\n";
  bytes += "\r\n";
  if (request.method != "HEAD") bytes += response.body;
  return send_all(bytes);
}

std::string percent_encode(const std::string& text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    if (isalnum(code) || std::string_view("-._~/").find(byte) != std::string_view::npos) {
      encoded += byte;
    } else {
      encoded += {'%', kHex[code >> 4], kHex[code & 15]};
    }
  }
  return encoded;
}

std::string md5_of(const std::string& bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_md5(), nullptr) != 1) return {};
  return {reinterpret_cast<const char*>(digest), size};
}

std::string to_hex(const std::string& bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    text += {kHex[static_cast<unsigned char>(byte) >> 4], kHex[byte & 15]};
  }
  return text;
}

}  // namespace etcd_snapshot::bench
