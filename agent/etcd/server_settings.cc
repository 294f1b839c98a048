#include "etcd/server_settings.h"

#include <algorithm>

#include "config/environment_file.h"

namespace etcd_snapshot {
namespace {

struct Setting {
  std::string_view flag;
  std::string_view yaml;  // empty: none
  std::string ServerSettings::*value;
};

constexpr Setting kSettings[] = {
    {"listen-client-urls", "listen-client-urls", &ServerSettings::client_urls},
    {"trusted-ca-file", "client-transport-security.trusted-ca-file", &ServerSettings::ca_file},
    {"cert-file", "client-transport-security.cert-file", &ServerSettings::cert_file},
    {"key-file", "client-transport-security.key-file", &ServerSettings::key_file},
    {"config-file", "", &ServerSettings::config_file},
};

std::string variable_of(std::string_view flag) {
  std::string name = "ETCD_";
  for (const char c : flag) {
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

// The words of a shell's command instead of the one that holds them all.
std::vector<std::string> without_shell(const std::vector<std::string>& command) {
  std::vector<std::string> words;
  for (size_t i = 0; i < command.size(); ++i) {
    if (i > 0 && command[i - 1] == "-c") {
      const std::vector<std::string> inner = split_words(command[i]);
      words.insert(words.end(), inner.begin(), inner.end());
    } else {
      words.push_back(command[i]);
    }
  }
  return words;
}

void read_flags(const std::vector<std::string>& words, ServerSettings& settings) {
  for (size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    if (!word.starts_with('-')) continue;
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    const size_t equals = word.find('=');
    for (const Setting& setting : kSettings) {
      if (word.substr(0, equals) != setting.flag) continue;
      if (equals != word.npos) {
        settings.*setting.value = word.substr(equals + 1);
      } else if (i + 1 < words.size()) {
        settings.*setting.value = words[++i];
      }
      break;
    }
  }
}

}  // namespace

ServerSettings settings_of_command(const std::vector<std::string>& command,
                                   const std::map<std::string, std::string>& env) {
  ServerSettings settings;
  for (const Setting& setting : kSettings) {
    const auto value = env.find(variable_of(setting.flag));
    if (value != env.end()) settings.*setting.value = value->second;
  }
  read_flags(without_shell(command), settings);
  return settings;
}

ServerSettings settings_of_config_file(const std::map<std::string, std::string>& values) {
  ServerSettings settings;
  for (const Setting& setting : kSettings) {
    if (setting.yaml.empty()) continue;
    const auto value = values.find(std::string(setting.yaml));
    if (value != values.end()) settings.*setting.value = value->second;
  }
  return settings;
}

}  // namespace etcd_snapshot
