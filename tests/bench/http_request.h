// Just enough of an HTTP/1.1 server for the bench: one connection, requests with a Content-Length
// one after the other. Trusts its client.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace etcd_snapshot::bench {

struct Request {
  std::string method, path;                   // decoded
  std::map<std::string, std::string> query;   // decoded
  std::map<std::string, std::string> fields;  // headers, names in lower case
  std::string body;

  std::string header(const std::string& name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? std::string() : found->second;
  }
};

struct Response {
  int status = 200;
  std::string headers{};  // further lines, each with its end
  std::string body{};
  std::optional<size_t> length{};  // of the answer to a HEAD
};

class HttpConnection {
 public:
  // Takes the descriptor.
  explicit HttpConnection(int fd) : fd_(fd) {}
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // nullopt: the client has gone, or speaks something else.
  std::optional<Request> read();
  // False: the client has gone.
  bool write(const Request& request, const Response& response);

 private:
  bool fill();
  bool send_all(const std::string& bytes);

  const int fd_;
  std::string buffer_;
};

// As S3 encodes keys in lists: all but letters, digits and "-._~/".
std::string percent_encode(const std::string& text);
// 16 bytes.
std::string md5_of(const std::string& bytes);
std::string to_hex(const std::string& bytes);

}  // namespace etcd_snapshot::bench
