#include "store/directory.h"

#include <string>
#include <vector>

#include "archive/writer.h"
#include "base/files.h"
#include "scratch.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

Manifest manifest(const std::string& name, const std::string& kind, int64_t database_bytes) {
  Manifest m;
  m.name = name;
  m.kind = kind;
  m.created = "2018-05-04T18:40:16Z";
  m.cluster_id = 0xcdf818194e3a8c32;
  m.member_id = 0x8e9e05c52164694d;
  m.revision = 42;
  m.etcd_version = "3.4.23";
  m.database_bytes = database_bytes;
  m.sha256 = std::string(64, 'a');
  m.host = "node-1";
  m.agent_version = "0.1.0";
  return m;
}

SnapshotDirectory open_ok(const std::string& path) {
  auto opened = SnapshotDirectory::open(path, true);
  if (!opened) FAIL(opened.error().message.c_str());
  return std::move(*opened);
}

// Writes an archive as a cycle does. The content is no database, but its size is that of one.
void put(SnapshotDirectory& directory, const std::string& base, const std::string& kind,
         Compression compression) {
  const std::string content(512 + 32, 'd');
  auto partial = directory.create(base + std::string(archive_extension(compression)));
  if (!partial) FAIL(partial.error().message.c_str());
  ArchiveOptions options;
  options.compression = compression;
  options.name = base;
  options.expected_bytes = static_cast<int64_t>(content.size());
  auto writer = make_archive_writer(options, **partial);
  if (!writer) FAIL(writer.error().message.c_str());
  const Manifest m = manifest(base, kind, 512);
  CHECK_TRUE((*writer)->write(as_bytes(content)).ok());
  CHECK_TRUE((*writer)->finish(m).ok());
  const auto sidecar = compression == Compression::kNone ? std::optional(m) : std::nullopt;
  CHECK_TRUE((*partial)->commit(sidecar).ok());
}

std::string names_of(const std::vector<StoredSnapshot>& files) {
  std::string names;
  for (const StoredSnapshot& file : files) names += file.file_name + "\n";
  return names;
}

}  // namespace

TEST_GROUP(Directory) {
  Scratch scratch;
};

TEST(Directory, IsMadeWithItsParentsWhateverTheUmask) {
  for (const mode_t mask : {0000, 0022, 0077, 0777}) {
    const Umask umask_for_now(mask);
    const std::string top = "u" + std::to_string(mask);
    CHECK_TRUE(SnapshotDirectory::open(scratch.path(top + "/rke//snapshots/"), true).ok());
    LONGS_EQUAL(0755, scratch.mode(top));
    LONGS_EQUAL(0755, scratch.mode(top + "/rke"));
    LONGS_EQUAL(0700, scratch.mode(top + "/rke/snapshots"));
  }
}

TEST(Directory, ThatIsThereKeepsItsPermissions) {
  CHECK_EQUAL(0, mkdir(scratch.path("d").c_str(), 0700));
  CHECK_EQUAL(0, chmod(scratch.path("d").c_str(), 0755));
  const auto opened = SnapshotDirectory::open(scratch.path("d"), true);
  CHECK_TRUE(opened.ok());
  LONGS_EQUAL(0755, scratch.mode("d"));
  LONGS_EQUAL(055, *opened->permissive_bits());
}

TEST(Directory, FollowsALinkToAnotherPlace) {
  CHECK_EQUAL(0, mkdir(scratch.path("target").c_str(), 0700));
  CHECK_EQUAL(0, symlink("target", scratch.path("link").c_str()));
  auto directory = open_ok(scratch.path("link"));
  put(directory, "2018-05-04T18:40:16Z_etcd", "rolling", Compression::kNone);
  CHECK_TRUE(scratch.has("target/2018-05-04T18:40:16Z_etcd"));
}

