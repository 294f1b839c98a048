// etcd-snapshot.conf: the table of its keys, and the checks that take more than one of them.
#include "config/host_ini.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <span>

#include "base/text.h"
#include "config/ini_lines.h"
#include "config/load.h"
#include "config/nearest_key.h"
#include "config/network.h"

namespace etcd_snapshot {
namespace {

using Setter = std::function<Result<void>(HostSettings&, const Place&, const std::string&)>;

struct Key {
  std::string_view section, name;
  Setter set;
};

// --- setters by type ------------------------------------------------------------------------

Setter whole_number(std::function<int&(HostSettings&)> field, int min, int max) {
  return [=](HostSettings& settings, const Place& place, const std::string& text) -> Result<void> {
    ES_ASSIGN(number, parse_whole_number(place, text, min, max));
    field(settings) = static_cast<int>(number);
    return {};
  };
}

Setter boolean(std::function<bool&(HostSettings&)> field) {
  return [=](HostSettings& settings, const Place& place, const std::string& text) -> Result<void> {
    ES_ASSIGN(value, parse_boolean(place, text));
    field(settings) = value;
    return {};
  };
}

Setter absolute_path(std::function<std::string&(HostSettings&)> field) {
  return [=](HostSettings& settings, const Place& place, const std::string& text) -> Result<void> {
    ES_ASSIGN(path, parse_absolute_path(place, text));
    if (path == "/") return bad_value(place, "the root directory:", text, "a path below it");
    field(settings) = path;
    return {};
  };
}

template <typename T>
Setter choice(std::function<T&(HostSettings&)> field,
              std::initializer_list<std::pair<std::string_view, T>> choices) {
  const std::vector<std::pair<std::string_view, T>> copy(choices);
  return [=](HostSettings& settings, const Place& place, const std::string& text) -> Result<void> {
    ES_ASSIGN(value, parse_choice<T>(place, text, copy));
    field(settings) = value;
    return {};
  };
}

// One word of visible ASCII.
Setter word(std::function<std::string&(HostSettings&)> field) {
  return [=](HostSettings& settings, const Place& place, const std::string& text) -> Result<void> {
    const bool visible =
        std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
    if (!visible) return bad_value(place, "not one word:", text, "printable ASCII without spaces");
    field(settings) = text;
    return {};
  };
}

// --- setters of one key ---------------------------------------------------------------------

constexpr int kEtcdPort = 2379;

// Splits at commas. The scheme of those without one depends on other keys: see complete_endpoints.
Result<void> set_endpoints(HostSettings& settings, const Place& place, const std::string& text) {
  for (std::string_view rest = text;;) {
    const size_t end = std::min(rest.find(','), rest.size());
    const std::string_view item = trim(rest.substr(0, end), " \t");
    if (item.empty()) {
      return bad_value(place, "an empty endpoint in", text,
                       "http://host:port, https://host:port or host:port, separated by commas");
    }
    ES_ASSIGN(endpoint, parse_address(place, item));
    if (endpoint.port == 0) endpoint.port = kEtcdPort;
    settings.etcd.endpoints.push_back(to_string(endpoint));
    if (end == rest.size()) return {};
    rest.remove_prefix(end + 1);
  }
}

Result<void> set_username(HostSettings& settings, const Place&, const std::string& text) {
  settings.etcd.username = text;
  return {};
}

Result<void> set_max_rate(HostSettings& settings, const Place& place, const std::string& text) {
  ES_ASSIGN(rate, parse_whole_number(place, text, 1, 100'000));
  settings.s3.max_rate_mib_s = static_cast<int>(rate);
  return {};
}

Result<void> set_proxy(HostSettings& settings, const Place& place, const std::string& text) {
  ES_ASSIGN(proxy, parse_proxy(place, text));
  settings.s3.proxy = proxy;
  return {};
}

Result<void> set_textfile(HostSettings& settings, const Place& place, const std::string& text) {
  ES_ASSIGN(path, parse_absolute_path(place, text));
  // Its directory becomes writable to the service, which the root directory must not.
  if (path.rfind('/') == 0) {
    return bad_value(place, "a file in the root directory:", text, "DIRECTORY/NAME.prom");
  }
  settings.metrics_textfile = path;
  return {};
}

// A reference to a member, two levels down.
#define FIELD(type, member) \
  std::function<type&(HostSettings&)>([](HostSettings& s) -> type& { return s.member; })

const std::vector<Key>& keys() {
  static const std::vector<Key> kKeys = {
      {"etcd", "endpoints", set_endpoints},
      {"etcd", "ca_file", absolute_path(FIELD(std::string, etcd.ca_file))},
      {"etcd", "cert_file", absolute_path(FIELD(std::string, etcd.cert_file))},
      {"etcd", "key_file", absolute_path(FIELD(std::string, etcd.key_file))},
      {"etcd", "username", set_username},
      {"etcd", "password_file", absolute_path(FIELD(std::string, etcd.password_file))},
      {"etcd", "connect_timeout_s", whole_number(FIELD(int, etcd.connect_timeout_s), 1, 3600)},
      {"etcd", "stall_timeout_s", whole_number(FIELD(int, etcd.stall_timeout_s), 1, 86400)},
      {"etcd", "retries", whole_number(FIELD(int, etcd.retries), 0, 1000)},
      {"etcd", "retry_interval_s", whole_number(FIELD(int, etcd.retry_interval_s), 0, 3600)},
      {"snapshots", "directory", absolute_path(FIELD(std::string, snapshots.directory))},
      {"snapshots", "compression",
       choice<Compression>(FIELD(Compression, snapshots.compression),
                           {{"zip", Compression::kZip},
                            {"zstd", Compression::kZstd},
                            {"none", Compression::kNone}})},
      {"snapshots", "include_host", boolean(FIELD(bool, snapshots.include_host))},
      {"snapshots", "retention_unit",
       choice<RetentionUnit>(
           FIELD(RetentionUnit, snapshots.retention_unit),
           {{"hours", RetentionUnit::kHours}, {"snapshots", RetentionUnit::kSnapshots}})},
      {"snapshots", "keep_last", whole_number(FIELD(int, snapshots.keep_last), 1, 1'000'000)},
      {"s3", "lookup",
       choice<S3Lookup>(
           FIELD(S3Lookup, s3.lookup),
           {{"auto", S3Lookup::kAuto}, {"dns", S3Lookup::kDns}, {"path", S3Lookup::kPath}})},
      {"s3", "part_size_mib", whole_number(FIELD(int, s3.part_size_mib), 5, 5120)},
      {"s3", "concurrency", whole_number(FIELD(int, s3.concurrency), 1, 64)},
      {"s3", "retries", whole_number(FIELD(int, s3.retries), 0, 1000)},
      {"s3", "stall_timeout_s", whole_number(FIELD(int, s3.stall_timeout_s), 1, 86400)},
      {"s3", "max_rate_mib_s", set_max_rate},
      {"s3", "proxy", set_proxy},
      {"s3", "ca_file", absolute_path(FIELD(std::string, s3.ca_file))},
      {"s3", "access_key_file", absolute_path(FIELD(std::string, s3.access_key_file))},
      {"s3", "secret_key_file", absolute_path(FIELD(std::string, s3.secret_key_file))},
      {"s3", "sse",
       choice<std::string>(FIELD(std::string, s3.sse),
                           {{"AES256", "AES256"}, {"aws:kms", "aws:kms"}})},
      {"s3", "sse_kms_key_id", word(FIELD(std::string, s3.sse_kms_key_id))},
      {"s3", "storage_class", word(FIELD(std::string, s3.storage_class))},
      {"pki", "bundle",
       choice<BundleMode>(
           FIELD(BundleMode, pki.bundle),
           {{"auto", BundleMode::kAuto}, {"yes", BundleMode::kYes}, {"no", BundleMode::kNo}})},
      {"pki", "directory", absolute_path(FIELD(std::string, pki.directory))},
      {"pki", "upload", boolean(FIELD(bool, pki.upload))},
      {"log", "level",
       choice<LogLevel>(FIELD(LogLevel, log_level), {{"error", LogLevel::kError},
                                                     {"warning", LogLevel::kWarning},
                                                     {"info", LogLevel::kInfo},
                                                     {"debug", LogLevel::kDebug}})},
      {"metrics", "textfile", set_textfile},
  };
  return kKeys;
}

#undef FIELD

// --- the whole file -------------------------------------------------------------------------

std::vector<std::string_view> section_names() {
  std::vector<std::string_view> names;
  for (const Key& key : keys()) {
    if (names.empty() || names.back() != key.section) names.push_back(key.section);
  }
  return names;
}

Result<void> check_section(const Place& place, const std::string& section) {
  const std::vector<std::string_view> names = section_names();
  if (std::find(names.begin(), names.end(), section) != names.end()) return {};
  return bad_setting(
      place,
      fmt::format("unknown section; the nearest known one is [{}]", nearest_key(section, names)),
      fmt::format("[{}]", fmt::join(names, "], [")));
}

Error unknown_key(const IniKey& found) {
  std::vector<std::string_view> names;
  std::string elsewhere;
  for (const Key& key : keys()) {
    if (key.section == found.section) names.push_back(key.name);
    if (key.name == found.key) elsewhere = fmt::format("; it belongs to [{}]", key.section);
  }
  const std::string nearest =
      fmt::format("; the nearest known one is '{}'", nearest_key(found.key, names));
  return bad_setting(found.place, "unknown key" + (elsewhere.empty() ? nearest : elsewhere),
                     fmt::format("{}", fmt::join(names, ", ")));
}

Result<void> take_key(const IniKey& found, HostSettings& settings, KeyLines& lines) {
  const auto key = std::find_if(keys().begin(), keys().end(), [&](const Key& known) {
    return known.section == found.section && known.name == found.key;
  });
  if (key == keys().end()) return unknown_key(found);
  const auto [first, is_new] = lines.try_emplace(found.section + "." + found.key, found.place.line);
  if (!is_new) {
    return bad_setting(found.place, fmt::format("written twice, first on line {}", first->second),
                       "each key once");
  }
  // Empty is the default, as in cluster.yml.
  if (found.value.empty()) return {};
  // inih takes `;` after a space for a comment, but `#` for text: nobody who writes it means that.
  if (found.value.front() == '#' || found.value.find(" #") != found.value.npos ||
      found.value.find("\t#") != found.value.npos) {
    return bad_setting(found.place, "a # after the value", "comments on lines of their own");
  }
  if (first_bad_text_line(found.value) != 0 ||
      found.value.find_first_of("\t\r") != std::string::npos) {
    return bad_setting(found.place, "a tab or other control character in the value", "plain text");
  }
  return key->set(settings, found.place, found.value);
}

// `present` is set and `needed` is not.
Result<void> needs(const std::string& path, const KeyLines& lines, std::string_view section,
                   std::string_view present, bool is_present, std::string_view needed,
                   bool is_needed_there) {
  if (!is_present || is_needed_there) return {};
  const auto line = lines.find(fmt::format("{}.{}", section, present));
  const Place place{path, line == lines.end() ? 0 : line->second,
                    fmt::format("[{}] {}", section, present)};
  return bad_setting(place, fmt::format("set without {}", needed), "both or neither");
}

Result<void> check_pairs(const std::string& path, const HostSettings& host, const KeyLines& lines) {
  const auto pair = [&](std::string_view section, std::string_view a, bool has_a,
                        std::string_view b, bool has_b) -> Result<void> {
    ES_TRY(needs(path, lines, section, a, has_a, b, has_b));
    return needs(path, lines, section, b, has_b, a, has_a);
  };
  const EtcdSettings& etcd = host.etcd;
  const S3Settings& s3 = host.s3;
  ES_TRY(pair("etcd", "cert_file", !etcd.cert_file.empty(), "key_file", !etcd.key_file.empty()));
  ES_TRY(pair("etcd", "username", !etcd.username.empty(), "password_file",
              !etcd.password_file.empty()));
  ES_TRY(pair("s3", "access_key_file", !s3.access_key_file.empty(), "secret_key_file",
              !s3.secret_key_file.empty()));
  return needs(path, lines, "s3", "sse_kms_key_id", !s3.sse_kms_key_id.empty(), "sse = aws:kms",
               s3.sse == "aws:kms");
}

// An endpoint without a scheme speaks TLS where certificates are configured.
void complete_endpoints(EtcdSettings& etcd) {
  const bool tls = !etcd.ca_file.empty() || !etcd.cert_file.empty();
  for (std::string& endpoint : etcd.endpoints) {
    if (endpoint.find("://") == endpoint.npos) endpoint.insert(0, tls ? "https://" : "http://");
  }
}

}  // namespace

Result<HostSettings> read_host_ini(const std::string& path, const std::string& text,
                                   KeyLines& lines) {
  HostSettings host;
  const IniHandler handler = {check_section,
                              [&](const IniKey& found) { return take_key(found, host, lines); }};
  ES_TRY(read_ini(path, text, handler));
  ES_TRY(check_pairs(path, host, lines));
  complete_endpoints(host.etcd);
  return host;
}

Result<HostSettings> parse_host_ini(const std::string& path, const std::string& text) {
  KeyLines lines;
  return read_host_ini(path, text, lines);
}

std::vector<std::string> known_host_keys() {
  std::vector<std::string> names;
  for (const Key& key : keys()) names.push_back(fmt::format("{}.{}", key.section, key.name));
  return names;
}

}  // namespace etcd_snapshot
