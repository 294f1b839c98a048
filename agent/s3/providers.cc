#include "s3/providers.h"

#include <ctype.h>

#include <algorithm>

#include "s3/wire_text.h"

namespace etcd_snapshot {
namespace {

constexpr AmazonPartition kPartitions[] = {
    {"aws", "", ".amazonaws.com", ".api.aws", "us-east-1"},
    {"aws-cn", "cn-", ".amazonaws.com.cn", ".api.amazonwebservices.com.cn", "cn-north-1"},
    {"aws-us-gov", "us-gov-", ".amazonaws.com", ".api.aws", "us-gov-west-1"},
    {"aws-iso", "us-iso-", ".c2s.ic.gov", ".api.aws.ic.gov", "us-iso-east-1"},
    {"aws-iso-b", "us-isob-", ".sc2s.sgov.gov", ".api.aws.scloud", "us-isob-east-1"},
    {"aws-iso-e", "eu-isoe-", ".cloud.adc-e.uk", ".api.cloud-aws.adc-e.uk", "eu-isoe-west-1"},
    {"aws-iso-f", "us-isof-", ".csp.hci.ic.gov", ".api.aws.hci.ic.gov", "us-isof-south-1"},
    {"aws-eusc", "eusc-", ".amazonaws.eu", ".api.amazonwebservices.eu", "eusc-de-east-1"},
};

// Other providers. In a pattern {} is the region, * any one label.
struct Provider {
  const char* pattern;
  const char* region = "";  // where the name tells none
  bool dns = false;         // as is_dns_service()
};

constexpr Provider kProviders[] = {
    // Google, "Migrate from Amazon S3": the region auto.
    {"storage.googleapis.com", "auto", true},
    // Cloudflare, "R2: S3 API compatibility": an account, perhaps its jurisdiction; region auto.
    {"*.r2.cloudflarestorage.com", "auto"},
    {"*.eu.r2.cloudflarestorage.com", "auto"},
    {"*.fedramp.r2.cloudflarestorage.com", "auto"},
    // Alibaba Cloud, "Regions and endpoints" and "Access OSS with the AWS SDK".
    {"oss-{}.aliyuncs.com", "", true},
    {"s3.oss-{}.aliyuncs.com", "", true},
    // Tencent Cloud, "Regions and access endpoints"; buckets since 2024 take no path style.
    {"cos.{}.myqcloud.com", "", true},
    {"cos.{}.tencentcos.cn", "", true},
    // Wasabi, "Service URLs for Wasabi's storage regions".
    {"s3.wasabisys.com", "us-east-1"},
    {"s3.{}.wasabisys.com"},
    // Backblaze, "Call the S3-Compatible API".
    {"s3.{}.backblazeb2.com"},
    // DigitalOcean, "Spaces API reference".
    {"{}.digitaloceanspaces.com"},
    // OVHcloud, "Object Storage: endpoints and geoavailability".
    {"s3.{}.io.cloud.ovh.net"},
    {"s3.{}.perf.cloud.ovh.net"},
    {"s3.{}.cloud.ovh.net"},
    {"s3.{}.io.cloud.ovh.us"},
    {"s3.{}.perf.cloud.ovh.us"},
    // Scaleway, "Object Storage: endpoints".
    {"s3.{}.scw.cloud"},
    // Hetzner, "Object Storage: overview".
    {"{}.your-objectstorage.com"},
    // IBM, "Cloud Object Storage: endpoints and storage locations".
    {"s3.{}.cloud-object-storage.appdomain.cloud"},
    {"s3.private.{}.cloud-object-storage.appdomain.cloud"},
    {"s3.direct.{}.cloud-object-storage.appdomain.cloud"},
    // Akamai, "Object Storage: access buckets and files through URLs".
    {"{}.linodeobjects.com"},
    // Vultr, "Object Storage"; Exoscale, "Simple Object Storage".
    {"{}.vultrobjects.com"},
    {"sos-{}.exo.io"},
};

bool take_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Up to the next point, which goes, too.
std::string_view take_label(std::string_view& text) {
  const size_t end = std::min(text.find('.'), text.size());
  const std::string_view label = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return label;
}

// The region that `host` has in the place of {}, empty where the pattern has none; nullopt: another
// host.
std::optional<std::string> match(std::string_view pattern, std::string_view host) {
  std::string region;
  while (!pattern.empty() && !host.empty()) {
    std::string_view wanted = take_label(pattern);
    std::string_view found = take_label(host);
    const bool is_region = take_suffix(wanted, "{}");
    if (is_region || wanted == "*") {
      if (is_region && !take_prefix(found, wanted)) return std::nullopt;
      if (!is_dns_label(found)) return std::nullopt;
      if (is_region) region = found;
    } else if (found != wanted) {
      return std::nullopt;
    }
  }
  if (!pattern.empty() || !host.empty()) return std::nullopt;
  return region;
}

// nullopt: none of theirs.
struct KnownService {
  std::string region;
  bool dns = false;
};
std::optional<KnownService> parse_provider(std::string_view host) {
  for (const Provider& provider : kProviders) {
    auto region = match(provider.pattern, host);
    if (!region) continue;
    std::string_view name = *region;
    if (name.empty()) name = provider.region;
    take_suffix(name, "-internal");  // the same, from within Alibaba's network
    // One name for all regions: "oss-accelerate", "oss-accelerate-overseas", "cos.accelerate".
    if (name.starts_with("accelerate")) name = "";
    return KnownService{std::string(name), provider.dns};
  }
  return std::nullopt;
}

// An endpoint of S3 itself: AWS General Reference, "Amazon S3 endpoints and quotas".
struct AmazonHost {
  std::string prefix;   // what stands before a region: "s3.dualstack."
  std::string region;   // empty: it names none
  bool global = false;  // one name for all regions
  const AmazonPartition* partition = nullptr;
};

// `service`: the host without the partition's suffix.
std::optional<AmazonHost> parse_amazon_service(std::string_view service) {
  if (service == "s3") return AmazonHost{"s3.", "", false};
  if (service == "s3-external-1") return AmazonHost{"s3.", "us-east-1", false};
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
    if (!is_amazon_region(region) || region.starts_with("website-")) continue;
    return AmazonHost{std::string(prefix), std::string(region), false};
  }
  return std::nullopt;
}

// Takes Amazon's suffix off; null: it is no host of theirs.
const AmazonPartition* take_amazon_suffix(std::string_view& host) {
  for (const AmazonPartition& partition : kPartitions) {
    if (take_suffix(host, partition.suffix)) return &partition;
  }
  return nullptr;
}

// nullopt: not Amazon's, or not for S3's API.
std::optional<AmazonHost> parse_amazon(std::string_view host) {
  const AmazonPartition* const partition = take_amazon_suffix(host);
  if (partition == nullptr) return std::nullopt;
  auto amazon = parse_amazon_service(host);
  if (amazon) amazon->partition = partition;
  return amazon;
}

// The S3 endpoint at the end of the labels, which may have a bucket in front; nullopt: none.
std::optional<AmazonHost> parse_amazon_tail(std::string_view service) {
  while (!service.empty()) {
    if (auto known = parse_amazon_service(service)) return known;
    take_label(service);
  }
  return std::nullopt;
}

// An interface endpoint of AWS PrivateLink:
// "bucket.vpce-1a2b-3c4d.s3.us-east-1.vpce.amazonaws.com", where "bucket" is part of its own name
// (S3 User Guide, "AWS PrivateLink for Amazon S3").
bool is_private_link(std::string_view host) {
  if (take_amazon_suffix(host) == nullptr || !take_suffix(host, ".vpce")) return false;
  const std::string_view first = take_label(host);
  const std::string_view id = first.starts_with("vpce-") ? first : take_label(host);
  return (first == "bucket" || first == id) && id.starts_with("vpce-") &&
         parse_amazon_service(host);
}

Error not_for_us(std::string_view host, std::string_view what, std::string hint) {
  return {ErrorKind::kRemote, "endpoint " + std::string(host) + " " + std::string(what),
          std::move(hint), false, 0};
}

}  // namespace

