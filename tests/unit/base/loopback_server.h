// An HTTP/1.1 server on 127.0.0.1 inside the test, one thread a connection, with or without TLS;
// what it answers is the test's. Everything that waits does so for a few seconds at most. Include
// before CppUTest's headers.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../fakes/certificates.h"
#include "base/fd.h"

namespace etcd_snapshot {

// A request as it came. Header names in lower case.
struct SeenRequest {
  std::string method, target, body;
  std::map<std::string, std::string> headers;
  int connection = 0;  // from 1

  size_t body_bytes() const {
    const auto found = headers.find("content-length");
    return found == headers.end() ? 0 : strtoul(found->second.c_str(), nullptr, 10);
  }
  bool expects_continue() const { return headers.contains("expect"); }
};

// The server's end of a connection.
class Wire {
 public:
  Wire(UniqueFd fd, SSL* ssl) : fd_(std::move(fd)), ssl_(ssl, SSL_free) {}
  int fd() const { return fd_.get(); }

  bool send(const std::string& text) {
    for (size_t at = 0; at < text.size();) {
      const auto left = static_cast<int>(text.size() - at);
      const ssize_t put = ssl_
                              ? SSL_write(ssl_.get(), text.data() + at, left)
                              : ::send(fd_.get(), text.data() + at, text.size() - at, MSG_NOSIGNAL);
      if (put <= 0) return false;
      at += static_cast<size_t>(put);
    }
    return true;
  }
  // The TLS records that carry the text, of so many bytes each, to be sent with send_sealed().
  std::string seal(const std::string& text, size_t record_bytes) {
    BIO* const socket = SSL_get_wbio(ssl_.get());
    BIO_up_ref(socket);
    SSL_set0_wbio(ssl_.get(), BIO_new(BIO_s_mem()));
    for (size_t at = 0; at < text.size(); at += record_bytes) {
      const size_t size = std::min(record_bytes, text.size() - at);
      if (SSL_write(ssl_.get(), text.data() + at, static_cast<int>(size)) <= 0) abort();
    }
    char* data = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &data);
    std::string sealed(data, static_cast<size_t>(size));
    SSL_set0_wbio(ssl_.get(), socket);
    return sealed;
  }
  bool send_sealed(const std::string& bytes) {
    return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  bool answer(int status, const std::string& body = "", const std::string& headers = "") {
    return send("HTTP/1.1 " + std::to_string(status) + " Text\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body);
  }
  // False where the peer is gone or says nothing.
  bool read_head(SeenRequest& request) {
    size_t end = 0;
    while ((end = pending_.find("\r\n\r\n")) == pending_.npos) {
      if (!receive()) return false;
    }
    const std::string head = pending_.substr(0, end + 2);
    pending_.erase(0, end + 4);
    size_t line = head.find("\r\n");
    const size_t first = head.find(' '), second = head.find(' ', first + 1);
    request.method = head.substr(0, first);
    request.target = head.substr(first + 1, second - first - 1);
    for (line += 2; line < head.size();) {
      const size_t line_end = head.find("\r\n", line), colon = head.find(": ", line);
      std::string name = head.substr(line, std::min(colon, line_end) - line);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return tolower(c); });
      if (colon < line_end) request.headers[name] = head.substr(colon + 2, line_end - colon - 2);
      line = line_end + 2;
    }
    return true;
  }
  // Adds to the body until it has so many bytes.
  bool read_body(SeenRequest& request, size_t bytes) {
    while (pending_.size() < bytes - request.body.size()) {
      if (!receive()) return false;
    }
    const size_t count = bytes - request.body.size();
    request.body += pending_.substr(0, count);
    pending_.erase(0, count);
    return true;
  }
  bool read_body(SeenRequest& request) { return read_body(request, request.body_bytes()); }

