// How a file is cut into parts, and what ETag they make.
#include "s3/upload.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(UploadParts){};

TEST(UploadParts, SizesPartsSoThatTenThousandAreEnough) {
  constexpr int64_t kMiB = 1 << 20, kGiB = int64_t{1} << 30;
  LONGS_EQUAL(16 * kMiB, part_size_bytes(16, 0));
  LONGS_EQUAL(16 * kMiB, part_size_bytes(16, 8 * kGiB));
  LONGS_EQUAL(5 * kMiB, part_size_bytes(5, 40 * kGiB));
  CHECK_TRUE(5 * kGiB == part_size_bytes(5120, 0));
  CHECK_TRUE(5 * kGiB == part_size_bytes(5, int64_t{1} << 60));
  for (const int64_t expected : {49 * kGiB, 200 * kGiB, 5 * 1024 * kGiB}) {
    const int64_t part = part_size_bytes(5, expected);
    CHECK_TRUE(part % kMiB == 0);
    CHECK_TRUE((expected + part - 1) / part <= 10000);
  }
}

TEST(UploadParts, KnowsTheETagOfParts) {
  STRCMP_EQUAL("59adb24ef3cdbe0297f05b395827453f-1",
               multipart_etag({"d41d8cd98f00b204e9800998ecf8427e"}).c_str());
  STRCMP_EQUAL(
      "72d27afac8e2fbd3662861b9d607a02c-2",
      multipart_etag({"594f803b380a41396ed63dca39503542", "08f8e0260c64418510cefb2b06eee5cd"})
          .c_str());
  STRCMP_EQUAL("", multipart_etag({"d41d8cd98f00b204e9800998ecf8427e", "not-a-digest"}).c_str());
}
