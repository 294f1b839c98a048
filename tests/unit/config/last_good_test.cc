#include "config/last_good.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(LastGood) {
  std::string root, kept;
  ConfigPaths paths;

  void setup() override {
    char name[] = "/tmp/etcd-snapshot-last-good.XXXXXX";
    CHECK(mkdtemp(name) != nullptr);
    root = name;
    kept = root + "/kept";
    paths.host_file = root + "/host.conf";
    paths.cluster_file = root + "/cluster.yml";
    unsetenv("STATE_DIRECTORY");
  }
  void teardown() override {
    unsetenv("STATE_DIRECTORY");
    std::filesystem::remove_all(root);
  }

  void put(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }
  std::string text_of(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  mode_t mode_of(const std::string& path) {
    struct stat status = {};
    LONGS_EQUAL(0, stat(path.c_str(), &status));
    return status.st_mode & 07777;
  }
  Settings load() {
    auto settings = load_settings(paths);
    CHECK_TEXT(settings.ok(), settings ? "" : settings.error().message.c_str());
    return *settings;
  }
  void keep() {
    const auto done = keep_last_good(kept, paths, load());
    CHECK_TEXT(done.ok(), done ? "" : done.error().message.c_str());
  }
  void cluster(const std::string& lines) {
    put(paths.cluster_file, "services: {etcd: {backup_config: {" + lines + "}}}\n");
  }
  // What is wrong with the kept cluster.yml.
  std::string damage() {
    const auto checked = check_last_good(kept_cluster_file(kept), paths.cluster_file);
    return checked ? "" : checked.error().message;
  }
};

TEST(LastGood, KeepsBothTextsForTheSameParsers) {
  cluster(
      "interval_hours: 7, s3backupconfig: {bucket_name: etcd-backup, access_key: a, secret_key: "
      "s}");
  put(paths.host_file, "[snapshots]\ndirectory = /srv/s");  // without an end of the line
  keep();
  ConfigPaths read = paths;
  read.host_file = kept_host_file(kept);
  read.cluster_file = kept_cluster_file(kept);
  const auto settings = load_settings(read);
  CHECK(settings.ok());
  CHECK(settings->policy.interval == std::chrono::hours(7));
  STRCMP_EQUAL("s", settings->policy.s3->secret_key.c_str());
  STRCMP_EQUAL("/srv/s", settings->host.snapshots.directory.c_str());
  CHECK(check_last_good(read.host_file, paths.host_file).ok());
  STRCMP_EQUAL("", damage().c_str());
}

TEST(LastGood, IsForNobodyElseToRead) {
  const mode_t former = umask(0);
  cluster("interval_hours: 7");
  keep();
  umask(former);
  LONGS_EQUAL(0700, mode_of(kept));
  LONGS_EQUAL(0600, mode_of(kept_cluster_file(kept)));
  LONGS_EQUAL(0600, mode_of(kept_host_file(kept)));
}

TEST(LastGood, IsWrittenOnlyWhereItHasChanged) {
  cluster("interval_hours: 7");
  keep();
  struct stat before = {}, after = {};
  LONGS_EQUAL(0, stat(kept_cluster_file(kept).c_str(), &before));
  keep();
  LONGS_EQUAL(0, stat(kept_cluster_file(kept).c_str(), &after));
  LONGS_EQUAL(before.st_ino, after.st_ino);
  cluster("interval_hours: 8");
  keep();
  LONGS_EQUAL(0, stat(kept_cluster_file(kept).c_str(), &after));
  CHECK(before.st_ino != after.st_ino);
}

TEST(LastGood, OfAFileThatDoesNotExistIsItsDefaults) {
  cluster("interval_hours: 7");
  put(paths.host_file, "[snapshots]\ndirectory = /srv/s\n");
  keep();
  std::filesystem::remove(paths.host_file);
  keep();
  const auto host = parse_host_ini("", text_of(kept_host_file(kept)));
  STRCMP_EQUAL("/opt/rke/etcd-snapshots", host->snapshots.directory.c_str());
}

TEST(LastGood, IsNotTakenWhereItIsDamaged) {
  cluster("interval_hours: 7, s3backupconfig: {bucket_name: etcd-backup}");
  keep();
  const std::string file = kept_cluster_file(kept), whole = text_of(file);
  const std::string half = whole.substr(0, whole.size() / 2);
  std::string bit = whole;
  bit[20] ^= 1;
  for (const std::string& text :
       {std::string(), half, bit, whole + "\n", whole.substr(whole.rfind("# Kept")),
        whole.substr(0, whole.size() - 1), std::string("\n"), "interval_hours: 1\n" + whole}) {
    put(file, text);
    CHECK_TEXT(damage().find("damaged") != std::string::npos ||
                   damage().find("another file") != std::string::npos,
               text.c_str());
    CHECK(damage().starts_with(file));
  }
  put(file, whole);
  STRCMP_EQUAL("", damage().c_str());
}

TEST(LastGood, IsNoneWhereNoneWasKept) {
  const auto checked = check_last_good(kept_cluster_file(kept), paths.cluster_file);
  CHECK_FALSE(checked.ok());
  LONGS_EQUAL(ENOENT, checked.error().code);
}

TEST(LastGood, OfAnotherFileIsNotTaken) {
  cluster("interval_hours: 7");
  keep();
  const auto checked = check_last_good(kept_cluster_file(kept), "/etc/other.yml");
  CHECK_FALSE(checked.ok());
  CHECK(checked.error().message.find("kept of another file than /etc/other.yml") !=
        std::string::npos);
}

TEST(LastGood, ADirectoryThatCannotBeMadeIsAnError) {
  cluster("interval_hours: 7");
  put(kept, "a file\n");
  const auto done = keep_last_good(kept, paths, load());
  CHECK_FALSE(done.ok());
  CHECK(done.error().kind == ErrorKind::kStorage);
}

// What is tried by hand with other files is not the host's.
TEST(LastGood, BelongsToTheHostsOwnFilesAndToTheService) {
  CHECK(has_last_good(ConfigPaths()));
  CHECK_FALSE(has_last_good(paths));
  ConfigPaths one;
  one.cluster_file = paths.cluster_file;
  CHECK_FALSE(has_last_good(one));
  STRCMP_EQUAL("/var/lib/etcd-snapshot", state_directory().c_str());
  setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1);
  CHECK(has_last_good(paths));
  STRCMP_EQUAL("/var/lib/a", state_directory().c_str());
  setenv("STATE_DIRECTORY", "", 1);
  CHECK_FALSE(has_last_good(paths));
}
