#include "s3/xml.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace etcd_snapshot {
namespace {

constexpr size_t kMaxWordBytes = 1000;

// No processing instructions; document types are kept to be seen (pugixml never expands their
// entities). References are read here, because pugixml ends a text where one stands for U+0000,
// also after an overflow.
constexpr unsigned kParseFlags =
    pugi::parse_cdata | pugi::parse_eol | pugi::parse_ws_pcdata_single | pugi::parse_doctype;

// Servers write names with and without a prefix.
std::string_view local_name(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const size_t colon = name.find(':');
  return colon == name.npos ? name : name.substr(colon + 1);
}

void append_utf8(std::string& text, uint32_t point) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (point >> shift & 0x3f)); };
  if (point < 0x80) {
    text += static_cast<char>(point);
  } else if (point < 0x800) {
    text += static_cast<char>(0xc0 | point >> 6);
    tail(0);
  } else if (point < 0x10000) {
    text += static_cast<char>(0xe0 | point >> 12);
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xf0 | point >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

// What stands between "&" and ";". Unknown names stay unknown: there is no document type. S3 writes
// control characters as references although XML 1.0 has none; U+0000 is in no key.
bool append_reference(std::string& text, std::string_view name) {
  constexpr std::pair<std::string_view, char> kNames[] = {
      {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
  for (const auto& [known, c] : kNames) {
    if (name != known) continue;
    text += c;
    return true;
  }
  if (!name.starts_with('#')) return false;
  name.remove_prefix(1);
  const int base = name.starts_with('x') ? 16 : 10;
  if (base == 16) name.remove_prefix(1);
  uint32_t point = 0;
  const auto [end, fault] = std::from_chars(name.data(), name.data() + name.size(), point, base);
  if (name.empty() || fault != std::errc() || end != name.data() + name.size()) return false;
  if (point == 0 || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
  append_utf8(text, point);
  return true;
}

// nullopt: a reference that XML does not know without a document type.
std::optional<std::string> resolve_references(std::string_view raw) {
  std::string text;
  text.reserve(raw.size());
  while (!raw.empty()) {
    const size_t start = std::min(raw.find('&'), raw.size());
    text += raw.substr(0, start);
    raw.remove_prefix(start);
    if (raw.empty()) break;
    const size_t end = raw.find(';');
    if (end == raw.npos || !append_reference(text, raw.substr(1, end - 1))) return std::nullopt;
    raw.remove_prefix(end + 1);
  }
  return text;
}

int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

}  // namespace

Error unreadable(std::string_view what, std::string_view why) {
  Error error;
  error.kind = ErrorKind::kRemote;
  error.message = std::string(what) + " cannot be read: " + std::string(why);
  error.hint = "check that the endpoint is S3's API, and no web page or proxy in front of it";
  return error;
}

bool is_element(const pugi::xml_node& node, std::string_view name) {
  return node.type() == pugi::node_element && local_name(node) == name;
}

pugi::xml_node child(const pugi::xml_node& parent, std::string_view name) {
  for (const pugi::xml_node& node : parent.children()) {
    if (is_element(node, name)) return node;
  }
  return {};
}

pugi::xml_node parse_xml(pugi::xml_document& document, std::string_view xml, std::string& why) {
  if (xml.size() > kMaxXmlBytes) {
    why = "it is longer than 8 MiB";
    return {};
  }
  if (xml.find('\0') != xml.npos) {
    why = "it holds zero bytes";
    return {};
  }
  const auto parsed =
      document.load_buffer(xml.data(), xml.size(), kParseFlags, pugi::encoding_utf8);
  if (!parsed) {
    why = xml.empty() ? "it is empty" : std::string("no XML (") + parsed.description() + ")";
    return {};
  }
  pugi::xml_node root;
  for (const pugi::xml_node& node : document.children()) {
    if (node.type() == pugi::node_doctype) {
      why = "an answer with a document type";
      return {};
    }
    if (node.type() != pugi::node_element) continue;
    if (root) why = "more than one document";
    root = node;
  }
  return why.empty() ? root : pugi::xml_node();
}

std::optional<std::string> text_of(const pugi::xml_node& node) {
  std::string text;
  for (const pugi::xml_node& part : node.children()) {
    if (part.type() == pugi::node_cdata) {
      text += part.value();
    } else if (part.type() == pugi::node_pcdata) {
      const auto resolved = resolve_references(part.value());
      if (!resolved) return std::nullopt;
      text += *resolved;
    } else if (part.type() == pugi::node_element) {
      return std::nullopt;
    }
  }
  return text;
}

Result<std::string> field(const pugi::xml_node& parent, const char* name, std::string_view what) {
  auto text = text_of(child(parent, name));
  if (!text) return unreadable(what, std::string("its ") + name + " is no text");
  return *text;
}

Result<std::string> needed_field(const pugi::xml_node& parent, const char* name,
                                 std::string_view what) {
  ES_ASSIGN(text, field(parent, name, what));
  if (text.empty()) return unreadable(what, std::string("it has no ") + name);
  return text;
}

std::string word(const pugi::xml_node& parent, const char* name) {
  std::string text = text_of(child(parent, name)).value_or("");
  if (text.size() > kMaxWordBytes) {
    size_t end = kMaxWordBytes;
    while (end > 0 && (text[end] & 0xc0) == 0x80) --end;  // not in the middle of a character
    text = text.substr(0, end) + "...";
  }
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return text;
}

// The form encoding of encoding-type=url: "+" is a space and "%2B" a plus, as AWS' own SDKs decode
// it (botocore, compat.unquote_str: unquote_plus; java.net.URLDecoder in the SDK for Java). Servers
// that write "%20" are read as well. What is no escape is left as it is.
std::string url_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) {
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      decoded += text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

// Line ends as references: S3 User Guide, "XML related object key constraints". Other control
// characters have no form in XML 1.0 and are written the same way, as S3 itself does; a server may
// refuse them. No key of a snapshot holds one.
void append_escaped(std::string& xml, std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&') {
      xml += "&amp;";
    } else if (c == '<') {
      xml += "&lt;";
    } else if (c == '>') {
      xml += "&gt;";
    } else if (c == '"') {
      xml += "&quot;";
    } else if (c == '\'') {
      xml += "&apos;";
    } else if (byte < 0x20 || byte == 0x7f) {
      xml += "&#x";
      if (byte >= 16) xml += kDigits[byte >> 4];
      xml += kDigits[byte & 15];
      xml += ';';
    } else {
      xml += c;
    }
  }
}

}  // namespace etcd_snapshot
