// The checked configuration: what cluster.yml (the policy) and etcd-snapshot.conf (this host) say,
// with every default filled in. Plain data; whoever holds a Settings may rely on every comment
// here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace etcd_snapshot {

// services.etcd.backup_config.s3backupconfig
struct S3Policy {
  std::string access_key;  // empty: looked for elsewhere (key files, environment, role)
  std::string secret_key;
  std::string keys_place = "cluster.yml";  // where the keys stand, for messages
  std::string bucket_name;                 // never empty
  std::string region;                      // empty: found out
  std::string folder;                      // as written, without leading and trailing slashes
  std::string endpoint;                    // host[:port], or with http:// or https:// in front
  std::string custom_ca;                   // PEM text, or empty
  std::string custom_ca_place;             // "FILE:LINE: KEY" of it, for messages
};

// What cluster.yml says.
struct Policy {
  bool recurring = false;   // false: the file is there, but turns recurring snapshots off
  bool older_form = false;  // snapshot/creation/retention of RKE before v0.2.0
  std::string off_reason;   // where recurring is false: which key says so, for the one log line
  // Where recurring is false: a key that is there says so; else nothing asks for snapshots.
  bool off_on_purpose = false;
  // The file is there, but nothing in it asks for snapshots or turns them off (a doubt): recurring
  // is true and everything below has its default.
  bool assumed = false;
  Nanoseconds interval{std::chrono::minutes(5)};  // > 0, whole milliseconds
  bool interval_set = false;                      // a key says so
  Nanoseconds retention{std::chrono::hours(24)};  // >= 0
  int64_t retention_number = 24;                  // as written, for retention_unit = snapshots
  bool retention_countable = true;     // false: written with a unit, which counts no snapshots
  std::string retention_place;         // "FILE:LINE: KEY: " of the retention, for messages
  std::string retention_text;          // as it was written; empty where it is not set
  std::optional<Nanoseconds> timeout;  // one cycle; unset = none
  bool safe_timestamp = false;
  std::optional<S3Policy> s3;
  // s3backupconfig is there but cannot be used, and why (a doubt, too); `s3` is empty then.
  std::string s3_error;
};

enum class Compression { kZip, kZstd, kNone };
enum class RetentionUnit { kHours, kSnapshots };
enum class S3Lookup { kAuto, kDns, kPath };
enum class BundleMode { kAuto, kYes, kNo };
enum class LogLevel { kError, kWarning, kInfo, kDebug };

struct EtcdSettings {
  std::vector<std::string> endpoints;  // each http://host:port or https://host:port; empty = look
  std::string ca_file, cert_file, key_file;  // absolute or empty; cert and key come together
  std::string username, password_file;       // both or none
  int connect_timeout_s = 10;
  int stall_timeout_s = 60;
  int retries = 4;  // further attempts after the first
  int retry_interval_s = 15;
};

struct SnapshotSettings {
  std::string directory = "/opt/rke/etcd-snapshots";  // absolute
  Compression compression = Compression::kZip;
  bool include_host = false;
  RetentionUnit retention_unit = RetentionUnit::kHours;
  int keep_last = 1;  // >= 1
};

struct S3Settings {
  S3Lookup lookup = S3Lookup::kAuto;
  int part_size_mib = 16;  // 5 to 5120
  int concurrency = 4;     // 1 to 64
  int retries = 5;
  int stall_timeout_s = 60;
  std::optional<int> max_rate_mib_s;
  std::string proxy, ca_file, access_key_file, secret_key_file;
  std::string sse;  // "", "AES256" or "aws:kms"
  std::string sse_kms_key_id, storage_class;
};

struct PkiSettings {
  BundleMode bundle = BundleMode::kAuto;
  std::string directory;  // empty = where RKE or kubeadm keep them
  bool upload = false;
};

// What etcd-snapshot.conf says.
struct HostSettings {
  EtcdSettings etcd;
  SnapshotSettings snapshots;
  S3Settings s3;
  PkiSettings pki;
  LogLevel log_level = LogLevel::kInfo;
  std::string metrics_textfile;  // absolute or empty
};

// A configuration that works but that the operator should look at. `message` names file and line.
struct ConfigWarning {
  std::string message;
};

struct Settings {
  Policy policy;
  // What makes it doubtful whether the operator meant what was read: the cycle takes and uploads
  // its snapshot, deletes nothing in either place, and ends with kExitConfig. Each names file,
  // line, and what to write instead.
  std::vector<ConfigWarning> doubts;
  bool policy_present = false;  // whether cluster.yml exists
  HostSettings host;
  std::vector<ConfigWarning> warnings;
  // The two files as they were read, with the secrets in them; nullopt: there is no such file.
  std::optional<std::string> host_text, cluster_text;
  // Where the last good configuration stands in for a file: what is wrong with that. The first of
  // the doubts is this one.
  std::optional<Error> replaced;
};

}  // namespace etcd_snapshot
