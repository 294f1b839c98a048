// The last good configuration: the texts of the two files as the last cycle read them without an
// error or a doubt. Where a file cannot be used any more, the next cycle goes on with the kept one.
//
// Kept below $STATE_DIRECTORY, as plain text under the names of the two files, so that `diff` shows
// what an edit has changed. They may hold keys: 0600 in a directory of 0700. The last line of each
// says which file it was, with a checksum: half a file could be a configuration without a bucket.
#pragma once

#include <string>

#include "base/result.h"
#include "config/load.h"

namespace etcd_snapshot {

inline constexpr char kDefaultStateDirectory[] = "/var/lib/etcd-snapshot";

// $STATE_DIRECTORY (set by systemd's StateDirectory=; the first, where it lists several) or the
// default.
std::string state_directory();

// Whether a last good configuration belongs to a run with these files: the host's own, or those of
// a service whose files were moved by a drop-in. What an operator tries by hand with other files
// must not become, or be replaced by, the host's.
bool has_last_good(const ConfigPaths& paths);

// Where they are kept.
std::string kept_host_file(const std::string& state_dir);
std::string kept_cluster_file(const std::string& state_dir);

// Keeps the texts of `settings`, one that has not changed as it is. A file that does not exist is
// kept as an empty one: its defaults are what the cycle acted on. Makes the directory. kStorage.
Result<void> keep_last_good(const std::string& state_dir, const ConfigPaths& paths,
                            const Settings& settings);

// Whether `kept` is whole and was `live`; code ENOENT where none was kept. kConfig.
Result<void> check_last_good(const std::string& kept, const std::string& live);

}  // namespace etcd_snapshot
