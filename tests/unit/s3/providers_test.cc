#include "s3/providers.h"

#include <CppUTest/TestHarness.h>

#include "s3/address.h"

using namespace etcd_snapshot;

TEST_GROUP(Providers){};

namespace {

std::string first_url(const char* endpoint, const char* region, const char* bucket) {
  S3Policy policy;
  policy.endpoint = endpoint;
  policy.region = region;
  policy.bucket_name = bucket;
  return S3Location(policy, S3Lookup::kAuto).address().url("k", "");
}

}  // namespace

// botocore's data/partitions.json and data/endpoints.json.
TEST(Providers, KnowTheHostsOfEachPartition) {
  struct Row {
    const char *region, *partition, *s3, *dual_stack, *fips, *sts;
  };
  const Row table[] = {
      {"eu-west-1", "aws", "s3.eu-west-1.amazonaws.com", "s3.dualstack.eu-west-1.amazonaws.com",
       "s3-fips.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com"},
      {"cn-northwest-1", "aws-cn", "s3.cn-northwest-1.amazonaws.com.cn",
       "s3.dualstack.cn-northwest-1.amazonaws.com.cn", "s3-fips.cn-northwest-1.amazonaws.com.cn",
       "sts.cn-northwest-1.amazonaws.com.cn"},
      {"us-gov-east-1", "aws-us-gov", "s3.us-gov-east-1.amazonaws.com",
       "s3.dualstack.us-gov-east-1.amazonaws.com", "s3-fips.us-gov-east-1.amazonaws.com",
       "sts.us-gov-east-1.amazonaws.com"},
      {"us-iso-west-1", "aws-iso", "s3.us-iso-west-1.c2s.ic.gov",
       "s3.dualstack.us-iso-west-1.c2s.ic.gov", "s3-fips.us-iso-west-1.c2s.ic.gov",
       "sts.us-iso-west-1.c2s.ic.gov"},
      {"us-isob-east-1", "aws-iso-b", "s3.us-isob-east-1.sc2s.sgov.gov",
       "s3.dualstack.us-isob-east-1.sc2s.sgov.gov", "s3-fips.us-isob-east-1.sc2s.sgov.gov",
       "sts.us-isob-east-1.sc2s.sgov.gov"},
      {"eu-isoe-west-1", "aws-iso-e", "s3.eu-isoe-west-1.cloud.adc-e.uk",
       "s3.dualstack.eu-isoe-west-1.cloud.adc-e.uk", "s3-fips.eu-isoe-west-1.cloud.adc-e.uk",
       "sts.eu-isoe-west-1.cloud.adc-e.uk"},
      {"us-isof-south-1", "aws-iso-f", "s3.us-isof-south-1.csp.hci.ic.gov",
       "s3.dualstack.us-isof-south-1.csp.hci.ic.gov", "s3-fips.us-isof-south-1.csp.hci.ic.gov",
       "sts.us-isof-south-1.csp.hci.ic.gov"},
      {"eusc-de-east-1", "aws-eusc", "s3.eusc-de-east-1.amazonaws.eu",
       "s3.dualstack.eusc-de-east-1.amazonaws.eu", "s3-fips.eusc-de-east-1.amazonaws.eu",
       "sts.eusc-de-east-1.amazonaws.eu"},
  };
  for (const Row& row : table) {
    STRCMP_EQUAL_TEXT(row.partition, partition_of(row.region).name, row.region);
    STRCMP_EQUAL_TEXT(row.sts, sts_host(row.region).c_str(), row.region);
    for (const char* host : {row.s3, row.dual_stack, row.fips}) {
      STRCMP_EQUAL_TEXT(row.region, region_of_endpoint(host).c_str(), host);
      CHECK_TRUE_TEXT(is_service_host(host) && is_dns_service(host), host);
      CHECK_EQUAL_TEXT(host == row.fips, is_fips_host(host), host);
      // The bucket in front, and the region alone with the default endpoint.
      const std::string with_bucket = "backups." + std::string(host);
      STRCMP_EQUAL_TEXT(("https://" + with_bucket + "/k").c_str(),
                        first_url(with_bucket.c_str(), "", "backups").c_str(), host);
    }
    const std::string moved = first_url("s3.amazonaws.com", row.region, "backups");
    STRCMP_EQUAL_TEXT(("https://backups." + std::string(row.s3) + "/k").c_str(), moved.c_str(),
                      row.region);
  }
}

