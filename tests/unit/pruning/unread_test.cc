// What cannot be read is not what does not exist: an error at each read that deletion rests on.
//
// Others of the kind: files that could not be looked at during a scan were taken for deleted
// (syncthing/syncthing#4573); an error of the source must hold deletion at the destination
// (RsyncProject/rsync#515, rclone/rclone#3594); a stale handle was reported as something else
// (saltstack/salt#41766); a full /run kept a service from working (docker/for-linux#214).
#include <string>
#include <vector>

#include "../fakes/faults.h"
#include "../store/scratch.h"
#include "archive/writer.h"
#include "pruning/history.h"
#include "store/directory.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

constexpr int kErrors[] = {EIO, ENFILE, EMFILE, ESTALE, ENOMEM, EACCES, EINTR};

}  // namespace

TEST_GROUP(Unread) {
  Scratch scratch;
  SnapshotDirectory directory = std::move(*SnapshotDirectory::open(scratch.path(), true));

  void put(const std::string& base, Compression compression, uint64_t cluster_id = 1,
           const std::string& kind = "rolling") {
    const std::string content(512 + 32, 'd');
    auto partial = directory.create(base + std::string(archive_extension(compression)));
    CHECK_TRUE(partial.ok());
    auto writer = make_archive_writer({compression, base, UnixSeconds(), 544}, **partial);
    Manifest manifest;
    manifest.name = base;
    manifest.kind = kind;
    manifest.created = "2018-05-04T18:40:16Z";
    manifest.cluster_id = cluster_id;
    manifest.revision = 42;
    manifest.etcd_version = "3.4.23";
    manifest.database_bytes = 512;
    manifest.sha256 = std::string(64, 'a');
    manifest.host = "node-1";
    manifest.agent_version = "0.1.0";
    CHECK_TRUE((*writer)->write(as_bytes(content)).ok());
    CHECK_TRUE((*writer)->finish(manifest).ok());
    const bool bare = compression == Compression::kNone;
    CHECK_TRUE((*partial)->commit(bare ? std::optional(manifest) : std::nullopt).ok());
  }
  StoredSnapshot only(const std::vector<StoredSnapshot>& files, const std::string& name) {
    for (const StoredSnapshot& file : files) {
      if (file.file_name == name) return file;
    }
    FAIL(("not listed: " + name).c_str());
    return {};
  }
};

TEST(Unread, IsListedAsSuchWhicheverCallFails) {
  const std::string zip = "2018-05-04T18:40:16Z_etcd", bare = "2018-05-05T18:40:16Z_etcd",
                    zstd = "2018-05-06T18:40:16Z_etcd";
  put(zip, Compression::kZip);
  put(bare, Compression::kNone);
  put(zstd, Compression::kZstd);
  const struct {
    const char* call;
    std::string path, file;
  } reads[] = {{"fstatat", zip + ".zip", zip + ".zip"},
               {"openat", zip + ".zip", zip + ".zip"},
               {"fstat", zip + ".zip", zip + ".zip"},
               {"pread", zip + ".zip", zip + ".zip"},
               {"fstatat", zstd + ".zst", zstd + ".zst"},
               {"openat", zstd + ".zst", zstd + ".zst"},
               {"fstat", zstd + ".zst", zstd + ".zst"},
               {"pread", zstd + ".zst", zstd + ".zst"},
               {"fstatat", bare, bare},
               {"openat", "." + bare + ".manifest", bare},
               {"fstat", "." + bare + ".manifest", bare},
               {"read", "." + bare + ".manifest", bare}};
  for (const auto& one : reads) {
    for (const int number : kErrors) {
      const Fault fault(one.call, number, "*/" + one.path);
      const auto files = directory.list();
      const std::string what = std::string(one.call) + " " + one.path + " " + strerror(number);
      CHECK_TRUE_TEXT(files.ok(), what.c_str());
      LONGS_EQUAL_TEXT(3, files->size(), what.c_str());
      for (const StoredSnapshot& file : *files) {
        CHECK_TRUE_TEXT(file.unread.has_value() == (file.file_name == one.file), what.c_str());
        CHECK_TRUE_TEXT(file.manifest.has_value() != file.unread.has_value(), what.c_str());
        CHECK_TRUE_TEXT(file.name.has_value(), what.c_str());
      }
      const Error error = *only(*files, one.file).unread;
      LONGS_EQUAL_TEXT(number, error.code, what.c_str());
      CHECK_TRUE_TEXT(holds(error.message, scratch.path(one.file)), error.message.c_str());
      CHECK_FALSE_TEXT(error.hint.empty(), what.c_str());
      CHECK_TRUE(find_unread(*files, UnixSeconds::max()).has_value());
    }
    // A signal in between is nothing at all.
    const Fault once(one.call, EINTR, "*/" + one.path, "1");
    const auto files = directory.list();
    for (const StoredSnapshot& file : *files) CHECK_TRUE(file.manifest.has_value());
    CHECK_TRUE(Fault::matched() > 1);
  }
}

