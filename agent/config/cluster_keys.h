// The keys of cluster.yml on the way to the bucket: ours, in RKE's spelling and in Rancher's, and
// those that RKE and Rancher keep at the same levels. Tables only.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

namespace etcd_snapshot {

enum class KeyLevel { kRoot, kServices, kEtcd, kBackupConfig, kS3 };
inline constexpr std::array<KeyLevel, 5> kKeyLevels = {
    KeyLevel::kRoot, KeyLevel::kServices, KeyLevel::kEtcd, KeyLevel::kBackupConfig, KeyLevel::kS3};

// A key that is read. `spellings` are Rancher's other ones, of its exports, its API and Terraform.
struct ClusterKey {
  std::string_view name;
  std::array<std::string_view, 2> spellings{};
};

std::span<const ClusterKey> keys_of(KeyLevel level);

// The names of keys_of().
std::vector<std::string_view> names_of(KeyLevel level);

// The name that `key` spells at that level; empty: it is none of ours.
std::string_view key_name(KeyLevel level, std::string_view key);

// Whether RKE or Rancher know the key at that level and it is none of ours.
bool is_known_elsewhere(KeyLevel level, std::string_view key);

// "services.etcd.backup_config"; empty for the root.
std::string_view path_of(KeyLevel level);

// What Rancher puts everything below in a cluster.yml that it exports.
bool is_rancher_wrapper(std::string_view key);

}  // namespace etcd_snapshot
