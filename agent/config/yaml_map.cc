#include "config/yaml_map.h"

#include <fmt/format.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "config/characters.h"

namespace etcd_snapshot {
namespace {

// Maps that are merged in may merge others, with anchors even themselves or each one many times.
constexpr int kMaxMergedMaps = 64;

// Thrown by our own event handler, caught in the same function: yaml-cpp has no other way to stop.
struct SecondDocument {
  int line;
};

// Lets the first document pass and stops where a second one begins.
class DocumentCounter final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw SecondDocument{mark.line + 1};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  int documents_ = 0;
};

Error syntax_error(const std::string& path, int line, std::string_view what) {
  Error error;
  error.kind = ErrorKind::kConfig;
  error.message = fmt::format("{}:{}: not well-formed YAML: {}", path, line, what);
  error.hint = "look for wrong indentation, a missing colon or quote on this line or just above it";
  return error;
}

std::string_view line_at(std::string_view text, int line) {
  for (int i = 1; i < line && text.find('\n') != text.npos; ++i) {
    text.remove_prefix(text.find('\n') + 1);
  }
  return text.substr(0, text.find('\n'));
}

// A tab in the indentation of a line, or a character that cannot be seen: what YAML stumbles over.
struct Culprit {
  int column = 0;
  std::string name;
};
std::optional<Culprit> find_culprit(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t");
  if (first == line.npos || line[first] == '#') return std::nullopt;
  if (const size_t tab = line.substr(0, first).find('\t'); tab != line.npos) {
    return Culprit{static_cast<int>(tab) + 1, "a tab; YAML is indented with spaces"};
  }
  if (const auto odd = find_odd_character(line, Odd::kAny)) {
    return Culprit{position_of(line, odd->offset).column,
                   odd->name + "; write it again by hand, with plain spaces and colons"};
  }
  return std::nullopt;
}

// yaml-cpp tells where it could not go on, which may be a line or two behind what is wrong.
Error explained(const std::string& path, std::string_view text, int line, std::string_view what) {
  for (const int near : {line, line - 1, line + 1, line - 2}) {
    if (near < 1) continue;
    if (const auto culprit = find_culprit(line_at(text, near))) {
      Error error = syntax_error(path, near, culprit->name);
      error.message = fmt::format("{}:{}:{}: not well-formed YAML: {}", path, near, culprit->column,
                                  culprit->name);
      return error;
    }
  }
  return syntax_error(path, line, what);
}

// yaml-cpp stops quietly where the top-level value ends: a line with too little indentation would
// cut off the rest of the file, and backups with it.
Result<void> check_rest(const std::string& path, const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentCounter counter;
  try {
    while (parser && parser.HandleNextDocument(counter)) {
    }
  } catch (const SecondDocument& found) {
    const std::string_view line = line_at(text, found.line);
    if (!line.starts_with("---") && !line.starts_with("%") && !line.starts_with("...")) {
      return explained(path, text, found.line, "this line belongs to nothing above it");
    }
  }
  return {};
}

}  // namespace

std::string_view without_byte_order_mark(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return text;
}

Result<YAML::Node> parse_first_document(const std::string& path, std::string_view plain_text) {
  const std::string text(plain_text);
  if (const int line = first_bad_text_line(text); line != 0) {
    return syntax_error(path, line, "a control character, or bytes that are not UTF-8");
  }
  try {
    YAML::Node root = YAML::Load(text);
    ES_TRY(check_rest(path, text));
    return root;
  } catch (const YAML::DeepRecursion& error) {
    return syntax_error(path, error.mark.line + 1, "nested too deeply");
  } catch (const YAML::Exception& error) {
    // What follows the colon is text of the file (an anchor, a tag), which may be part of a secret.
    const std::string what = error.msg.substr(0, error.msg.find(':'));
    return explained(path, text, error.mark.is_null() ? 1 : error.mark.line + 1, what);
  }
}

bool is_unset(const YAML::Node& node) {
  return !node.IsDefined() || node.IsNull() || (node.IsScalar() && node.Scalar().empty());
}

std::string_view shape_of(const YAML::Node& node) {
  if (is_unset(node)) return "nothing";
  return node.IsMap() ? "a map" : node.IsSequence() ? "a list" : "a single value";
}