 private:
  bool receive() {
    char buffer[65536];
    const ssize_t got = ssl_ ? SSL_read(ssl_.get(), buffer, sizeof buffer)
                             : recv(fd_.get(), buffer, sizeof buffer, 0);
    if (got > 0) pending_.append(buffer, static_cast<size_t>(got));
    return got > 0;
  }

  UniqueFd fd_;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
  std::string pending_;
};

class LoopbackServer {
 public:
  // Serves one request, whose head has been read; false: the connection ends.
  using Handler = std::function<bool(Wire&, SeenRequest&)>;

  explicit LoopbackServer(Handler handler, const FakeCertificate* certificate = nullptr)
      : handler_(std::move(handler)) {
    signal(SIGPIPE, SIG_IGN);  // SSL_write() has no MSG_NOSIGNAL
    if (certificate != nullptr) use(*certificate);
    listener_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    must(listener_ && bind(listener_.get(), any, size) == 0 && listen(listener_.get(), 16) == 0);
    must(getsockname(listener_.get(), any, &size) == 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~LoopbackServer() {
    ending_ = true;
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  std::string url(const std::string& path = "/", const std::string& host = "127.0.0.1") const {
    return (tls_ ? "https://" : "http://") + host + ":" + std::to_string(port_) + path;
  }
  // Requests whose handler has returned; waits for those that are with one.
  std::vector<SeenRequest> seen() const {
    for (int turn = 0; turn < 1000 && handling_ > 0; ++turn) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  int connections() const { return connections_; }

 private:
  static void must(bool done) {
    if (!done) abort();  // the test's own making, not what it tests
  }

  void use(const FakeCertificate& own) {
    tls_.reset(SSL_CTX_new(TLS_server_method()));
    const std::unique_ptr<BIO, void (*)(BIO*)> cert(BIO_new_mem_buf(own.certificate.data(), -1),
                                                    BIO_free_all),
        key(BIO_new_mem_buf(own.key.data(), -1), BIO_free_all);
    X509* const x509 = PEM_read_bio_X509(cert.get(), nullptr, nullptr, nullptr);
    EVP_PKEY* const pkey = PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr);
    must(SSL_CTX_use_certificate(tls_.get(), x509) == 1);
    must(SSL_CTX_use_PrivateKey(tls_.get(), pkey) == 1);
    X509_free(x509);
    EVP_PKEY_free(pkey);
  }

  void accept_all() {
    while (!ending_) {
      pollfd ready = {listener_.get(), POLLIN, 0};
      if (poll(&ready, 1, 20) <= 0) continue;
      UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd) continue;
      const timeval patience = {10, 0};
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      const std::lock_guard lock(mutex_);
      open_.push_back(fd.get());
      threads_.emplace_back(
          [this, number = ++connections_, raw = fd.release()] { serve(UniqueFd(raw), number); });
    }
  }

  void serve(UniqueFd fd, int number) {
    const int raw = fd.get();
    SSL* const ssl = tls_ ? SSL_new(tls_.get()) : nullptr;
    const bool ready = ssl == nullptr || (SSL_set_fd(ssl, raw) == 1 && SSL_accept(ssl) == 1);
    Wire wire(std::move(fd), ssl);
    for (bool more = ready; more && !ending_;) {
      SeenRequest request;
      request.connection = number;
      if (!wire.read_head(request)) break;
      ++handling_;
      more = handler_(wire, request);
      const std::lock_guard lock(mutex_);
      seen_.push_back(std::move(request));
      --handling_;
    }
    // Before the descriptor is closed: its number may then be another's.
    const std::lock_guard lock(mutex_);
    std::erase(open_, raw);
    if (ssl != nullptr) SSL_shutdown(ssl);
    shutdown(raw, SHUT_RDWR);
  }

  Handler handler_;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> tls_{nullptr, SSL_CTX_free};
  UniqueFd listener_;
  int port_ = 0;
  std::atomic<bool> ending_{false};
  std::atomic<int> connections_{0}, handling_{0};
  mutable std::mutex mutex_;
  std::vector<SeenRequest> seen_;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace etcd_snapshot
