// What the tools of the benchmark share: the flags that name an etcd, a curl handle for HTTP/2 to
// it, and unary gRPC calls. Not the agent's client, on purpose: what measures it must not depend on
// it.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace etcd_snapshot::bench {

struct Target {
  std::string endpoint;  // http://host:port or https://host:port
  std::string ca_file, cert_file, key_file;
};

// Takes one flag of --cacert, --cert, --key and its value; false if it is another one.
bool take_tls_flag(Target& target, std::string_view flag, const char* value);

struct CurlDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// An HTTP/2 connection to one etcd. Prints a message and ends the program when something fails: a
// measurement that goes on after an error measures nothing.
class Connection {
 public:
  explicit Connection(const Target& target);

  // Prepares a POST of `body` to `method` ("/etcdserverpb.KV/Txn"). `body` must stay alive.
  void prepare(const char* method, std::string_view body);
  // Performs what was prepared; ends the program unless curl, HTTP and grpc-status all say success.
  void perform();
  CURL* handle() const { return handle_.get(); }

  // One unary call: frames `message` and returns the message of the answer.
  std::string call(const char* method, std::string_view message);

 private:
  static size_t on_header(char* data, size_t size, size_t count, void* self) noexcept;
  static size_t on_body(char* data, size_t size, size_t count, void* text) noexcept;

  std::string endpoint_, url_, grpc_status_, grpc_message_;
  std::unique_ptr<CURL, CurlDeleter> handle_;
  std::unique_ptr<curl_slist, CurlDeleter> headers_;
  char error_[CURL_ERROR_SIZE] = "";
};

// Ends the program with a message and exit code 1.
[[noreturn]] void fail(std::string_view message);

// Ends the program if an option could not be set.
template <typename Value>
void set(CURL* handle, CURLoption option, Value value) {
  if (CURLcode code = curl_easy_setopt(handle, option, value); code != CURLE_OK)
    fail(curl_easy_strerror(code));
}

}  // namespace etcd_snapshot::bench