TEST(Directory, SaysWhyItCannotBeOpened) {
  scratch.write("file", "");
  CHECK_EQUAL(0, symlink("nowhere", scratch.path("dangling").c_str()));
  CHECK_EQUAL(0, symlink("loop", scratch.path("loop").c_str()));
  struct Bad {
    std::string path;
    bool create;
    int code;
    std::string says;
  };
  const Bad table[] = {
      {"", true, EINVAL, "the path is empty"},
      {scratch.path("missing"), false, ENOENT, scratch.path("missing") + " does not exist"},
      {scratch.path("a/b/c"), false, ENOENT, scratch.path("a") + " does not exist"},
      {scratch.path("file"), true, ENOTDIR, scratch.path("file") + " is not a directory"},
      {scratch.path("file/below"), true, ENOTDIR, scratch.path("file") + " is not a directory"},
      {scratch.path("dangling"), true, ENOTDIR,
       scratch.path("dangling") + " is a symbolic link to nowhere, which does not exist"},
      {scratch.path("dangling/below"), true, ENOTDIR,
       scratch.path("dangling") + " is a symbolic link to nowhere, which does not exist"},
      {scratch.path("loop"), true, ELOOP, scratch.path("loop") + " is a symbolic link that leads"},
  };
  for (const Bad& bad : table) {
    const auto opened = SnapshotDirectory::open(bad.path, bad.create);
    CHECK_FALSE_TEXT(opened.ok(), bad.path.c_str());
    CHECK_TRUE(opened.error().kind == ErrorKind::kStorage);
    LONGS_EQUAL_TEXT(bad.code, opened.error().code, opened.error().message.c_str());
    CHECK_TRUE_TEXT(holds(opened.error().message, bad.says), opened.error().message.c_str());
    CHECK_FALSE_TEXT(opened.error().hint.empty(), bad.path.c_str());
  }
  CHECK_FALSE(scratch.has("nowhere"));
}

TEST(Directory, SaysWhenPermissionIsMissing) {
  CHECK_EQUAL(0, chmod(scratch.path().c_str(), 0755));
  CHECK_EQUAL(0, mkdir(scratch.path("closed").c_str(), 0));
  CHECK_EQUAL(0, mkdir(scratch.path("readable").c_str(), 0555));
  CHECK_EQUAL(0, chmod(scratch.path("readable").c_str(), 0555));
  const Unprivileged unprivileged;
  for (const std::string path : {"closed", "closed/below", "readable", "readable/below"}) {
    const auto opened = SnapshotDirectory::open(scratch.path(path), true);
    CHECK_FALSE_TEXT(opened.ok(), path.c_str());
    LONGS_EQUAL_TEXT(EACCES, opened.error().code, opened.error().message.c_str());
    CHECK_TRUE(holds(opened.error().message, "permission denied"));
    CHECK_TRUE(holds(opened.error().hint, "root"));
  }
  // Reading is enough for who only looks.
  CHECK_TRUE(SnapshotDirectory::open(scratch.path("readable"), false).ok());
}

TEST(Directory, ListsOursNewestFirstAndThenTheOthers) {
  auto directory = open_ok(scratch.path("d"));
  put(directory, "2018-05-04T18:40:16Z_etcd", "rolling", Compression::kZip);
  put(directory, "2018-05-04T18:42:16Z_etcd", "rolling", Compression::kZstd);
  put(directory, "2018-05-04T18:41:16Z_etcd", "rolling", Compression::kNone);
  scratch.write("d/2018-05-04T20:43:16+02:00_etcd", "of the older tool");
  scratch.write("d/zzz.txt", "somebody's");
  scratch.write("d/aaa.zip", "somebody's");
  scratch.write("d/empty.zst", "");
  scratch.write("d/pki.bundle.tar.gz", "certificates");
  scratch.write("d/.hidden", "hidden");
  CHECK_EQUAL(0, mkdir(scratch.path("d/2018-05-04T18:00:00Z_etcd").c_str(), 0700));
  CHECK_EQUAL(0, mkfifo(scratch.path("d/2018-05-04T18:00:01Z_etcd.zip").c_str(), 0600));
  CHECK_EQUAL(0, symlink("zzz.txt", scratch.path("d/2018-05-04T18:00:02Z_etcd").c_str()));
  const auto files = directory.list();
  CHECK_TRUE(files.ok());
  STRCMP_EQUAL(
      "2018-05-04T20:43:16+02:00_etcd\n2018-05-04T18:42:16Z_etcd.zst\n"
      "2018-05-04T18:41:16Z_etcd\n2018-05-04T18:40:16Z_etcd.zip\naaa.zip\nempty.zst\nzzz.txt\n",
      names_of(*files).c_str());
  CHECK_FALSE((*files)[0].manifest.has_value());
  LONGS_EQUAL(17, (*files)[0].size_bytes);
  for (size_t i = 1; i < 4; ++i) {
    CHECK_TRUE_TEXT((*files)[i].manifest.has_value(), (*files)[i].file_name.c_str());
    STRCMP_EQUAL((*files)[i].name->base.c_str(), (*files)[i].manifest->name.c_str());
    LONGS_EQUAL(42, (*files)[i].manifest->revision);
  }
  for (size_t i = 4; i < 7; ++i) CHECK_FALSE((*files)[i].name.has_value());
}

