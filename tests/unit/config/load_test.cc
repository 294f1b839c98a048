#include "config/load.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(Load) {
  std::string root;
  ConfigPaths paths;

  void setup() override {
    char name[] = "/tmp/etcd-snapshot-load.XXXXXX";
    CHECK(mkdtemp(name) != nullptr);
    root = name;
    paths.host_file = root + "/host.conf";
    paths.cluster_file = root + "/cluster.yml";
  }
  void teardown() override {
    std::filesystem::remove_all(root);
  }

  std::string put(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = root + "/" + name;
    std::ofstream(path) << text;
    LONGS_EQUAL(0, chmod(path.c_str(), mode));
    return path;
  }
  std::string cluster(const std::string& lines) {
    return put("cluster.yml", "services:\n  etcd:\n    backup_config: {" + lines + "}\n");
  }
  Settings good() {
    auto settings = load_settings(paths);
    CHECK_TEXT(settings.ok(), settings ? "" : settings.error().message.c_str());
    return *settings;
  }
  std::string bad() {
    const auto settings = load_settings(paths);
    CHECK_FALSE(settings.ok());
    CHECK(settings.error().kind == ErrorKind::kConfig);
    return settings.error().message;
  }
  std::string only_warning() {
    const Settings settings = good();
    LONGS_EQUAL(1, settings.warnings.size());
    return settings.warnings[0].message;
  }
};

TEST(Load, MissingFilesMeanTheDefaults) {
  const Settings settings = good();
  CHECK_FALSE(settings.policy_present || settings.policy.recurring);
  LONGS_EQUAL(0, settings.warnings.size());
}

TEST(Load, AMissingFileThatWasAskedForIsAnError) {
  paths.host_required = true;
  STRCMP_EQUAL(("cannot read " + paths.host_file + ": No such file or directory").c_str(),
               bad().c_str());
  paths.host_required = false;
  paths.cluster_required = true;
  STRCMP_CONTAINS("cluster.yml: No such file or directory", bad().c_str());
}

TEST(Load, ReadsBothFiles) {
  cluster("interval_hours: 2, retention: 4");
  put("host.conf", "[snapshots]\ndirectory = /srv/s\n");
  const Settings settings = good();
  CHECK(settings.policy_present && settings.policy.recurring);
  CHECK(settings.policy.interval == std::chrono::hours(2));
  STRCMP_EQUAL("/srv/s", settings.host.snapshots.directory.c_str());
  LONGS_EQUAL(0, settings.warnings.size());
}

TEST(Load, WhatIsNoFileIsAnErrorAndDoesNotHang) {
  LONGS_EQUAL(0, mkfifo(paths.cluster_file.c_str(), 0600));
  STRCMP_CONTAINS("cluster.yml: not a regular file", bad().c_str());
  std::filesystem::remove(paths.cluster_file);
  std::filesystem::create_directory(paths.cluster_file);
  STRCMP_CONTAINS("cluster.yml: not a regular file", bad().c_str());
}

TEST(Load, ALinkToTheNullDeviceIsAnEmptyFile) {
  std::filesystem::create_symlink("/dev/null", paths.cluster_file);
  const Settings settings = good();
  CHECK(settings.policy_present && !settings.policy.recurring);
}

TEST(Load, ARetentionShorterThanTheIntervalIsAWarning) {
  cluster("interval_hours: 12, retention: 6");
  const std::string warning = only_warning();
  STRCMP_CONTAINS((paths.cluster_file + ":3: services.etcd.backup_config.retention: shorter than "
                                        "the interval (6h0m0s and 12h0m0s)")
                      .c_str(),
                  warning.c_str());
  put("host.conf", "[snapshots]\nretention_unit = snapshots\n");
  LONGS_EQUAL(0, good().warnings.size());
}

TEST(Load, ARetentionOfZeroIsAWarning) {
  cluster("interval_hours: 12, retention: 0");
  STRCMP_CONTAINS("retention: zero: every cycle deletes all older", only_warning().c_str());
  put("host.conf", "[snapshots]\nretention_unit = snapshots\n");
  STRCMP_CONTAINS("retention: zero: every cycle deletes all older", only_warning().c_str());
}

TEST(Load, ADefaultRetentionThatIsShorterIsAWarningToo) {
  cluster("interval_hours: 48");
  STRCMP_CONTAINS(
      (paths.cluster_file + ": services.etcd.backup_config.retention: shorter than").c_str(),
      only_warning().c_str());
}

TEST(Load, CountedRetentionTakesNoDuration) {
  put("host.conf", "[snapshots]\nretention_unit = snapshots\n");
  cluster("retention: 6m");
  STRCMP_CONTAINS(
      (paths.cluster_file + ":3: services.etcd.backup_config.retention: a duration, '6m', "
                            "while etcd-snapshot.conf says retention_unit = snapshots; "
                            "accepted: a whole number")
          .c_str(),
      bad().c_str());
  put("cluster.yml", "services: {etcd: {snapshot: true, retention: 24h}}");
  STRCMP_CONTAINS("services.etcd.retention: a duration, '24h'", bad().c_str());
  cluster("retention: 6");
  LONGS_EQUAL(6, good().policy.retention_number);
}

