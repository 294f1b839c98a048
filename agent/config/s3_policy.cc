#include "config/s3_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/files.h"
#include "config/network.h"
#include "config/pem.h"

namespace etcd_snapshot {
namespace {

bool is_name_character(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_';
}

bool is_name(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_name_character);
}

bool is_control(unsigned char c) {
  return c < 0x20 || c == 0x7f;
}

// Keys go into a header: one line of visible ASCII.
Result<std::string> check_secret(const Place& place, const std::string& value) {
  const bool visible =
      std::all_of(value.begin(), value.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (visible) return value;
  return bad_setting(place, "a space, line end or other character that no key holds (not shown)",
                     "printable ASCII without spaces");
}

// Names that S3 keeps for what is no bucket (S3 User Guide, "General purpose bucket naming rules");
// the alias of an access point (-s3alias) stands for its bucket in every call of this program.
Result<void> check_is_a_bucket(const Place& place, const std::string& value) {
  constexpr std::string_view kUse = "the name of a general purpose bucket";
  if (value.starts_with("arn:")) {
    return bad_value(place, "an ARN, not the name of a bucket:", value,
                     "the name of the bucket, or the alias of the access point (it ends in "
                     "-s3alias)");
  }
  if (value.ends_with("--x-s3") || value.ends_with("--xa-s3")) {
    return bad_value(place,
                     "a directory bucket of S3 Express One Zone, which needs sessions that this "
                     "program does not make:",
                     value, kUse);
  }
  if (value.ends_with("--op-s3")) return bad_value(place, "a bucket of Outposts:", value, kUse);
  if (value.ends_with("--ol-s3")) {
    return bad_value(place, "an Object Lambda access point, which only reads:", value, kUse);
  }
  if (value.ends_with(".mrap")) {
    return bad_value(place, "a Multi-Region Access Point, which signs in another way:", value,
                     kUse);
  }
  if (value.ends_with("--table-s3")) return bad_value(place, "a table bucket:", value, kUse);
  return {};
}

// Ceph's gateway puts a tenant in front of a bucket of another user's: `tenant:bucket`.
Result<std::string> check_bucket(const Place& place, const std::string& value) {
  ES_TRY(check_is_a_bucket(place, value));
  const size_t colon = value.find(':');
  const std::string_view tenant =
      std::string_view(value).substr(0, colon == value.npos ? 0 : colon);
  const std::string_view bucket =
      std::string_view(value).substr(colon == value.npos ? 0 : colon + 1);
  if (bucket.size() >= 3 && bucket.size() <= 63 && is_name(bucket) && tenant.size() <= 255 &&
      is_name(tenant)) {
    return value;
  }
  return bad_value(
      place, "not the name of a bucket:", value,
      "3 to 63 letters, digits, dots, hyphens and underscores, for Ceph's gateway with "
      "`TENANT:` in front");
}

Result<std::string> check_region(const Place& place, const std::string& value) {
  if (is_name(value) && value.size() <= 64) return value;
  return bad_value(place, "not a region:", value, "a region such as eu-central-1, or nothing");
}

Result<std::string> check_folder(const Place& place, const std::string& value) {
  constexpr std::string_view kAccepted =
      "names with single slashes between them, none of them . or .., or nothing";
  std::string_view folder = value;
  while (folder.starts_with('/')) folder.remove_prefix(1);
  while (folder.ends_with('/')) folder.remove_suffix(1);
  if (std::any_of(folder.begin(), folder.end(), is_control)) {
    return bad_value(place, "a control character in", value, kAccepted);
  }
  // What S3 allows a key, less what a snapshot's name takes of it.
  if (folder.size() > 700) return bad_value(place, "too long:", value, "at most 700 bytes");
  for (std::string_view rest = folder; !rest.empty();) {
    const size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view component = rest.substr(0, end);
    if (component.empty()) return bad_value(place, "an empty name in", value, kAccepted);
    if (component == "." || component == "..") {
      return bad_value(place, "a relative name in", value, kAccepted);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::string(folder);
}

// An endpoint's path is taken off where it only says the bucket once more, as consoles show it
// (Cloudflare R2: "https://ACCOUNT.r2.cloudflarestorage.com/BUCKET"). Any other stays, and is
// refused.
std::optional<std::string> without_bucket(std::optional<std::string> endpoint,
                                          const std::string& bucket) {
  if (!endpoint || bucket.empty()) return endpoint;
  std::string_view text = *endpoint;
  if (text.ends_with('/')) text.remove_suffix(1);
  if (!text.ends_with("/" + bucket) || text.ends_with("//" + bucket)) return endpoint;
  return std::string(text.substr(0, text.size() - bucket.size() - 1));
}

Result<std::string> check_endpoint(const Place& place, const std::string& value) {
  ES_ASSIGN(endpoint, parse_address(place, value));
  return to_string(endpoint);
}

Result<std::string> check_custom_ca(const Place& place, const std::string& value) {
  const std::string text = mend_pem(value);
  const std::string fault = pem_certificates_fault(text);
  if (fault.empty()) return text;
  return bad_setting(place, "not PEM certificates: " + fault,
                     "one or several blocks from -----BEGIN CERTIFICATE----- to -----END "
                     "CERTIFICATE-----");
}

using Check = Result<std::string> (*)(const Place&, const std::string&);

// Reads one key into `out`, which stays as it is where the key is not set.
Result<void> read_key(const YamlMap& map, std::string_view key, Check check, std::string& out) {
  ES_ASSIGN(text, map.text(key));
  if (!text) return {};
  ES_ASSIGN(value, check(map.place_of(key), *text));
  out = value;
  return {};
}

// A flag's value into `out`, which stays as it is where the flag is not given.
Result<void> read_flag(const char* flag, const std::optional<std::string>& text, Check check,
                       std::string& out) {
  if (!text) return {};
  auto value = check({"command line", 0, flag}, *text);
  if (!value) {
    Error error = value.take_error();
    error.kind = ErrorKind::kUsage;
    error.hint = "see: etcd-snapshot save --help";
    return error;
  }
  out = *value;
  return {};
}

Error flag_error(std::string message) {
  return {ErrorKind::kUsage, std::move(message), "see: etcd-snapshot save --help", false, 0};
}

}  // namespace

bool S3Flags::any_detail() const {
  return access_key || secret_key || bucket_name || folder || region || endpoint || endpoint_ca;
}

Result<S3Policy> apply_s3_flags(const std::optional<S3Policy>& policy, const S3Flags& flags) {
  S3Policy s3 = policy.value_or(S3Policy());
  if (!policy) s3.endpoint = kDefaultS3Endpoint;
  if (flags.access_key.has_value() != flags.secret_key.has_value()) {
    return flag_error(flags.access_key ? "--access-key without --secret-key"
                                       : "--secret-key without --access-key");
  }
  ES_TRY(read_flag("--access-key", flags.access_key, check_secret, s3.access_key));
  ES_TRY(read_flag("--secret-key", flags.secret_key, check_secret, s3.secret_key));
  if (flags.access_key) s3.keys_place = "the command line";
  ES_TRY(read_flag("--bucket-name", flags.bucket_name, check_bucket, s3.bucket_name));
  ES_TRY(read_flag("--folder", flags.folder, check_folder, s3.folder));
  ES_TRY(read_flag("--region", flags.region, check_region, s3.region));
  ES_TRY(read_flag("--s3-endpoint", without_bucket(flags.endpoint, s3.bucket_name), check_endpoint,
                   s3.endpoint));
  if (flags.endpoint_ca) {
    auto text = read_file(*flags.endpoint_ca, ErrorKind::kUsage);
    if (!text) {
      Error error = text.take_error().within("--s3-endpoint-ca");
      error.hint = "give the path of a readable file of PEM certificates";
      return error;
    }
    ES_TRY(read_flag("--s3-endpoint-ca", *text, check_custom_ca, s3.custom_ca));
    s3.custom_ca_place = "--s3-endpoint-ca " + *flags.endpoint_ca;
  }
  if (s3.bucket_name.empty()) {
    return flag_error(
        "--s3 without a bucket: cluster.yml has no s3backupconfig, and --bucket-name is not given");
  }
  return s3;
}

Result<S3Policy> read_s3_policy(const YamlMap& map, std::vector<ConfigWarning>& warnings) {
  S3Policy s3;
  s3.endpoint = kDefaultS3Endpoint;
  ES_TRY(read_key(map, "access_key", check_secret, s3.access_key));
  ES_TRY(read_key(map, "secret_key", check_secret, s3.secret_key));
  ES_TRY(read_key(map, "bucket_name", check_bucket, s3.bucket_name));
  ES_TRY(read_key(map, "region", check_region, s3.region));
  ES_TRY(read_key(map, "folder", check_folder, s3.folder));
  ES_ASSIGN(endpoint, map.text("endpoint"));
  if (endpoint = without_bucket(std::move(endpoint), s3.bucket_name); endpoint) {
    ES_ASSIGN(checked, check_endpoint(map.place_of("endpoint"), *endpoint));
    s3.endpoint = checked;
  }

  ES_ASSIGN(ca, map.text("custom_ca"));
  if (ca && is_placeholder_certificate(*ca)) {
    warnings.push_back({at(map.place_of("custom_ca")) +
                        "still holds the placeholder $CERTIFICATE of the documentation; taken as "
                        "not set, put the certificate there or remove the key"});
  } else if (ca) {
    ES_ASSIGN(checked, check_custom_ca(map.place_of("custom_ca"), *ca));
    s3.custom_ca = checked;
    const Place place = map.place_of("custom_ca");
    s3.custom_ca_place = fmt::format("{}:{}: {}", place.file, place.line, place.key);
  }

  if (s3.bucket_name.empty()) {
    return bad_setting(map.place_of("bucket_name"), "missing", "the name of the bucket");
  }
  if (s3.access_key.empty() != s3.secret_key.empty()) {
    const char* there = s3.access_key.empty() ? "secret_key" : "access_key";
    const char* missing = s3.access_key.empty() ? "access_key" : "secret_key";
    return bad_setting(map.place_of(there), std::string("set without ") + missing,
                       "both, or neither (then key files, the environment or the role of the "
                       "machine are used)");
  }
  return s3;
}

}  // namespace etcd_snapshot
