#include "config/foreign_yaml.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

std::string words_of(const std::string& text) {
  const auto containers = read_pod_containers("etcd.yaml", text);
  if (!containers) return "error: " + containers.error().message;
  std::string all;
  for (const PodContainer& container : *containers) {
    all += "[" + container.name;
    for (const std::string& word : container.command) all += " " + word;
    all += "]";
  }
  return all;
}

}  // namespace

TEST_GROUP(ForeignYaml){};

TEST(ForeignYaml, ReadsTheCommandsOfAPod) {
  const struct {
    const char *text, *words;
  } rows[] = {
      {"spec:\n  containers:\n  - command:\n    - etcd\n#   - --a=1\n    - --b=2\n    name: etcd\n",
       "[etcd etcd --b=2]"},
      {"spec: {containers: [{name: a, command: [etcd, '--a=1'], args: [\"--b\", 2]}]}",
       "[a etcd --a=1 --b 2]"},
      {"spec:\n  containers:\n  - name: a\n    args: &x [--a]\n  - name: b\n    args: *x\n",
       "[a --a][b --a]"},
      {"spec:\n  containers:\n  - command:\n    - >-\n      --a=1\n", "[ --a=1]"},
      {"spec:\n  containers:\n  - name: a\n    env:\n    - {name: IP, value: 10.0.0.1}\n"
       "    - {name: URL, value: 'https://$(IP):2379'}\n    - {name: HOST, valueFrom: {x: y}}\n"
       "    args: ['--a=$(URL)', '--b=$(HOST)', '--c=$$(IP)', '$(IP']\n",
       "[a --a=https://10.0.0.1:2379 --b=$(HOST) --c=$(IP) $(IP]"},
      {"spec:\n  containers: []\n", ""},
      {"kind: Pod\n", "error: etcd.yaml: not a pod's manifest (spec.containers)"},
      {"spec: x\n", "error: etcd.yaml: not a pod's manifest (spec.containers)"},
      {"- a\n", "error: etcd.yaml: not a pod's manifest (spec.containers)"},
      {"", "error: etcd.yaml: not a pod's manifest (spec.containers)"},
      {"spec:\n  containers:\n  - x\n  - [y]\n  - command: z\n", "[][][]"},
  };
  for (const auto& row : rows) STRCMP_EQUAL_TEXT(row.words, words_of(row.text).c_str(), row.text);
  const std::string broken = words_of("spec:\n  containers:\n  - command: [etcd\n");
  CHECK_TEXT(broken.starts_with("error: etcd.yaml:"), broken.c_str());
}

TEST(ForeignYaml, ReadsTheValuesOfAMapAndOfTheMapsInIt) {
  const auto values = read_yaml_values(
      "config", "a: 1\nb: 'x,y'\nc:\n  d: z\n  e: {f: g}\nh: [i]\nj:\nclient: {cert-file: /k}\n");
  CHECK_TRUE(values.ok());
  std::string all;
  for (const auto& [key, value] : *values) all += key + "=" + value + ";";
  STRCMP_EQUAL("a=1;b=x,y;c.d=z;client.cert-file=/k;", all.c_str());
  CHECK_TRUE(read_yaml_values("config", "")->empty());
  CHECK_FALSE(read_yaml_values("config", "- a\n").ok());
  CHECK_FALSE(read_yaml_values("config", "a: [\n").ok());
}
