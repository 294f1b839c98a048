#include "config/key_doubts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/characters.h"
#include "config/nearest_key.h"

namespace etcd_snapshot {
namespace {

constexpr int kMaxSearchDepth = 32;

// What other tools, and RKE's own flags, call it.
struct Synonym {
  KeyLevel level;
  std::string_view folded, name;
};
constexpr Synonym kSynonyms[] = {
    {KeyLevel::kS3, "endpointca", "custom_ca"},  // rancher-archives/rke#1628
    {KeyLevel::kS3, "s3endpointca", "custom_ca"},
    {KeyLevel::kS3, "cacert", "custom_ca"},
    {KeyLevel::kS3, "secretaccesskey", "secret_key"},
    {KeyLevel::kS3, "prefix", "folder"},
    {KeyLevel::kS3, "path", "folder"},
    {KeyLevel::kBackupConfig, "s3", "s3backupconfig"},
    {KeyLevel::kBackupConfig, "keep", "retention"},
};

// Where a key of ours is looked for, the likeliest first: `retention` has two places.
constexpr std::array<KeyLevel, 5> kBelongs = {
    KeyLevel::kBackupConfig, KeyLevel::kS3, KeyLevel::kEtcd, KeyLevel::kServices, KeyLevel::kRoot};

// Words that mean something else in a hundred other files; they count only close to ours.
constexpr std::string_view kCommonWords[] = {"enabled", "timeout", "endpoint", "folder",
                                             "region",  "etcd",    "services"};
// Those that only backups of etcd have, wherever they stand.
constexpr std::string_view kOnlyOurs[] = {"backup_config", "s3backupconfig", "interval_hours"};

template <typename Words>
bool contains(const Words& words, std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

std::string_view near_name(KeyLevel level, std::string_view key) {
  const std::string plain = folded_key(key);
  for (const Synonym& synonym : kSynonyms) {
    if (synonym.level == level && synonym.folded == plain) return synonym.name;
  }
  // Where most keys are somebody else's, a word of ours with more behind it is most likely theirs.
  const bool theirs = level == KeyLevel::kRoot || level == KeyLevel::kServices;
  return near_key(key, names_of(level), theirs ? Stems::kDoNot : Stems::kCount);
}

// The same letters as a key of ours at that level; its name, or nothing.
std::string_view same_letters(KeyLevel level, std::string_view key) {
  const std::string plain = folded_key(key);
  for (const std::string_view name : names_of(level)) {
    if (folded_key(name) == plain) return name;
  }
  return "";
}

// "retention:720" and "retention： 720" are one word to YAML.
std::string_view before_colon(std::string_view key) {
  return key.substr(0, key.find(':'));
}

}  // namespace

void KeyDoubts::add(const Place& place, std::string_view what) {
  doubts_.push_back({at(place) + std::string(what)});
}

Place KeyDoubts::place_at(const YamlMap& map, const std::string& key, size_t offset) const {
  const TextPosition position = position_of(text_, offset);
  Place place = map.place();
  place.key = place.key.empty() ? shown_key(key) : place.key + "." + shown_key(key);
  place.line = position.line;
  place.column = position.column;
  return place;
}

// Where `bytes` stand in the text from `offset` on; they may be written as an escape.
size_t KeyDoubts::find_near(std::string_view bytes, size_t offset, size_t length) const {
  if (offset > text_.size()) return 0;
  constexpr size_t kMargin = 256;
  const size_t found = text_.substr(offset, 2 * length + kMargin).find(bytes);
  return found == text_.npos ? offset : offset + found;
}

Result<YamlMap> KeyDoubts::read(const Place& place, const YAML::Node& node, KeyLevel level) {
  ES_ASSIGN(map, YamlMap::read(place, node, level));
  clean_values(map, level);
  maps_.emplace_back(level, map);
  return map;
}

Result<YamlMap> KeyDoubts::read_below(const YamlMap& parent, std::string_view key, KeyLevel level) {
  const YamlMap::Entry* const entry = parent.find(key);
  if (entry == nullptr) return read(parent.place_of(key), YAML::Node(), level);
  const YAML::Node& node = entry->value;
  // One word where keys and values were meant: nothing of it can be read.
  if (node.IsScalar() && !is_unset(node)) {
    const std::string value = node.Scalar();
    const auto odd = find_odd_character(value, Odd::kAny);
    const auto start = static_cast<size_t>(std::max(node.Mark().pos, 0));
    const std::string_view name =
        near_name(level, before_colon(without_odd_characters(value, Odd::kAny)));
    if (odd && !name.empty()) {
      const std::string_view bytes = std::string_view(value).substr(odd->offset, odd->length);
      add(place_at(parent, entry->written, find_near(bytes, start, value.size())),
          fmt::format("{} makes one word of what follows, so nothing of it is read; probably "
                      "meant: `{}: VALUE` with a plain colon and a plain space",
                      odd->name, name));
      return read(parent.place_of(key), YAML::Node(), level);
    }
    if (value.find(':') != value.npos && !name.empty()) {
      add(place_at(parent, entry->written, start),
          fmt::format("no space after the colon, so nothing of it is read; write `{}: VALUE`",
                      name));
      return read(parent.place_of(key), YAML::Node(), level);
    }
  }
  return read(parent.place_of(key), node, level);
}

bool KeyDoubts::is_blank(const YamlMap& map, std::string_view key) const {
  const YamlMap::Entry* const entry = map.find(key);
  if (entry == nullptr || !entry->value.IsNull()) return false;
  const int start = entry->value.Mark().pos;
  if (start < 0 || static_cast<size_t>(start) >= text_.size()) return true;
  const std::string_view rest = text_.substr(static_cast<size_t>(start));
  return !rest.starts_with('~') && folded_key(rest.substr(0, 4)) != "null";
}

// Takes what was probably meant, as nothing is deleted in doubt; but a switch that is to turn
// backups off has to be clear.
void KeyDoubts::clean_values(YamlMap& map, KeyLevel level) {
  for (const ClusterKey& known : keys_of(level)) {
    const YamlMap::Entry* const entry = map.find(known.name);
    if (entry == nullptr || !entry->value.IsScalar()) continue;
    // People name folders in every script.
    const Odd which = known.name == "folder" ? Odd::kUnseen : Odd::kAny;
    const std::string value = entry->value.Scalar();
    const auto odd = find_odd_character(value, which);
    if (!odd) continue;
    const std::string_view bytes = std::string_view(value).substr(odd->offset, odd->length);
    const auto start = static_cast<size_t>(std::max(entry->value.Mark().pos, 0));
    const bool is_map = level == KeyLevel::kRoot || level == KeyLevel::kServices ||
                        known.name == "backup_config" || known.name == "s3backupconfig";
    if (is_map) continue;  // read_below() has more to say
    add(place_at(map, entry->written, find_near(bytes, start, value.size())),
        fmt::format("the value holds {}; write it again by hand, without that character",
                    odd->name));
    std::string meant = without_odd_characters(value, which);
    if (const size_t comment = meant.find(" #"); comment != meant.npos) {
      meant = without_odd_characters(meant.substr(0, comment), which);
    }
    const bool quoted = meant.size() >= 2 && (meant.front() == '"' || meant.front() == '\'') &&
                        meant.front() == meant.back();
    if (quoted) meant = meant.substr(1, meant.size() - 2);
    const bool is_switch = known.name == "enabled" || known.name == "snapshot";
    map.replace(known.name, is_switch ? "" : meant);
  }
}

std::vector<const YamlMap*> KeyDoubts::maps(KeyLevel level) const {
  std::vector<const YamlMap*> found;
  for (const auto& [read_level, map] : maps_) {
    if (read_level == level) found.push_back(&map);
  }
  return found;
}

bool KeyDoubts::meant(std::string_view name) const {
  return contains(meant_, name);
}

void KeyDoubts::judge() {
  for (const auto& [level, map] : maps_) {
    for (const YamlMap::Entry& entry : map.entries()) {
      if (!entry.ours && !is_read(entry.value)) judge_key(map, level, entry);
    }
  }
}

void KeyDoubts::judge_key(const YamlMap& map, KeyLevel level, const YamlMap::Entry& entry) {
  if (judge_characters(map, level, entry)) return;
  if (!is_known_elsewhere(level, entry.written) && judge_spelling(map, level, entry)) return;
  judge_content(map, level, entry);
}

// Blanks and invisible characters in any key; a look-alike where the rest is a key of ours.
bool KeyDoubts::judge_characters(const YamlMap& map, KeyLevel level, const YamlMap::Entry& entry) {
  const auto odd = find_odd_character(entry.written, Odd::kAny);
  if (!odd) return false;
  const std::string clean(before_colon(without_odd_characters(entry.written, Odd::kAny)));
  // The same letters first, and with such blanks in front it stands further left than it looks.
  std::string_view name = same_letters(level, clean);
  std::string meant;
  for (size_t i = 0; name.empty() && i < kBelongs.size(); ++i) {
    name = same_letters(kBelongs[i], clean);
    if (!name.empty()) meant = where_it_belongs(name, kBelongs[i]);
  }
  if (name.empty()) name = near_name(level, clean);
  if (meant.empty() && !name.empty()) meant = fmt::format("'{}'", name);
  const bool unseen = find_odd_character(entry.written, Odd::kUnseen).has_value();
  if (meant.empty() && (!unseen || is_known_elsewhere(level, clean))) return false;
  const std::string_view bytes = std::string_view(entry.written).substr(odd->offset, odd->length);
  meant_.push_back(name);
  add(place_at(map, clean, find_near(bytes, entry.offset, entry.written.size())),
      fmt::format("the key holds {}, so it is not read; {}", odd->name,
                  meant.empty() ? "write it again by hand, without that character"
                                : "probably meant: " + meant));
  return true;
}

bool KeyDoubts::judge_spelling(const YamlMap& map, KeyLevel level, const YamlMap::Entry& entry) {
  const bool far_from_ours = level == KeyLevel::kRoot || level == KeyLevel::kServices;
  const std::string key(before_colon(entry.written));
  const Place place = place_at(map, entry.written, entry.offset);
  const auto tell = [&](std::string_view name) {
    meant_.push_back(name);
    add(place, key == entry.written
                   ? fmt::format("unknown key; probably meant: '{}'", name)
                   : fmt::format("no space after the colon, so it is not read; probably meant: "
                                 "`{}: VALUE`",
                                 name));
    return true;
  };
  if (const std::string_view same = same_letters(level, key); !same.empty()) return tell(same);
  for (const KeyLevel other : kBelongs) {
    const std::string_view name = same_letters(other, key);
    if (other == level || name.empty()) continue;
    const bool etcd_itself = name == "etcd" && level == KeyLevel::kRoot && entry.value.IsMap();
    if (far_from_ours && contains(kCommonWords, name) && !etcd_itself) continue;
    meant_.push_back(name);
    add(place, "not read here; it belongs elsewhere: " + where_it_belongs(name, other));
    return true;
  }
  const std::string_view near = near_name(level, key);
  return !near.empty() && tell(near);
}

// Something that is not read and holds keys of ours.
void KeyDoubts::judge_content(const YamlMap& map, KeyLevel level, const YamlMap::Entry& entry) {
  if (!entry.value.IsMap() && !entry.value.IsSequence()) return;
  Hit hit;
  const bool wide = !is_known_elsewhere(level, entry.written);
  if (!search(entry.value, wide, level, 0, hit)) return;
  for (const KeyLevel other : kBelongs) {
    const std::string_view name = key_name(other, hit.key);
    if (name.empty()) continue;
    meant_.push_back(name);
    add(place_at(map, entry.written + "." + hit.key, hit.offset),
        "not read here; it belongs elsewhere: " + where_it_belongs(name, other));
    return;
  }
}

// `wide`: also keys of ours that others could have, as far as `level` is near to ours.
bool KeyDoubts::search(const YAML::Node& node, bool wide, KeyLevel level, int depth, Hit& hit) {
  if (depth > kMaxSearchDepth || --left_to_search_ < 0 || is_read(node)) return false;
  if (node.IsSequence()) {
    for (const auto& item : node) {
      if (search(item, wide, level, depth + 1, hit)) return true;
    }
    return false;
  }
  if (!node.IsMap()) return false;
  const bool near = level != KeyLevel::kRoot && level != KeyLevel::kServices;
  for (const auto& pair : node) {
    if (!pair.first.IsScalar()) continue;
    const std::string key = pair.first.Scalar();
    for (const KeyLevel other : kBelongs) {
      const std::string_view name = key_name(other, key);
      if (name.empty() || is_read(pair.second)) continue;
      const bool counts = contains(kOnlyOurs, name) ||
                          (wide && (name == "bucket_name" || name == "safe_timestamp")) ||
                          (wide && near && !contains(kCommonWords, name));
      if (!counts) continue;
      hit = {key, static_cast<size_t>(std::max(pair.first.Mark().pos, 0))};
      return true;
    }
    if (search(pair.second, wide, level, depth + 1, hit)) return true;
  }
  return false;
}

bool KeyDoubts::is_read(const YAML::Node& node) const {
  return std::any_of(maps_.begin(), maps_.end(),
                     [&](const auto& read) { return read.second.comes_from(node); });
}

std::string KeyDoubts::where_it_belongs(std::string_view name, KeyLevel level) const {
  if (level == KeyLevel::kRoot) return fmt::format("'{}' without indentation", name);
  return fmt::format("'{}' below {}, indented with {} spaces", name, path_of(level),
                     indentation(level));
}

// As the file does it, else two spaces a level.
int KeyDoubts::indentation(KeyLevel level) const {
  for (const auto& [read_level, map] : maps_) {
    if (read_level != level) continue;
    for (const YamlMap::Entry& entry : map.entries()) {
      if (entry.ours) return position_of(text_, entry.offset).column - 1;
    }
  }
  if (level == KeyLevel::kRoot) return 0;
  return indentation(static_cast<KeyLevel>(static_cast<int>(level) - 1)) + 2;
}

}  // namespace etcd_snapshot
