// What an etcd server was told of its client port: by flags, by variables or by its own
// configuration file, with the precedence that etcd gives them. Reads no file itself.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace etcd_snapshot {

struct ServerSettings {
  std::string client_urls;  // --listen-client-urls: with commas between; empty: not set
  std::string ca_file, cert_file, key_file;
  std::string config_file;  // where set, etcd passes over flags and variables, and so is all above
};

// `command`: the program and its arguments; a shell's (-c "...") are looked into. A flag takes
// precedence over its variable (ETCD_LISTEN_CLIENT_URLS for --listen-client-urls), the last of two
// over the first. Source: etcd server/etcdmain/config.go, Go's package flag.
ServerSettings settings_of_command(const std::vector<std::string>& command,
                                   const std::map<std::string, std::string>& env);

// `values`: of the file that --config-file names (config/foreign_yaml.h). Source:
// server/embed/config.go, configYAML and securityConfig.
ServerSettings settings_of_config_file(const std::map<std::string, std::string>& values);

}  // namespace etcd_snapshot
