// What a command gets of a configuration that is not all there.
#include "config/configuration.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "config/last_good.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(Configuration) {
  std::string root;
  ConfigPaths paths;

  void setup() override {
    char name[] = "/tmp/etcd-snapshot-configuration.XXXXXX";
    CHECK(mkdtemp(name) != nullptr);
    root = name;
    paths.host_file = root + "/host.conf";
    paths.cluster_file = root + "/cluster.yml";
    setenv("STATE_DIRECTORY", (root + "/kept").c_str(), 1);
    put(paths.host_file, "[snapshots]\ndirectory = /data\n");
    cluster("{interval_hours: 2, retention: 3}");
  }
  void teardown() override {
    unsetenv("STATE_DIRECTORY");
    std::filesystem::remove_all(root);
  }

  void put(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }
  void cluster(const std::string& backup_config) {
    put(paths.cluster_file, "services: {etcd: {backup_config: " + backup_config + "}}\n");
  }
  Result<Configuration> load(Needs needs, LastGood last_good = LastGood::kIgnored) {
    return load_configuration(paths, needs, last_good);
  }
  // What a command with these needs goes on with: "all", "host", "nothing", or "fails".
  const char* left_for(Needs needs) {
    const auto loaded = load(needs);
    if (!loaded) return "fails";
    if (!loaded->error) return "all";
    CHECK(loaded->error->kind == ErrorKind::kConfig);
    CHECK_FALSE(loaded->settings.policy_present);
    if (loaded->settings.host.snapshots.directory.empty()) return "nothing";
    STRCMP_EQUAL("/data", loaded->settings.host.snapshots.directory.c_str());
    return "host";
  }
  void expect(const char* nothing, const char* host, const char* files, const char* policy) {
    STRCMP_EQUAL(nothing, left_for(Needs::kNothing));
    STRCMP_EQUAL(host, left_for(Needs::kHost));
    STRCMP_EQUAL(files, left_for(Needs::kHostAndFiles));
    STRCMP_EQUAL(policy, left_for(Needs::kPolicy));
  }
};

TEST(Configuration, AllOfIt) {
  expect("all", "all", "all", "all");
}

TEST(Configuration, WithoutAPolicyThatCanBeRead) {
  cluster("{interval_hours: [}");
  expect("host", "host", "host", "fails");
}

TEST(Configuration, WithAPolicyThatDoesNotExist) {
  std::filesystem::remove(paths.cluster_file);
  expect("all", "all", "all", "all");
  CHECK_FALSE(load(Needs::kPolicy)->settings.policy_present);
  paths.cluster_required = true;
  expect("host", "host", "host", "fails");
}

TEST(Configuration, WithoutAFileThatTheHostsSettingsName) {
  put(paths.host_file, "[snapshots]\ndirectory = /data\n[etcd]\nca_file = " + root + "/none.pem\n");
  expect("host", "host", "fails", "fails");
}

TEST(Configuration, WithoutTheHostsSettings) {
  put(paths.host_file, "nonsense\n");
  expect("nothing", "fails", "fails", "fails");
  CHECK_FALSE(load_host_only(paths).ok());
}

TEST(Configuration, ABadCertificateOfTheBucketSetsOnlyTheBucketAside) {
  cluster(
      "{interval_hours: 2, retention: 3, s3backupconfig: {bucket_name: b, custom_ca: "
      "\"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n\"}}");
  const auto loaded = load(Needs::kPolicy);
  CHECK_TRUE(loaded.ok());
  CHECK_FALSE(loaded->settings.policy.s3.has_value());
  LONGS_EQUAL(1, loaded->settings.doubts.size());
}

TEST(Configuration, TheLastGoodOneReplacesOnlyWhereItIsAskedFor) {
  const auto good = load(Needs::kPolicy);
  CHECK_TRUE(good.ok());
  CHECK_TRUE(keep_last_good(state_directory(), paths, good->settings).ok());
  cluster("{interval_hours: [}");
  CHECK_FALSE(load(Needs::kPolicy).ok());
  const auto replaced = load(Needs::kPolicy, LastGood::kReplaces);
  CHECK_TRUE(replaced.ok());
  CHECK_FALSE(replaced->error.has_value());
  CHECK_TRUE(replaced->settings.replaced.has_value());
  CHECK_TRUE(replaced->settings.policy.interval == std::chrono::hours(2));
  STRCMP_CONTAINS("; the last good configuration is used instead",
                  replaced->settings.doubts.front().message.c_str());
}

TEST(Configuration, ADamagedLastGoodOneIsToldBesideTheError) {
  CHECK_TRUE(keep_last_good(state_directory(), paths, load(Needs::kPolicy)->settings).ok());
  put(kept_cluster_file(state_directory()), "services: {}\n");
  cluster("{interval_hours: [}");
  const auto failed = load(Needs::kPolicy, LastGood::kReplaces);
  CHECK_FALSE(failed.ok());
  STRCMP_CONTAINS("; the last good configuration is ignored: ", failed.error().message.c_str());
}

TEST(Configuration, ALastGoodOneThatCannotBeReadIsToldAsWell) {
  CHECK_TRUE(keep_last_good(state_directory(), paths, load(Needs::kPolicy)->settings).ok());
  const std::string kept = kept_cluster_file(state_directory());
  std::filesystem::remove(kept);
  std::filesystem::create_directory(kept);
  cluster("{interval_hours: [}");
  const auto failed = load(Needs::kPolicy, LastGood::kReplaces);
  CHECK_FALSE(failed.ok());
  STRCMP_CONTAINS("; the last good configuration is ignored: ", failed.error().message.c_str());
  STRCMP_CONTAINS(kept.c_str(), failed.error().message.c_str());
}

TEST(Configuration, ThatNoneWasKeptYetIsNotTold) {
  cluster("{interval_hours: [}");
  const auto failed = load(Needs::kPolicy, LastGood::kReplaces);
  CHECK_FALSE(failed.ok());
  CHECK_TRUE(failed.error().message.find("last good") == std::string::npos);
}
