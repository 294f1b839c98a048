// services.etcd.backup_config.s3backupconfig: which bucket, with which keys. Secrets and the
// certificate never appear in a message.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/settings.h"
#include "config/yaml_map.h"

namespace etcd_snapshot {

inline constexpr char kDefaultS3Endpoint[] = "s3.amazonaws.com";

// The same as flags of the command line (`save --s3 ...`); nullopt: not given.
struct S3Flags {
  bool upload = false;
  std::optional<std::string> access_key, secret_key, bucket_name, folder, region, endpoint;
  std::optional<std::string> endpoint_ca;  // a file

  // Whether any but `upload` was given, which make sense only with it.
  bool any_detail() const;
};

// cluster.yml's bucket, if there is one, with the flags over it; checked as cluster.yml is. kUsage,
// naming the flag.
Result<S3Policy> apply_s3_flags(const std::optional<S3Policy>& policy, const S3Flags& flags);

// `map` is the map below s3backupconfig. kConfig errors; appends to `warnings`.
Result<S3Policy> read_s3_policy(const YamlMap& map, std::vector<ConfigWarning>& warnings);

}  // namespace etcd_snapshot
