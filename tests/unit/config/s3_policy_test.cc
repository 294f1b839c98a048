#include <string>

#include "cluster_yaml_helpers.h"

using namespace etcd_snapshot;

TEST_GROUP(S3BackupConfig){};

TEST(S3BackupConfig, NullMeansNoS3AndAnEmptyMapIsAnError) {
  CHECK_FALSE(good(backup("s3backupconfig: null")).s3.has_value());
  CHECK_FALSE(good(backup("s3backupconfig:")).s3.has_value());
  STRCMP_CONTAINS("cluster.yml:4: services.etcd.backup_config.s3backupconfig.bucket_name: missing",
                  bad(backup("s3backupconfig: {}")).c_str());
}

TEST(S3BackupConfig, FillsInTheDefaults) {
  const S3Policy policy = *good(s3("region: null")).s3;
  STRCMP_EQUAL("bucket", policy.bucket_name.c_str());
  STRCMP_EQUAL("s3.amazonaws.com", policy.endpoint.c_str());
  STRCMP_EQUAL("", policy.region.c_str());
  STRCMP_EQUAL("", policy.folder.c_str());
}

TEST(S3BackupConfig, HalfAKeyPairIsAnError) {
  STRCMP_CONTAINS("access_key: set without secret_key", bad(s3("access_key: A")).c_str());
  STRCMP_CONTAINS("secret_key: set without access_key",
                  bad(s3("access_key: ''\nsecret_key: hidden")).c_str());
}

TEST(S3BackupConfig, SecretsAreNeverShown) {
  const char* table[] = {"access_key: A\nsecret_key: 'top hidden secret'",
                         "access_key: 'top hidden secret'\nsecret_key: A",
                         "secret_key: tophiddensecret",
                         "secret_key: *tophiddensecret",
                         "secret_key: [tophiddensecret]",
                         "secret_key: !tophiddensecret [",
                         "secret_key: \"tophiddensecret\\q\"",
                         "secret_key: tophiddensecret: x",
                         "custom_ca: tophiddensecret",
                         "endpoint: https://u:hidden@host"};
  for (const char* lines : table) {
    const std::string message = bad(s3(lines));
    CHECK_TEXT(message.find("hidden") == std::string::npos, message.c_str());
  }
}

TEST(S3BackupConfig, ChecksTheNameOfTheBucket) {
  for (const char* name : {"abc", "my.bucket-1", "Upper_Case", "'123'"}) {
    CHECK(good(backup(std::string("s3backupconfig: {bucket_name: ") + name + "}")).s3.has_value());
  }
  for (const char* name : {"ab", "a/b", "'a b'", "s3://abc", "bücket", "[abc]"}) {
    STRCMP_CONTAINS(
        "s3backupconfig.bucket_name: ",
        bad(backup(std::string("s3backupconfig: {bucket_name: ") + name + "}")).c_str());
  }
  bad(backup("s3backupconfig: {bucket_name: " + std::string(64, 'a') + "}"));
}

TEST(S3BackupConfig, FoldersLoseTheirOuterSlashes) {
  const struct {
    const char *text, *folder;
  } table[] = {{"a", "a"}, {"/a/b/", "a/b"}, {"///", ""}, {"'a b/ü'", "a b/ü"}, {"a..b", "a..b"}};
  for (const auto& row : table) {
    STRCMP_EQUAL(row.folder, good(s3(std::string("folder: ") + row.text)).s3->folder.c_str());
  }
  for (const char* text : {"a//b", "..", "a/../b", "./a", "\"a\\tb\"", "\"a\\0b\""}) {
    STRCMP_CONTAINS("s3backupconfig.folder: ", bad(s3(std::string("folder: ") + text)).c_str());
  }
}

TEST(S3BackupConfig, ChecksTheEndpoint) {
  const struct {
    const char *text, *endpoint;
  } table[] = {{"minio.example.com", "minio.example.com"},
               {"minio:9000", "minio:9000"},
               {"http://minio:9000", "http://minio:9000"},
               {"HTTPS://minio.example.com/", "https://minio.example.com"},
               {"192.0.2.1:9000", "192.0.2.1:9000"},
               {"'https://[2001:db8::1]:9000'", "https://[2001:db8::1]:9000"}};
  for (const auto& row : table) {
    STRCMP_EQUAL(row.endpoint, good(s3(std::string("endpoint: ") + row.text)).s3->endpoint.c_str());
  }
  for (const char* text :
       {"https://host/path", "host?x", "ftp://host", "https://", "host:0", "host:65536", "'host:'",
        "host:9x", "'host name'", "300.1.1.1", "'2001:db8::1'", "'[::1'", "'[nope]'", "-host",
        "a..b", "https://https://host", "'host:09'"}) {
    STRCMP_CONTAINS("s3backupconfig.endpoint: ", bad(s3(std::string("endpoint: ") + text)).c_str());
  }
}

TEST(S3BackupConfig, ChecksTheCertificate) {
  const std::string begin = "custom_ca: |\n  -----BEGIN CERTIFICATE-----\n  ";
  const std::string end = "\n  -----END CERTIFICATE-----";
  const std::string one = begin + "TUlJQg==" + end;
  CHECK_FALSE(good(s3(one)).s3->custom_ca.empty());
  STRCMP_EQUAL("cluster.yml:6: services.etcd.backup_config.s3backupconfig.custom_ca",
               good(s3(one)).s3->custom_ca_place.c_str());
  STRCMP_EQUAL("", good(s3("region: r")).s3->custom_ca_place.c_str());
  CHECK_FALSE(
      good(s3(one + "\n  # a second one\n  -----BEGIN CERTIFICATE-----\n  QUJD\n  REVG" + end))
          .s3->custom_ca.empty());
  const struct {
    std::string lines;
    const char* what;
  } table[] = {{"custom_ca: nonsense", "it holds no certificate"},
               {begin + "TUlJQg=" + end, "certificate 1 is not well-formed base64"},
               {begin + "not base64!" + end, "not well-formed base64"},
               {begin + "$CERTIFICATE $MORE" + end, "not well-formed base64"},
               {begin + end, "not well-formed base64"},
               {begin + "QUJD", "certificate 1 has no END line"},
               {begin + "QUJD\n  -----BEGIN CERTIFICATE-----\n  QUJD" + end,
                "certificate 1 has no END line"},
               {"custom_ca: |\n  QUJD" + end, "an END line without its BEGIN line"},
               {"custom_ca: |\n  -----BEGIN PRIVATE KEY-----\n  QUJD", "a private key"},
               {"custom_ca: |\n  -----BEGIN PKCS7-----\n  QUJD", "something else"},
               {"custom_ca: '-----BEGIN CERTIFICATE-----\\nQUJD\\n-----END CERTIFICATE-----'",
                "\\n where line ends belong"}};
  for (const auto& row : table) {
    const std::string message = bad(s3(row.lines));
    STRCMP_CONTAINS(row.what, message.c_str());
    STRCMP_CONTAINS("cluster.yml:6: services.etcd.backup_config.s3backupconfig.custom_ca: ",
                    message.c_str());
  }
}