const AmazonPartition& partition_of(std::string_view region) {
  for (const AmazonPartition& partition : kPartitions) {
    if (*partition.region_start != '\0' && region.starts_with(partition.region_start)) {
      return partition;
    }
  }
  return kPartitions[0];
}

bool is_amazon_region(std::string_view text) {
  return is_dns_label(text) && text.find('-') != text.npos &&
         isdigit(static_cast<unsigned char>(text.back()));
}

std::string sts_host(std::string_view region, StsVariant variant) {
  if (!is_amazon_region(region)) return "sts.amazonaws.com";
  const AmazonPartition& partition = partition_of(region);
  const bool fips = variant.fips && std::string_view(partition.name) != "aws-us-gov";
  return (fips ? "sts-fips." : "sts.") + std::string(region) +
         (variant.dual_stack ? partition.dual_stack_suffix : partition.suffix);
}

std::string region_of_endpoint(std::string_view host) {
  const std::string name = lower(host);
  std::string_view rest = name;
  // A bucket, or the name of an interface endpoint, may be in front.
  if (take_amazon_suffix(rest) != nullptr) {
    take_suffix(rest, ".vpce");
    const auto known = parse_amazon_tail(rest);
    return known ? known->region : "";
  }
  while (!rest.empty()) {
    if (const auto known = parse_provider(rest)) return known->region;
    take_label(rest);
  }
  return "";
}

