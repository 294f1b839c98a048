#include <string>

#include "cluster_yaml_helpers.h"

using namespace etcd_snapshot;

TEST_GROUP(S3BackupConfig){};

TEST(S3BackupConfig, NullMeansNoS3AndAnEmptyMapIsAnError) {
  CHECK_FALSE(good(backup("s3backupconfig: null")).s3.has_value());
  CHECK_FALSE(good(backup("s3backupconfig:")).s3.has_value());
  STRCMP_CONTAINS("cluster.yml:4: services.etcd.backup_config.s3backupconfig.bucket_name: missing",
                  no_bucket(backup("s3backupconfig: {}")).c_str());
}

TEST(S3BackupConfig, FillsInTheDefaults) {
  const S3Policy policy = *good(s3("region: null")).s3;
  STRCMP_EQUAL("bucket", policy.bucket_name.c_str());
  STRCMP_EQUAL("s3.amazonaws.com", policy.endpoint.c_str());
  STRCMP_EQUAL("", policy.region.c_str());
  STRCMP_EQUAL("", policy.folder.c_str());
}

TEST(S3BackupConfig, HalfAKeyPairIsAnError) {
  STRCMP_CONTAINS("access_key: set without secret_key", no_bucket(s3("access_key: A")).c_str());
  STRCMP_CONTAINS("secret_key: set without access_key",
                  no_bucket(s3("access_key: ''\nsecret_key: hidden")).c_str());
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
                         "secret_key:tophiddensecret",
                         "secret_key=tophiddensecret",
                         "secret_key tophiddensecret",
                         "secret_key\u00a0tophiddensecret",
                         "secret_key:\u00a0tophiddensecret",
                         "secret_key\uff1atophiddensecret",
                         "secret_key: \u200btophiddensecret",
                         "tophiddensecretthatisthesecondlineofanotherone",
                         "custom_ca: tophiddensecret",
                         "endpoint: https://u:hidden@host"};
  for (const char* lines : table) {
    const Parsed parsed = parse(s3(lines));
    const std::string message =
        parsed.policy ? parsed.policy->s3_error : parsed.policy.error().message;
    for (const ConfigWarning& found : parsed.warnings) {
      CHECK_TEXT(found.message.find("hidden") == std::string::npos, found.message.c_str());
    }
    for (const ConfigWarning& found : parsed.doubts) {
      CHECK_TEXT(found.message.find("hidden") == std::string::npos, found.message.c_str());
    }
    CHECK_TEXT(message.find("hidden") == std::string::npos, message.c_str());
  }
}

TEST(S3BackupConfig, ChecksTheNameOfTheBucket) {
  for (const char* name :
       {"abc", "my.bucket-1", "'tenant:bucket'", "':bucket'", "Upper_Case", "'123'"}) {
    CHECK(good(backup(std::string("s3backupconfig: {bucket_name: ") + name + "}")).s3.has_value());
  }
  for (const char* name :
       {"ab", "a/b", "'a b'", "'a b:abc'", "'t:ab'", "'a:b:abc'", "s3://abc", "bücket", "[abc]"}) {
    STRCMP_CONTAINS(
        "s3backupconfig.bucket_name: ",
        no_bucket(backup(std::string("s3backupconfig: {bucket_name: ") + name + "}")).c_str());
  }
  no_bucket(backup("s3backupconfig: {bucket_name: " + std::string(64, 'a') + "}"));
}

TEST(S3BackupConfig, FoldersLoseTheirOuterSlashes) {
  const struct {
    const char *text, *folder;
  } table[] = {{"a", "a"}, {"/a/b/", "a/b"}, {"///", ""}, {"'a b/ü'", "a b/ü"}, {"a..b", "a..b"}};
  for (const auto& row : table) {
    STRCMP_EQUAL(row.folder, good(s3(std::string("folder: ") + row.text)).s3->folder.c_str());
  }
  for (const char* text : {"a//b", "..", "a/../b", "./a", "\"a\\tb\"", "\"a\\0b\""}) {
    STRCMP_CONTAINS("s3backupconfig.folder: ",
                    no_bucket(s3(std::string("folder: ") + text)).c_str());
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
    STRCMP_CONTAINS("s3backupconfig.endpoint: ",
                    no_bucket(s3(std::string("endpoint: ") + text)).c_str());
  }
}

// Cloudflare R2's console shows the bucket behind the endpoint.
TEST(S3BackupConfig, TakesTheBucketOffTheEndOfTheEndpoint) {
  const std::string bucket = good(s3("region: x")).s3->bucket_name;
  for (const std::string& end : {"/" + bucket, "/" + bucket + "/"}) {
    STRCMP_EQUAL("https://host:9000",
                 good(s3("endpoint: https://host:9000" + end)).s3->endpoint.c_str());
    STRCMP_EQUAL("host", good(s3("endpoint: host" + end)).s3->endpoint.c_str());
  }
  for (const std::string& endpoint :
       {"https://host/x/" + bucket, "https://host/" + bucket + "/folder",
        "https://" + bucket + "/x", "https:///" + bucket, "https://host//" + bucket}) {
    STRCMP_CONTAINS("s3backupconfig.endpoint: ", no_bucket(s3("endpoint: " + endpoint)).c_str());
  }
  // A host of that name is a host.
  STRCMP_EQUAL(("https://" + bucket).c_str(),
               good(s3("endpoint: https://" + bucket)).s3->endpoint.c_str());
}