TEST(Directory, KnowsSnapshotsThatWereNamedByHand) {
  auto directory = open_ok(scratch.path("d"));
  put(directory, "before-upgrade", "one-time", Compression::kZip);
  put(directory, "plain", "one-time", Compression::kNone);
  put(directory, "renamed", "rolling", Compression::kZip);
  const auto files = directory.list();
  CHECK_TRUE(files.ok());
  STRCMP_EQUAL("before-upgrade.zip\nplain\nrenamed.zip\n", names_of(*files).c_str());
  for (size_t i = 0; i < 2; ++i) {
    const auto& name = (*files)[i].name;
    CHECK_TRUE(name.has_value());
    CHECK_TRUE(name->kind == SnapshotKind::kOneTime);
    LONGS_EQUAL(1525459216, name->time.time_since_epoch().count());
  }
  STRCMP_EQUAL("before-upgrade", (*files)[0].name->base.c_str());
  CHECK_TRUE((*files)[0].name->compression == Compression::kZip);
  CHECK_TRUE((*files)[1].name->compression == Compression::kNone);
  CHECK_FALSE((*files)[2].name.has_value());
}

TEST(Directory, TakesTheManifestsWordThatASnapshotWasTakenByHand) {
  auto directory = open_ok(scratch.path("d"));
  put(directory, "2018-05-04T18:40:16Z_etcd", "one-time", Compression::kZip);
  const auto files = directory.list();
  CHECK_TRUE((*files)[0].name->kind == SnapshotKind::kOneTime);
}

TEST(Directory, BelievesNoSidecarOfAnotherSize) {
  auto directory = open_ok(scratch.path("d"));
  put(directory, "2018-05-04T18:40:16Z_etcd", "rolling", Compression::kNone);
  CHECK_TRUE(directory.list()->front().manifest.has_value());
  scratch.write("d/2018-05-04T18:40:16Z_etcd", "cut");
  CHECK_FALSE(directory.list()->front().manifest.has_value());
  scratch.write("d/.2018-05-04T18:40:16Z_etcd.manifest", "{\"garbage\":");
  CHECK_FALSE(directory.list()->front().manifest.has_value());
}

TEST(Directory, ListsWhatItCannotRead) {
  auto directory = open_ok(scratch.path("d"));
  put(directory, "2018-05-04T18:40:16Z_etcd", "rolling", Compression::kZip);
  CHECK_EQUAL(0, chmod(scratch.path().c_str(), 0755));
  CHECK_EQUAL(0, chmod(scratch.path("d").c_str(), 0755));
  CHECK_EQUAL(0, chmod(scratch.path("d/2018-05-04T18:40:16Z_etcd.zip").c_str(), 0));
  const Unprivileged unprivileged;
  const auto files = directory.list();
  CHECK_TRUE(files.ok());
  LONGS_EQUAL(1, files->size());
  CHECK_TRUE(files->front().name.has_value());
  CHECK_FALSE(files->front().manifest.has_value());
}

TEST(Directory, KnowsANameTakenInAnyForm) {
  const auto directory = open_ok(scratch.path("d"));
  CHECK_FALSE(*directory.taken("a"));
  for (const std::string extension : {"", ".zip", ".zst"}) {
    scratch.write("d/a" + extension, "");
    CHECK_TRUE_TEXT(*directory.taken("a"), extension.c_str());
    unlink(scratch.path("d/a" + extension).c_str());
  }
  scratch.write("d/a.gz", "");
  CHECK_FALSE(*directory.taken("a"));
}

