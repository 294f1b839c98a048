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

#include "config/cluster_keys.h"
#include "config/value.h"

namespace etcd_snapshot {

std::string_view without_byte_order_mark(std::string_view text);

// The first document of a file without its byte order mark; Null where there is none. Parse errors,
// and text after the document that no `---` separates from it, are kConfig errors with file and
// line, and with what probably caused them: a tab, or a character that cannot be seen. Does not
// throw.
Result<YAML::Node> parse_first_document(const std::string& path, std::string_view text);

// Null and the empty string mean that a key is not set.
bool is_unset(const YAML::Node& node);

// "a map", "a list", "a single value", "nothing"
std::string_view shape_of(const YAML::Node& node);

// A key that nobody knows as a message shows it: its first word. What follows may be a secret whose
// colon or space is missing.
std::string shown_key(std::string_view key);

class YamlMap {
 public:
  struct Entry {
    std::string key;      // by its name in keys_of() where it is ours, else as written
    std::string written;  // as it is written
    bool ours = false;
    int line = 0;       // from 1
    size_t offset = 0;  // of the key in the text
    YAML::Node value;
  };

  // `node` must be a map or unset, which gives an empty one. `place` is where it stands, its key
  // the dotted path (empty for the document). Maps merged in with `<<` count as written, the keys
  // beside it win. A key of ours that is written twice is an error; of any other the first one
  // counts, as for RKE. Keys that are no single values are passed over: none of ours are.
  static Result<YamlMap> read(const Place& place, const YAML::Node& node, KeyLevel level);

  const Place& place() const { return place_; }
  const std::vector<Entry>& entries() const { return entries_; }
  // nullptr: not there. One that is there may still be unset.
  const Entry* find(std::string_view key) const;
  // Where the value of `key` stands, for messages. An absent key has the line of the map.
  Place place_of(std::string_view key) const;

  // The text of a single value; nullopt where it is not set. The error does not show the value.
  Result<std::optional<std::string>> text(std::string_view key) const;
  bool is_set(std::string_view key) const;
  // Another single value for a key that is there.
  void replace(std::string_view key, const std::string& text);
  // Whether its entries are those of the node, which may stand elsewhere and be merged or aliased.
  bool comes_from(const YAML::Node& node) const;

 private:
  // The keys of `node` that are not there yet, then those that it merges in.
  Result<void> add(const YAML::Node& node);

  Place place_;
  KeyLevel level_ = KeyLevel::kRoot;
  std::vector<YAML::Node> nodes_;
  std::vector<Entry> entries_;
  std::map<std::string, size_t, std::less<>> index_;  // of entries_, by key
  int maps_added_ = 0;
};

}  // namespace etcd_snapshot
