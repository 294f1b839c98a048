// Whether the operator meant what is read of cluster.yml: keys that nobody knows and that are near
// a key of ours, keys of ours where they are not read, characters that cannot be seen. What is
// found is a doubt (Settings::doubts), never an error: it costs no snapshot. What the agent does
// not read it does not judge, but for keys that only backups have.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/cluster_keys.h"
#include "config/settings.h"
#include "config/yaml_map.h"

namespace etcd_snapshot {

class KeyDoubts {
 public:
  // `text` is the file's, whose marks the nodes have; it and `doubts` outlive this.
  KeyDoubts(std::string_view text, std::vector<ConfigWarning>& doubts)
      : text_(text), doubts_(doubts) {}

  // The map of that level: `node` for the document, else below `key` of `parent`. Values in it that
  // hold invisible characters are a doubt and replaced by what was probably meant.
  Result<YamlMap> read(const Place& place, const YAML::Node& node, KeyLevel level);
  Result<YamlMap> read_below(const YamlMap& parent, std::string_view key, KeyLevel level);

  // Whether `key` is there with nothing at all behind its colon, not even `null`.
  bool is_blank(const YamlMap& map, std::string_view key) const;

  void add(const Place& place, std::string_view what);
  bool any() const { return !doubts_.empty(); }

  // Those of a level that were read.
  std::vector<const YamlMap*> maps(KeyLevel level) const;

  // Whether that key of ours was probably meant by one that is in doubt. After judge().
  bool meant(std::string_view name) const;

  // Judges the keys of every map that was read, and what lies beside them.
  void judge();

 private:
  void clean_values(YamlMap& map, KeyLevel level);
  void judge_key(const YamlMap& map, KeyLevel level, const YamlMap::Entry& entry);
  bool judge_characters(const YamlMap& map, KeyLevel level, const YamlMap::Entry& entry);
  bool judge_spelling(const YamlMap& map, KeyLevel level, const YamlMap::Entry& entry);
  void judge_content(const YamlMap& map, KeyLevel level, const YamlMap::Entry& entry);
  std::string where_it_belongs(std::string_view name, KeyLevel level) const;
  int indentation(KeyLevel level) const;
  bool is_read(const YAML::Node& node) const;
  Place place_at(const YamlMap& map, const std::string& key, size_t offset) const;
  size_t find_near(std::string_view bytes, size_t offset, size_t length) const;
  struct Hit {
    std::string key;
    size_t offset;
  };
  bool search(const YAML::Node& node, bool wide, KeyLevel level, int depth, Hit& hit);

  std::string_view text_;
  std::vector<ConfigWarning>& doubts_;
  std::vector<std::pair<KeyLevel, YamlMap>> maps_;
  std::vector<std::string_view> meant_;
  int left_to_search_ = 100'000;  // nodes: aliases can make a small file a large tree
};

}  // namespace etcd_snapshot
