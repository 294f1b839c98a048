// Archives that were damaged or made to harm: whatever is in them, the reader ends with an error or
// with the right bytes, and touches nothing that it should not (the sanitizers watch).
#include <algorithm>

#include "archive/little_endian.h"
#include "archive/reader.h"
#include "archive/zip_format.h"
#include "support.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace etcd_snapshot::test;

namespace {

constexpr Compression kPacked[] = {Compression::kZip, Compression::kZstd};

// Whether the archive was refused. Wrong bytes may only go through where nothing in the archive
// speaks against them, which is a zstd one whose manifest is gone as well; and then they do not
// prove.
bool refused(const TemporaryFile& file, Compression compression, const std::string& right) {
  MemorySink sink;
  const auto result = extract_snapshot(file.fd(), compression, sink);
  const auto manifest = read_manifest(file.fd(), compression);
  CHECK_TRUE(manifest.ok());
  if (!result) {
    CHECK(result.error().kind == ErrorKind::kUnverified);
    return true;
  }
  const bool is_right = sink.content == right;
  LONGS_EQUAL(is_right, prove_archive(file.fd(), compression).ok());
  CHECK_TRUE(is_right || (compression == Compression::kZstd && !manifest->has_value()));
  return !is_right;
}

}  // namespace

TEST_GROUP(HostileArchive) {
  const std::string snapshot_ = make_snapshot(2);
};

TEST(HostileArchive, CutShortAtEveryLength) {
  for (const Compression compression : kPacked) {
    for (const int64_t expected_bytes : {int64_t{1} << 20, int64_t{5} << 30}) {
      if (compression == Compression::kZstd && expected_bytes > 1 << 20) continue;  // the same
      const std::string archive =
          make_archive(make_options(compression, expected_bytes), snapshot_);
      // Where the last byte that matters ends: zip needs its end record, zstd its frame.
      const size_t needed = compression == Compression::kZip
                                ? archive.rfind("PK\5\6") + zip::kEndOfDirectoryBytes
                                : archive.size() - 2056;
      TemporaryFile file;
      for (size_t size = 0; size < archive.size(); ++size) {
        file.set(std::string_view(archive).substr(0, size));
        const bool was_refused = refused(file, compression, snapshot_);
        if (size < needed) CHECK_TRUE(was_refused);
      }
    }
  }
}

TEST(HostileArchive, WithOneByteChangedAnywhere) {
  for (const Compression compression : kPacked) {
    const std::string archive = make_archive(make_options(compression), snapshot_);
    // Of the packed data nearly every bit counts; zstd's frame stands before the manifest's 2056
    // bytes.
    const size_t data_bytes =
        compression == Compression::kZip ? archive.rfind("PK\7\10") - 72 : archive.size() - 2056;
    const size_t last = std::min<size_t>(archive.size(), data_bytes + 700);
    TemporaryFile file;
    size_t refusals = 0;
    for (size_t at = 0; at < last; ++at) {
      for (const int change : {0x01, 0xff}) {
        std::string bad = archive;
        bad[at] = static_cast<char>(bad[at] ^ change);
        file.set(bad);
        if (refused(file, compression, snapshot_)) ++refusals;
      }
    }
    CHECK_TRUE(refusals > data_bytes * 2 - 10);
  }
}

TEST(HostileArchive, WithBytesOverwrittenAtRandom) {
  Random random(11);
  for (const Compression compression : kPacked) {
    const std::string archive =
        make_archive(make_options(compression, int64_t{5} << 30), snapshot_);
    TemporaryFile file;
    for (int i = 0; i < 700; ++i) {
      std::string bad = archive;
      for (uint32_t n = 1 + random.next() % 8; n > 0; --n) {
        bad[random.next() % bad.size()] = static_cast<char>(random.next());
      }
      file.set(bad);
      refused(file, compression, snapshot_);
    }
  }
}

TEST(HostileArchive, OfRandomBytes) {
  Random random(12);
  TemporaryFile file;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = random.bytes(random.next() % 4096);
    if (i % 3 == 0) bytes = std::string("\x28\xb5\x2f\xfd", 4) + bytes;
    if (i % 3 == 1) {
      bytes = "PK\3\4" + bytes + "PK\1\2" + random.bytes(60) + "PK\5\6" + random.bytes(16);
      put_le(bytes, uint16_t{0});
    }
    file.set(bytes);
    for (const Compression compression : kPacked) {
      CHECK_TRUE(refused(file, compression, snapshot_));
      CHECK_FALSE(prove_archive(file.fd(), compression).ok());
    }
    CHECK_FALSE(prove_archive(file.fd(), Compression::kNone).ok());
  }
}

TEST(HostileArchive, ThatLiesAboutItsSize) {
  const std::string archive = make_archive(make_options(Compression::kZip), snapshot_);
  const size_t directory = archive.rfind("PK\1\2");
  TemporaryFile file;
  // Offsets of compressed and uncompressed size in the central header (APPNOTE 4.3.12).
  for (const size_t field : {20, 24}) {
    for (const uint32_t size : {0u, 1u, 10u, 1055u, 1057u, 0x7fffffffu, 0xfffffffeu, 0xffffffffu}) {
      std::string bad = archive, number;
      put_le(number, size);
      bad.replace(directory + field, 4, number);
      file.set(bad);
      MemorySink sink;
      CHECK_FALSE(extract_snapshot(file.fd(), Compression::kZip, sink).ok());
      CHECK_TRUE(sink.content.size() <= snapshot_.size());
      CHECK_FALSE(prove_archive(file.fd(), Compression::kZip).ok());
    }
  }
}

TEST(HostileArchive, ThatGrowsStopsWithTheSink) {
  // 64 MiB of zeroes in some 64 KiB: nothing is held in memory, and a full sink ends it.
  MemorySink packed;
  auto writer = make_archive_writer(make_options(Compression::kZip), packed);
  const std::string zeroes(1 << 20, '\0');
  for (int i = 0; i < 64; ++i) CHECK_TRUE((*writer)->write(as_bytes(zeroes)).ok());
  CHECK_TRUE((*writer)->finish(Manifest()).ok());
  CHECK_TRUE(packed.content.size() < 1 << 20);
  const TemporaryFile file(packed.content);
  FullSink sink(3 << 20);
  const auto result = extract_snapshot(file.fd(), Compression::kZip, sink);
  CHECK_FALSE(result.ok());
  LONGS_EQUAL(ENOSPC, result.error().code);
}
