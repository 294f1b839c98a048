// Reads the two configuration files into a checked Settings. The only folder that knows yaml-cpp
// and inih. Errors are kConfig and read "FILE:LINE: KEY: what is wrong with 'VALUE'; accepted:
// ...". Secrets never appear in one.
//
// Used by the agent and by the systemd generator, so it must not pull in curl or OpenSSL: what a
// certificate says is looked at by whoever uses it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/settings.h"

namespace etcd_snapshot {

inline constexpr char kDefaultHostFile[] = "/etc/etcd-snapshot/etcd-snapshot.conf";
inline constexpr char kDefaultClusterFile[] = "/etc/etcd-snapshot/cluster.yml";

// cluster.yml from its text; `path` is for messages. Appends to `warnings`, and to `doubts` (see
// Settings::doubts).
Result<Policy> parse_cluster_yaml(const std::string& path, const std::string& text,
                                  std::vector<ConfigWarning>& warnings,
                                  std::vector<ConfigWarning>& doubts);

// etcd-snapshot.conf from its text; `path` is for messages. The files it names are not looked at.
Result<HostSettings> parse_host_ini(const std::string& path, const std::string& text);

// Every key of etcd-snapshot.conf as "section.key", in the order of the manual.
std::vector<std::string> known_host_keys();

// The text of a configuration file; nullopt where there is none. Never blocks: a FIFO or socket in
// its place is an error.
Result<std::optional<std::string>> read_config_file(const std::string& path);

// Both files. A missing file is an error only where `*_required`: the defaults of both paths may be
// missing (no cluster.yml: policy_present = false; no conf: defaults), a path given by the operator
// may not. Also warns about a file that holds a secret and that others can read, and of settings
// that work but hardly as meant.
// cluster_file may be empty: none is read, and nothing is said of it.
struct ConfigPaths {
  std::string host_file = kDefaultHostFile;
  bool host_required = false;
  std::string cluster_file = kDefaultClusterFile;
  bool cluster_required = false;
  // Whether the files that etcd-snapshot.conf names must be readable; those of [s3] need not be.
  bool check_files = true;
};
Result<Settings> load_settings(const ConfigPaths& paths);

// The bucket's settings cannot be used for that reason: a doubt, which costs no local snapshot.
void set_bucket_aside(Policy& policy, const std::string& reason,
                      std::vector<ConfigWarning>& doubts);

}  // namespace etcd_snapshot
