// YAML files of other programs on an etcd host: what etcd is started with stands in them. Read by
// their grammar and not judged: keys of no interest may be anything.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace etcd_snapshot {

// One container of a pod's manifest, as the kubelet starts it.
struct PodContainer {
  std::string name;
  std::vector<std::string> command;  // `command`, then `args`; $(NAME) replaced where it is set
  std::map<std::string, std::string> env;  // those with a `value`
};

// The containers of a static pod. kConfig, with file and line: no YAML, or no pod.
Result<std::vector<PodContainer>> read_pod_containers(const std::string& path,
                                                      const std::string& text);

// The single values of a map, and of the maps in it as "outer.inner"; lists and what lies deeper
// are passed over. kConfig, with file and line: no YAML, or no map.
Result<std::map<std::string, std::string>> read_yaml_values(const std::string& path,
                                                            const std::string& text);

}  // namespace etcd_snapshot
