#include "config/environment_file.h"

#include <algorithm>

namespace etcd_snapshot {
namespace {

constexpr std::string_view kBlanks = " \t\n\r";
constexpr std::string_view kLineEnds = "\n\r";

bool is_one_of(std::string_view set, char c) {
  return set.find(c) != set.npos;
}

bool is_variable_name(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && letter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// Read once from the front to the end, a character at a time.
class EnvironmentReader {
 public:
  explicit EnvironmentReader(std::string_view text) : text_(text) {}

  std::map<std::string, std::string> read() {
    while (at_ < text_.size()) {
      if (is_one_of(kBlanks, peek())) {
        ++at_;
      } else if (is_one_of("#;", peek())) {
        skip_line();
      } else {
        read_assignment();
      }
    }
    return std::move(values_);
  }

 private:
  char peek() const { return text_[at_]; }

  // A backslash at the end of a comment continues nothing (systemd 254 and later).
  void skip_line() { at_ = std::min(text_.find_first_of(kLineEnds, at_), text_.size()); }

  void read_assignment() {
    const size_t end = std::min(text_.find_first_of("=\n\r", at_), text_.size());
    std::string_view name = text_.substr(at_, end - at_);
    at_ = end;
    if (at_ == text_.size() || peek() != '=') return;  // no assignment
    ++at_;
    name = name.substr(0, name.find_last_not_of(kBlanks) + 1);
    std::string value = read_value();
    if (is_variable_name(name)) values_[std::string(name)] = std::move(value);
  }

  // Quoted and unquoted pieces, up to the end of the line.
  std::string read_value() {
    std::string value;
    for (;;) {
      while (at_ < text_.size() && is_one_of(" \t", peek())) ++at_;
      if (at_ == text_.size() || is_one_of(kLineEnds, peek())) return value;
      if (peek() == '\'' || peek() == '"') {
        read_quoted(value);
      } else {
        read_unquoted(value);
        return value;
      }
    }
  }

  void read_quoted(std::string& value) {
    const char quote = text_[at_++];
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == quote) return;
      if (c != '\\' || quote == '\'' || at_ == text_.size()) {
        value += c;
        continue;
      }
      const char escaped = text_[at_++];
      if (escaped == '\n') continue;  // the line continues
      if (!is_one_of("\"\\`$", escaped)) value += '\\';
      value += escaped;
    }
  }

  // To the end of the line; quotes within it are text. Blanks at its end count for nothing.
  void read_unquoted(std::string& value) {
    size_t kept = value.size();
    while (at_ < text_.size() && !is_one_of(kLineEnds, peek())) {
      char c = text_[at_++];
      const bool escape = c == '\\';
      if (escape) {
        if (at_ == text_.size()) break;
        c = text_[at_++];
        if (is_one_of(kLineEnds, c)) continue;  // the line continues
      }
      value += c;
      if (escape || !is_one_of(kBlanks, c)) kept = value.size();
    }
    value.resize(kept);
  }

  const std::string_view text_;
  size_t at_ = 0;
  std::map<std::string, std::string> values_;
};

}  // namespace

std::map<std::string, std::string> parse_environment_file(std::string_view text) {
  return EnvironmentReader(text).read();
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && is_one_of(kBlanks, c)) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      if (text[++i] != '\n') words.back() += text[i];
    } else {
      words.back() += c;
    }
  }
  return words;
}

}  // namespace etcd_snapshot