TEST(Unread, SaysHowToGetOutOfIt) {
  const std::string name = "2018-05-04T18:40:16Z_etcd.zip";
  scratch.write(name, "x");
  scratch.write("notes.zip", "x");
  {
    const Fault fault("openat", EACCES, "*.zip");
    const auto files = directory.list();
    CHECK_TRUE(holds(only(*files, name).unread->hint, "chmod 0600 " + scratch.path(name)));
    CHECK_TRUE(holds(only(*files, name).unread->hint, "etcd-snapshot delete " + name));
    CHECK_TRUE(holds(only(*files, "notes.zip").unread->hint, "move it out of"));
  }
  const Fault fault("pread", EIO, "*.zip");
  const auto files = directory.list();
  CHECK_TRUE(holds(only(*files, name).unread->hint, "etcd-snapshot delete " + name));
}

// Content that is no archive was read: nothing is unknown of it.
TEST(Unread, IsNotWhatIsDamagedOrForeign) {
  scratch.write("2018-05-04T18:40:16Z_etcd.zip", "PK\5\6 cut");
  scratch.write("2018-05-05T18:40:16Z_etcd.zst", "");
  scratch.write("2018-05-06T18:40:16Z_etcd", "bare");
  scratch.write(".2018-05-06T18:40:16Z_etcd.manifest", "{");
  scratch.write("2018-05-07T18:40:16Z_etcd", "bare");
  CHECK_EQUAL(0, mkdir(scratch.path(".2018-05-07T18:40:16Z_etcd.manifest").c_str(), 0700));
  scratch.write("2018-05-08T18:40:16Z_etcd", "bare");
  CHECK_EQUAL(0, symlink("nowhere", scratch.path(".2018-05-08T18:40:16Z_etcd.manifest").c_str()));
  const auto files = directory.list();
  LONGS_EQUAL(5, files->size());
  for (const StoredSnapshot& file : *files) {
    CHECK_FALSE_TEXT(file.unread.has_value(), file.file_name.c_str());
    CHECK_FALSE_TEXT(file.manifest.has_value(), file.file_name.c_str());
  }
  CHECK_FALSE(find_unread(*files, UnixSeconds::max()).has_value());
}

TEST(Unread, ListThatBreaksOffIsNoList) {
  put("2018-05-04T18:40:16Z_etcd", Compression::kZip);
  put("2018-05-05T18:40:16Z_etcd", Compression::kZip);
  for (const char* nth : {"1", "2", "3", "4"}) {
    for (const int number : {EIO, ESTALE, ENOMEM}) {
      {
        const Fault fault("readdir", number, scratch.path(), nth);
        CHECK_FALSE_TEXT(directory.list().ok(), nth);
      }
      const Fault fault("readdir", number, scratch.path(), nth);
      CHECK_FALSE(directory.sweep().ok());
    }
    const Fault fault("readdir", EINTR, scratch.path(), nth);
    LONGS_EQUAL(2, directory.list()->size());
  }
}

// The manifest of a bare snapshot lies beside it; that goes only where both names are known to be
// free.
TEST(Unread, SidecarIsNeverSwept) {
  const std::string bare = "2018-05-05T18:40:16Z_etcd", sidecar = "." + bare + ".manifest";
  put(bare, Compression::kNone);
  for (const std::string& name : {bare, ".etcd-snapshot." + bare + ".partial"}) {
    for (const int number : kErrors) {
      const Fault fault("faccessat", number, "*/" + name);
      const auto swept = directory.sweep();
      CHECK_FALSE_TEXT(swept.ok(), name.c_str());
      LONGS_EQUAL(number, swept.error().code);
      CHECK_TRUE_TEXT(scratch.has(sidecar), name.c_str());
    }
    const Fault fault("faccessat", EINTR, "*/" + name, "1");
    CHECK_TRUE(directory.sweep().ok());
    CHECK_TRUE(scratch.has(sidecar));
  }
  // Without its snapshot it goes, but not unread.
  CHECK_EQUAL(0, unlink(scratch.path(bare).c_str()));
  for (const char* call : {"openat", "fstat", "read"}) {
    const Fault fault(call, EIO, "*/" + sidecar);
    CHECK_FALSE_TEXT(directory.sweep().ok(), call);
    CHECK_TRUE_TEXT(scratch.has(sidecar), call);
  }
  CHECK_TRUE(directory.sweep().ok());
  CHECK_FALSE(scratch.has(sidecar));
}

