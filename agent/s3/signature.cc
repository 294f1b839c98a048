#include "s3/signature.h"

#include <stdio.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/digest.h"
#include "s3/wire_text.h"

namespace etcd_snapshot {
namespace {

constexpr char kAlgorithm[] = "AWS4-HMAC-SHA256";

using Headers = std::vector<std::pair<std::string, std::string>>;
// Lower-case names to folded values, in the order of the signature.
using SignedHeaders = std::map<std::string, std::string>;

// Without spaces at either end, and one for every run of them in between.
std::string fold(std::string_view value) {
  std::string folded;
  for (const char c : value) {
    if (c == ' ' && (folded.empty() || folded.back() == ' ')) continue;
    folded += c;
  }
  if (folded.ends_with(' ')) folded.pop_back();
  return folded;
}

// "20150830T123600Z"; its first 8 bytes are the day.
std::string amz_date(UnixSeconds time) {
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss clock(time - days);
  std::array<char, 64> text = {};
  snprintf(text.data(), text.size(), "%04d%02u%02uT%02d%02d%02dZ", static_cast<int>(date.year()),
           static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
           static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
           static_cast<int>(clock.seconds().count()));
  return text.data();
}

std::string day_of(UnixSeconds time) {
  return amz_date(time).substr(0, 8);
}

std::string scope_text(const SigningScope& scope) {
  return day_of(scope.time) + "/" + scope.region + "/" + scope.service + "/aws4_request";
}

// What the request carries only because it is signed.
Headers added_headers(const SigningRequest& request, const Credentials& credentials,
                      const SigningScope& scope) {
  Headers headers = {{"x-amz-date", amz_date(scope.time)}};
  if (scope.content_sha256_header) {
    headers.emplace_back("x-amz-content-sha256", request.payload_sha256);
  }
  if (!credentials.session_token.empty()) {
    headers.emplace_back("x-amz-security-token", credentials.session_token);
  }
  return headers;
}

SignedHeaders signed_headers(const SigningRequest& request, const Credentials& credentials,
                             const SigningScope& scope) {
  SignedHeaders headers = {{"host", fold(request.host)}};
  for (const auto& [name, value] : added_headers(request, credentials, scope)) {
    headers[name] = fold(value);
  }
  for (const auto& [name, value] : request.headers) {
    const auto [place, is_new] = headers.emplace(lower(name), fold(value));
    // One that is there several times counts as one, with the values in their order.
    if (!is_new) place->second += "," + fold(value);
  }
  return headers;
}

std::string names_of(const SignedHeaders& headers) {
  std::string names;
  for (const auto& [name, value] : headers) names += (names.empty() ? "" : ";") + name;
  return names;
}

Result<std::string> signature(const std::string& text, const Credentials& credentials,
                              const SigningScope& scope) {
  ES_ASSIGN(of_day, hmac_sha256("AWS4" + credentials.secret_key, day_of(scope.time)));
  ES_ASSIGN(of_region, hmac_sha256(of_day, scope.region));
  ES_ASSIGN(of_service, hmac_sha256(of_region, scope.service));
  ES_ASSIGN(key, hmac_sha256(of_service, "aws4_request"));
  ES_ASSIGN(raw, hmac_sha256(key, text));
  return to_hex(raw);
}

}  // namespace

std::string percent_encode(std::string_view text, bool keep_slash) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
    if (plain) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kDigits[byte >> 4];
    encoded += kDigits[byte & 15];
  }
  return encoded;
}

std::string canonical_query(QueryParameters parameters) {
  for (auto& [name, value] : parameters) {
    name = percent_encode(name, /*keep_slash=*/false);
    value = percent_encode(value, /*keep_slash=*/false);
  }
  // By name and then by value, both encoded: not by the text, where "a-b=" is before "a=".
  std::sort(parameters.begin(), parameters.end());
  std::string query;
  for (const auto& [name, value] : parameters) {
    if (!query.empty()) query += '&';
    query += name;
    query += '=';
    query += value;
  }
  return query;
}

std::string canonical_request(const SigningRequest& request, const Credentials& credentials,
                              const SigningScope& scope) {
  const SignedHeaders headers = signed_headers(request, credentials, scope);
  std::string text = request.method + "\n" + request.path + "\n" + request.query + "\n";
  for (const auto& [name, value] : headers) text.append(name).append(":").append(value) += '\n';
  return text + "\n" + names_of(headers) + "\n" + request.payload_sha256;
}

Result<std::string> string_to_sign(const std::string& canonical, const SigningScope& scope) {
  ES_ASSIGN(digest, sha256(canonical));
  return std::string(kAlgorithm) + "\n" + amz_date(scope.time) + "\n" + scope_text(scope) + "\n" +
         to_hex(digest);
}

Result<std::vector<std::string>> sign_request(const SigningRequest& request,
                                              const Credentials& credentials,
                                              const SigningScope& scope) {
  ES_ASSIGN(text, string_to_sign(canonical_request(request, credentials, scope), scope));
  ES_ASSIGN(signed_text, signature(text, credentials, scope));
  std::vector<std::string> lines;
  for (const auto& [name, value] : added_headers(request, credentials, scope)) {
    lines.push_back(std::string(name).append(": ").append(value));
  }
  lines.push_back(std::string("authorization: ") + kAlgorithm +
                  " Credential=" + credentials.access_key + "/" + scope_text(scope) +
                  ", SignedHeaders=" + names_of(signed_headers(request, credentials, scope)) +
                  ", Signature=" + signed_text);
  return lines;
}

}  // namespace etcd_snapshot
