#include <string>

#include "base/files.h"
#include "scratch.h"
#include "store/directory.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

constexpr char kName[] = "2018-05-04T18:40:16Z_etcd.zip";
constexpr char kPartial[] = ".etcd-snapshot.2018-05-04T18:40:16Z_etcd.zip.partial";

}  // namespace

TEST_GROUP(PartialSnapshot) {
  Scratch scratch;

  SnapshotDirectory open() {
    auto opened = SnapshotDirectory::open(scratch.path(), true);
    if (!opened) FAIL(opened.error().message.c_str());
    return std::move(*opened);
  }
  std::unique_ptr<PartialSnapshot> create(SnapshotDirectory & directory,
                                          const std::string& name = kName) {
    auto created = directory.create(name);
    if (!created) FAIL(created.error().message.c_str());
    return std::move(*created);
  }
};

TEST(PartialSnapshot, GetsItsNameOnlyWhenCommitted) {
  auto directory = open();
  auto partial = create(directory);
  CHECK_TRUE(partial->write(as_bytes("one ")).ok());
  CHECK_TRUE(partial->write({}).ok());
  CHECK_TRUE(partial->write(as_bytes("two")).ok());
  LONGS_EQUAL(7, partial->size_bytes());
  CHECK_FALSE(scratch.has(kName));
  CHECK_TRUE(scratch.has(kPartial));
  CHECK_TRUE(partial->commit(std::nullopt).ok());
  CHECK_FALSE(scratch.has(kPartial));
  STRCMP_EQUAL("one two", scratch.read(kName).c_str());
  partial.reset();
  STRCMP_EQUAL("one two", scratch.read(kName).c_str());
}

TEST(PartialSnapshot, IsReadableByItsOwnerAloneFromTheFirstMoment) {
  for (const mode_t mask : {0000, 0077, 0777}) {
    const Umask umask_for_now(mask);
    auto directory = open();
    auto partial = create(directory);
    LONGS_EQUAL(0600, scratch.mode(kPartial));
    Manifest manifest;
    CHECK_TRUE(partial->commit(manifest).ok());
    LONGS_EQUAL(0600, scratch.mode(kName));
    LONGS_EQUAL(0600, scratch.mode(sidecar_file_name(kName)));
    CHECK_TRUE(directory.remove(kName).ok());
  }
}

