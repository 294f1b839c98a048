#include "archive/manifest.h"

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

namespace etcd_snapshot {
namespace {

// ordered: the object reads in the order of the struct when an operator looks at it (`unzip -z`).
using Json = nlohmann::ordered_json;

constexpr int32_t kFormat = 1;

std::string to_hex(uint64_t id) {
  char text[16];
  const auto [end, ec] = std::to_chars(text, text + sizeof text, id, 16);
  return ec == std::errc() ? std::string(text, end) : std::string();
}

bool is_lower_hex(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool read(const Json& object, const char* key, std::string& value) {
  const auto member = object.find(key);
  if (member == object.end() || !member->is_string()) return false;
  value = member->get_ref<const std::string&>();
  return true;
}

bool read_id(const Json& object, const char* key, uint64_t& value) {
  std::string text;
  if (!read(object, key, text) || !is_lower_hex(text)) return false;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value, 16);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

// A number from 0 to the largest int64_t. Beyond uint64_t the parser makes it a float: ill-typed.
bool read_count(const Json& object, const char* key, int64_t& value) {
  const auto member = object.find(key);
  if (member == object.end() || !member->is_number_unsigned()) return false;
  const auto number = member->get<uint64_t>();
  if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return false;
  value = static_cast<int64_t>(number);
  return true;
}

}  // namespace

std::string to_json(const Manifest& manifest) {
  Json object = {
      {"format", manifest.format},
      {"name", manifest.name},
      {"kind", manifest.kind},
      {"created", manifest.created},
      {"cluster_id", to_hex(manifest.cluster_id)},
      {"member_id", to_hex(manifest.member_id)},
      {"revision", manifest.revision},
      {"etcd_version", manifest.etcd_version},
      {"database_bytes", manifest.database_bytes},
      {"sha256", manifest.sha256},
      {"host", manifest.host},
      {"agent_version", manifest.agent_version},
  };
  if (!manifest.current) object["current"] = false;
  // ASCII alone: an archive comment has no declared character set. A host name that is no UTF-8
  // must not cost the snapshot, so its bad bytes are replaced.
  return object.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::optional<Manifest> manifest_from_json(std::string_view json) {
  const Json object = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return std::nullopt;
  Manifest manifest;
  int64_t format = 0;
  const bool complete =
      read_count(object, "format", format) && format == kFormat &&
      read(object, "name", manifest.name) && read(object, "kind", manifest.kind) &&
      read(object, "created", manifest.created) &&
      read_id(object, "cluster_id", manifest.cluster_id) &&
      read_id(object, "member_id", manifest.member_id) &&
      read_count(object, "revision", manifest.revision) &&
      read(object, "etcd_version", manifest.etcd_version) &&
      read_count(object, "database_bytes", manifest.database_bytes) &&
      read(object, "sha256", manifest.sha256) && read(object, "host", manifest.host) &&
      read(object, "agent_version", manifest.agent_version);
  if (!complete || manifest.sha256.size() != 64 || !is_lower_hex(manifest.sha256)) {
    return std::nullopt;
  }
  manifest.format = kFormat;
  const auto current = object.find("current");
  manifest.current = current == object.end() || *current != false;
  return manifest;
}

}  // namespace etcd_snapshot
