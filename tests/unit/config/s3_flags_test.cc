// The bucket as the command line says it (`save --s3 ...`).
#include "../store/scratch.h"
#include "config/s3_policy.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(S3Flags) {
  Scratch scratch;
  S3Flags flags;
  S3Policy file;

  void setup() override {
    file.access_key = "FILEKEY";
    file.secret_key = "filesecret";
    file.bucket_name = "from-file";
    file.region = "eu-central-1";
    file.folder = "p1";
    file.endpoint = "https://minio:9000";
    file.custom_ca = "PEM";
    file.custom_ca_place = "cluster.yml:9: custom_ca";
  }
  S3Policy good(const std::optional<S3Policy>& policy) {
    const auto applied = apply_s3_flags(policy, flags);
    CHECK_TEXT(applied.ok(), applied ? "" : applied.error().message.c_str());
    return applied ? *applied : S3Policy();
  }
  std::string bad(const std::optional<S3Policy>& policy) {
    const auto applied = apply_s3_flags(policy, flags);
    CHECK_FALSE(applied.ok());
    if (applied) return {};
    CHECK_TRUE(applied.error().kind == ErrorKind::kUsage);
    STRCMP_EQUAL("see: etcd-snapshot save --help", applied.error().hint.c_str());
    return applied.error().message;
  }
};

TEST(S3Flags, LeaveWhatTheFileSaysWhereNoneIsGiven) {
  CHECK_FALSE(flags.any_detail());
  const S3Policy policy = good(file);
  STRCMP_EQUAL("FILEKEY", policy.access_key.c_str());
  STRCMP_EQUAL("cluster.yml", policy.keys_place.c_str());
  STRCMP_EQUAL("from-file", policy.bucket_name.c_str());
  STRCMP_EQUAL("p1", policy.folder.c_str());
  STRCMP_EQUAL("https://minio:9000", policy.endpoint.c_str());
  STRCMP_EQUAL("cluster.yml:9: custom_ca", policy.custom_ca_place.c_str());
}

TEST(S3Flags, GoOverTheFileOneByOne) {
  scratch.write("ca.pem", "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n");
  flags.access_key = "FLAGKEY";
  flags.secret_key = "flagsecret";
  flags.folder = "/p2/deep/";
  flags.endpoint_ca = scratch.path("ca.pem");
  CHECK_TRUE(flags.any_detail());
  const S3Policy policy = good(file);
  STRCMP_EQUAL("FLAGKEY", policy.access_key.c_str());
  STRCMP_EQUAL("flagsecret", policy.secret_key.c_str());
  STRCMP_EQUAL("the command line", policy.keys_place.c_str());
  STRCMP_EQUAL("p2/deep", policy.folder.c_str());
  STRCMP_EQUAL("from-file", policy.bucket_name.c_str());
  STRCMP_EQUAL("eu-central-1", policy.region.c_str());
  CHECK_TRUE(holds(policy.custom_ca, "TUlJQg=="));
  STRCMP_EQUAL(("--s3-endpoint-ca " + scratch.path("ca.pem")).c_str(),
               policy.custom_ca_place.c_str());
}

TEST(S3Flags, TakeTheBucketOffTheEndOfTheEndpoint) {
  flags.upload = true;
  flags.endpoint = "https://minio.example.com/from-file";
  STRCMP_EQUAL("https://minio.example.com", good(file).endpoint.c_str());
  flags.bucket_name = "other";
  STRCMP_CONTAINS("a path", bad(file).c_str());
}

TEST(S3Flags, AreEnoughWithoutAFile) {
  flags.bucket_name = "backups";
  STRCMP_EQUAL("s3.amazonaws.com", good(std::nullopt).endpoint.c_str());
  flags.endpoint = "HTTP://minio:9000/";
  flags.region = "r";
  const S3Policy policy = good(std::nullopt);
  STRCMP_EQUAL("backups", policy.bucket_name.c_str());
  STRCMP_EQUAL("http://minio:9000", policy.endpoint.c_str());
  STRCMP_EQUAL("r", policy.region.c_str());
}

TEST(S3Flags, NeedABucketFromSomewhere) {
  CHECK_TRUE(holds(bad(std::nullopt), "--bucket-name"));
}

TEST(S3Flags, NeedBothKeys) {
  flags.access_key = "A";
  STRCMP_EQUAL("--access-key without --secret-key", bad(file).c_str());
  flags.access_key.reset();
  flags.secret_key = "tophidden";
  STRCMP_EQUAL("--secret-key without --access-key", bad(file).c_str());
}

TEST(S3Flags, AreCheckedAsTheFileIsAndNamed) {
  const struct {
    std::optional<std::string> S3Flags::*flag;
    const char *name, *value;
  } rows[] = {{&S3Flags::bucket_name, "--bucket-name", "a/b"},
              {&S3Flags::bucket_name, "--bucket-name", ""},
              {&S3Flags::folder, "--folder", "a/../b"},
              {&S3Flags::region, "--region", "eu central"},
              {&S3Flags::endpoint, "--s3-endpoint", "https://host/path"},
              {&S3Flags::endpoint_ca, "--s3-endpoint-ca", "/nonexistent/ca.pem"}};
  for (const auto& row : rows) {
    flags = S3Flags();
    flags.*row.flag = row.value;
    const auto applied = apply_s3_flags(file, flags);
    CHECK_FALSE_TEXT(applied.ok(), row.name);
    CHECK_TRUE(applied.error().kind == ErrorKind::kUsage);
    CHECK_TEXT(holds(applied.error().message, row.name), applied.error().message.c_str());
    CHECK_FALSE_TEXT(applied.error().hint.empty(), row.name);
  }
  scratch.write("ca.pem", "no certificate");
  flags = S3Flags();
  flags.endpoint_ca = scratch.path("ca.pem");
  CHECK_TRUE(holds(bad(file), "--s3-endpoint-ca"));
}

TEST(S3Flags, ShowNoSecret) {
  flags.access_key = "A";
  flags.secret_key = "top hidden";
  CHECK_FALSE(holds(bad(file), "hidden"));
  flags.secret_key = "tophidden";
  flags.access_key = "top hidden";
  CHECK_FALSE(holds(bad(file), "hidden"));
}