TEST(PartialSnapshot, VanishesUnlessCommitted) {
  auto directory = open();
  auto partial = create(directory);
  CHECK_TRUE(partial->write(as_bytes("half")).ok());
  partial.reset();
  CHECK_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(PartialSnapshot, OutlivesItsDirectoryObject) {
  std::unique_ptr<PartialSnapshot> partial;
  {
    auto directory = open();
    partial = create(directory);
  }
  CHECK_TRUE(partial->write(as_bytes("x")).ok());
  CHECK_TRUE(partial->commit(std::nullopt).ok());
  CHECK_TRUE(scratch.has(kName));
}

TEST(PartialSnapshot, CanBeReadBack) {
  auto directory = open();
  auto partial = create(directory);
  CHECK_TRUE(partial->write(as_bytes("0123456789")).ok());
  char text[5] = {};
  LONGS_EQUAL(4, pread(partial->fd(), text, 4, 3));
  STRCMP_EQUAL("3456", text);
  CHECK_TRUE(partial->write(as_bytes("ab")).ok());
  CHECK_TRUE(partial->commit(std::nullopt).ok());
  LONGS_EQUAL(4, pread(partial->fd(), text, 4, 8));
  STRCMP_EQUAL("89ab", text);
}

TEST(PartialSnapshot, WritesManyMebibytes) {
  auto directory = open();
  auto partial = create(directory);
  const std::string piece(1 << 20, 'p');
  for (int i = 0; i < 40; ++i) CHECK_TRUE(partial->write(as_bytes(piece)).ok());
  CHECK_TRUE(partial->commit(std::nullopt).ok());
  LONGS_EQUAL(40 << 20, std::filesystem::file_size(scratch.path(kName)));
}

TEST(PartialSnapshot, ReplacesNothing) {
  auto directory = open();
  scratch.write(kName, "older");
  const auto created = directory.create(kName);
  CHECK_FALSE(created.ok());
  LONGS_EQUAL(EEXIST, created.error().code);
  CHECK_TRUE(holds(created.error().message, kName));
  // Nobody chose the name of a recurring one.
  CHECK_TRUE(holds(created.error().hint, "the next cycle takes a name of its own"));
  STRCMP_EQUAL("older", scratch.read(kName).c_str());
  scratch.write("chosen.zip", "older");
  CHECK_TRUE(holds(directory.create("chosen.zip").error().hint, "choose another name"));
}

TEST(PartialSnapshot, ReplacesNothingThatCameMeanwhile) {
  auto directory = open();
  auto partial = create(directory);
  CHECK_TRUE(partial->write(as_bytes("mine")).ok());
  // Even a dangling link is somebody's.
  CHECK_EQUAL(0, symlink("nowhere", scratch.path(kName).c_str()));
  const auto committed = partial->commit(Manifest());
  CHECK_FALSE(committed.ok());
  LONGS_EQUAL(EEXIST, committed.error().code);
  partial.reset();
  CHECK_TRUE(std::filesystem::is_symlink(scratch.path(kName)));
  CHECK_FALSE(scratch.has(kPartial));
  CHECK_FALSE(scratch.has(sidecar_file_name(kName)));
}

TEST(PartialSnapshot, IsWrittenByOneAtATime) {
  auto directory = open();
  auto partial = create(directory);
  CHECK_TRUE(partial->write(as_bytes("first")).ok());
  const auto second = directory.create(kName);
  CHECK_FALSE(second.ok());
  LONGS_EQUAL(EEXIST, second.error().code);
  CHECK_TRUE(holds(second.error().hint, "wait"));
  CHECK_TRUE(second.error().kind == ErrorKind::kStorage);
  CHECK_TRUE(partial->commit(std::nullopt).ok());
  STRCMP_EQUAL("first", scratch.read(kName).c_str());
}

TEST(PartialSnapshot, StartsAfreshOverWhatAKilledRunLeft) {
  auto directory = open();
  scratch.write(kPartial, "left by a killed run, longer than what follows");
  auto partial = create(directory);
  CHECK_TRUE(partial->write(as_bytes("new")).ok());
  CHECK_TRUE(partial->commit(std::nullopt).ok());
  STRCMP_EQUAL("new", scratch.read(kName).c_str());
}

TEST(PartialSnapshot, IsNotKeptWhenItWasCutBehindItsBack) {
  auto directory = open();
  auto partial = create(directory);
  CHECK_TRUE(partial->write(as_bytes("0123456789")).ok());
  CHECK_EQUAL(0, truncate(scratch.path(kPartial).c_str(), 5));
  const auto committed = partial->commit(std::nullopt);
  CHECK_FALSE(committed.ok());
  CHECK_TRUE(holds(committed.error().message, "10 bytes were written, but the file holds 5"));
  partial.reset();
  CHECK_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(PartialSnapshot, SaysWhenItWasRemovedMeanwhile) {
  auto directory = open();
  auto partial = create(directory);
  CHECK_TRUE(partial->write(as_bytes("x")).ok());
  CHECK_EQUAL(0, unlink(scratch.path(kPartial).c_str()));
  const auto committed = partial->commit(Manifest());
  CHECK_FALSE(committed.ok());
  LONGS_EQUAL(ENOENT, committed.error().code);
  CHECK_FALSE(scratch.has(sidecar_file_name(kName)));
}

TEST(PartialSnapshot, IsNoPath) {
  auto directory = open();
  for (const std::string name : {"", ".", "..", ".hidden", "a/b", "../a"}) {
    CHECK_FALSE_TEXT(directory.create(name).ok(), name.c_str());
  }
  const auto too_long = directory.create(std::string(250, 'n'));
  CHECK_FALSE(too_long.ok());
  LONGS_EQUAL(ENAMETOOLONG, too_long.error().code);
}
