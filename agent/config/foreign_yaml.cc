#include "config/foreign_yaml.h"

#include <fmt/format.h>

#include <utility>

#include "config/yaml_map.h"

namespace etcd_snapshot {
namespace {

Error not_expected(const std::string& path, std::string_view expected) {
  return {ErrorKind::kConfig, fmt::format("{}: not {}", path, expected), "", false, 0};
}

// The value of a key; undefined where `node` is not a map or has no such key.
YAML::Node value_of(const YAML::Node& node, const char* key) {
  return node.IsMap() ? node[key] : YAML::Node(YAML::NodeType::Undefined);
}

std::string text_of(const YAML::Node& node) {
  return node.IsDefined() && node.IsScalar() ? node.Scalar() : std::string();
}

// As Kubernetes expands it: "$$" stands for "$", and a reference to nothing stays as it is
// (k8s.io/kubernetes/third_party/forked/golang/expansion).
std::string expand(const std::string& text, const std::map<std::string, std::string>& env) {
  std::string expanded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '$') {
      expanded += text[i++];
      continue;
    }
    const size_t end = text.compare(i, 2, "$(") == 0 ? text.find(')', i) : text.npos;
    const auto value = end == text.npos ? env.end() : env.find(text.substr(i + 2, end - i - 2));
    if (value == env.end()) {
      expanded += text[i];
    } else {
      expanded += value->second;
      i = end;
    }
  }
  return expanded;
}

PodContainer read_container(const YAML::Node& node) {
  PodContainer container;
  container.name = text_of(value_of(node, "name"));
  const YAML::Node env = value_of(node, "env");
  if (env.IsDefined() && env.IsSequence()) {
    for (const auto& entry : env) {
      const YAML::Node value = value_of(entry, "value");
      if (!value.IsDefined()) continue;  // valueFrom: only the kubelet knows
      container.env[text_of(value_of(entry, "name"))] = expand(text_of(value), container.env);
    }
  }
  for (const char* key : {"command", "args"}) {
    const YAML::Node words = value_of(node, key);
    if (!words.IsDefined() || !words.IsSequence()) continue;
    for (const auto& word : words)
      container.command.push_back(expand(text_of(word), container.env));
  }
  return container;
}

void add_values(const YAML::Node& map, const std::string& prefix,
                std::map<std::string, std::string>& values) {
  for (const auto& pair : map) {
    if (!pair.first.IsScalar()) continue;
    const std::string key = prefix + pair.first.Scalar();
    if (pair.second.IsScalar()) values[key] = pair.second.Scalar();
    if (pair.second.IsMap() && prefix.empty()) add_values(pair.second, key + ".", values);
  }
}

// yaml-cpp throws on access, too; nothing of it leaves this file.
template <typename Read>
auto guarded(const std::string& path, std::string_view expected, const Read& read)
    -> decltype(read()) {
  try {
    return read();
  } catch (const YAML::Exception&) {
    return not_expected(path, expected);
  }
}

}  // namespace

Result<std::vector<PodContainer>> read_pod_containers(const std::string& path,
                                                      const std::string& text) {
  constexpr std::string_view kPod = "a pod's manifest (spec.containers)";
  ES_ASSIGN(root, parse_first_document(path, text));
  return guarded(path, kPod, [&]() -> Result<std::vector<PodContainer>> {
    const YAML::Node spec = value_of(root, "spec");
    const YAML::Node list = spec.IsDefined() ? value_of(spec, "containers") : spec;
    if (!list.IsDefined() || !list.IsSequence()) return not_expected(path, kPod);
    std::vector<PodContainer> containers;
    for (const auto& node : list) containers.push_back(read_container(node));
    return containers;
  });
}

Result<std::map<std::string, std::string>> read_yaml_values(const std::string& path,
                                                            const std::string& text) {
  constexpr std::string_view kMap = "a map of settings";
  ES_ASSIGN(root, parse_first_document(path, text));
  return guarded(path, kMap, [&]() -> Result<std::map<std::string, std::string>> {
    std::map<std::string, std::string> values;
    if (is_unset(root)) return values;
    if (!root.IsMap()) return not_expected(path, kMap);
    add_values(root, "", values);
    return values;
  });
}

}  // namespace etcd_snapshot
