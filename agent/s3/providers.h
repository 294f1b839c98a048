// What is known of providers' hosts by their names: Amazon's partitions, and which host of which
// provider tells its region. Tables; asks nobody.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/settings.h"

namespace etcd_snapshot {

// Part of Amazon's world with accounts and host names of its own. Sources: botocore,
// data/partitions.json and data/endpoints.json; AWS General Reference, "AWS service endpoints".
struct AmazonPartition {
  const char* name;               // "aws-cn", as ARNs have it
  const char* region_start;       // of its regions; empty: every other region
  const char* suffix;             // of its hosts, with the point in front
  const char* dual_stack_suffix;  // of the hosts of STS that speak IPv6, too
  const char* default_region;     // of a host that names none
};

// Of a region of Amazon's ("eusc-de-east-1"); what is unknown belongs to "aws".
const AmazonPartition& partition_of(std::string_view region);

// What Amazon calls a region: "eu-west-1", "us-gov-east-1".
bool is_amazon_region(std::string_view text);

// The host of STS for a region: "sts.eu-west-1.amazonaws.com". Anything but a region of Amazon's:
// the global one. Sources: AWS General Reference, "AWS Security Token Service endpoints and quotas"
// (GovCloud's plain names are FIPS hosts); IAM User Guide, "Dual-stack endpoint support".
struct StsVariant {
  bool fips = false, dual_stack = false;
};
std::string sts_host(std::string_view region, StsVariant variant = {});

// The region that the name of a service's endpoint tells ("s3.eu-central-1.amazonaws.com",
// "s3-eu-west-1.amazonaws.com", "fra1.digitaloceanspaces.com"), or empty. A bucket may be in front.
// `host` without port, any case.
std::string region_of_endpoint(std::string_view host);

// The region to try first where nobody told one: of Amazon's hosts their partition's first.
std::string likely_region(std::string_view host);

// Whether the whole name, in lower case, is a known service's: nothing stands in front of it.
bool is_service_host(std::string_view host);

// Whether the service takes a bucket in front of its name, and wants it there.
bool is_dns_service(std::string_view host);

// Whether it is one of Amazon's hosts with FIPS 140 modules.
bool is_fips_host(std::string_view host);

// What the host becomes where the bucket is in `region`; stays where it names that one already, is
// not Amazon's, or is the same for all regions.
std::string host_for_region(const std::string& host, const std::string& region);

// Hosts that look like an endpoint and are none for this agent: S3 Express, access points,
// Outposts, websites, content delivery. kConfig, whose hint says what to write instead.
Result<void> check_service(std::string_view host, S3Lookup lookup = S3Lookup::kAuto);

}  // namespace etcd_snapshot
