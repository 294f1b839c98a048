#include "base/human.h"

#include <string>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(Human){};

TEST(Human, WritesSizesWithOneDecimal) {
  constexpr int64_t kKiB = 1024, kMiB = kKiB * 1024, kGiB = kMiB * 1024, kTiB = kGiB * 1024,
                    kPiB = kTiB * 1024;
  const struct {
    int64_t bytes;
    const char* text;
  } rows[] = {
      {0, "0 B"},
      {1, "1 B"},
      {1023, "1023 B"},
      {kKiB, "1.0 KiB"},
      {kKiB + kKiB / 2, "1.5 KiB"},
      {kMiB - kKiB / 10, "1023.9 KiB"},
      {kMiB - 1, "1.0 MiB"},  // never "1024.0 KiB"
      {kMiB, "1.0 MiB"},
      {kGiB - 1, "1.0 GiB"},
      {2 * kGiB, "2.0 GiB"},
      {kTiB, "1.0 TiB"},
      {kPiB, "1.0 PiB"},
      {1024 * kPiB, "1024.0 PiB"},
      {INT64_MAX, "8192.0 PiB"},
      {-1, "-1 B"},
  };
  for (const auto& row : rows) STRCMP_EQUAL(row.text, human_bytes(row.bytes).c_str());
}

TEST(Human, WritesAgesInTheirTwoLargestUnits) {
  constexpr int64_t kMinute = 60, kHour = 3600, kDay = 86400;
  const struct {
    int64_t seconds;
    const char* text;
  } rows[] = {
      {0, "0s"},
      {59, "59s"},
      {kMinute, "1m"},
      {kMinute + 59, "1m"},
      {kHour - 1, "59m"},
      {kHour, "1h"},
      {kHour + 59, "1h"},
      {5 * kHour + 3 * kMinute, "5h 3m"},
      {48 * kHour - 1, "47h 59m"},
      {2 * kDay, "2d"},
      {2 * kDay + 59 * kMinute, "2d"},
      {3 * kDay + 4 * kHour, "3d 4h"},
      {4000 * kDay, "4000d"},
      {-1, "in 1s"},
      {-5 * kMinute, "in 5m"},
      {-(3 * kDay + 4 * kHour), "in 3d 4h"},
  };
  for (const auto& row : rows) {
    STRCMP_EQUAL(row.text, human_age(std::chrono::seconds(row.seconds)).c_str());
  }
}

TEST(Human, WritesTimesAsRfc3339Does) {
  const UnixSeconds time{std::chrono::seconds(1525459216)};
  STRCMP_EQUAL("2018-05-04T18:40:16Z", format_utc(time).c_str());
  STRCMP_EQUAL("2018-05-04T18-40-16Z", format_utc(time, '-').c_str());
}
