#include "s3/address.h"

#include <atomic>
#include <string>
#include <thread>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

S3Policy policy_of(const char* endpoint, const char* region = "", const char* bucket = "backups") {
  S3Policy policy;
  policy.endpoint = endpoint;
  policy.region = region;
  policy.bucket_name = bucket;
  return policy;
}

std::string url_of(const char* endpoint, const char* region = "", const char* bucket = "backups",
                   S3Lookup lookup = S3Lookup::kAuto) {
  return S3Location(policy_of(endpoint, region, bucket), lookup).address().url("k", "");
}

}  // namespace

TEST_GROUP(Address){};

TEST(Address, ReadsTheRegionFromTheEndpoint) {
  struct Row {
    const char* host;
    const char* region;
  };
  const Row table[] = {
      {"s3.amazonaws.com", ""},
      {"s3-external-1.amazonaws.com", "us-east-1"},
      {"s3.us-east-1.amazonaws.com", "us-east-1"},
      {"s3.eu-central-1.amazonaws.com", "eu-central-1"},
      {"S3.EU-Central-1.AmazonAWS.com", "eu-central-1"},
      {"s3-eu-west-1.amazonaws.com", "eu-west-1"},
      {"s3-us-gov-west-1.amazonaws.com", "us-gov-west-1"},
      {"s3.us-gov-east-1.amazonaws.com", "us-gov-east-1"},
      {"s3.dualstack.ap-southeast-2.amazonaws.com", "ap-southeast-2"},
      {"s3-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"},
      {"s3-fips-us-gov-west-1.amazonaws.com", "us-gov-west-1"},
      {"s3-fips.dualstack.us-east-2.amazonaws.com", "us-east-2"},
      {"s3.cn-north-1.amazonaws.com.cn", "cn-north-1"},
      {"s3.dualstack.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"},
      {"s3-accelerate.amazonaws.com", ""},
      {"s3-accelerate.dualstack.amazonaws.com", ""},
      {"bucket.s3-us-west-2.amazonaws.com", "us-west-2"},
      {"my.s3.bucket.s3.us-west-2.amazonaws.com", "us-west-2"},
      {"bucket.s3.amazonaws.com", ""},
      {"bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com", "us-east-1"},
      {"oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou"},
      {"oss-cn-hangzhou-internal.aliyuncs.com", "cn-hangzhou"},
      {"s3.oss-eu-central-1.aliyuncs.com", "eu-central-1"},
      {"oss-accelerate.aliyuncs.com", ""},
      {"oss-accelerate-overseas.aliyuncs.com", ""},
      {"aliyuncs.com", ""},
      {"storage.googleapis.com", "auto"},
      {"minio.example.com", ""},
      {"s3.eu-central-1.example.com", ""},
      {"s3.eu-central-1.amazonaws.com.example.com", ""},
      {"evilamazonaws.com", ""},
      {"sts.eu-central-1.amazonaws.com", ""},
      {"s3..amazonaws.com", ""},
      {"s3-control.us-east-1.amazonaws.com", ""},
      {".amazonaws.com", ""},
      {"10.0.0.1", ""},
      {"[2001:db8::1]", ""},
      {"", ""},
  };
  for (const Row& row : table) {
    STRCMP_EQUAL_TEXT(row.region, region_of_endpoint(row.host).c_str(), row.host);
  }
}

