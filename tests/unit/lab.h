// A host of the tests' own: a directory, a clock, a log, an etcd, a bucket that with_bucket()
// names, and the settings that join them. Include before CppUTest's headers.
#pragma once

#include <stdlib.h>

#include <algorithm>
#include <string>
#include <vector>

#include "archive/reader.h"
#include "archive/writer.h"
#include "base/exit_code.h"
#include "base/files.h"
#include "base/human.h"
#include "commands/registry.h"
#include "fakes/clock.h"
#include "fakes/etcd.h"
#include "fakes/log.h"
#include "fakes/s3.h"
#include "run/context.h"
#include "store/directory.h"
#include "store/run_state.h"
#include "store/scratch.h"

namespace etcd_snapshot {

// What the tests expect more than once: the name of the first snapshot, and lines of the log.
inline constexpr char kFirst[] = "2018-05-04T18:40:16Z_etcd.zip";
inline constexpr char kNotThere[] = "Backup is safe here, but not in the bucket";
inline constexpr char kBehind[] = "The bucket is not up to date";
inline constexpr char kTaken[] =
    "The name is taken in the bucket by other content, taking one beside it";

class FakeProgress final : public Progress {
 public:
  void phase(Phase, std::string_view text) override { phases.emplace_back(text); }
  void advance(int64_t done_bytes, int64_t total_bytes) override {
    done = done_bytes;
    total = total_bytes;
  }
  void finish(std::string_view text) override { ends.emplace_back(text); }
  std::vector<std::string> phases, ends;
  int64_t done = 0, total = 0;
};

class Lab {
 public:
  Lab() {
    setenv("RUNTIME_DIRECTORY", scratch.path("run").c_str(), 1);
    settings.policy_present = true;
    settings.policy.recurring = true;
    settings.host.etcd.endpoints = {"http://127.0.0.1:2379"};
    settings.host.snapshots.directory = scratch.path("snapshots");
  }
  ~Lab() { unsetenv("RUNTIME_DIRECTORY"); }

  // The visible files of the snapshot directory, in order of their names.
  std::vector<std::string> files() const { return names(false); }
  // The hidden ones: nothing of ours may be left there.
  std::vector<std::string> hidden() const { return names(true); }

  // A rolling snapshot of the past, with a manifest, as the agent itself would have left it.
  std::string add_snapshot(Nanoseconds age, int64_t revision = 500) {
    Manifest manifest;
    const UnixSeconds time = std::chrono::floor<std::chrono::seconds>(clock.now() - age);
    manifest.name = rolling_name(time, "", false);
    manifest.kind = "rolling";
    manifest.created = format_utc(time);
    manifest.cluster_id = etcd.cluster_id;
    manifest.member_id = etcd.member_id;
    manifest.revision = revision;
    manifest.etcd_version = etcd.version;
    manifest.host = context.host;
    manifest.agent_version = "0";
    return put(manifest);
  }
  std::string put(Manifest manifest) {
    const std::string database = fake_database(1024);
    manifest.database_bytes = static_cast<int64_t>(database.size());
    manifest.sha256 = std::string(64, '0');
    const std::string file = manifest.name + ".zip";
    auto directory = SnapshotDirectory::open(settings.host.snapshots.directory, true);
    if (!directory) abort();
    auto partial = directory->create(file);
    if (!partial) abort();
    auto writer =
        make_archive_writer({Compression::kZip, manifest.name, clock.now(), 1024}, **partial);
    if (!writer || !(*writer)->write(as_bytes(database + digest_of(database))) ||
        !(*writer)->finish(manifest) || !(*partial)->commit(std::nullopt)) {
      abort();
    }
    return file;
  }

