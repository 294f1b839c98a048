// Environment files as systemd reads them (EnvironmentFile=, systemd.exec(5)), and command lines in
// their variables as systemd splits them ("$ARGS", systemd.service(5)). For the files of other
// programs: nothing is judged, and what systemd passes over is passed over.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace etcd_snapshot {

// The variables; of one that is set twice, the last. Comments begin with # or ; at the start of a
// line. A value may be quoted and continue behind a backslash at the end of its line; blanks around
// `=` count for nothing. A name that no variable can have ("export A") is passed over.
std::map<std::string, std::string> parse_environment_file(std::string_view text);

// The words of an unquoted $VARIABLE on a command line: divided at blanks, quotes taken off.
std::vector<std::string> split_words(std::string_view text);

}  // namespace etcd_snapshot