std::string shown_key(std::string_view key) {
  constexpr size_t kLongest = 40;
  const auto is_word = [](unsigned char c) {
    return c >= 0x80 || isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
  };
  const auto end = std::find_if_not(key.begin(), key.end(), is_word);
  std::string_view word = key.substr(0, static_cast<size_t>(end - key.begin()));
  if (const auto odd = find_odd_character(word, Odd::kAny)) word = word.substr(0, odd->offset);
  if (word.size() > kLongest) word = "";
  return word.size() == key.size() ? std::string(word) : std::string(word) + "...";
}

Result<YamlMap> YamlMap::read(const Place& place, const YAML::Node& node, KeyLevel level) {
  YamlMap map;
  map.place_ = place;
  map.level_ = level;
  if (is_unset(node)) return map;
  if (!node.IsMap()) {
    Place shown_place = place;
    if (place.key.empty()) shown_place.key = "the document";
    return bad_setting(shown_place, fmt::format("{} where a map belongs", shape_of(node)),
                       "indented `key: value` lines");
  }
  ES_TRY(map.add(node));
  return map;
}

Result<void> YamlMap::add(const YAML::Node& node) {
  const bool merged = maps_added_ > 0;
  if (++maps_added_ > kMaxMergedMaps) {
    return bad_setting(place_of("<<"), "too many merged maps",
                       fmt::format("at most {}", kMaxMergedMaps));
  }
  nodes_.push_back(node);
  const size_t first_own = entries_.size();
  std::vector<YAML::Node> merges;
  for (const auto& pair : node) {
    if (!pair.first.IsScalar()) continue;
    const std::string written = pair.first.Scalar();
    const YAML::Mark mark = pair.first.Mark();
    const std::string_view name = key_name(level_, written);
    Entry entry{
        name.empty() ? written : std::string(name), written,    !name.empty(), mark.line + 1,
        static_cast<size_t>(std::max(mark.pos, 0)), pair.second};
    if (entry.key == "<<") {
      merges.push_back(pair.second);
      continue;
    }
    const auto [place, is_new] = index_.try_emplace(entry.key, entries_.size());
    if (is_new) {
      entries_.push_back(std::move(entry));
      continue;
    }
    // What was there before a merge wins; the other keys are RKE's business.
    const bool hidden = merged && place->second < first_own;
    if (hidden || !entry.ours) continue;
    Place twice = place_of(entry.key);
    const int first_line = std::exchange(twice.line, entry.line);
    return bad_setting(twice, fmt::format("written twice, first on line {}", first_line),
                       "each key once");
  }
  for (const YAML::Node& merge : merges) {
    if (merge.IsMap()) {
      ES_TRY(add(merge));
      continue;
    }
    if (!merge.IsSequence()) return bad_setting(place_of("<<"), "no map to merge", "`<<: *anchor`");
    for (const auto& part : merge) {
      if (!part.IsMap()) return bad_setting(place_of("<<"), "no map to merge", "`<<: *anchor`");
      ES_TRY(add(part));
    }
  }
  return {};
}

const YamlMap::Entry* YamlMap::find(std::string_view key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

Place YamlMap::place_of(std::string_view key) const {
  const Entry* entry = find(key);
  const std::string_view written = entry == nullptr ? key : entry->written;
  return {place_.file, entry == nullptr ? place_.line : entry->line,
          place_.key.empty() ? std::string(written) : fmt::format("{}.{}", place_.key, written)};
}

Result<std::optional<std::string>> YamlMap::text(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr || is_unset(entry->value)) return std::optional<std::string>();
  if (!entry->value.IsScalar()) {
    return bad_setting(place_of(key),
                       fmt::format("{} where one value belongs", shape_of(entry->value)),
                       "a single value on the same line");
  }
  return std::optional<std::string>(entry->value.Scalar());
}

void YamlMap::replace(std::string_view key, const std::string& text) {
  const auto found = index_.find(key);
  if (found != index_.end()) entries_[found->second].value = YAML::Node(text);
}

bool YamlMap::comes_from(const YAML::Node& node) const {
  return std::any_of(nodes_.begin(), nodes_.end(),
                     [&](const YAML::Node& own) { return own.is(node); });
}

bool YamlMap::is_set(std::string_view key) const {
  const Entry* entry = find(key);
  return entry != nullptr && !is_unset(entry->value);
}

}  // namespace etcd_snapshot
