#include "config/pem.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace etcd_snapshot {
namespace {

constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view kEnd = "-----END CERTIFICATE-----";

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t first = line.find_first_not_of(kSpace);
  if (first == line.npos) return "";
  return line.substr(first, line.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(trimmed(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool is_base64(std::string_view body) {
  const size_t padding = body.size() - (body.find_last_not_of('=') + 1);
  if (body.empty() || body.size() % 4 != 0 || padding > 2) return false;
  body.remove_suffix(padding);
  return std::all_of(body.begin(), body.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
           c == '/';
  });
}

}  // namespace

std::string pem_certificates_fault(std::string_view text) {
  int blocks = 0;
  bool inside = false;
  std::string body;
  for (const std::string_view line : lines_of(text)) {
    if (line == kBegin) {
      if (inside) return fmt::format("certificate {} has no END line", blocks);
      inside = true;
      body.clear();
      ++blocks;
    } else if (line == kEnd) {
      if (!inside) return "an END line without its BEGIN line";
      if (!is_base64(body)) return fmt::format("certificate {} is not well-formed base64", blocks);
      inside = false;
    } else if (line.find("-----BEGIN ") != line.npos) {
      return line.find("PRIVATE KEY") != line.npos ? "it holds a private key"
                                                   : "it holds something else than certificates";
    } else if (inside) {
      body += line;
    }
  }
  if (inside) return fmt::format("certificate {} has no END line", blocks);
  return blocks == 0 ? "it holds no certificate" : "";
}

bool is_placeholder_certificate(std::string_view text) {
  std::vector<std::string_view> lines = lines_of(text);
  std::erase(lines, "");
  return lines.size() == 3 && lines[0] == kBegin && lines[1] == "$CERTIFICATE" && lines[2] == kEnd;
}

}  // namespace etcd_snapshot
