#include "s3/address.h"
#include "s3/wire_text.h"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>

namespace etcd_snapshot {
namespace {

constexpr char kDefaultRegion[] = "us-east-1";
constexpr std::string_view kAmazon = ".amazonaws.com";
constexpr std::string_view kAmazonChina = ".amazonaws.com.cn";
constexpr std::string_view kAliyun = ".aliyuncs.com";
constexpr std::string_view kGoogle = "storage.googleapis.com";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool take_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

// A label of RFC 1123, in lower case: certificates and S3's own rule for buckets know no other.
bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-'; });
}

bool is_dns_name(std::string_view text) {
  for (;;) {
    const size_t end = std::min(text.find('.'), text.size());
    if (!is_label(text.substr(0, end))) return false;
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

// What Amazon calls a region: "eu-west-1", "us-gov-east-1".
bool is_amazon_region(std::string_view text) {
  return is_label(text) && text.find('-') != text.npos && is_digit(text.back());
}

// What is put into a signature: the names that cluster.yml may hold.
bool is_region(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' ||
           c == '.' || c == '_';
  });
}

// An endpoint of S3 itself: AWS General Reference, "Amazon S3 endpoints and quotas".
struct AmazonHost {
  std::string prefix;   // what stands before a region: "s3.dualstack."
  std::string region;   // empty: it names none
  bool global = false;  // one name for all regions
};

// `service`: the host without ".amazonaws.com".
std::optional<AmazonHost> parse_amazon_service(std::string_view service) {
  if (service == "s3") return AmazonHost{"s3.", "", false};
  if (service == "s3-external-1") return AmazonHost{"s3.", kDefaultRegion, false};
  if (service == "s3-accelerate" || service == "s3-accelerate.dualstack") {
    return AmazonHost{"", "", true};
  }
  // What is found in front of a region, and what belongs there in a region that is younger.
  constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
      {"s3-fips.dualstack.", "s3-fips.dualstack."},
      {"s3-fips.", "s3-fips."},
      {"s3-fips-", "s3-fips."},
      {"s3.dualstack.", "s3.dualstack."},
      {"s3.", "s3."},
      {"s3-", "s3."}};
  for (const auto& [found, prefix] : kPrefixes) {
    if (!service.starts_with(found)) continue;
    const std::string_view region = service.substr(found.size());
    if (!is_amazon_region(region)) continue;
    return AmazonHost{std::string(prefix), std::string(region), false};
  }
  return std::nullopt;
}

// nullopt: not Amazon's, or not for S3's API.
std::optional<AmazonHost> parse_amazon(std::string_view host) {
  if (!take_suffix(host, kAmazonChina) && !take_suffix(host, kAmazon)) return std::nullopt;
  return parse_amazon_service(host);
}

// The services that take a bucket in front of their name.
bool is_dns_service(std::string_view host) {
  return parse_amazon(host) || host == kGoogle || host.ends_with(kAliyun);
}

// What the host becomes where the bucket is in `region`; stays where it names that one already.
std::string amazon_host(const std::string& host, const std::string& region) {
  const auto amazon = parse_amazon(host);
  if (!amazon || amazon->global || !is_amazon_region(region)) return host;
  const std::string named = amazon->region.empty() ? kDefaultRegion : amazon->region;
  if (named == region) return host;
  return amazon->prefix + region + std::string(region.starts_with("cn-") ? kAmazonChina : kAmazon);
}

// ("oss-accelerate", "oss-accelerate-overseas": one name for all regions.) Source: Alibaba Cloud,
// "Access OSS with the AWS SDK", where "s3." may stand in front.
std::string aliyun_region(std::string_view service) {
  const size_t start = service.rfind("oss-");
  if (start == service.npos || (start > 0 && service[start - 1] != '.')) return "";
  std::string_view region = service.substr(start + 4);
  take_suffix(region, "-internal");
  return is_label(region) && !region.starts_with("accelerate") ? std::string(region) : "";
}

}  // namespace

std::string S3Address::path(std::string_view key) const {
  if (key.empty() && !base_path.empty()) return base_path;
  return base_path + "/" + percent_encode(key, /*keep_slash=*/true);
}

std::string S3Address::url(std::string_view key, const std::string& query) const {
  return scheme + "://" + authority + path(key) + (query.empty() ? "" : "?" + query);
}

std::string region_of_endpoint(std::string_view host) {
  const std::string name = lower(host);
  std::string_view service = name;
  if (take_suffix(service, kAliyun)) return aliyun_region(service);
  if (!take_suffix(service, kAmazonChina) && !take_suffix(service, kAmazon)) return "";
  take_suffix(service, ".vpce");  // an interface endpoint of AWS PrivateLink
  // A bucket, or the name of an interface endpoint, may be in front.
  for (;;) {
    if (const auto amazon = parse_amazon_service(service)) return amazon->region;
    const size_t point = service.find('.');
    if (point == service.npos) return "";
    service.remove_prefix(point + 1);
  }
}

bool use_dns_style(S3Lookup lookup, std::string_view endpoint_host, std::string_view bucket,
                   bool tls) {
  if (lookup == S3Lookup::kPath || is_ip(endpoint_host)) return false;
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
  // An endpoint with the bucket in it would make the bucket a part of every key in path style.
  const std::string in_front = lower(bucket_) + ".";
  if (endpoint_host_.starts_with(in_front) &&
      parse_amazon(endpoint_host_.substr(in_front.size()))) {
    endpoint_host_.erase(0, in_front.size());
  }
  // Clients leave the scheme's own port out of the Host header, which is signed.
  if (port_ == (scheme_ == "https" ? "443" : "80")) port_.clear();
  region_ = policy.region.empty() ? region_of_endpoint(endpoint_host_) : policy.region;
  region_guessed_ = region_.empty();
  if (region_guessed_) region_ = kDefaultRegion;
  rebuild();
}

S3Address S3Location::address() const {
  const std::lock_guard lock(mutex_);
  return address_;
}

std::string S3Location::display() const {
  const std::lock_guard lock(mutex_);
  return scheme_ + "://" + endpoint_host_ + (port_.empty() ? "" : ":" + port_) + "/" + bucket_;
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

void S3Location::rebuild() {
  endpoint_host_ = amazon_host(endpoint_host_, region_);
  const bool dns = use_dns_style(lookup_, endpoint_host_, bucket_, scheme_ == "https");
  address_.scheme = scheme_;
  address_.authority =
      (dns ? bucket_ + "." : "") + endpoint_host_ + (port_.empty() ? "" : ":" + port_);
  address_.base_path = dns ? "" : "/" + percent_encode(bucket_, /*keep_slash=*/false);
  address_.region = region_;
}

}  // namespace etcd_snapshot