TEST(Address, PutsTheBucketIntoTheHostWhereThatWorks) {
  struct Row {
    const char* host;
    const char* bucket;
    bool tls;
    bool dns;
  };
  const Row table[] = {
      {"s3.amazonaws.com", "backups", true, true},
      {"S3.amazonaws.COM", "backups", true, true},
      {"s3.dualstack.eu-west-1.amazonaws.com", "backups", true, true},
      {"s3-accelerate.amazonaws.com", "backups", true, true},
      {"s3.cn-north-1.amazonaws.com.cn", "backups", true, true},
      {"storage.googleapis.com", "backups", true, true},
      {"oss-cn-hangzhou.aliyuncs.com", "backups", true, true},
      {"s3.amazonaws.com", "backups.example.com", true, false},
      {"s3.amazonaws.com", "backups.example.com", false, true},
      {"s3.amazonaws.com", "backups..example", false, false},
      {"s3.amazonaws.com", "10.0.0.1", false, false},
      {"s3.amazonaws.com", "Backups", true, false},
      {"s3.amazonaws.com", "back_ups", true, false},
      {"s3.amazonaws.com", "-backups", true, false},
      {"s3.amazonaws.com", "backups-", true, false},
      {"minio.example.com", "backups", true, false},
      {"localhost", "backups", false, false},
      {"storage.googleapis.com.example.com", "backups", true, false},
      {"evilaliyuncs.com", "backups", true, false},
      {"bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com", "backups", true, false},
      {"10.0.0.1", "backups", true, false},
      {"[::1]", "backups", true, false},
  };
  for (const Row& row : table) {
    const std::string what = std::string(row.host) + " " + row.bucket;
    CHECK_EQUAL_TEXT(row.dns, use_dns_style(S3Lookup::kAuto, row.host, row.bucket, row.tls),
                     what.c_str());
  }
}

TEST(Address, ObeysTheLookupThatIsSetButForAnIpAddress) {
  CHECK_TRUE(use_dns_style(S3Lookup::kDns, "minio.example.com", "backups", true));
  CHECK_TRUE(use_dns_style(S3Lookup::kDns, "s3.amazonaws.com", "back.ups", true));
  CHECK_FALSE(use_dns_style(S3Lookup::kDns, "10.0.0.1", "backups", true));
  CHECK_FALSE(use_dns_style(S3Lookup::kDns, "[2001:db8::1]", "backups", true));
  CHECK_FALSE(use_dns_style(S3Lookup::kPath, "s3.amazonaws.com", "backups", true));
}

TEST(Address, BuildsUrls) {
  struct Row {
    const char* endpoint;
    const char* region;
    const char* url;
  };
  const Row table[] = {
      {"s3.amazonaws.com", "", "https://backups.s3.amazonaws.com/k"},
      {"s3.amazonaws.com", "us-east-1", "https://backups.s3.amazonaws.com/k"},
      {"s3.amazonaws.com", "eu-central-1", "https://backups.s3.eu-central-1.amazonaws.com/k"},
      {"s3.amazonaws.com", "cn-north-1", "https://backups.s3.cn-north-1.amazonaws.com.cn/k"},
      {"s3.amazonaws.com", "my_zone", "https://backups.s3.amazonaws.com/k"},
      {"http://s3.amazonaws.com:80", "eu-west-1", "http://backups.s3.eu-west-1.amazonaws.com/k"},
      {"s3-eu-west-1.amazonaws.com", "", "https://backups.s3-eu-west-1.amazonaws.com/k"},
      {"s3-eu-west-1.amazonaws.com", "eu-west-1", "https://backups.s3-eu-west-1.amazonaws.com/k"},
      {"s3-eu-west-1.amazonaws.com", "us-east-2", "https://backups.s3.us-east-2.amazonaws.com/k"},
      {"s3-external-1.amazonaws.com", "", "https://backups.s3-external-1.amazonaws.com/k"},
      {"s3.dualstack.eu-west-1.amazonaws.com", "eu-west-2",
       "https://backups.s3.dualstack.eu-west-2.amazonaws.com/k"},
      {"s3-fips.us-east-1.amazonaws.com", "us-west-2",
       "https://backups.s3-fips.us-west-2.amazonaws.com/k"},
      {"s3-accelerate.amazonaws.com", "eu-west-1", "https://backups.s3-accelerate.amazonaws.com/k"},
      {"storage.googleapis.com", "", "https://backups.storage.googleapis.com/k"},
      {"oss-cn-hangzhou.aliyuncs.com", "", "https://backups.oss-cn-hangzhou.aliyuncs.com/k"},
      {"minio.example.com:9000", "eu-west-1", "https://minio.example.com:9000/backups/k"},
      {"HTTPS://MinIO.Example.com:443", "", "https://minio.example.com/backups/k"},
      {"http://minio.example.com:80", "", "http://minio.example.com/backups/k"},
      {"http://minio.example.com:443", "", "http://minio.example.com:443/backups/k"},
      {"https://minio.example.com:80", "", "https://minio.example.com:80/backups/k"},
      {"10.0.0.1:9000", "", "https://10.0.0.1:9000/backups/k"},
      {"http://[2001:db8::1]:9000", "", "http://[2001:db8::1]:9000/backups/k"},
      {"[::1]", "", "https://[::1]/backups/k"},
      {"https://[::1]:443", "", "https://[::1]/backups/k"},
      {"[0:0:0:0:0:0:0:1]:9000", "", "https://[::1]:9000/backups/k"},
      {"[2001:DB8:0:0::00a1]", "", "https://[2001:db8::a1]/backups/k"},
      // The bucket in front already, as consoles show it.
      {"backups.s3.eu-west-1.amazonaws.com", "", "https://backups.s3.eu-west-1.amazonaws.com/k"},
      {"backups.example.com", "", "https://backups.example.com/backups/k"},
  };
  for (const Row& row : table) {
    STRCMP_EQUAL_TEXT(row.url, url_of(row.endpoint, row.region).c_str(), row.endpoint);
  }
  STRCMP_EQUAL("https://s3.amazonaws.com/back.ups/k",
               url_of("s3.amazonaws.com", "", "back.ups").c_str());
  STRCMP_EQUAL("http://back.ups.s3.amazonaws.com/k",
               url_of("http://s3.amazonaws.com", "", "back.ups").c_str());
  STRCMP_EQUAL("https://s3.amazonaws.com/back.ups/k",
               url_of("back.ups.s3.amazonaws.com", "", "back.ups").c_str());
  STRCMP_EQUAL("https://s3.amazonaws.com/Back_ups/k",
               url_of("s3.amazonaws.com", "", "Back_ups").c_str());
  STRCMP_EQUAL("https://backups.minio.example.com:9000/k",
               url_of("minio.example.com:9000", "", "backups", S3Lookup::kDns).c_str());
  STRCMP_EQUAL("https://s3.amazonaws.com/backups/k",
               url_of("s3.amazonaws.com", "", "backups", S3Lookup::kPath).c_str());
}