TEST(Directory, OpensAFileForReading) {
  const SnapshotDirectory directory = open_ok(scratch.path("d"));
  scratch.write("d/a.zip", "content");
  const auto fd = directory.open_file("a.zip");
  CHECK_TRUE(fd.ok());
  char bytes[16] = {};
  LONGS_EQUAL(7, read(fd->get(), bytes, sizeof bytes));
  STRCMP_EQUAL("content", bytes);
  CHECK_TRUE((fcntl(fd->get(), F_GETFD) & FD_CLOEXEC) != 0);
  LONGS_EQUAL(-1, write(fd->get(), "x", 1));
  const auto missing = directory.open_file("b.zip");
  CHECK_FALSE(missing.ok());
  CHECK_TRUE(missing.error().kind == ErrorKind::kStorage);
  LONGS_EQUAL(ENOENT, missing.error().code);
  CHECK_TRUE(holds(missing.error().message, scratch.path("d/b.zip")));
}

TEST(Directory, OpensNoLinkAndNothingOutside) {
  const SnapshotDirectory directory = open_ok(scratch.path("d"));
  scratch.write("outside", "x");
  std::filesystem::create_symlink("../outside", scratch.path("d/link.zip"));
  for (const std::string& name :
       {std::string("link.zip"), std::string("../outside"), scratch.path("outside")}) {
    CHECK_FALSE_TEXT(directory.open_file(name).ok(), name.c_str());
  }
}

TEST(Directory, RemovesASnapshotWithItsSidecar) {
  auto directory = open_ok(scratch.path("d"));
  put(directory, "2018-05-04T18:40:16Z_etcd", "rolling", Compression::kNone);
  put(directory, "2018-05-04T18:41:16Z_etcd", "rolling", Compression::kNone);
  CHECK_TRUE(directory.remove("2018-05-04T18:40:16Z_etcd").ok());
  CHECK_FALSE(scratch.has("d/2018-05-04T18:40:16Z_etcd"));
  CHECK_FALSE(scratch.has("d/.2018-05-04T18:40:16Z_etcd.manifest"));
  CHECK_TRUE(scratch.has("d/.2018-05-04T18:41:16Z_etcd.manifest"));
  LONGS_EQUAL(ENOENT, directory.remove("2018-05-04T18:40:16Z_etcd").error().code);
}

TEST(Directory, RemovesNothingOutsideAndNothingHidden) {
  auto directory = open_ok(scratch.path("d"));
  scratch.write("outside", "");
  scratch.write("d/.hidden", "");
  for (const std::string name : {"", ".", "..", "../outside", "/etc/hostname", ".hidden"}) {
    const auto removed = directory.remove(name);
    CHECK_FALSE_TEXT(removed.ok(), name.c_str());
    CHECK_TRUE(removed.error().kind == ErrorKind::kStorage);
  }
  CHECK_TRUE(scratch.has("outside"));
  CHECK_TRUE(scratch.has("d/.hidden"));
}

TEST(Directory, SweepsWhatAKilledRunLeft) {
  auto directory = open_ok(scratch.path("d"));
  const std::string leftovers[] = {
      ".etcd-snapshot.2018-05-04T18:40:16Z_etcd.zip.partial",
      ".etcd-snapshot.before upgrade.partial",
      "..etcd-snapshot.history.new",
      "..2018-05-04T18:40:16Z_etcd.manifest.new",
      ".pki.bundle.tar.gz.new",
  };
  for (const std::string& name : leftovers) scratch.write("d/" + name, "left");
  const std::string orphan = ".2018-05-04T18:39:16Z_etcd.manifest";
  scratch.write("d/" + orphan, to_json(manifest("2018-05-04T18:39:16Z_etcd", "rolling", 512)));
  const auto removed = directory.sweep();
  CHECK_TRUE(removed.ok());
  LONGS_EQUAL(6, removed->size());
  for (const std::string& name : leftovers)
    CHECK_FALSE_TEXT(scratch.has("d/" + name), name.c_str());
  CHECK_FALSE(scratch.has("d/" + orphan));
  CHECK_TRUE(directory.sweep()->empty());
}

