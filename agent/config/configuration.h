// The configuration as the agent's commands get it: both files, the certificates in them looked at,
// and what stands in for a file that cannot be used. The systemd generator reads the files with
// config/load.h alone: it links no OpenSSL.
#pragma once

#include <optional>

#include "base/result.h"
#include "config/load.h"

namespace etcd_snapshot {

// What a command cannot do without. Where less can be read, it does not start.
enum class Needs {
  kNothing,       // without any settings, [snapshots] directory is empty
  kHost,          // etcd-snapshot.conf; the files that it names may be missing
  kHostAndFiles,  // etcd-snapshot.conf and the files that it names
  kPolicy,        // cluster.yml, too
};

// Whether the last good configuration replaces a file that cannot be used (config/last_good.h).
enum class LastGood { kIgnored, kReplaces };

struct Configuration {
  Settings settings;
  // Why `settings` are not all of them. Not where the last good configuration replaces a file: see
  // Settings::replaced.
  std::optional<Error> error;
};

Result<Configuration> load_configuration(const ConfigPaths& paths, Needs needs, LastGood last_good);

// etcd-snapshot.conf alone; the files that it names may be missing.
Result<HostSettings> load_host_only(const ConfigPaths& paths);

// For a command that is of no use without cluster.yml, where there is none.
Error policy_missing(const ConfigPaths& paths);

// A doubt as the error that a command ends with.
Error doubt_error(const ConfigWarning& doubt);

}  // namespace etcd_snapshot
