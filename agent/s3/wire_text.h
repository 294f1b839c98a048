// Small texts of the wire: what peers wrote becomes fit for a message, dates become instants.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/text.h"

namespace etcd_snapshot {

// What a peer wrote, fit for a message: cut to `max_bytes`, spaces folded, control characters and
// bytes that are no UTF-8 as "?".
std::string peer_text(std::string_view text, size_t max_bytes = 300);

// A label of a host name (RFC 1123) in lower case: certificates and S3's own rule for buckets know
// no other.
bool is_dns_label(std::string_view text);

// Whether `part` is in `text`, ASCII letters in any case.
bool contains(std::string_view text, std::string_view part);

// An ETag without what surrounds it: quotes, W/ (RFC 9110, 8.8.3), and the suffix that a proxy
// which compresses appends ("...-gzip" of Apache's mod_deflate, inside or behind the quotes).
std::string bare_etag(std::string_view text);
// The same, as it is compared: hexadecimal digits in lower case, as some servers write capitals.
std::string normal_etag(std::string_view text);

// A message of base/http without the origin in front of it.
std::string_view without_origin(std::string_view message);

// The instant of an HTTP date in the form that servers must send (RFC 9110 5.6.7: "Sun, 06 Nov 1994
// 08:49:37 GMT"); nullopt: it is none.
std::optional<UnixSeconds> parse_http_date(std::string_view text);

}  // namespace etcd_snapshot
