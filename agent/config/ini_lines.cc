#include "config/ini_lines.h"

#include <fmt/format.h>
#include <ini.h>

#include <algorithm>
#include <cstring>

#include "config/characters.h"

namespace etcd_snapshot {
namespace {

constexpr std::string_view kSpace = " \t";

struct Reading {
  const std::string& path;
  std::string_view rest;
  const IniHandler& handler;
  int line = 0;
  std::optional<Error> error;
};

// `column` from 1; 0: it says nothing.
Error line_error(const Reading& reading, std::string_view what, std::string_view accepted,
                 int column = 0) {
  Place place{reading.path, reading.line, ""};
  Error error = bad_setting(place, what, accepted);
  const std::string where = column == 0 ? "" : fmt::format("{}:", column);
  error.message =
      fmt::format("{}:{}:{} {}; accepted: {}", reading.path, reading.line, where, what, accepted);
  return error;
}

// What nobody sees: inih takes it for a part of the key or of the value. Names of files and users
// may hold what only looks like ASCII, keys may not.
Result<void> check_characters(const Reading& reading, std::string_view line) {
  const size_t separator = line.find_first_of("=:");
  auto odd = find_odd_character(line.substr(0, separator), Odd::kAny);
  if (!odd) odd = find_odd_character(line, Odd::kUnseen);
  if (odd) {
    return line_error(reading, odd->name, "the line written again by hand, with plain spaces",
                      position_of(line, odd->offset).column);
  }
  if (line.front() == '\t') return line_error(reading, "a tab", "a line from its first column", 1);
  if (separator == line.npos) return {};
  const size_t value = line.find_first_not_of(kSpace, separator + 1);
  const size_t tab = line.substr(0, line.find_last_not_of(kSpace) + 1).find('\t', value);
  if (value == line.npos || tab == line.npos || line[tab + 1] == ';') return {};
  return line_error(reading, "a tab in the value", "plain text", position_of(line, tab).column);
}

// "[section]" alone on its line, but for a comment: inih ignores whatever follows the bracket.
Result<void> check_section(const Reading& reading, std::string_view line) {
  const size_t end = line.find(']');
  if (end == line.npos) return line_error(reading, "a section without ]", "[section]");
  std::string_view tail = line.substr(end + 1);
  const size_t text = tail.find_first_not_of(kSpace);
  if (text != tail.npos && (text == 0 || (tail[text] != ';' && tail[text] != '#'))) {
    return line_error(reading, "text after the section", "[section] alone on its line");
  }
  const std::string section(line.substr(1, end - 1));
  return reading.handler.section({reading.path, reading.line, fmt::format("[{}]", shown(section))},
                                 section);
}

// What inih would read otherwise than it looks.
Result<void> check_line(const Reading& reading, std::string_view line) {
  const size_t first = line.find_first_not_of(kSpace);
  if (first == line.npos || line[first] == '#' || line[first] == ';') return {};
  ES_TRY(check_characters(reading, line));
  if (first > 0) {
    return line_error(reading, "a line that begins with a space (a continuation line?)",
                      "one `key = value` or [section] a line, from its first column");
  }
  if (line.front() == '[') return check_section(reading, line);
  if (line.find_first_of("=:") == line.npos) {
    return line_error(reading, fmt::format("neither a key nor a section: '{}'", shown(line)),
                      "`key = value`, [section], or a comment after #");
  }
  // inih would take the rest for a comment and cut the value short.
  if (line.find(" ;") != line.npos || line.find("\t;") != line.npos) {
    return line_error(reading, "a comment behind a value",
                      "a comment on a line of its own, after #");
  }
  return {};
}

// fgets over the text, one line a call, without its line end. NULL ends the reading.
char* next_line(char* buffer, int size, void* stream) noexcept {
  auto& reading = *static_cast<Reading*>(stream);
  if (reading.error || reading.rest.empty()) return nullptr;
  const size_t end = std::min(reading.rest.find('\n'), reading.rest.size());
  std::string_view line = reading.rest.substr(0, end);
  reading.rest.remove_prefix(std::min(end + 1, reading.rest.size()));
  ++reading.line;
  if (line.ends_with('\r')) line.remove_suffix(1);
  // Later versions of inih look for a line end in the buffer to tell a long line: leave room for
  // it.
  if (line.size() + 2 > static_cast<size_t>(size)) {
    const bool comment = line.starts_with('#') || line.starts_with(';');
    if (!comment) {
      reading.error = line_error(reading, "a line that is too long",
                                 fmt::format("lines of at most {} bytes", size - 2));
      return nullptr;
    }
    line = line.substr(0, 1);
  }
  if (auto checked = check_line(reading, line); !checked) {
    reading.error = checked.take_error();
    return nullptr;
  }
  std::memcpy(buffer, line.data(), line.size());
  buffer[line.size()] = '\n';
  buffer[line.size() + 1] = '\0';
  return buffer;
}

// 1 to go on, 0 for an error (inih's convention).
int take_key(void* user, const char* section, const char* key, const char* value) noexcept {
  auto& reading = *static_cast<Reading*>(user);
  if (reading.error) return 0;
  // Some builds of inih also call for a new section, which next_line has seen already.
  if (key == nullptr) return 1;
  IniKey found;
  found.section = section;
  found.key = key;
  found.value = value == nullptr ? "" : value;
  found.place = {reading.path, reading.line,
                 fmt::format("[{}] {}", shown(found.section), shown(found.key))};
  if (found.section.empty()) {
    found.place.key = shown(found.key);
    reading.error =
        bad_setting(found.place, "a key before the first section", "keys below a [section]");
    return 0;
  }
  if (auto taken = reading.handler.key(found); !taken) {
    reading.error = taken.take_error();
    return 0;
  }
  return 1;
}

}  // namespace

Result<void> read_ini(const std::string& path, const std::string& text, const IniHandler& handler) {
  Reading reading{path, text, handler, 0, std::nullopt};
  if (reading.rest.starts_with("\xEF\xBB\xBF")) reading.rest.remove_prefix(3);
  if (const int line = first_bad_text_line(text); line != 0) {
    reading.line = line;
    return line_error(reading, "a control character, or bytes that are not UTF-8", "UTF-8 text");
  }
  const int status = ini_parse_stream(next_line, &reading, take_key, &reading);
  if (reading.error) return *reading.error;
  if (status != 0) {
    reading.line = std::max(status, 0);
    return line_error(reading, "neither a key nor a section", "`key = value` or [section]");
  }
  return {};
}

}  // namespace etcd_snapshot
