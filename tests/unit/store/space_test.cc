#include "store/space.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

constexpr int64_t kMiB = 1 << 20, kGiB = int64_t{1} << 30;
constexpr int64_t kSlack = kMiB;  // for headers and manifest

StoredSnapshot stored(Compression compression, int64_t size_bytes, int64_t database_bytes) {
  StoredSnapshot snapshot;
  snapshot.name.emplace();
  snapshot.name->compression = compression;
  snapshot.size_bytes = size_bytes;
  snapshot.manifest.emplace();
  snapshot.manifest->database_bytes = database_bytes;
  return snapshot;
}

}  // namespace

TEST_GROUP(Space){void check_estimate(int64_t least, int64_t database, Compression compression,
                                      const std::vector<StoredSnapshot>& snapshots){
    const int64_t bytes = estimate_archive_bytes(database, compression, snapshots);
CHECK_TRUE(bytes >= least);
CHECK_TRUE(bytes <= least + kSlack);
}
}
;

TEST(Space, TakesHalfOfTheDatabaseWhereNothingIsKnown) {
  check_estimate(kGiB / 2, kGiB, Compression::kZip, {});
  check_estimate(kGiB / 2, kGiB, Compression::kZstd, {});
  check_estimate(0, 0, Compression::kZip, {});
}

TEST(Space, TakesAllOfItWithoutCompressionWhateverLiesThere) {
  check_estimate(kGiB, kGiB, Compression::kNone, {});
  check_estimate(kGiB, kGiB, Compression::kNone, {stored(Compression::kZip, kMiB, kGiB)});
}

TEST(Space, GoesByTheNewestOfTheSameCompressionAndAQuarterMore) {
  const std::vector<StoredSnapshot> snapshots = {
      stored(Compression::kZstd, 100 * kMiB, 1000 * kMiB),
      stored(Compression::kZip, 200 * kMiB, 1000 * kMiB),
      stored(Compression::kZip, 900 * kMiB, 1000 * kMiB)};
  check_estimate(250 * kMiB, 1000 * kMiB, Compression::kZip, snapshots);
  check_estimate(125 * kMiB, 1000 * kMiB, Compression::kZstd, snapshots);
  check_estimate(500 * kMiB, 2000 * kMiB, Compression::kZip, snapshots);
}

TEST(Space, PassesOverWhatSaysNothing) {
  StoredSnapshot foreign = stored(Compression::kZip, kMiB, kGiB),
                 bare = stored(Compression::kZip, kMiB, kGiB);
  foreign.name.reset();
  bare.manifest.reset();
  check_estimate(
      kGiB / 2, kGiB, Compression::kZip,
      {foreign, bare, stored(Compression::kZip, kMiB, 0), stored(Compression::kZip, kMiB, -5)});
}

TEST(Space, NeedsNoMoreThanAQuarterAboveTheDatabase) {
  check_estimate(kGiB + kGiB / 4, kGiB, Compression::kZip,
                 {stored(Compression::kZip, 100 * kGiB, kGiB)});
}

TEST(Space, HoldsForTheLargestDatabaseThatAManifestMayName) {
  CHECK_TRUE(estimate_archive_bytes(INT64_MAX / 2, Compression::kZip, {}) > 0);
  CHECK_TRUE(estimate_archive_bytes(INT64_MAX / 2, Compression::kZip,
                                    {stored(Compression::kZip, 2, INT64_MAX)}) > 0);
}

// Status may say anything; a size that no disk has does not fit on this one either.
TEST(Space, IsMissingForASizeThatNoDiskHas) {
  const FreeSpace space{10 * kGiB, 100 * kGiB};
  for (const Compression compression : {Compression::kZip, Compression::kNone}) {
    const int64_t needed = estimate_archive_bytes(INT64_MAX, compression, {});
    CHECK_TRUE(needed > 0);
    CHECK_TRUE(missing_bytes(space, needed) > 0);
  }
}

TEST(Space, KeepsTheReserveFree) {
  const struct {
    int64_t free, total, needed, missing;
  } rows[] = {
      {10 * kGiB, 100 * kGiB, kGiB, kGiB + 256 * kMiB - 10 * kGiB},
      {kGiB, 100 * kGiB, kGiB, 256 * kMiB},
      {kGiB + 256 * kMiB, 100 * kGiB, kGiB, 0},
      {kGiB + 256 * kMiB - 1, 100 * kGiB, kGiB, 1},
      {100 * kMiB, 1000 * kMiB, 60 * kMiB, 10 * kMiB},  // a small disk: 5 percent
      {0, 0, 5, 5},
  };
  for (const auto& row : rows) {
    CHECK_TRUE(row.missing == missing_bytes({row.free, row.total}, row.needed));
  }
}
