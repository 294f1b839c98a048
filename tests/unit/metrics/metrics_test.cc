#include "metrics/metrics.h"

#include <sys/stat.h>

#include <algorithm>

#include "../store/scratch.h"
#include "base/fd.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {

UnixSeconds at(int64_t seconds) {
  return UnixSeconds(std::chrono::seconds(seconds));
}

Metrics full() {
  Metrics metrics;
  metrics.version = "1.2.3";
  metrics.last_run = at(1525459217);
  metrics.exit_code = 76;
  metrics.cluster_healthy = false;
  metrics.duration = 1500ms;
  metrics.phases = {{Phase::kPrune, 1500ns},     {Phase::kConnect, 4321us},
                    {Phase::kStream, 1s},        {Phase::kStore, 108332814ns},
                    {Phase::kWait, 15s},         {Phase::kUpload, 0s},
                    {Phase::kBucket, 20ms},      {Phase::kCatchUp, 61s + 500ms},
                    {Phase::kOther, 999999999ns}};
  metrics.last_success = at(1525459216);
  metrics.database_bytes = int64_t{8} << 30;
  metrics.archive_bytes = 1600000000;
  metrics.revision = 9000000000000000001;
  metrics.local = {12, 0};
  metrics.bucket = {100000, 3};
  metrics.backlog = 0;
  metrics.interval = 5min;
  metrics.retention = 24h;
  metrics.retention_snapshots = 6;
  metrics.certificates = {{"etcd_client", at(1525459300)}, {"bucket_ca", at(1893456000)}};
  metrics.free_bytes = 1;
  metrics.total_bytes = int64_t{1} << 50;
  return metrics;
}

}  // namespace

TEST_GROUP(Metrics) {
  Scratch scratch;
  std::string path = scratch.path("node-exporter/etcd-snapshot.prom");
  void setup() override {
    std::filesystem::create_directory(scratch.path("node-exporter"));
  }
};

