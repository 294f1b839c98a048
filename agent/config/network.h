// Addresses as configuration files hold them: endpoints of etcd and S3, proxies. Looks at the text
// only; nothing is resolved.
#pragma once

#include <string>
#include <string_view>

#include "config/value.h"

namespace etcd_snapshot {

struct Address {
  std::string scheme;  // "http", "https" or empty where none was written
  std::string host;    // name, IPv4, or IPv6 in brackets
  int port = 0;        // 0: none was written
};

// [http://|https://]host[:port], IPv6 in brackets, one trailing slash allowed. No path, query or
// user info: what holds an `@` is not printed, as it may hold a password.
Result<Address> parse_address(const Place& place, std::string_view text);

// "scheme://host:port" without what is not there.
std::string to_string(const Address& endpoint);

// Whether a URL's host is this machine by its very text: 127.0.0.0/8, ::1 or localhost.
bool is_loopback_url(std::string_view url);

// [scheme://][user:password@]host[:port] with a scheme that libcurl takes. Never printed.
Result<std::string> parse_proxy(const Place& place, std::string_view text);

// Whether a proxy holds a password.
bool holds_user_info(std::string_view proxy);

}  // namespace etcd_snapshot