TEST(S3BackupConfig, SaysWhatToUseInsteadOfWhatIsNoBucket) {
  const struct {
    const char *name, *what, *accepted;
  } table[] = {
      {"arn:aws:s3:us-west-2:123456789012:accesspoint/ap", "an ARN", "-s3alias"},
      {"arn:aws:s3::123456789012:accesspoint/m.mrap", "an ARN", "-s3alias"},
      {"arn:aws-cn:s3:::backups", "an ARN", "the name of the bucket"},
      {"arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-1/accesspoint/a", "an ARN",
       "the name of the bucket"},
      {"backups--use1-az4--x-s3", "S3 Express One Zone", "general purpose bucket"},
      {"ap--use1-az4--xa-s3", "S3 Express One Zone", "general purpose bucket"},
      {"ap-o01ac5d28a6a232904e8xz5w8ijx1qzlbp3i3kuse10--op-s3", "Outposts",
       "general purpose bucket"},
      {"my-lambda-abcdefgh1234--ol-s3", "only reads", "general purpose bucket"},
      {"mfzwi23gnjvgw.mrap", "Multi-Region", "general purpose bucket"},
      {"abc--table-s3", "table bucket", "general purpose bucket"},
  };
  for (const auto& row : table) {
    const std::string message =
        no_bucket(backup("s3backupconfig: {bucket_name: '" + std::string(row.name) + "'}"));
    STRCMP_CONTAINS_TEXT(row.what, message.c_str(), row.name);
    STRCMP_CONTAINS_TEXT(row.accepted, message.c_str(), row.name);
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
               {"custom_ca: |\n  -----BEGIN PKCS7-----\n  QUJD", "something else"}};
  for (const auto& row : table) {
    const std::string message = no_bucket(s3(row.lines));
    STRCMP_CONTAINS(row.what, message.c_str());
    STRCMP_CONTAINS("cluster.yml:6: services.etcd.backup_config.s3backupconfig.custom_ca: ",
                    message.c_str());
  }
}

// How people write a certificate into YAML (rancher-archives/rke#1628,
// rancher/backup-restore-operator#88), and what Rancher makes of it (rancher/rancher#32001,
// rancher/rancher#40994).
TEST(S3BackupConfig, MendsTheCertificate) {
  const std::string body(64, 'A'), rest = "QUJD";
  const std::string pem =
      "-----BEGIN CERTIFICATE-----\n" + body + "\n" + rest + "\n-----END CERTIFICATE-----\n";
  const std::string folded = "-----BEGIN CERTIFICATE-----\n    " + body + "\n    " + rest +
                             "\n    -----END CERTIFICATE-----";
  const std::string base64 =
      "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUFBQUFBQUFBQUFBQUFB"
      "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"
      "QUEKUVVKRAotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg==";
  const std::string escaped =
      "-----BEGIN CERTIFICATE-----\\n" + body + "\\n" + rest + "\\n-----END CERTIFICATE-----\\n";
  const std::string cases[] = {
      "custom_ca: |-\n    " + folded,
      "custom_ca: >-\n    " + folded,
      "custom_ca: >\n    " + folded,
      "custom_ca: \"" + folded + "\"",
      "custom_ca: " + folded,
      "custom_ca: |\n      -----BEGIN CERTIFICATE-----  \n      " + body + rest +
          "  \n      -----END CERTIFICATE-----",
      "custom_ca: '" + escaped + "'",
      "custom_ca: " + escaped,
      "custom_ca: \"" + escaped + "\"",
      "custom_ca: '-----BEGIN CERTIFICATE-----\\r\\n" + body + rest +
          "\\r\\n-----END CERTIFICATE-----'",
      "custom_ca: \"-----BEGIN CERTIFICATE-----\\r\\n" + body + rest +
          "\\r\\n-----END CERTIFICATE-----\"",
      "custom_ca: " + base64,
      "custom_ca: |\n    " + base64.substr(0, 76) + "\n    " + base64.substr(76),
      "customCa: \"  " + base64 + "  \""};
  for (const std::string& lines : cases) {
    const Parsed parsed = parse(s3(lines));
    CHECK_TEXT(parsed.policy.ok() && parsed.policy->s3, lines.c_str());
    STRCMP_EQUAL_TEXT(pem.c_str(), parsed.policy->s3->custom_ca.c_str(), lines.c_str());
    LONGS_EQUAL_TEXT(0, parsed.doubts.size(), lines.c_str());
  }
  // Two of them, folded into one line, and text between them.
  const std::string two =
      good(s3("custom_ca: >-\n    CN=one\n    " + folded + "\n    CN=two\n    " + folded))
          .s3->custom_ca;
  STRCMP_EQUAL(("CN=one \n" + pem + " CN=two \n" + pem).c_str(), two.c_str());
  STRCMP_CONTAINS("a private key", no_bucket(s3("custom_ca: >-\n    " + folded +
                                                "\n    -----BEGIN PRIVATE KEY-----\n"
                                                "    QUJD\n    -----END PRIVATE KEY-----"))
                                       .c_str());
}