TEST(Metrics, WritesWhatIsKnown) {
  STRCMP_EQUAL(
      R"(# HELP etcd_snapshot_build_info The version of etcd-snapshot; the value is always 1.
# TYPE etcd_snapshot_build_info gauge
etcd_snapshot_build_info{version="1.2.3"} 1
# HELP etcd_snapshot_last_run_timestamp_seconds When the last run ended.
# TYPE etcd_snapshot_last_run_timestamp_seconds gauge
etcd_snapshot_last_run_timestamp_seconds 1525459217
# HELP etcd_snapshot_last_success_timestamp_seconds When the newest proven recurring snapshot of this host was taken.
# TYPE etcd_snapshot_last_success_timestamp_seconds gauge
etcd_snapshot_last_success_timestamp_seconds 1525459216
# HELP etcd_snapshot_last_run_exit_code The exit status of the last run; 0 is success.
# TYPE etcd_snapshot_last_run_exit_code gauge
etcd_snapshot_last_run_exit_code 76
# HELP etcd_snapshot_last_run_cluster_healthy Whether the last run's snapshot came from a healthy voting member, without an alarm in the cluster.
# TYPE etcd_snapshot_last_run_cluster_healthy gauge
etcd_snapshot_last_run_cluster_healthy 0
# HELP etcd_snapshot_last_run_duration_seconds How long the last run took.
# TYPE etcd_snapshot_last_run_duration_seconds gauge
etcd_snapshot_last_run_duration_seconds 1.500000
# HELP etcd_snapshot_last_run_phase_duration_seconds How long each phase of the last run took, all attempts together.
# TYPE etcd_snapshot_last_run_phase_duration_seconds gauge
etcd_snapshot_last_run_phase_duration_seconds{phase="connect"} 0.004321
etcd_snapshot_last_run_phase_duration_seconds{phase="stream"} 1
etcd_snapshot_last_run_phase_duration_seconds{phase="store"} 0.108332
etcd_snapshot_last_run_phase_duration_seconds{phase="wait"} 15
etcd_snapshot_last_run_phase_duration_seconds{phase="upload"} 0
etcd_snapshot_last_run_phase_duration_seconds{phase="bucket"} 0.020000
etcd_snapshot_last_run_phase_duration_seconds{phase="catch_up"} 61.500000
etcd_snapshot_last_run_phase_duration_seconds{phase="prune"} 0.000001
etcd_snapshot_last_run_phase_duration_seconds{phase="other"} 0.999999
# HELP etcd_snapshot_database_size_bytes The size of the database in the newest proven snapshot.
# TYPE etcd_snapshot_database_size_bytes gauge
etcd_snapshot_database_size_bytes 8589934592
# HELP etcd_snapshot_archive_size_bytes The size of the file of the newest proven snapshot.
# TYPE etcd_snapshot_archive_size_bytes gauge
etcd_snapshot_archive_size_bytes 1600000000
# HELP etcd_snapshot_revision The revision of etcd in the newest proven snapshot.
# TYPE etcd_snapshot_revision gauge
etcd_snapshot_revision 9000000000000000001
# HELP etcd_snapshot_kept_snapshots How many snapshots there are.
# TYPE etcd_snapshot_kept_snapshots gauge
etcd_snapshot_kept_snapshots{place="local"} 12
etcd_snapshot_kept_snapshots{place="bucket"} 100000
# HELP etcd_snapshot_last_run_pruned_snapshots How many the last run deleted.
# TYPE etcd_snapshot_last_run_pruned_snapshots gauge
etcd_snapshot_last_run_pruned_snapshots{place="local"} 0
etcd_snapshot_last_run_pruned_snapshots{place="bucket"} 3
# HELP etcd_snapshot_backlog_snapshots How many proven snapshots of this host are not known to be in the bucket.
# TYPE etcd_snapshot_backlog_snapshots gauge
etcd_snapshot_backlog_snapshots 0
# HELP etcd_snapshot_interval_seconds The time between two snapshots, as configured.
# TYPE etcd_snapshot_interval_seconds gauge
etcd_snapshot_interval_seconds 300
# HELP etcd_snapshot_retention_seconds How long a snapshot is kept, as configured.
# TYPE etcd_snapshot_retention_seconds gauge
etcd_snapshot_retention_seconds 86400
# HELP etcd_snapshot_retention_snapshots How many snapshots are kept, where that is configured instead of a time.
# TYPE etcd_snapshot_retention_snapshots gauge
etcd_snapshot_retention_snapshots 6
# HELP etcd_snapshot_certificate_expiry_timestamp_seconds When the certificate expires that a run needs.
# TYPE etcd_snapshot_certificate_expiry_timestamp_seconds gauge
etcd_snapshot_certificate_expiry_timestamp_seconds{certificate="bucket_ca"} 1893456000
etcd_snapshot_certificate_expiry_timestamp_seconds{certificate="etcd_client"} 1525459300
# HELP etcd_snapshot_directory_free_bytes What is free on the file system of the snapshots.
# TYPE etcd_snapshot_directory_free_bytes gauge
etcd_snapshot_directory_free_bytes 1
# HELP etcd_snapshot_directory_size_bytes The size of the file system of the snapshots.
# TYPE etcd_snapshot_directory_size_bytes gauge
etcd_snapshot_directory_size_bytes 1125899906842624
)",
      format_metrics(full()).c_str());
}

TEST(Metrics, LeavesOutWhatIsNotKnown) {
  Metrics metrics;
  metrics.version = "1.2.3";
  metrics.bucket.pruned = 0;
  STRCMP_EQUAL(
      R"(# HELP etcd_snapshot_build_info The version of etcd-snapshot; the value is always 1.
# TYPE etcd_snapshot_build_info gauge
etcd_snapshot_build_info{version="1.2.3"} 1
# HELP etcd_snapshot_last_run_pruned_snapshots How many the last run deleted.
# TYPE etcd_snapshot_last_run_pruned_snapshots gauge
etcd_snapshot_last_run_pruned_snapshots{place="bucket"} 0
)",
      format_metrics(metrics).c_str());
}

