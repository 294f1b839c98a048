#include "config/network.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace etcd_snapshot {
namespace {

constexpr std::string_view kEndpointForms =
    "host or host:port with http:// or https:// in front or neither, IPv6 in brackets, port 1 to "
    "65535, nothing after it";

// Takes "scheme://" off the front; empty where there is none.
std::string take_scheme(std::string_view& text) {
  const size_t end = text.find("://");
  if (end == text.npos) return "";
  const std::string scheme = lower(text.substr(0, end));
  text.remove_prefix(end + 3);
  return scheme;
}

bool is_ip(int family, std::string_view text) {
  in6_addr address = {};
  return inet_pton(family, std::string(text).c_str(), &address) == 1;
}

// What is wrong with a host; empty if nothing.
std::string_view host_fault(std::string_view host) {
  if (host.empty()) return "no host in";
  if (host.front() == '[') {
    return host.back() == ']' && is_ip(AF_INET6, host.substr(1, host.size() - 2))
               ? ""
               : "not an IPv6 address in";
  }
  const bool plain = std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_';
  });
  if (!plain || host.front() == '.' || host.front() == '-' || host.find("..") != host.npos) {
    return "not a host name in";
  }
  // Digits and points alone can only be meant as an address.
  if (host.find_first_not_of("0123456789.") == host.npos && !is_ip(AF_INET, host)) {
    return "not an IPv4 address in";
  }
  return "";
}

// Splits host[:port]; what is wrong with it, empty if nothing.
std::string_view split_host_port(std::string_view text, std::string& host, int& port) {
  size_t host_end = text.starts_with('[') ? text.find(']') : text.find(':');
  if (text.starts_with('[')) {
    if (host_end == text.npos) return "no ] in";
    ++host_end;
  } else if (host_end != text.npos && text.find(':', host_end + 1) != text.npos) {
    return "an IPv6 address without brackets in";
  }
  host = text.substr(0, host_end);
  const std::string_view rest = text.substr(std::min(host_end, text.size()));
  if (const std::string_view fault = host_fault(host); !fault.empty()) return fault;
  port = 0;
  if (rest.empty()) return "";
  if (rest.front() != ':') return "something after the host in";
  const std::string_view digits = rest.substr(1);
  const bool number = !digits.empty() && digits.size() <= 5 && digits.front() != '0' &&
                      digits.find_first_not_of("0123456789") == digits.npos;
  if (!number || std::stoi(std::string(digits)) > 65535) return "not a port in";
  port = std::stoi(std::string(digits));
  return "";
}

}  // namespace

Result<Address> parse_address(const Place& place, std::string_view text) {
  if (text.find('@') != text.npos) {
    return bad_setting(place, "user info (something before an @) in the address", kEndpointForms);
  }
  std::string_view rest = text;
  Address endpoint;
  const bool has_scheme = rest.find("://") != rest.npos;
  endpoint.scheme = take_scheme(rest);
  if (has_scheme && endpoint.scheme != "http" && endpoint.scheme != "https") {
    return bad_value(place, "unknown scheme in", text, kEndpointForms);
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#") != rest.npos) {
    return bad_value(place, "a path or query in", text, kEndpointForms);
  }
  const std::string_view fault = split_host_port(rest, endpoint.host, endpoint.port);
  if (!fault.empty()) return bad_value(place, fault, text, kEndpointForms);
  return endpoint;
}

std::string to_string(const Address& endpoint) {
  std::string text = endpoint.scheme.empty() ? "" : endpoint.scheme + "://";
  text += endpoint.host;
  if (endpoint.port != 0) text += fmt::format(":{}", endpoint.port);
  return text;
}

bool is_loopback_url(std::string_view url) {
  const size_t scheme = url.find("://");
  std::string_view host = scheme == url.npos ? url : url.substr(scheme + 3);
  host = host.substr(0, host.find('/'));
  if (host.starts_with('[')) return host.starts_with("[::1]");
  host = host.substr(0, host.find(':'));
  in_addr address = {};
  if (inet_pton(AF_INET, std::string(host).c_str(), &address) == 1) {
    return host.starts_with("127.");
  }
  return host == "localhost";
}

Result<std::string> parse_proxy(const Place& place, std::string_view text) {
  constexpr std::string_view kAccepted =
      "[scheme://][user:password@]host[:port] with the scheme http, https, socks4, socks4a, socks5 "
      "or socks5h; special characters of user and password percent-encoded (@ is %40)";
  const auto bad = [&](std::string_view what) {
    return bad_setting(place, fmt::format("{} the proxy (not shown, it may hold a password)", what),
                       kAccepted);
  };
  std::string_view rest = text;
  const bool has_scheme = rest.find("://") != rest.npos;
  const std::string scheme = take_scheme(rest);
  constexpr std::string_view kSchemes[] = {"http",    "https",  "socks4",
                                           "socks4a", "socks5", "socks5h"};
  if (has_scheme &&
      std::find(std::begin(kSchemes), std::end(kSchemes), scheme) == std::end(kSchemes)) {
    return bad("unknown scheme in");
  }
  if (const size_t user_end = rest.rfind('@'); user_end != rest.npos) {
    if (user_end == 0) return bad("no user before the @ in");
    // libcurl takes the first one for the end of the password.
    if (rest.find('@') != user_end) return bad("a second @ in");
    rest.remove_prefix(user_end + 1);
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  std::string host;
  int port = 0;
  const std::string_view fault = split_host_port(rest, host, port);
  if (!fault.empty()) return bad(fault);
  return std::string(text);
}

bool holds_user_info(std::string_view proxy) {
  return proxy.find('@') != proxy.npos;
}

}  // namespace etcd_snapshot