TEST(Providers, MoveWithinAndBetweenPartitions) {
  STRCMP_EQUAL("https://backups.s3-fips.us-isob-east-1.sc2s.sgov.gov/k",
               first_url("s3-fips.us-iso-east-1.c2s.ic.gov", "us-isob-east-1", "backups").c_str());
  STRCMP_EQUAL(
      "https://backups.s3.dualstack.eusc-de-east-1.amazonaws.eu/k",
      first_url("s3.dualstack.eu-west-1.amazonaws.com", "eusc-de-east-1", "backups").c_str());
  // A host that names no region belongs to the first one of its partition, not to us-east-1.
  STRCMP_EQUAL("https://backups.s3.amazonaws.eu/k",
               first_url("s3.amazonaws.eu", "", "backups").c_str());
  STRCMP_EQUAL("cn-north-1", likely_region("s3.amazonaws.com.cn").c_str());
  STRCMP_EQUAL("us-east-1", likely_region("minio.example.com").c_str());
}

TEST(Providers, FindStsWithFipsAndIpv6) {
  STRCMP_EQUAL("sts-fips.us-west-2.amazonaws.com", sts_host("us-west-2", {.fips = true}).c_str());
  STRCMP_EQUAL("sts.us-gov-west-1.amazonaws.com",
               sts_host("us-gov-west-1", {.fips = true}).c_str());
  STRCMP_EQUAL("sts.eu-west-1.api.aws", sts_host("eu-west-1", {.dual_stack = true}).c_str());
  STRCMP_EQUAL("sts.cn-north-1.api.amazonwebservices.com.cn",
               sts_host("cn-north-1", {.dual_stack = true}).c_str());
  STRCMP_EQUAL("sts-fips.us-east-1.api.aws",
               sts_host("us-east-1", {.fips = true, .dual_stack = true}).c_str());
  // Of other providers, or nothing at all.
  for (const char* region : {"", "auto", "fr-par", "gra", "evil.example/", "EU-WEST-1"}) {
    STRCMP_EQUAL_TEXT("sts.amazonaws.com", sts_host(region).c_str(), region);
  }
}

// Each by its own documentation (agent/s3/providers.cc names it); the hosts as rclone's
// backend/s3/provider/*.yaml has them, too. ex_aws#558, BookStackApp/BookStack#4556,
// vaersaagod/dospaces#16: the bucket in front.
TEST(Providers, TellRegionsAndTakeTheBucketOff) {
  struct Row {
    const char *host, *region, *url;  // for the bucket "backups"
  };
  const Row table[] = {
      {"0123abcd.r2.cloudflarestorage.com", "auto",
       "https://0123abcd.r2.cloudflarestorage.com/backups/k"},
      {"0123abcd.eu.r2.cloudflarestorage.com", "auto",
       "https://0123abcd.eu.r2.cloudflarestorage.com/backups/k"},
      {"s3.wasabisys.com", "us-east-1", "https://s3.wasabisys.com/backups/k"},
      {"s3.eu-central-2.wasabisys.com", "eu-central-2",
       "https://s3.eu-central-2.wasabisys.com/backups/k"},
      {"s3.us-west-004.backblazeb2.com", "us-west-004",
       "https://s3.us-west-004.backblazeb2.com/backups/k"},
      {"fra1.digitaloceanspaces.com", "fra1", "https://fra1.digitaloceanspaces.com/backups/k"},
      {"s3.gra.io.cloud.ovh.net", "gra", "https://s3.gra.io.cloud.ovh.net/backups/k"},
      {"s3.gra.perf.cloud.ovh.net", "gra", "https://s3.gra.perf.cloud.ovh.net/backups/k"},
      {"s3.eu-west-par.io.cloud.ovh.net", "eu-west-par",
       "https://s3.eu-west-par.io.cloud.ovh.net/backups/k"},
      {"s3.us-east-va.io.cloud.ovh.us", "us-east-va",
       "https://s3.us-east-va.io.cloud.ovh.us/backups/k"},
      {"s3.fr-par.scw.cloud", "fr-par", "https://s3.fr-par.scw.cloud/backups/k"},
      {"fsn1.your-objectstorage.com", "fsn1", "https://fsn1.your-objectstorage.com/backups/k"},
      {"s3.eu-de.cloud-object-storage.appdomain.cloud", "eu-de",
       "https://s3.eu-de.cloud-object-storage.appdomain.cloud/backups/k"},
      {"s3.private.eu-de.cloud-object-storage.appdomain.cloud", "eu-de",
       "https://s3.private.eu-de.cloud-object-storage.appdomain.cloud/backups/k"},
      {"storage.googleapis.com", "auto", "https://backups.storage.googleapis.com/k"},
      {"nl-ams-1.linodeobjects.com", "nl-ams-1", "https://nl-ams-1.linodeobjects.com/backups/k"},
      {"oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou",
       "https://backups.oss-cn-hangzhou.aliyuncs.com/k"},
      {"oss-cn-hangzhou-internal.aliyuncs.com", "cn-hangzhou",
       "https://backups.oss-cn-hangzhou-internal.aliyuncs.com/k"},
      {"oss-accelerate.aliyuncs.com", "", "https://backups.oss-accelerate.aliyuncs.com/k"},
      {"cos.ap-guangzhou.myqcloud.com", "ap-guangzhou",
       "https://backups.cos.ap-guangzhou.myqcloud.com/k"},
      {"cos.accelerate.myqcloud.com", "", "https://backups.cos.accelerate.myqcloud.com/k"},
      {"ewr1.vultrobjects.com", "ewr1", "https://ewr1.vultrobjects.com/backups/k"},
      {"sos-de-fra-1.exo.io", "de-fra-1", "https://sos-de-fra-1.exo.io/backups/k"},
  };
  for (const Row& row : table) {
    STRCMP_EQUAL_TEXT(row.region, region_of_endpoint(row.host).c_str(), row.host);
    CHECK_TRUE_TEXT(is_service_host(row.host), row.host);
    STRCMP_EQUAL_TEXT(row.url, first_url(row.host, "", "backups").c_str(), row.host);
    const std::string in_front = "Backups." + std::string(row.host);
    STRCMP_EQUAL_TEXT(row.region, region_of_endpoint(in_front).c_str(), in_front.c_str());
    STRCMP_EQUAL_TEXT(row.url, first_url(in_front.c_str(), "", "backups").c_str(),
                      in_front.c_str());
  }
}