TEST(Metrics, EscapesTheValuesOfLabels) {
  STRCMP_EQUAL(R"(1.0~rc1+b\"x\\y\nz)", escape_label("1.0~rc1+b\"x\\y\nz").c_str());
  Metrics metrics;
  metrics.version = "a\"} 2\nb";
  STRCMP_CONTAINS("\netcd_snapshot_build_info{version=\"a\\\"} 2\\nb\"} 1\n",
                  format_metrics(metrics).c_str());
}

TEST(Metrics, ReadsWhatAFormerRunWrote) {
  Metrics former = parse_former_metrics(format_metrics(full()));
  // Of the policy and the disk each run knows more itself.
  Metrics expected = full();
  expected.local.kept.reset();
  for (auto* value : {&expected.database_bytes, &expected.archive_bytes, &expected.revision,
                      &expected.retention_snapshots, &expected.free_bytes, &expected.total_bytes}) {
    value->reset();
  }
  expected.retention.reset();
  expected.certificates.clear();
  former.version = expected.version;
  STRCMP_EQUAL(format_metrics(expected).c_str(), format_metrics(former).c_str());
}

TEST(Metrics, MakesNothingOfWhatNoRunWrote) {
  const std::string name = "etcd_snapshot_last_success_timestamp_seconds";
  for (const std::string& text :
       {std::string(), std::string("\n\n"), name, name + " ", name + " x\n", name + " 5x\n",
        name + " -5\n", name + " 0\n", name + " nan\n", name + " inf\n", name + " 1e30\n",
        name + "_total 5\n", name + "{a=\"b\"} 5\n", "# HELP " + name + " 5\n",
        name + std::string("\0 5\n", 4), name + " 5 1525459216000\n"}) {
    CHECK_FALSE_TEXT(parse_former_metrics(text).last_success.has_value(), text.c_str());
  }
  CHECK_TRUE(parse_former_metrics("x\n" + name + " 1.5e3").last_success == at(1500));
  for (const char* code : {"-1", "256", "1.5", "x", "1e300"}) {
    const auto former =
        parse_former_metrics(std::string("etcd_snapshot_last_run_exit_code ") + code + "\n");
    CHECK_FALSE_TEXT(former.exit_code.has_value(), code);
  }
  CHECK_FALSE(parse_former_metrics("etcd_snapshot_kept_snapshots 5\n"
                                   "etcd_snapshot_kept_snapshots{place=\"elsewhere\"} 5\n"
                                   "etcd_snapshot_last_run_phase_duration_seconds{phase=\"x\"} 5\n"
                                   "etcd_snapshot_interval_seconds 0\n")
                  .bucket.kept.has_value());
  CHECK_FALSE(parse_former_metrics("etcd_snapshot_interval_seconds 0\n").interval.has_value());
}

