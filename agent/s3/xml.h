// What S3's documents have in common: hostile XML is read, or refused, element by element. With
// answers.cc the only place that knows pugixml. Knows no document.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <pugixml.hpp>

#include "base/result.h"

namespace etcd_snapshot {

// The largest answer, a list of 1,000 keys of 1,024 bytes each that are all escaped, stays below.
inline constexpr size_t kMaxXmlBytes = size_t{8} << 20;

// kRemote: "`what` cannot be read: `why`".
Error unreadable(std::string_view what, std::string_view why);

// The only element at the top, which `document` owns. A null node, and `why`, for what is no XML,
// not whole, longer than 8 MiB, or holds a zero byte or a document type: S3 sends none, and what
// does is a web page, or means harm by its entities.
pugi::xml_node parse_xml(pugi::xml_document& document, std::string_view xml, std::string& why);

// Names are compared without prefix: servers write them with and without.
bool is_element(const pugi::xml_node& node, std::string_view name);
// The first child of that name; a null node where there is none.
pugi::xml_node child(const pugi::xml_node& parent, std::string_view name);

// An element's text; empty for a null node. nullopt: an unknown reference, or elements inside.
std::optional<std::string> text_of(const pugi::xml_node& node);
// The same of a child. `what` is the document, for the error.
Result<std::string> field(const pugi::xml_node& parent, const char* name, std::string_view what);
// An error where it is empty or not there.
Result<std::string> needed_field(const pugi::xml_node& parent, const char* name,
                                 std::string_view what);
// For messages: one line of at most 1,000 bytes and "...", whatever the server wrote.
std::string word(const pugi::xml_node& parent, const char* name);

// Keys of a list that was asked for with encoding-type=url.
std::string url_decode(std::string_view text);
// As text of an element.
void append_escaped(std::string& xml, std::string_view text);

}  // namespace etcd_snapshot