TEST(Address, EncodesKeysOnceAndLeavesTheirSlashes) {
  const S3Address path = S3Location(policy_of("minio.example.com"), S3Lookup::kAuto).address();
  STRCMP_EQUAL("/backups", path.path("").c_str());
  STRCMP_EQUAL("https://minio.example.com/backups?list-type=2",
               path.url("", "list-type=2").c_str());
  STRCMP_EQUAL("/backups/p1/2018-05-04T18%3A40%3A16%2B08%3A00_etcd.zip",
               path.path("p1/2018-05-04T18:40:16+08:00_etcd.zip").c_str());
  STRCMP_EQUAL("/backups/a%20b%25/%C3%A9%3F", path.path("a b%/\xc3\xa9?").c_str());
  const S3Address dns = S3Location(policy_of("s3.amazonaws.com"), S3Lookup::kAuto).address();
  STRCMP_EQUAL("/", dns.path("").c_str());
  STRCMP_EQUAL("/a//b", dns.path("a//b").c_str());
  STRCMP_EQUAL("https://backups.s3.amazonaws.com/?uploads=", dns.url("", "uploads=").c_str());
}

TEST(Address, SaysWhereTheBucketIsInOneForm) {
  STRCMP_EQUAL("https://s3.amazonaws.com/backups",
               S3Location(policy_of("s3.amazonaws.com"), S3Lookup::kAuto).display().c_str());
  STRCMP_EQUAL(
      "http://minio.example.com:9000/backups",
      S3Location(policy_of("http://minio.example.com:9000"), S3Lookup::kAuto).display().c_str());
}

TEST(Address, SignsWithTheRegionThatIsKnownBest) {
  S3Location set(policy_of("s3.eu-west-1.amazonaws.com", "eu-west-2"), S3Lookup::kAuto);
  STRCMP_EQUAL("eu-west-2", set.address().region.c_str());
  CHECK_FALSE(set.region_is_guess());
  S3Location named(policy_of("s3.eu-west-1.amazonaws.com"), S3Lookup::kAuto);
  STRCMP_EQUAL("eu-west-1", named.address().region.c_str());
  CHECK_FALSE(named.region_is_guess());
  S3Location unknown(policy_of("minio.example.com"), S3Lookup::kAuto);
  STRCMP_EQUAL("us-east-1", unknown.address().region.c_str());
  CHECK_TRUE(unknown.region_is_guess());
}

