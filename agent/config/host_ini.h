// etcd-snapshot.conf with what only load.cc needs beside the settings: on which line a key stands.
// Everybody else uses parse_host_ini of config/load.h.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "config/settings.h"

namespace etcd_snapshot {

// The line of each key that was set, by "section.key".
using KeyLines = std::map<std::string, int, std::less<>>;

Result<HostSettings> read_host_ini(const std::string& path, const std::string& text,
                                   KeyLines& lines);

}  // namespace etcd_snapshot
