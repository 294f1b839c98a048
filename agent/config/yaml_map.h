// A YAML document and its maps as the reader of cluster.yml wants them: every key with its line,
// keys written twice and values of the wrong shape as errors. yaml-cpp keeps the one silently and
// throws on the other; its exceptions end at the callers of this file (cluster_yaml.cc).
#pragma once

#include <yaml-cpp/yaml.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/value.h"

namespace etcd_snapshot {

// The first document of a file; Null where there is none. Parse errors, and text after the document
// that no `---` separates from it, are kConfig errors with file and line. Does not throw.
Result<YAML::Node> parse_first_document(const std::string& path, const std::string& text);

// Null and the empty string mean that a key is not set.
bool is_unset(const YAML::Node& node);

// "a map", "a list", "a single value", "nothing"
std::string_view shape_of(const YAML::Node& node);

class YamlMap {
 public:
  struct Entry {
    std::string key;
    int line = 0;
    YAML::Node value;
  };

  // `node` must be a map or unset, which gives an empty one. `place` is where it stands, its key
  // the dotted path (empty for the document). Maps merged in with `<<` count as written, the keys
  // beside it win. Keys that are no single values are passed over: none of ours are.
  static Result<YamlMap> read(const Place& place, const YAML::Node& node);

  const std::vector<Entry>& entries() const { return entries_; }
  // nullptr: not there. One that is there may still be unset.
  const Entry* find(std::string_view key) const;
  // Where the value of `key` stands, for messages. An absent key has the line of the map.
  Place place_of(std::string_view key) const;

  // The map below `key`; empty where it is not set.
  Result<YamlMap> map(std::string_view key) const;
  // The text of a single value; nullopt where it is not set. The error does not show the value.
  Result<std::optional<std::string>> text(std::string_view key) const;
  bool is_set(std::string_view key) const;

 private:
  // The keys of `node` that are not there yet, then those that it merges in.
  Result<void> add(const YAML::Node& node);

  Place place_;
  std::vector<Entry> entries_;
  std::map<std::string, size_t, std::less<>> index_;  // of entries_, by key
  int maps_added_ = 0;
};

}  // namespace etcd_snapshot