  // Settings for "p1/" in the bucket of `s3`; no retries, as threads share the clock.
  void with_bucket() {
    S3Policy& policy = settings.policy.s3.emplace();
    policy.access_key = "AKIDEXAMPLE";
    policy.secret_key = "wJalrXUtnFEMIsecret";
    policy.bucket_name = "backups";
    policy.folder = "p1";
    policy.region = "eu-central-1";
    policy.endpoint = "https://s3.test:9000";
    settings.host.s3.retries = 0;
  }
  // A file here as the object of the same name there.
  void copy_to_bucket(const std::string& file) {
    s3.put("p1/" + file, scratch.read("snapshots/" + file));
  }
  // The objects below "p1/", in order, without that.
  std::vector<std::string> objects() const {
    std::vector<std::string> found;
    for (const auto& [key, object] : s3.objects()) {
      if (key.starts_with("p1/")) found.push_back(key.substr(3));
    }
    return found;
  }
  bool in_bucket(const std::string& file) const { return s3.has("p1/" + file); }
  // Whether the object is the file here, byte for byte.
  bool same_in_bucket(const std::string& file) const {
    return in_bucket(file) &&
           s3.objects().at("p1/" + file).bytes == scratch.read("snapshots/" + file);
  }

  bool has(const std::string& file) const { return scratch.has("snapshots/" + file); }
  RunState state() const { return read_run_state(scratch.path("run")).value(); }
  // Whether what lies under that name is the database as etcd has it, byte for byte.
  bool holds_database(const std::string& file, Compression compression) const {
    class Text final : public ByteSink {
     public:
      Result<void> write(Bytes bytes) override {
        content += as_text(bytes);
        return {};
      }
      std::string content;
    } text;
    const UniqueFd fd(::open(scratch.path("snapshots/" + file).c_str(), O_RDONLY | O_CLOEXEC));
    return fd && extract_snapshot(fd.get(), compression, text).ok() &&
           text.content == etcd.database + digest_of(etcd.database);
  }

  Scratch scratch;
  Settings settings;
  FakeClock clock;
  FakeLog log;
  FakeEtcd etcd;
  FakeS3 s3;
  FakeProgress progress;
  Context context{settings, clock, log, etcd, s3.factory(), progress, "node-1", std::nullopt};

 private:
  std::vector<std::string> names(bool hidden_ones) const {
    std::vector<std::string> found;
    std::error_code error;
    for (const auto& entry :
         std::filesystem::directory_iterator(settings.host.snapshots.directory, error)) {
      const std::string name = entry.path().filename();
      if (name.starts_with('.') == hidden_ones) found.push_back(name);
    }
    std::sort(found.begin(), found.end());
    return found;
  }
};

// A command as its line says: call(lab, {"list", "--json"}); a null word is left out.
inline int call(Lab& lab, std::vector<const char*> line, const ConfigPaths& paths = {}) {
  std::erase(line, nullptr);
  line.insert(line.begin(), "etcd-snapshot");
  const auto invocation = parse_command_line(static_cast<int>(line.size()), line.data());
  if (!invocation) return exit_code(invocation.error().kind);
  return invocation->command.run({lab.context, lab.settings, paths, std::nullopt});
}

// What a function prints to standard output and standard error.
struct Printed {
  int code = 0;
  std::string out, err;
};
template <typename Command>
Printed capture(Command command) {
  const Scratch scratch;
  Printed printed;
  fflush(stdout);
  fflush(stderr);
  const UniqueFd old_out(dup(STDOUT_FILENO)), old_err(dup(STDERR_FILENO));
  const UniqueFd out(::open(scratch.path("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const UniqueFd err(::open(scratch.path("err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (dup2(out.get(), STDOUT_FILENO) < 0 || dup2(err.get(), STDERR_FILENO) < 0) abort();
  printed.code = command();
  fflush(stdout);
  fflush(stderr);
  if (dup2(old_out.get(), STDOUT_FILENO) < 0 || dup2(old_err.get(), STDERR_FILENO) < 0) abort();
  printed.out = scratch.read("out");
  printed.err = scratch.read("err");
  return printed;
}

}  // namespace etcd_snapshot
