#include "archive/zstd_writer.h"

#include "archive/little_endian.h"
#include "archive/zstd_format.h"
#include "support.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace etcd_snapshot::test;

TEST_GROUP(ZstdWriter) {
  const std::string snapshot_ = make_snapshot(1000);
};

TEST(ZstdWriter, WritesWhatZstdReads) {
  const TemporaryFile expected(snapshot_);
  for (const size_t piece : {1000, 32768, 1 << 20}) {
    const auto options = make_options(Compression::kZstd);
    const TemporaryFile file(make_archive(options, snapshot_, piece));
    CHECK_TRUE(succeeds("zstd -tq " + file.path()));
    CHECK_TRUE(succeeds("zstd -dqc < " + file.path() + " | cmp - " + expected.path()));
  }
}

TEST(ZstdWriter, EndsWithTheManifestInASkippableFrame) {
  const std::string archive = make_archive(make_options(Compression::kZstd), snapshot_);
  const std::string frame = archive.substr(archive.size() - 2056);
  STRCMP_EQUAL("5e2a4d1800080000", hex(frame.substr(0, 8)).c_str());
  const std::string json = to_json(make_manifest(snapshot_));
  CHECK_TRUE(frame.substr(8) == json + std::string(2048 - json.size(), ' '));
  // One frame before it, without padding: it begins with its magic and is as long as zstd says.
  CHECK_TRUE(get_le<uint32_t>(archive.data()) == zstd::kFrameMagic);
  const TemporaryFile first(archive.substr(0, archive.size() - 2056));
  CHECK_TRUE(succeeds("zstd -tq < " + first.path()));
}

TEST(ZstdWriter, PassesOnTheErrorOfTheSinkAndLeavesItAlone) {
  const std::string noise = Random(6).bytes(1 << 20);
  for (const size_t limit : {0, 300000, 600000, 1 << 20, (1 << 20) + 2000}) {
    FullSink sink(limit);
    {
      auto writer = make_archive_writer(make_options(Compression::kZstd), sink);
      CHECK_TRUE(writer.ok());
      auto result = (*writer)->write(as_bytes(noise));
      if (result) result = (*writer)->finish(make_manifest(snapshot_));
      CHECK_FALSE(result.ok());
      CHECK(result.error().kind == ErrorKind::kStorage);
      LONGS_EQUAL(ENOSPC, result.error().code);
      STRCMP_CONTAINS("cannot write the disk of the test", result.error().message.c_str());
      CHECK_FALSE((*writer)->write(as_bytes(noise)).ok());
      CHECK_FALSE((*writer)->finish(Manifest()).ok());
    }
    LONGS_EQUAL(0, sink.calls_after_error);
  }
}

TEST(ZstdWriter, WritesNothingWhenItIsGivenUp) {
  MemorySink sink;
  {
    auto writer = make_archive_writer(make_options(Compression::kZstd), sink);
    CHECK_TRUE((*writer)->write(as_bytes("a few bytes")).ok());
  }
  LONGS_EQUAL(0, sink.writes);
}

TEST(ZstdWriter, RefusesAManifestThatItsFrameDoesNotHold) {
  MemorySink sink;
  Manifest manifest = make_manifest(snapshot_);
  manifest.host += std::string(2048 - to_json(manifest).size(), 'h');
  auto full = make_archive_writer(make_options(Compression::kZstd), sink);
  CHECK_TRUE((*full)->write(as_bytes(snapshot_)).ok());
  CHECK_TRUE((*full)->finish(manifest).ok());
  const TemporaryFile file(sink.content);
  CHECK_TRUE(succeeds("zstd -tq < " + file.path()));
  const auto read = read_manifest(file.fd(), Compression::kZstd);
  CHECK_TRUE(read.ok() && read->has_value());
  manifest.host += "h";
  auto refused = make_archive_writer(make_options(Compression::kZstd), sink);
  const auto result = (*refused)->finish(manifest);
  CHECK_FALSE(result.ok());
  STRCMP_CONTAINS("2049 bytes", result.error().message.c_str());
}

TEST(ZstdWriter, RefusesToGoOnAfterItsEnd) {
  MemorySink sink;
  auto writer = make_archive_writer(make_options(Compression::kZstd), sink);
  CHECK_TRUE((*writer)->finish(Manifest()).ok());
  const size_t size = sink.content.size();
  CHECK_FALSE((*writer)->write(as_bytes("x")).ok());
  CHECK_FALSE((*writer)->finish(Manifest()).ok());
  LONGS_EQUAL(size, sink.content.size());
}
