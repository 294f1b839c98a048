#include "archive/writer.h"

#include "support.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace etcd_snapshot::test;

TEST_GROUP(ArchiveWriter){};

TEST(ArchiveWriter, NamesItsExtensions) {
  CHECK_TRUE(archive_extension(Compression::kZip) == ".zip");
  CHECK_TRUE(archive_extension(Compression::kZstd) == ".zst");
  CHECK_TRUE(archive_extension(Compression::kNone).empty());
}

TEST(ArchiveWriter, KeepsAPlainSnapshotByteForByte) {
  const std::string snapshot = make_snapshot(100);
  CHECK_TRUE(make_archive(make_options(Compression::kNone), snapshot, 777) == snapshot);
}

TEST(ArchiveWriter, WritesTheSameArchiveOfTheSameSnapshot) {
  // No byte of it comes from memory that was never set.
  const std::string snapshot = make_snapshot(300);
  for (const Compression compression : {Compression::kZip, Compression::kZstd}) {
    const auto options = make_options(compression);
    CHECK_TRUE(make_archive(options, snapshot, 4096) == make_archive(options, snapshot, 4096));
  }
}

TEST(ArchiveWriter, PassesOnTheErrorOfThePlainSink) {
  FullSink sink(10);
  auto writer = make_archive_writer(make_options(Compression::kNone), sink);
  const auto result = (*writer)->write(as_bytes("more than ten bytes"));
  CHECK_FALSE(result.ok());
  LONGS_EQUAL(ENOSPC, result.error().code);
}
