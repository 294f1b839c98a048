#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/exit_code.h"
#include "base/go_duration.h"
#include "base/human.h"
#include "base/text.h"
#include "commands/commands.h"
#include "commands/registry.h"
#include "commands/status/gather.h"
#include "config/value.h"

namespace etcd_snapshot {
namespace {

using Json = nlohmann::json;
using std::chrono::seconds;

constexpr size_t kLabelColumns = 13;

std::string counted(int64_t number) {
  return number == 1 ? "1 snapshot" : fmt::format("{} snapshots", number);
}

void print_line(std::string_view label, const std::string& text) {
  fmt::print("  {:<{}}{}\n", label, kLabelColumns, text);
}

// An error within a line: its first words.
std::string not_known(const Error& error) {
  return "not known: " + error.message;
}

std::string where(const StatusFacts& facts) {
  const StatusFacts::Newest& newest = *facts.newest;
  if (newest.here && newest.in_bucket) return "here and in the bucket";
  if (newest.in_bucket) return "in the bucket only";
  return facts.bucket && !facts.bucket->error ? "here, not in the bucket" : "here";
}

std::string newest_line(const StatusFacts& facts) {
  if (!facts.newest) return "none";
  const StoredSnapshot& snapshot = facts.newest->snapshot;
  return fmt::format("{}, {}, revision {}, {}", snapshot.file_name,
                     human_bytes(snapshot.size_bytes), snapshot.manifest->revision, where(facts));
}

std::string age_line(const StatusFacts& facts) {
  std::string text = human_age(*facts.age());
  if (facts.max_age) {
    text += ", at most " + human_interval(*facts.max_age) + " is asked for";
  } else if (facts.recurring) {
    text += ", one is due every " + human_interval(facts.interval);
  } else if (facts.config_error && facts.interval_known) {
    text += ", one was due every " + human_interval(facts.interval);
  }
  return text;
}

std::string here_line(const StatusFacts& facts) {
  const StatusFacts::Here& here = facts.here;
  if (here.directory.empty()) return "not known: the configuration cannot be read";
  if (here.error) return not_known(*here.error);
  if (here.missing) return here.directory + " does not exist";
  return fmt::format("{} in {}, {}", counted(here.count), here.directory,
                     human_bytes(here.size_bytes));
}

std::string bucket_line(const StatusFacts& facts) {
  if (facts.config_error) return "not known: the configuration cannot be read";
  if (facts.bucket_aside) return "not asked: its settings cannot be used";
  if (!facts.bucket) return "none is configured";
  const StatusFacts::Bucket& bucket = *facts.bucket;
  if (bucket.error) return not_known(*bucket.error);
  const std::string there = fmt::format("{} in {}", counted(bucket.count), bucket.url);
  if (bucket.missing == 0) {
    // What failed there need not show in the list.
    const bool failed =
        facts.last_run && !facts.last_run->killed && facts.last_run->exit_status == kExitRemote;
    return there + (failed ? ", no name is missing, but the last cycle failed there"
                           : ", nothing is missing");
  }
  return fmt::format("{}, {} not uploaded yet ({}), the oldest {} old", there,
                     counted(bucket.missing), human_bytes(bucket.missing_bytes),
                     human_age(facts.now - bucket.oldest_missing));
}

std::string last_run_line(const StatusFacts& facts) {
  if (!facts.last_run) return "none since boot";
  const StatusFacts::LastRun& run = *facts.last_run;
  std::string text =
      fmt::format("{} ago ({}), {}", human_age(std::max(facts.now - run.finished, seconds(0))),
                  format_utc(run.finished), describe(run));
  return run.snapshot.empty() ? text : text + ", took " + run.snapshot;
}

std::string next_run_line(const StatusFacts& facts) {
  if (!facts.schedule) return "not known: systemd was not asked or does not answer";
  if (facts.running()) {
    const ServiceState& service = facts.schedule->service;
    std::string text = "a cycle has been running";
    if (service.started) {
      text += " for " + human_age(std::max(facts.now - *service.started, seconds(0)));
    }
    return service.status_text.empty() ? text : text + ": " + service.status_text;
  }
  const auto next = facts.schedule->timer.next;
  if (!next || facts.schedule->timer.active_state != "active") return "none is planned";
  if (*next <= facts.now) return "now";
  return fmt::format("in {} ({})", human_age(*next - facts.now), format_utc(*next));
}

std::string space_line(const StatusFacts& facts) {
  const StatusFacts::Here& here = facts.here;
  if (!here.space) return "not known";
  const std::string free =
      fmt::format("{} free, {} of it are left for others", human_bytes(here.space->free_bytes),
                  human_bytes(SnapshotDirectory::reserve_bytes(*here.space)));
  const auto room = facts.room();
  if (!room) return free;
  return fmt::format("room for {} more snapshot{} ({})", *room, *room == 1 ? "" : "s", free);
}

void print_human(const StatusFacts& facts, const StatusVerdict& verdict) {
  fmt::print("{}: {}\n", health_word(verdict.health), verdict.summary);
  const bool several = verdict.reasons.size() > 1;
  for (const StatusReason& reason : verdict.reasons) {
    if (several) fmt::print("  {}: {}\n", health_word(reason.health), reason.message);
    fmt::print("  {}-> {}\n", several ? "  " : "", reason.hint);
  }
  print_line("newest", newest_line(facts));
  if (facts.newest) print_line("age", age_line(facts));
  print_line("here", here_line(facts));
  print_line("bucket", bucket_line(facts));
  print_line("last cycle", last_run_line(facts));
  print_line("next cycle", next_run_line(facts));
  print_line("space", space_line(facts));
}

// --- the same for programs: a value that is not known is null -----------------------------------

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json time_or_null(const std::optional<UnixSeconds>& time) {
  return time ? Json(format_utc(*time)) : Json();
}

Json error_or_null(const std::optional<Error>& error) {
  return error ? Json{{"message", error->message}, {"hint", error->hint}} : Json();
}

int64_t in_seconds(Nanoseconds duration) {
  return std::chrono::duration_cast<seconds>(duration).count();
}

Json newest_json(const StatusFacts& facts) {
  if (!facts.newest) return Json();
  const StoredSnapshot& snapshot = facts.newest->snapshot;
  Json places = Json::array();
  if (facts.newest->here) places.push_back("local");
  if (facts.newest->in_bucket) places.push_back("bucket");
  return {{"name", snapshot.name->base},
          {"file", snapshot.file_name},
          {"kind", snapshot.name->kind == SnapshotKind::kRolling ? "rolling" : "one-time"},
          {"time", format_utc(snapshot.name->time)},
          {"age_s", facts.age()->count()},
          {"size_bytes", snapshot.size_bytes},
          {"database_bytes", snapshot.manifest->database_bytes},
          {"revision", snapshot.manifest->revision},
          {"where", std::move(places)}};
}

Json policy_json(const StatusFacts& facts) {
  if (facts.config_error) return Json();
  const AgeLimits limits = age_limits(facts.interval);
  Json policy = {{"recurring", facts.recurring}, {"interval_s", nullptr}};
  policy["warning_age_s"] = policy["critical_age_s"] = nullptr;
  if (facts.recurring) policy["interval_s"] = in_seconds(facts.interval);
  if (facts.max_age) {
    policy["critical_age_s"] = in_seconds(*facts.max_age);
  } else if (facts.recurring) {
    policy["warning_age_s"] = in_seconds(limits.warning);
    policy["critical_age_s"] = in_seconds(limits.critical);
  }
  return policy;
}

Json bucket_json(const StatusFacts& facts) {
  if (!facts.bucket) return Json();
  const StatusFacts::Bucket& bucket = *facts.bucket;
  Json object = {{"error", error_or_null(bucket.error)}};
  if (!bucket.url.empty()) object["url"] = bucket.url;
  if (bucket.error) return object;
  object["count"] = bucket.count;
  object["missing"] = bucket.missing;
  object["missing_bytes"] = bucket.missing_bytes;
  object["oldest_missing_age_s"] =
      bucket.missing > 0 ? Json((facts.now - bucket.oldest_missing).count()) : Json();
  return object;
}

Json local_json(const StatusFacts& facts) {
  const StatusFacts::Here& here = facts.here;
  if (here.directory.empty()) return Json();
  Json object = {{"directory", here.directory},
                 {"exists", !here.missing},
                 {"error", error_or_null(here.error)}};
  if (here.error) return object;
  object["count"] = here.count;
  object["of_other_hosts"] = here.others.count;
  object["size_bytes"] = here.size_bytes;
  if (!here.space) return object;
  object["free_bytes"] = here.space->free_bytes;
  object["reserve_bytes"] = SnapshotDirectory::reserve_bytes(*here.space);
  object["next_snapshot_bytes"] = or_null(here.next_bytes);
  object["room_snapshots"] = or_null(facts.room());
  return object;
}

Json last_run_json(const StatusFacts& facts) {
  if (!facts.last_run) return Json();
  const StatusFacts::LastRun& run = *facts.last_run;
  Json object = {{"finished", format_utc(run.finished)},
                 {"age_s", (facts.now - run.finished).count()},
                 {"snapshot", run.snapshot.empty() ? Json() : Json(run.snapshot)},
                 {"exit_code", nullptr},
                 {"signal", nullptr}};
  object[run.killed ? "signal" : "exit_code"] = run.exit_status;
  return object;
}

Json next_run_json(const StatusFacts& facts) {
  if (!facts.schedule) return Json();
  const TimerState& timer = facts.schedule->timer;
  return {
      {"time", time_or_null(timer.next)},
      {"in_s", timer.next ? Json((*timer.next - facts.now).count()) : Json()},
      {"running", facts.running()},
      {"running_since", facts.running() ? time_or_null(facts.schedule->service.started) : Json()},
      {"phase", facts.running() ? Json(facts.schedule->service.status_text) : Json()},
      {"timer", timer.load_state == "loaded" ? timer.active_state : timer.load_state}};
}

void print_json(const StatusFacts& facts, const StatusVerdict& verdict) {
  Json reasons = Json::array();
  for (const StatusReason& reason : verdict.reasons) {
    reasons.push_back({{"status", lower(health_word(reason.health))},
                       {"code", reason.code},
                       {"message", reason.message},
                       {"hint", reason.hint}});
  }
  const Json object = {{"status", lower(health_word(verdict.health))},
                       {"exit_code", static_cast<int>(verdict.health)},
                       {"summary", verdict.summary},
                       {"reasons", std::move(reasons)},
                       {"time", format_utc(facts.now)},
                       {"policy", policy_json(facts)},
                       {"newest", newest_json(facts)},
                       {"local", local_json(facts)},
                       {"bucket", bucket_json(facts)},
                       {"last_run", last_run_json(facts)},
                       {"next_run", next_run_json(facts)}};
  fmt::print("{}\n", object.dump(2, ' ', false, Json::error_handler_t::replace));
}

// Where it cannot even begin: says so in its own form; its exit code.
int status_unknown(const Error& error, bool json) {
  if (json) {
    const Json object = {{"status", "unknown"},
                         {"exit_code", static_cast<int>(Health::kUnknown)},
                         {"summary", error.message},
                         {"reasons", Json::array({{{"status", "unknown"},
                                                   {"code", "error"},
                                                   {"message", error.message},
                                                   {"hint", error.hint}}})}};
    fmt::print("{}\n", object.dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    fmt::print("UNKNOWN: {}\n", error.message);
    if (!error.hint.empty()) fmt::print("  -> {}\n", error.hint);
  }
  return static_cast<int>(Health::kUnknown);
}

int run_status(const Call& call, StatusOptions options, const std::optional<std::string>& max_age) {
  if (max_age) {
    const auto age = parse_max_age(*max_age);
    if (!age) return status_unknown(age.error(), options.json);
    options.max_age = *age;
  }
  // Another policy than the host's own says nothing of the host's timer.
  if (call.paths.cluster_file == kDefaultClusterFile) {
    options.schedule = read_schedule("etcd-snapshot");
  }
  std::optional<Error> error = call.config_error;
  // Whoever asks for an age needs no policy for it.
  if (!error && !options.max_age && !call.settings.policy_present) {
    error = policy_missing(call.paths);
  }
  return command_status(call.context, options, error);
}

}  // namespace

Command make_status(CLI::App& app) {
  const auto options = std::make_shared<StatusOptions>();
  const auto max_age = std::make_shared<std::optional<std::string>>();
  app.add_flag("--json", options->json, "print a JSON object");
  app.add_option_function<std::string>(
         "--max-age", [max_age](const std::string& text) { *max_age = text; },
         "critical where it is older (30m, 12h); without it the interval decides")
      ->type_name("DURATION");
  return {.run = [=](const Call& call) { return run_status(call, *options, *max_age); },
          .fail = [options](const Error& error,
                            const FailedStart&) { return status_unknown(error, options->json); }};
}

Result<Nanoseconds> parse_max_age(std::string_view text) {
  const Place place{"the command line", 0, "--max-age"};
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  Nanoseconds age{};
  if (digits) {
    auto value = parse_hours_or_minutes(place, text, Zero::kRefused);
    if (value) age = value->duration;
  } else if (auto value = parse_go_duration(text)) {
    age = *value;
  }
  if (age > Nanoseconds(0)) return age;
  Error error = bad_value(place, "not an age:", text,
                          "a duration such as 90s, 30m or 1h30m, or a whole number of hours");
  error.kind = ErrorKind::kUsage;
  error.hint = "see: etcd-snapshot status --help";
  return error;
}

int command_status(Context& context, const StatusOptions& options,
                   const std::optional<Error>& config_error) {
  const StatusFacts facts = gather_status(context, options.max_age, config_error, options.schedule);
  const StatusVerdict verdict = judge(facts);
  if (options.json) {
    print_json(facts, verdict);
  } else {
    print_human(facts, verdict);
  }
  return static_cast<int>(verdict.health);
}

}  // namespace etcd_snapshot