TEST(Providers, DoNotTakeAServicesOwnNameForABucket) {
  struct Row {
    const char *endpoint, *bucket, *url;
  };
  const Row table[] = {
      {"fra1.digitaloceanspaces.com", "fra1", "https://fra1.digitaloceanspaces.com/fra1/k"},
      {"0123abcd.r2.cloudflarestorage.com", "0123abcd",
       "https://0123abcd.r2.cloudflarestorage.com/0123abcd/k"},
      {"storage.googleapis.com", "storage", "https://storage.storage.googleapis.com/k"},
      {"bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com", "bucket",
       "https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com/bucket/k"},
      {"other.fra1.digitaloceanspaces.com", "backups",
       "https://other.fra1.digitaloceanspaces.com/backups/k"},
      {"10.0.0.1", "10.", "https://10.0.0.1/10./k"},
  };
  for (const Row& row : table) {
    STRCMP_EQUAL_TEXT(row.url, first_url(row.endpoint, "", row.bucket).c_str(), row.endpoint);
  }
}

TEST(Providers, RefuseWhatIsNoEndpointAndSayWhatToWrite) {
  struct Row {
    const char *host, *what, *hint;
  };
  const Row table[] = {
      {"s3express-use1-az4.us-east-1.amazonaws.com", "S3 Express One Zone",
       "use a general purpose bucket"},
      {"b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com", "S3 Express One Zone",
       "use a general purpose bucket"},
      {"s3express-control.us-east-1.amazonaws.com", "S3 Express One Zone",
       "use a general purpose bucket"},
      {"ap-123456789012.s3-accesspoint.us-west-2.amazonaws.com", "access point", "-s3alias"},
      {"S3-AccessPoint.cn-north-1.amazonaws.com.cn", "access point", "s3.REGION.amazonaws.com.cn"},
      {"ap-123456789012.op-01ac5d28a6a232904.s3-outposts.us-east-1.amazonaws.com", "Outposts",
       "use a bucket of the region"},
      {"f-123456789012.s3-object-lambda.eu-west-1.amazonaws.com", "access point", "-s3alias"},
      {"accesspoint.vpce-1a2b3c4d.s3.us-east-1.vpce.amazonaws.com", "access point", "-s3alias"},
      {"backups.s3-website-us-east-1.amazonaws.com", "website", "s3.REGION.amazonaws.com"},
      {"backups.s3-website.eu-central-1.amazonaws.com", "website", "s3.REGION.amazonaws.com"},
      {"123456789012.s3-control.us-east-1.amazonaws.com", "administrates", "s3.REGION"},
      {"backups.fra1.cdn.digitaloceanspaces.com", "content delivery", "without .cdn"},
  };
  for (const Row& row : table) {
    const auto checked = check_service(row.host);
    CHECK_FALSE_TEXT(checked.ok(), row.host);
    CHECK_TRUE_TEXT(checked.error().kind == ErrorKind::kRemote, row.host);
    STRCMP_CONTAINS_TEXT(row.what, checked.error().message.c_str(), row.host);
    STRCMP_CONTAINS_TEXT(row.hint, checked.error().hint.c_str(), row.host);
  }
  for (const char* host :
       {"s3.amazonaws.com", "s3-fips.us-gov-west-1.amazonaws.com", "minio.example.com",
        "s3express-backups.example.com", "s3express-backups.s3.eu-west-1.amazonaws.com",
        "bucket.vpce-1a2b3c4d.s3.us-east-1.vpce.amazonaws.com"}) {
    CHECK_TRUE_TEXT(check_service(host).ok(), host);
  }
}
