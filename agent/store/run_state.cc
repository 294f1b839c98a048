#include "store/run_state.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/files.h"
#include "base/json.h"

namespace etcd_snapshot {
namespace {

constexpr char kStateFile[] = "state.json";

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int64_t number_of(const nlohmann::json& object, const char* key, int64_t otherwise) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int64_t>() : otherwise;
}

// Whether what the guard of the clock needs is whole. A number that is there and is none is damage;
// one that is missing is an older agent's.
bool tells_of_clock(const nlohmann::json& object) {
  if (!object.is_object()) return false;
  for (const char* key : {"prune_hold_until_s", "clock_offset_s"}) {
    const auto found = object.find(key);
    if (found != object.end() && !found->is_number_integer()) return false;
  }
  return true;
}

}  // namespace

Result<RunState> read_run_state(const std::string& runtime_dir) {
  RunState state;
  const std::string path = runtime_dir + "/" + kStateFile;
  const auto text = read_file(path, ErrorKind::kStorage, 64 << 10);
  if (!text && is_absent(text.error())) return state;
  const auto object = text ? parse_json(*text) : nlohmann::json();
  if (!text || !tells_of_clock(object)) {
    constexpr char kHint[] =
        "whether the clock was set ahead is not known: a run writes the file anew and prunes after "
        "the retention, at most a day later; see that the clock is right (timedatectl)";
    if (text) return Error{ErrorKind::kStorage, path + " is damaged", kHint, false, 0};
    Error error = text.error();
    error.hint = kHint;
    return error;
  }
  state.creation = text_of(object, "creation");
  state.retention = text_of(object, "retention");
  state.warnings = text_of(object, "warnings");
  state.finished = text_of(object, "finished");
  state.snapshot = text_of(object, "snapshot");
  state.exit_code = static_cast<int>(number_of(object, "exit_code", 0));
  if (const auto cluster = object.find("cluster");
      cluster != object.end() && cluster->is_object()) {
    const auto learner = cluster->find("learner");
    state.cluster = {text_of(*cluster, "alarms"), text_of(*cluster, "reason"),
                     learner != cluster->end() && *learner == true};
  }
  state.prune_hold_until_s = number_of(object, "prune_hold_until_s", 0);
  // An offset is a Unix time at most.
  constexpr int64_t kNone = INT64_MIN;
  const int64_t offset = number_of(object, "clock_offset_s", kNone);
  if (offset != kNone) state.clock_offset_s = offset;
  return state;
}

Result<void> write_run_state(const std::string& runtime_dir, const RunState& state) {
  nlohmann::json object = {{"creation", state.creation},
                           {"warnings", state.warnings},
                           {"retention", state.retention},
                           {"finished", state.finished},
                           {"exit_code", state.exit_code},
                           {"snapshot", state.snapshot},
                           {"prune_hold_until_s", state.prune_hold_until_s}};
  if (state.cluster) {
    object["cluster"] = {{"alarms", state.cluster->alarms},
                         {"reason", state.cluster->reason},
                         {"learner", state.cluster->learner}};
  }
  if (state.clock_offset_s) object["clock_offset_s"] = *state.clock_offset_s;
  const UniqueFd directory(open(runtime_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return system_error(ErrorKind::kStorage, "cannot open", runtime_dir);
  return replace_file_at(directory.get(), kStateFile, as_bytes(json_text(object) + "\n"), 0644);
}

RunState lost_run_state(int64_t since_boot_s, int64_t hold_s) {
  RunState state;
  state.prune_hold_until_s = since_boot_s + hold_s;
  return state;
}

void mark_unfinished(const std::string& runtime_dir) {
  const std::string path = runtime_dir + "/" + kUnfinishedFile;
  const UniqueFd made(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
}

void clear_unfinished(const std::string& runtime_dir) {
  unlink((runtime_dir + "/" + kUnfinishedFile).c_str());
}

int64_t note_clock(RunState& state, int64_t now_s, int64_t since_boot_s, int64_t hold_s) {
  constexpr int64_t kTolerated = 3600;
  const int64_t offset = now_s - since_boot_s;
  int64_t jump = 0;
  if (state.clock_offset_s && __builtin_sub_overflow(offset, *state.clock_offset_s, &jump))
    jump = 0;
  state.clock_offset_s = offset;
  if (jump <= kTolerated) return 0;
  state.prune_hold_until_s = since_boot_s + hold_s;
  return jump;
}

}  // namespace etcd_snapshot