// Whether somebody still writes a partial file its lock tells; a day old it would go without one.
TEST(Unread, PartialFileStaysWhereItsLockIsNotKnown) {
  const std::string partial = ".etcd-snapshot.2018-05-05T18:40:16Z_etcd.zip.partial";
  scratch.write(partial, "x");
  const timespec old[] = {{1000000, 0}, {1000000, 0}};
  CHECK_EQUAL(0, utimensat(AT_FDCWD, scratch.path(partial).c_str(), old, 0));
  for (const char* call : {"openat", "fstat", "flock", "fstatat"}) {
    for (const int number : {EIO, ESTALE, ENOMEM}) {
      const Fault fault(call, number, "*/" + partial);
      CHECK_FALSE_TEXT(directory.sweep().ok(), call);
      CHECK_TRUE_TEXT(scratch.has(partial), call);
    }
  }
  // A file system without locks: by its age.
  const Fault fault("flock", ENOLCK, "*/" + partial);
  CHECK_TRUE(directory.sweep().ok());
  CHECK_FALSE(scratch.has(partial));
}

TEST(Unread, HistoryIsUnknownOfRollingOnesUntilNow) {
  put("2018-05-04T18:40:16Z_etcd", Compression::kZip);
  put("rke_etcd_snapshot_2018-05-04T18:40:16Z", Compression::kZip, 1, "one-time");
  put("by-hand", Compression::kZip, 1, "one-time");
  const auto unknown = [&](const std::string& glob, UnixSeconds now) {
    const Fault fault("pread", EIO, glob);
    return find_unread(*directory.list(), now).has_value();
  };
  const UnixSeconds taken = parse_snapshot_name("2018-05-04T18:40:16Z_etcd.zip")->time;
  CHECK_TRUE(unknown("*/2018-*.zip", taken));
  CHECK_FALSE(unknown("*/2018-*.zip", taken - std::chrono::seconds(1)));
  CHECK_FALSE(unknown("*/rke_etcd_snapshot*", taken));
  CHECK_FALSE(unknown("*/by-hand.zip", taken));
  put("2018-05-05T18:40:16Z_other-host_etcd", Compression::kZip);
  CHECK_TRUE(unknown("*other-host_etcd.zip", UnixSeconds::max()));
  const Fault fault("pread", EIO, "*/2018-*.zip");
  const auto error = find_unread(*directory.list(), UnixSeconds::max());
  CHECK_TRUE(holds(error->message, "2018-05-05T18:40:16Z_other-host_etcd.zip"));
  CHECK_TRUE(holds(error->message, "and 1 more"));
}

TEST(Unread, AcceptedHistoryIsAnErrorUnlessAbsent) {
  CHECK_FALSE(read_accepted_history(directory)->has_value());
  CHECK_TRUE(accept_history(directory, UnixSeconds(std::chrono::seconds(1525459216))).ok());
  for (const char* call : {"openat", "fstat", "read"}) {
    for (const int number : kErrors) {
      const Fault fault(call, number, "*/.etcd-snapshot.history");
      const auto accepted = read_accepted_history(directory);
      CHECK_FALSE_TEXT(accepted.ok(), call);
      LONGS_EQUAL(number, accepted.error().code);
      CHECK_FALSE(accepted.error().hint.empty());
    }
  }
}

// Where the name cannot be looked up the rename tells whether it is free, and the manifest of what
// has it is not replaced.
TEST(Unread, NameCostsNeitherTheSnapshotNorAnothers) {
  const std::string base = "2018-05-05T18:40:16Z_etcd", sidecar = "." + base + ".manifest";
  {
    const Fault fault("fstatat", EIO, "*/" + base);
    put(base, Compression::kNone, 7);
  }
  LONGS_EQUAL(7, only(*directory.list(), base).manifest->cluster_id);
  const std::string before = scratch.read(sidecar);
  const Fault fault("fstatat", EIO, "*/" + base);
  auto partial = directory.create(base);
  CHECK_TRUE(partial.ok());
  CHECK_TRUE((*partial)->write(as_bytes(std::string(544, 'x'))).ok());
  Manifest other;
  other.name = base;
  const auto committed = (*partial)->commit(other);
  LONGS_EQUAL(EEXIST, committed.error().code);
  STRCMP_EQUAL(before.c_str(), scratch.read(sidecar).c_str());
}

TEST(Unread, FreeSpaceCostsNoSnapshot) {
  const Fault fault("fstatvfs", EIO, "*");
  CHECK_FALSE(directory.free_space().ok());
  put("2018-05-04T18:40:16Z_etcd", Compression::kZip);
}

TEST(Unread, QuestionWhetherTheDirectoryCanBeWrittenCostsNoSnapshot) {
  for (const int number : {EIO, ENOMEM, ESTALE}) {
    const Fault fault("faccessat", number, scratch.path());
    CHECK_TRUE(SnapshotDirectory::open(scratch.path(), true).ok());
    CHECK_TRUE(Fault::matched() > 0);
  }
  const Fault fault("faccessat", EROFS, scratch.path());
  CHECK_FALSE(SnapshotDirectory::open(scratch.path(), true).ok());
}
