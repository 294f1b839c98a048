#include "connection.h"

#include <strings.h>

#include <cstdio>
#include <cstdlib>

namespace etcd_snapshot::bench {

void fail(std::string_view message) {
  fprintf(stderr, "%s: %.*s\n", program_invocation_short_name, static_cast<int>(message.size()),
          message.data());
  exit(1);
}

bool take_tls_flag(Target& target, std::string_view flag, const char* value) {
  if (flag == "--cacert")
    target.ca_file = value;
  else if (flag == "--cert")
    target.cert_file = value;
  else if (flag == "--key")
    target.key_file = value;
  else
    return false;
  return true;
}

Connection::Connection(const Target& target) : endpoint_(target.endpoint) {
  while (endpoint_.ends_with('/')) endpoint_.pop_back();
  const bool tls = endpoint_.starts_with("https://");
  if (!tls && !endpoint_.starts_with("http://"))
    fail("the endpoint '" + endpoint_ + "' must start with http:// or https://");
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) fail("cannot initialize libcurl");
  handle_.reset(curl_easy_init());
  if (!handle_) fail("cannot create a curl handle");
  // "te: trailers" is required by gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md).
  for (const char* header : {"content-type: application/grpc", "te: trailers", "expect:"}) {
    curl_slist* longer = curl_slist_append(headers_.get(), header);
    if (longer == nullptr) fail("out of memory");
    (void)headers_.release();
    headers_.reset(longer);
  }
  CURL* curl = handle_.get();
  set(curl, CURLOPT_HTTP_VERSION,
      static_cast<long>(tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
  set(curl, CURLOPT_HTTPHEADER, headers_.get());
  set(curl, CURLOPT_ERRORBUFFER, error_);
  set(curl, CURLOPT_NOSIGNAL, 1L);
  // libcurl 7.88 breaks a second request on a connection of prior knowledge (curl pull request
  // 10643, fixed in 8.0); a new one over loopback costs nothing.
  if (!tls) set(curl, CURLOPT_FORBID_REUSE, 1L);
  set(curl, CURLOPT_PROXY, "");  // never through a proxy of the environment
  set(curl, CURLOPT_CONNECTTIMEOUT, 10L);
  set(curl, CURLOPT_HEADERFUNCTION, &Connection::on_header);
  set(curl, CURLOPT_HEADERDATA, this);
  if (tls) {
    if (!target.ca_file.empty()) set(curl, CURLOPT_CAINFO, target.ca_file.c_str());
    if (!target.cert_file.empty()) set(curl, CURLOPT_SSLCERT, target.cert_file.c_str());
    if (!target.key_file.empty()) set(curl, CURLOPT_SSLKEY, target.key_file.c_str());
  }
}

size_t Connection::on_header(char* data, size_t size, size_t count, void* self) noexcept {
  auto* connection = static_cast<Connection*>(self);
  std::string_view line(data, size * count);
  auto value_of = [&](std::string_view name, std::string& value) {
    if (line.size() <= name.size() || strncasecmp(line.data(), name.data(), name.size()) != 0)
      return;
    value = line.substr(name.size());
    while (!value.empty() && (value.back() == '\r' || value.back() == '\n')) value.pop_back();
  };
  value_of("grpc-status: ", connection->grpc_status_);
  value_of("grpc-message: ", connection->grpc_message_);
  return size * count;
}

size_t Connection::on_body(char* data, size_t size, size_t count, void* text) noexcept {
  static_cast<std::string*>(text)->append(data, size * count);
  return size * count;
}

void Connection::prepare(const char* method, std::string_view body) {
  url_ = endpoint_ + method;
  CURL* curl = handle_.get();
  set(curl, CURLOPT_URL, url_.c_str());
  set(curl, CURLOPT_POST, 1L);
  set(curl, CURLOPT_POSTFIELDS, body.data());
  set(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
}

void Connection::perform() {
  grpc_status_.clear();
  grpc_message_.clear();
  if (CURLcode code = curl_easy_perform(handle_.get()); code != CURLE_OK)
    fail(url_ + ": " + (error_[0] != '\0' ? error_ : curl_easy_strerror(code)));
  long http_status = 0;
  if (curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &http_status) != CURLE_OK ||
      http_status != 200)
    fail(url_ + ": HTTP status " + std::to_string(http_status));
  if (grpc_status_ != "0") fail(url_ + ": grpc-status '" + grpc_status_ + "': " + grpc_message_);
}

std::string Connection::call(const char* method, std::string_view message) {
  // A message on the wire: compressed flag, length in four bytes, big endian.
  std::string body(5, '\0');
  for (int index = 0; index < 4; ++index)
    body[1 + index] = static_cast<char>(message.size() >> (24 - 8 * index));
  body += message;
  std::string answer;
  prepare(method, body);
  set(handle_.get(), CURLOPT_WRITEFUNCTION, &Connection::on_body);
  set(handle_.get(), CURLOPT_WRITEDATA, &answer);
  perform();
  if (answer.size() < 5) fail(url_ + ": an answer without a message");
  return answer.substr(5);
}

}  // namespace etcd_snapshot::bench