TEST(Address, MovesToTheRegionThatAmazonNames) {
  S3Location location(policy_of("s3.amazonaws.com"), S3Lookup::kAuto);
  CHECK_TRUE(location.learn_region("eu-central-1"));
  CHECK_FALSE(location.region_is_guess());
  STRCMP_EQUAL("eu-central-1", location.address().region.c_str());
  STRCMP_EQUAL("backups.s3.eu-central-1.amazonaws.com", location.address().authority.c_str());
  STRCMP_EQUAL("https://s3.eu-central-1.amazonaws.com/backups", location.display().c_str());
  CHECK_FALSE(location.learn_region("eu-central-1"));
  CHECK_TRUE(location.learn_region("cn-north-1"));
  STRCMP_EQUAL("backups.s3.cn-north-1.amazonaws.com.cn", location.address().authority.c_str());
  CHECK_TRUE(location.learn_region("us-east-1"));
  STRCMP_EQUAL("backups.s3.us-east-1.amazonaws.com", location.address().authority.c_str());
}

TEST(Address, KeepsOthersHostsWhateverTheRegion) {
  S3Location location(policy_of("http://minio.example.com:9000"), S3Lookup::kAuto);
  CHECK_TRUE(location.learn_region("eu-central-1"));
  STRCMP_EQUAL("eu-central-1", location.address().region.c_str());
  STRCMP_EQUAL("minio.example.com:9000", location.address().authority.c_str());
  STRCMP_EQUAL("/backups", location.address().base_path.c_str());
  CHECK_FALSE(location.learn_region("eu-central-1"));
}

// Trying again would not help, but the region is no guess any more.
TEST(Address, LearnsThatTheGuessWasRight) {
  S3Location location(policy_of("s3.amazonaws.com"), S3Lookup::kAuto);
  CHECK_FALSE(location.learn_region("us-east-1"));
  CHECK_FALSE(location.region_is_guess());
  STRCMP_EQUAL("backups.s3.amazonaws.com", location.address().authority.c_str());
}

TEST(Address, RefusesWhatIsNoRegion) {
  const std::string table[] = {"",
                               "eu/central",
                               "eu central",
                               "eu-central-1\n",
                               "eu-central-1\r\nx-evil: 1",
                               "evil.com#",
                               "evil@example",
                               "a:b",
                               std::string("eu\0", 3),
                               "eu-\xc3\xa9-1",
                               std::string(65, 'a')};
  for (const std::string& text : table) {
    S3Location location(policy_of("s3.amazonaws.com"), S3Lookup::kAuto);
    CHECK_FALSE_TEXT(location.learn_region(text), text.c_str());
    STRCMP_EQUAL_TEXT("us-east-1", location.address().region.c_str(), text.c_str());
    CHECK_TRUE_TEXT(location.region_is_guess(), text.c_str());
  }
  // A name that may be signed with, but that is none of Amazon's, gets into no host name.
  S3Location location(policy_of("s3.amazonaws.com"), S3Lookup::kAuto);
  CHECK_TRUE(location.learn_region("evil.example-1"));
  STRCMP_EQUAL("backups.s3.amazonaws.com", location.address().authority.c_str());
}

TEST(Address, GivesWholeAddressesWhileAnotherThreadLearns) {
  S3Location location(policy_of("s3.amazonaws.com", "eu-west-1"), S3Lookup::kAuto);
  std::atomic<bool> done = false;
  std::thread learner([&] {
    for (int i = 0; i < 2000; ++i) location.learn_region(i % 2 != 0 ? "eu-west-1" : "eu-west-2");
    done = true;
  });
  bool whole = true;
  while (!done) {
    const S3Address address = location.address();
    whole = whole && address.authority == "backups.s3." + address.region + ".amazonaws.com";
  }
  learner.join();
  CHECK_TRUE(whole);
}