TEST(Metrics, ReplacesTheFileForEverybodyToRead) {
  const Umask closed(0077);
  CHECK_TRUE(write_metrics(path, Metrics()).ok());
  struct stat before = {}, after = {};
  LONGS_EQUAL(0, stat(path.c_str(), &before));
  // What a reader has opened stays as it was: another file takes the name.
  const UniqueFd reader(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const std::string old = scratch.read("node-exporter/etcd-snapshot.prom");
  CHECK_TRUE(write_metrics(path, full()).ok());
  LONGS_EQUAL(0, stat(path.c_str(), &after));
  CHECK_TRUE(before.st_ino != after.st_ino);
  std::string seen(4096, '\0');
  seen.resize(static_cast<size_t>(std::max<ssize_t>(0, read(reader.get(), seen.data(), 4096))));
  STRCMP_EQUAL(old.c_str(), seen.c_str());
  STRCMP_EQUAL(format_metrics(full()).c_str(),
               scratch.read("node-exporter/etcd-snapshot.prom").c_str());
  LONGS_EQUAL(0644, scratch.mode("node-exporter/etcd-snapshot.prom"));
  // Nothing else is left there for the collector to stumble over.
  const std::filesystem::directory_iterator entries(scratch.path("node-exporter"));
  LONGS_EQUAL(1, std::distance(begin(entries), end(entries)));
}

TEST(Metrics, TellsWhatToDoWhereTheFileCannotBeWritten) {
  const auto missing = write_metrics(scratch.path("away/x.prom"), full());
  CHECK_FALSE(missing.ok());
  CHECK_TRUE(missing.error().kind == ErrorKind::kStorage);
  STRCMP_CONTAINS((scratch.path("away/x.prom") + ": cannot open").c_str(),
                  missing.error().message.c_str());
  STRCMP_CONTAINS(("create " + scratch.path("away")).c_str(), missing.error().hint.c_str());

  CHECK_TRUE(write_metrics(path, full()).ok());
  chmod(scratch.path("node-exporter").c_str(), 0555);
  chmod(scratch.path().c_str(), 0755);
  {
    const Unprivileged nobody;
    const auto denied = write_metrics(path, Metrics());
    CHECK_FALSE(denied.ok());
    STRCMP_CONTAINS("Permission denied", denied.error().message.c_str());
    STRCMP_CONTAINS(("chown root " + scratch.path("node-exporter")).c_str(),
                    denied.error().hint.c_str());
  }
  // What was there is there.
  STRCMP_EQUAL(format_metrics(full()).c_str(),
               scratch.read("node-exporter/etcd-snapshot.prom").c_str());
}

TEST(Metrics, TouchesNoFileBehindALink) {
  scratch.write("precious", "keep me\n");
  std::filesystem::create_symlink(scratch.path("precious"), path);
  CHECK_FALSE(read_former_metrics(path).last_success.has_value());
  CHECK_TRUE(write_metrics(path, full()).ok());
  STRCMP_EQUAL("keep me\n", scratch.read("precious").c_str());
  CHECK_FALSE(std::filesystem::is_symlink(path));
}

TEST(Metrics, FollowsTheLinksOfRootAndItsOwnAlone) {
  std::filesystem::create_directory_symlink("node-exporter", scratch.path("relative"));
  std::filesystem::create_directory_symlink(scratch.path("relative"), scratch.path("absolute"));
  const std::string linked = scratch.path("absolute/etcd-snapshot.prom");
  CHECK_TRUE(write_metrics(linked, full()).ok());
  CHECK_TRUE(read_former_metrics(linked).last_success == full().last_success);
  CHECK_TRUE(scratch.has("node-exporter/etcd-snapshot.prom"));

  std::filesystem::create_directory_symlink("round", scratch.path("round"));
  LONGS_EQUAL(ELOOP, write_metrics(scratch.path("round/x.prom"), full()).error().code);

  std::filesystem::create_directory(scratch.path("outer"));
  std::filesystem::create_directory_symlink("..", scratch.path("outer/planted"));
  if (geteuid() != 0) return;  // only root can give a link away
  LONGS_EQUAL(0, lchown(scratch.path("outer/planted").c_str(), 65534, 65534));
  const std::string planted = scratch.path("outer/planted/node-exporter/etcd-snapshot.prom");
  CHECK_FALSE(read_former_metrics(planted).last_success.has_value());
  const auto refused = write_metrics(planted, Metrics());
  CHECK_FALSE(refused.ok());
  STRCMP_CONTAINS("the link planted is another user's", refused.error().message.c_str());
  STRCMP_CONTAINS("[metrics] textfile", refused.error().hint.c_str());
  // Behind a link of root's, too.
  std::filesystem::create_directory_symlink("outer/planted/node-exporter", scratch.path("behind"));
  CHECK_FALSE(write_metrics(scratch.path("behind/etcd-snapshot.prom"), Metrics()).ok());
  STRCMP_EQUAL(format_metrics(full()).c_str(),
               scratch.read("node-exporter/etcd-snapshot.prom").c_str());
}

TEST(Metrics, WaitsForNothingThatIsNoDirectory) {
  LONGS_EQUAL(0, mkfifo(scratch.path("fifo").c_str(), 0600));
  LONGS_EQUAL(ENOTDIR, write_metrics(scratch.path("fifo/x.prom"), full()).error().code);
}