TEST(Directory, SweepsOnAfterOneThatItMayNotOpen) {
  auto directory = open_ok(scratch.path("d"));
  LONGS_EQUAL(0, chmod(scratch.path("d").c_str(), 0777));
  const std::string orphan = ".2018-05-04T18:39:16Z_etcd.manifest";
  scratch.write("d/" + orphan, to_json(manifest("2018-05-04T18:39:16Z_etcd", "rolling", 512)),
                0666);
  // Whatever the order of the directory, some come after the one that is closed.
  const std::string closed = ".etcd-snapshot.c.partial";
  for (const char* name : {"a", "b", "d", "e"}) {
    scratch.write("d/" + partial_file_name(name), "left", 0666);
  }
  scratch.write("d/" + closed, "left", 0400);
  if (geteuid() != 0) LONGS_EQUAL(0, chmod(scratch.path("d/" + closed).c_str(), 0));
  std::optional<Error> error;
  {
    const Unprivileged nobody;
    const auto removed = directory.sweep();
    if (!removed) error = removed.error();
  }
  CHECK_TRUE(error.has_value());
  CHECK_TEXT(holds(error->message, closed), error->message.c_str());
  CHECK_TRUE(scratch.has("d/" + closed));
  CHECK_FALSE(scratch.has("d/" + orphan));
  for (const char* name : {"a", "b", "d", "e"}) {
    CHECK_FALSE_TEXT(scratch.has("d/" + partial_file_name(name)), name);
  }
}

TEST(Directory, SweepsNothingElse) {
  auto directory = open_ok(scratch.path("d"));
  put(directory, "2018-05-04T18:40:16Z_etcd", "rolling", Compression::kNone);
  const std::string others[] = {"zzz.partial",
                                ".other.partial",
                                ".etcd-snapshot..partial",
                                ".etcd-snapshot.history",
                                ".etcd-snapshot.x.partial.old",
                                ".foreign.manifest",
                                "etcd-snapshot.x.partial",
                                "pki.bundle.tar.gz.new"};
  for (const std::string& name : others) scratch.write("d/" + name, "somebody's");
  CHECK_EQUAL(0, symlink("zzz.partial", scratch.path("d/.etcd-snapshot.link.partial").c_str()));
  CHECK_EQUAL(0, mkdir(scratch.path("d/.etcd-snapshot.dir.partial").c_str(), 0700));
  CHECK_EQUAL(0, mkfifo(scratch.path("d/.etcd-snapshot.fifo.partial").c_str(), 0600));
  const auto removed = directory.sweep();
  CHECK_TRUE(removed.ok());
  CHECK_TRUE(removed->empty());
  for (const std::string& name : others) CHECK_TRUE_TEXT(scratch.has("d/" + name), name.c_str());
  CHECK_TRUE(directory.list()->front().manifest.has_value());
}

TEST(Directory, SweepsNothingThatIsBeingWritten) {
  auto directory = open_ok(scratch.path("d"));
  auto partial = directory.create("2018-05-04T18:40:16Z_etcd");
  CHECK_TRUE(partial.ok());
  // As another host would have it, just before the rename.
  scratch.write("d/.2018-05-04T18:40:16Z_etcd.manifest",
                to_json(manifest("2018-05-04T18:40:16Z_etcd", "rolling", 512)));
  auto other = open_ok(scratch.path("d"));
  CHECK_TRUE(other.sweep()->empty());
  CHECK_TRUE(scratch.has("d/.etcd-snapshot.2018-05-04T18:40:16Z_etcd.partial"));
  CHECK_TRUE(scratch.has("d/.2018-05-04T18:40:16Z_etcd.manifest"));
}

TEST(Directory, LeavesFivePercentButAtMost256MiB) {
  constexpr int64_t kGiB = int64_t{1} << 30;
  LONGS_EQUAL(0, SnapshotDirectory::reserve_bytes({0, 0}));
  LONGS_EQUAL(kGiB / 20, SnapshotDirectory::reserve_bytes({0, kGiB}));
  LONGS_EQUAL(kGiB / 4, SnapshotDirectory::reserve_bytes({0, 5 * kGiB}));
  LONGS_EQUAL(kGiB / 4, SnapshotDirectory::reserve_bytes({0, 500 * kGiB}));
}

TEST(Directory, MeasuresItsFileSystem) {
  const auto space = open_ok(scratch.path("d")).free_space();
  CHECK_TRUE(space.ok());
  CHECK_TRUE(space->total_bytes > 0);
  CHECK_TRUE(space->free_bytes <= space->total_bytes);
}
