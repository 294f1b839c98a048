#include "config/last_good.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdlib>
#include <string_view>

#include "base/fd.h"
#include "base/files.h"

namespace etcd_snapshot {
namespace {

constexpr char kKeptHost[] = "etcd-snapshot.conf";
constexpr char kKeptCluster[] = "cluster.yml";
constexpr size_t kMaxKeptBytes = 2 << 20;

// FNV-1a of 64 bits, against half a file and an edited one; no protection against anybody who may
// write here.
uint64_t checksum(std::string_view text) {
  uint64_t sum = 0xcbf29ce484222325;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return sum;
}

// A comment for either parser.
std::string last_line(std::string_view text, const std::string& live) {
  return fmt::format("# Kept by etcd-snapshot, {:016x}: {}\n", checksum(text), live);
}

// The last line stands by itself.
std::string with_line_end(std::string text) {
  if (!text.empty() && text.back() != '\n') text += '\n';
  return text;
}

Error damaged(const std::string& kept, std::string_view what) {
  Error error;
  error.kind = ErrorKind::kConfig;
  error.message = fmt::format("{}: {}", kept, what);
  error.hint = "correct the configuration; the next cycle keeps it again";
  return error;
}

Result<void> keep(int dir_fd, const char* name, const std::string& live,
                  const std::optional<std::string>& text) {
  std::string content = with_line_end(text.value_or(""));
  content += last_line(content, live);
  const auto before = read_file_at(dir_fd, name, ErrorKind::kStorage, kMaxKeptBytes);
  if (before && *before == content) return {};
  return replace_file_at(dir_fd, name, as_bytes(content), 0600);
}

}  // namespace

std::string state_directory() {
  const char* set = getenv("STATE_DIRECTORY");
  const std::string_view list = set != nullptr ? set : "";
  const std::string_view first = list.substr(0, list.find(':'));
  return first.empty() ? kDefaultStateDirectory : std::string(first);
}

bool has_last_good(const ConfigPaths& paths) {
  const char* set = getenv("STATE_DIRECTORY");
  if (set != nullptr && *set != '\0') return true;
  return paths.host_file == kDefaultHostFile && paths.cluster_file == kDefaultClusterFile;
}

std::string kept_host_file(const std::string& state_dir) {
  return state_dir + "/" + kKeptHost;
}

std::string kept_cluster_file(const std::string& state_dir) {
  return state_dir + "/" + kKeptCluster;
}

Result<void> keep_last_good(const std::string& state_dir, const ConfigPaths& paths,
                            const Settings& settings) {
  if (mkdir(state_dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error(ErrorKind::kStorage, "cannot create", state_dir);
  }
  const UniqueFd dir_fd(open(state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir_fd) return system_error(ErrorKind::kStorage, "cannot open", state_dir);
  ES_TRY(keep(dir_fd.get(), kKeptHost, paths.host_file, settings.host_text));
  return keep(dir_fd.get(), kKeptCluster, paths.cluster_file, settings.cluster_text);
}

Result<void> check_last_good(const std::string& kept, const std::string& live) {
  ES_ASSIGN(content, read_file(kept, ErrorKind::kConfig, kMaxKeptBytes));
  const size_t end = content.rfind('\n', content.size() < 2 ? 0 : content.size() - 2);
  const std::string_view all = content;
  const std::string_view text = end == all.npos ? "" : all.substr(0, end + 1);
  const std::string_view line = all.substr(text.size());
  if (!line.starts_with("# Kept by etcd-snapshot, "))
    return damaged(kept, "damaged, its last line is missing");
  if (!line.ends_with(": " + live + "\n")) {
    return damaged(kept, "kept of another file than " + live);
  }
  if (line != last_line(text, live)) return damaged(kept, "damaged, its checksum does not match");
  return {};
}

}  // namespace etcd_snapshot