TEST(Load, NamedFilesMustBeReadable) {
  put("host.conf", "[etcd]\n\nca_file = " + root + "/none.pem\n");
  STRCMP_CONTAINS(
      (paths.host_file + ":3: [etcd] ca_file: cannot be read (No such file or directory): '" +
       root + "/none.pem'; accepted: ")
          .c_str(),
      bad().c_str());
  put("host.conf", "[etcd]\nca_file = " + root + "\n");
  STRCMP_CONTAINS("[etcd] ca_file: not a regular file", bad().c_str());
  paths.check_files = false;
  STRCMP_EQUAL(root.c_str(), good().host.etcd.ca_file.c_str());
}

// They may lie on a mount that is away: the bucket's failure, which costs no snapshot.
TEST(Load, WhetherFilesOfTheBucketCanBeReadIsSeenWhereTheyAreUsed) {
  put("host.conf", "[s3]\nca_file = " + root + "/none.pem\naccess_key_file = " + root +
                       "/none\nsecret_key_file = " + root + "\n");
  STRCMP_EQUAL((root + "/none.pem").c_str(), good().host.s3.ca_file.c_str());
  const std::string secret = put("secret", "x", 0644);
  put("host.conf", "[s3]\naccess_key_file = /none\nsecret_key_file = " + secret + "\n");
  STRCMP_CONTAINS(("chmod 600 " + secret).c_str(), only_warning().c_str());
}

TEST(Load, SecretsThatOthersCanReadAreWarnedAbout) {
  const std::string secret =
      "s3backupconfig: {bucket_name: abc, access_key: a, secret_key: hidden}";
  cluster(secret);
  LONGS_EQUAL(0, good().warnings.size());
  LONGS_EQUAL(0, chmod(paths.cluster_file.c_str(), 0640));
  STRCMP_EQUAL((paths.cluster_file +
                ": holds a secret, and its group can read it (mode 0640); run: "
                "chmod 600 " +
                paths.cluster_file)
                   .c_str(),
               only_warning().c_str());
  LONGS_EQUAL(0, chmod(paths.cluster_file.c_str(), 0644));
  STRCMP_CONTAINS("and everybody can read it (mode 0644)", only_warning().c_str());
  cluster("interval_hours: 1");
  LONGS_EQUAL(0, chmod(paths.cluster_file.c_str(), 0644));
  LONGS_EQUAL(0, good().warnings.size());
}

TEST(Load, KeyFilesThatOthersCanReadAreWarnedAbout) {
  const std::string password = put("password", "x", 0640);
  put("host.conf", "[etcd]\nusername = root\npassword_file = " + password + "\n");
  STRCMP_CONTAINS(("chmod 600 " + password).c_str(), only_warning().c_str());
  LONGS_EQUAL(0, chmod(password.c_str(), 0400));
  LONGS_EQUAL(0, good().warnings.size());
  put("host.conf", "[s3]\nproxy = http://u:hidden@p\n", 0644);
  const std::string warning = only_warning();
  STRCMP_CONTAINS("host.conf: holds a secret", warning.c_str());
  CHECK(warning.find("hidden") == std::string::npos);
}

TEST(Load, AMetricsFileOfAnotherNameIsAWarning) {
  put("host.conf", "[metrics]\ntextfile = /var/lib/m.txt\n");
  STRCMP_CONTAINS("host.conf:2: [metrics] textfile: '/var/lib/m.txt' does not end in .prom",
                  only_warning().c_str());
}

TEST(Load, CertificatesForAnEndpointWithoutTlsAreAWarning) {
  const std::string file = put("pem", "x");
  const std::string tls =
      "cert_file = " + file + "\nkey_file = " + file + "\nca_file = " + file + "\n";
  put("host.conf", "[etcd]\n\nendpoints = https://a, http://127.0.0.1:1\n" + tls);
  STRCMP_EQUAL((paths.host_file +
                ":3: [etcd] endpoints: http://127.0.0.1:1 is without TLS: ca_file, cert_file and "
                "key_file are not used")
                   .c_str(),
               only_warning().c_str());
  put("host.conf", "[etcd]\nendpoints = http://a\nca_file = " + file + "\n");
  STRCMP_CONTAINS("host.conf:2: [etcd] endpoints: http://a:2379 is without TLS",
                  only_warning().c_str());
  put("host.conf", "[etcd]\nendpoints = https://a\n" + tls);
  LONGS_EQUAL(0, good().warnings.size());
  put("host.conf", "[etcd]\nendpoints = http://a\n");
  LONGS_EQUAL(0, good().warnings.size());
}

TEST(Load, APasswordThatCrossesTheNetworkInTheClearIsAWarning) {
  const std::string user = "username = root\npassword_file = " + put("password", "hidden") + "\n";
  const struct {
    const char* endpoint;
    bool warned;
  } table[] = {{"http://10.0.0.1:2379", true},     {"http://etcd-1:2379", true},
               {"http://[fd00::1]:2379", true},    {"http://127.0.0.1:2379", false},
               {"http://127.1.2.3:2379", false},   {"http://localhost:2379", false},
               {"http://[::1]:2379", false},       {"https://10.0.0.1:2379", false},
               {"http://localhost.de:2379", true}, {"http://127.example.com:2379", true}};
  for (const auto& row : table) {
    put("host.conf", std::string("[etcd]\nendpoints = ") + row.endpoint + "\n" + user);
    if (!row.warned) {
      LONGS_EQUAL_TEXT(0, good().warnings.size(), row.endpoint);
      continue;
    }
    STRCMP_EQUAL((paths.host_file + ":2: [etcd] endpoints: " + row.endpoint +
                  " is without TLS: the password crosses the network in the clear")
                     .c_str(),
                 only_warning().c_str());
  }
}
