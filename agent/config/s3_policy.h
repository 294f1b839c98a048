// services.etcd.backup_config.s3backupconfig: which bucket, with which keys. Secrets and the
// certificate never appear in a message.
#pragma once

#include <vector>

#include "base/result.h"
#include "config/settings.h"
#include "config/yaml_map.h"

namespace etcd_snapshot {

inline constexpr char kDefaultS3Endpoint[] = "s3.amazonaws.com";

// `map` is the map below s3backupconfig. kConfig errors; appends to `warnings`.
Result<S3Policy> read_s3_policy(const YamlMap& map, std::vector<ConfigWarning>& warnings);

}  // namespace etcd_snapshot
