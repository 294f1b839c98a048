#include "config/pem.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace etcd_snapshot {
namespace {

constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view kEnd = "-----END CERTIFICATE-----";

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(trim(text.substr(0, end)));
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

std::string without_blanks(std::string_view text) {
  std::string dense;
  for (const char c : text) {
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') dense += c;
  }
  return dense;
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : 63;
}

// REQUIRES: is_base64(text).
std::string decoded(std::string_view text) {
  std::string bytes;
  int bits = 0;
  uint32_t value = 0;
  for (const char c : text) {
    if (c == '=') break;
    value = (value << 6 | static_cast<uint32_t>(base64_digit(c))) & 0xFFFF;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(value >> bits & 0xFF);
  }
  return bytes;
}

// `\n` and `\r` as two characters each: a text that went through JSON or a single-quoted string.
std::string with_line_ends(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 1 < text.size();
    if (escape && (text[i + 1] == 'n' || text[i + 1] == 'r')) {
      plain += '\n';
      ++i;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// A block in lines of 64 characters (RFC 7468 section 2); OpenSSL takes no line beyond 254.
std::string in_lines(std::string_view body) {
  constexpr size_t kColumns = 64;
  std::string text(kBegin);
  text += '\n';
  for (; !body.empty(); body.remove_prefix(std::min(kColumns, body.size()))) {
    text += std::string(body.substr(0, kColumns)) + '\n';
  }
  return text + std::string(kEnd) + '\n';
}

}  // namespace

std::string mend_pem(std::string_view given) {
  std::string text = with_line_ends(given);
  if (const std::string dense = without_blanks(text); is_base64(dense)) {
    const std::string inner = decoded(dense);
    if (inner.find(kBegin) != inner.npos) text = with_line_ends(inner);
  }
  std::string mended;
  std::string_view rest = text;
  for (;;) {
    const size_t begin = rest.find(kBegin);
    if (begin == rest.npos) break;
    const std::string_view inside = rest.substr(begin + kBegin.size());
    const size_t end = inside.find(kEnd);
    if (end == inside.npos) break;
    const std::string body = without_blanks(inside.substr(0, end));
    if (!is_base64(body)) break;
    mended += rest.substr(0, begin);
    if (!mended.empty() && mended.back() != '\n') mended += '\n';
    mended += in_lines(body);
    rest = inside.substr(end + kEnd.size());
  }
  // What is left is between the blocks, or no block.
  return without_blanks(rest).empty() ? mended : mended + std::string(rest);
}

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
  return without_blanks(text) ==
         without_blanks(std::string(kBegin) + "$CERTIFICATE" + std::string(kEnd));
}

}  // namespace etcd_snapshot
