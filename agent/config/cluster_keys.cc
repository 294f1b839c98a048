#include "config/cluster_keys.h"

#include <algorithm>

#include "config/nearest_key.h"

namespace etcd_snapshot {
namespace {

// The spellings: rancher/rke types/rke_types.go (yaml and json tags), Rancher's generated clients.
constexpr ClusterKey kRootKeys[] = {
    {"services"},
    {"rancher_kubernetes_engine_config", {"rancherKubernetesEngineConfig"}},
};
constexpr ClusterKey kServicesKeys[] = {{"etcd"}};
constexpr ClusterKey kEtcdKeys[] = {
    {"backup_config", {"backupConfig"}}, {"creation"}, {"retention"}, {"snapshot"}};
constexpr ClusterKey kBackupConfigKeys[] = {
    {"enabled"},
    {"interval_hours", {"intervalHours"}},
    {"retention"},
    {"s3backupconfig", {"s3_backup_config", "s3BackupConfig"}},
    {"safe_timestamp", {"safeTimestamp"}},
    {"timeout"},
};
constexpr ClusterKey kS3Keys[] = {
    {"access_key", {"accessKey"}},
    {"bucket_name", {"bucketName"}},
    {"custom_ca", {"customCa", "customCA"}},  // the latter in rancher/docs#1766
    {"endpoint"},
    {"folder"},
    {"region"},
    {"secret_key", {"secretKey"}},
};

// The same type's other fields, and what Rancher's export has beside the wrapper.
constexpr std::string_view kOthersAtRoot[] = {
    "nodes", "network", "authentication", "addons", "addons_include", "system_images",
    "ssh_key_path", "ssh_cert_path", "ssh_agent_auth", "authorization", "ignore_docker_version",
    "enable_cri_dockerd", "kubernetes_version", "private_registries", "ingress", "cluster_name",
    "cloud_provider", "prefix_path", "win_prefix_path", "addon_job_timeout", "bastion_host",
    "monitoring", "restore", "rotate_certificates", "rotate_encryption_key", "dns",
    "upgrade_strategy", "cri_dockerd_stream_server_address", "cri_dockerd_stream_server_port",
    // Rancher
    "answers", "default_pod_security_policy_template_id", "docker_root_dir",
    "enable_cluster_alerting", "enable_cluster_monitoring", "enable_network_policy",
    "local_cluster_auth_endpoint", "scheduled_cluster_scan", "windows_prefered_cluster"};
constexpr std::string_view kOthersOfServices[] = {"kube-api", "kube-controller", "scheduler",
                                                  "kubelet", "kubeproxy"};
constexpr std::string_view kOthersOfEtcd[] = {"image",
                                              "extra_args",
                                              "extra_args_array",
                                              "extra_binds",
                                              "extra_env",
                                              "win_extra_args",
                                              "win_extra_args_array",
                                              "win_extra_binds",
                                              "win_extra_env",
                                              "external_urls",
                                              "ca_cert",
                                              "cert",
                                              "key",
                                              "path",
                                              "uid",
                                              "gid"};

std::span<const std::string_view> others(KeyLevel level) {
  switch (level) {
    case KeyLevel::kRoot:
      return kOthersAtRoot;
    case KeyLevel::kServices:
      return kOthersOfServices;
    case KeyLevel::kEtcd:
      return kOthersOfEtcd;
    case KeyLevel::kBackupConfig:
    case KeyLevel::kS3:
      break;
  }
  return {};
}

}  // namespace

std::span<const ClusterKey> keys_of(KeyLevel level) {
  switch (level) {
    case KeyLevel::kRoot:
      return kRootKeys;
    case KeyLevel::kServices:
      return kServicesKeys;
    case KeyLevel::kEtcd:
      return kEtcdKeys;
    case KeyLevel::kBackupConfig:
      return kBackupConfigKeys;
    case KeyLevel::kS3:
      break;
  }
  return kS3Keys;
}

std::vector<std::string_view> names_of(KeyLevel level) {
  std::vector<std::string_view> names;
  for (const ClusterKey& key : keys_of(level)) names.push_back(key.name);
  return names;
}

std::string_view key_name(KeyLevel level, std::string_view key) {
  if (key.empty()) return "";
  for (const ClusterKey& known : keys_of(level)) {
    if (key == known.name) return known.name;
    if (std::find(known.spellings.begin(), known.spellings.end(), key) != known.spellings.end()) {
      return known.name;
    }
  }
  return "";
}

bool is_known_elsewhere(KeyLevel level, std::string_view key) {
  const std::string plain = folded_key(key);
  const auto known = others(level);
  return std::any_of(known.begin(), known.end(),
                     [&](std::string_view other) { return folded_key(other) == plain; });
}

std::string_view path_of(KeyLevel level) {
  constexpr std::string_view kPaths[] = {"", "services", "services.etcd",
                                         "services.etcd.backup_config",
                                         "services.etcd.backup_config.s3backupconfig"};
  return kPaths[static_cast<size_t>(level)];
}

bool is_rancher_wrapper(std::string_view key) {
  return key_name(KeyLevel::kRoot, key) == "rancher_kubernetes_engine_config";
}

}  // namespace etcd_snapshot
