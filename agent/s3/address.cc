#include "s3/address.h"
#include "s3/wire_text.h"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>

namespace etcd_snapshot {
namespace {

bool is_dns_name(std::string_view text) {
  for (;;) {
    const size_t end = std::min(text.find('.'), text.size());
    if (!is_dns_label(text.substr(0, end))) return false;
    if (end == text.size()) return true;
    text.remove_prefix(end + 1);
  }
}

bool is_ip(std::string_view host) {
  in_addr address = {};
  return host.starts_with('[') || inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
}

// An IPv6 address in its short form, in which clients put it into the Host header: that is signed.
std::string short_form(std::string host) {
  in6_addr address = {};
  char text[INET6_ADDRSTRLEN] = "";
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (!bracketed) return host;
  if (inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &address) != 1) return host;
  if (inet_ntop(AF_INET6, &address, text, sizeof text) == nullptr) return host;
  return "[" + std::string(text) + "]";
}

// What is put into a signature: the names that cluster.yml may hold.
bool is_region(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

}  // namespace

std::string S3Address::path(std::string_view key) const {
  if (key.empty() && !base_path.empty()) return base_path;
  return base_path + "/" + percent_encode(key, /*keep_slash=*/true);
}

std::string S3Address::url(std::string_view key, const std::string& query) const {
  return scheme + "://" + authority + path(key) + (query.empty() ? "" : "?" + query);
}

bool use_dns_style(S3Lookup lookup, std::string_view endpoint_host, std::string_view bucket,
                   bool tls) {
  if (lookup == S3Lookup::kPath || is_ip(endpoint_host)) return false;
  if (bucket.find(':') != bucket.npos) return false;
  if (lookup == S3Lookup::kDns) return true;
  if (!is_dns_service(lower(endpoint_host))) return false;
  if (tls && bucket.find('.') != bucket.npos) return false;
  return is_dns_name(bucket) && !is_ip(bucket);
}

S3Location::S3Location(const S3Policy& policy, S3Lookup lookup)
    : lookup_(lookup), bucket_(policy.bucket_name), scheme_("https") {
  std::string rest = lower(policy.endpoint);
  if (const size_t end = rest.find("://"); end != rest.npos) {
    scheme_ = rest.substr(0, end);
    rest.erase(0, end + 3);
  }
  const size_t host_end = rest.starts_with('[') ? rest.find(']') : 0;
  const size_t colon = rest.find(':', host_end == rest.npos ? 0 : host_end);
  endpoint_host_ = short_form(rest.substr(0, colon));
  if (colon != rest.npos) port_ = rest.substr(colon + 1);
  const std::string in_front = lower(bucket_) + ".";
  if (endpoint_host_.starts_with(in_front) && !is_service_host(endpoint_host_)) {
    const std::string behind = endpoint_host_.substr(in_front.size());
    if (is_service_host(behind)) {
      endpoint_host_ = behind;
    } else {
      unsettled_ = is_dns_name(behind) && !is_ip(behind);
    }
  }
  // Clients leave the scheme's own port out of the Host header, which is signed.
  if (port_ == (scheme_ == "https" ? "443" : "80")) port_.clear();
  region_ = policy.region.empty() ? region_of_endpoint(endpoint_host_) : policy.region;
  region_guessed_ = region_.empty();
  if (region_guessed_) region_ = likely_region(endpoint_host_);
  rebuild();
}

S3Address S3Location::address() const {
  const std::lock_guard lock(mutex_);
  return address_;
}

std::string S3Location::host() const {
  const std::lock_guard lock(mutex_);
  return endpoint_host_;
}

std::string S3Location::display() const {
  const std::lock_guard lock(mutex_);
  const std::string server = scheme_ + "://" + endpoint_host_ + (port_.empty() ? "" : ":" + port_);
  return host_ == Host::kBucket ? server : server + "/" + bucket_;
}

bool S3Location::learn_region(const std::string& region) {
  if (!is_region(region)) return false;
  const std::lock_guard lock(mutex_);
  region_guessed_ = false;
  if (region == region_) return false;
  region_ = region;
  rebuild();
  return true;
}

bool S3Location::region_is_guess() const {
  const std::lock_guard lock(mutex_);
  return region_guessed_;
}

void S3Location::assume(Host host) {
  const std::lock_guard lock(mutex_);
  host_ = host;
  rebuild();
}

void S3Location::rebuild() {
  endpoint_host_ = host_for_region(endpoint_host_, region_);
  const bool dns = use_dns_style(lookup_, endpoint_host_, bucket_, scheme_ == "https");
  address_.scheme = scheme_;
  const bool in_host = host_ == Host::kBucket;  // where it is already
  address_.authority =
      (dns && !in_host ? bucket_ + "." : "") + endpoint_host_ + (port_.empty() ? "" : ":" + port_);
  address_.base_path = dns || in_host ? "" : "/" + percent_encode(bucket_, /*keep_slash=*/false);
  address_.region = region_;
}

}  // namespace etcd_snapshot