std::string likely_region(std::string_view host) {
  const AmazonPartition* const partition = take_amazon_suffix(host);
  return partition != nullptr ? partition->default_region : kPartitions[0].default_region;
}

bool is_service_host(std::string_view host) {
  return parse_amazon(host) || parse_provider(host) || is_private_link(host);
}

bool is_dns_service(std::string_view host) {
  if (parse_amazon(host)) return true;
  const auto known = parse_provider(host);
  return known && known->dns;
}

bool is_fips_host(std::string_view host) {
  const auto amazon = parse_amazon(host);
  return amazon && amazon->prefix.starts_with("s3-fips.");
}

std::string host_for_region(const std::string& host, const std::string& region) {
  const auto amazon = parse_amazon(host);
  if (!amazon || amazon->global || !is_amazon_region(region)) return host;
  const std::string named =
      amazon->region.empty() ? amazon->partition->default_region : amazon->region;
  if (named == region) return host;
  return amazon->prefix + region + partition_of(region).suffix;
}

Result<void> check_service(std::string_view host, S3Lookup lookup) {
  const std::string name = lower(host);
  std::string_view service = name;
  const auto is_in = [&service](std::string_view part) {
    return service.starts_with(part) || service.find("." + std::string(part)) != service.npos;
  };
  const AmazonPartition* const partition = take_amazon_suffix(service);
  if (partition == nullptr) {
    if (!name.ends_with(".cdn.digitaloceanspaces.com")) return {};
    return not_for_us(name, "is the content delivery network of Spaces, which only reads",
                      "write endpoint: REGION.digitaloceanspaces.com, without .cdn");
  }
  const std::string plain = "write endpoint: s3.REGION" + std::string(partition->suffix);
  // An access point's own host name, which is its name and account in front of the endpoint.
  const bool access_point = service.starts_with("accesspoint.vpce-") || is_in("s3-accesspoint.") ||
                            is_in("s3-accesspoint-fips.");
  if (access_point && lookup == S3Lookup::kDns) return {};
  if (access_point || is_in("s3-object-lambda.")) {
    return not_for_us(name, "is the host of an access point",
                      plain +
                          ", and as bucket_name the bucket, or the alias of the access point "
                          "(it ends in -s3alias)");
  }
  if (service.starts_with("control.vpce-") || is_in("s3-control.")) {
    return not_for_us(name, "administrates buckets and holds no objects", plain);
  }
  take_suffix(service, ".vpce");
  if (parse_amazon_tail(service)) return {};
  if (is_in("s3express-")) {
    return not_for_us(name,
                      "is S3 Express One Zone, whose directory buckets need sessions that this "
                      "program does not make",
                      "use a general purpose bucket, and " + plain);
  }
  if (is_in("s3-outposts.")) {
    return not_for_us(name, "is S3 on Outposts, which signs in another way",
                      "use a bucket of the region, and " + plain);
  }
  if (is_in("s3-website.") || is_in("s3-website-")) {
    return not_for_us(name, "serves a website, and is not S3's API", plain);
  }
  return {};
}

}  // namespace etcd_snapshot
