#include "etcd/protobuf.h"

#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using std::string_literals::operator""s;

TEST_GROUP(Protobuf){};

// The examples of protobuf.dev/programming-guides/encoding.
TEST(Protobuf, WritesTheExamplesOfTheSpecification) {
  std::string message;
  put_varint_field(message, 1, 150);
  CHECK_TRUE(message == "\x08\x96\x01"s);
  message.clear();
  put_bytes_field(message, 2, "testing");
  CHECK_TRUE(message == "\x12\x07testing"s);
}

TEST(Protobuf, ReadsBackWhatItWrote) {
  const uint64_t numbers[] = {0, 1, 127, 128, 16383, 16384, uint64_t{1} << 63, UINT64_MAX};
  for (const uint64_t number : numbers) {
    std::string message;
    put_varint_field(message, 536870911, number);  // the largest field number there is
    put_bytes_field(message, 16, std::string(300, 'x'));
    ProtoReader reader(message);
    const auto first = reader.next();
    CHECK_TRUE(first.has_value());
    LONGS_EQUAL(536870911, first->number);
    CHECK_TRUE(first->varint == number);
    const auto second = reader.next();
    CHECK_TRUE(second.has_value() && second->bytes == std::string(300, 'x'));
    CHECK_FALSE(reader.next().has_value());
    CHECK_FALSE(reader.failed());
  }
}

TEST(Protobuf, PassesOverFixedFields) {
  const std::string message = "\x09\1\2\3\4\5\6\7\x08\x15\1\2\3\4\x18\x05"s;
  ProtoReader reader(message);
  LONGS_EQUAL(1, reader.next()->number);
  LONGS_EQUAL(2, reader.next()->number);
  const auto last = reader.next();
  LONGS_EQUAL(3, last->number);
  LONGS_EQUAL(5, last->varint);
  CHECK_FALSE(reader.next().has_value());
  CHECK_FALSE(reader.failed());
}

TEST(Protobuf, TellsAMalformedMessageFromItsEnd) {
  const struct {
    const char* what;
    std::string message;
  } rows[] = {
      {"tag cut", "\x88"s},
      {"number cut", "\x08\x80"s},
      {"number missing", "\x08"s},
      {"number of eleven bytes", "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"s},
      {"length missing", "\x12"s},
      {"length beyond the message", "\x12\x05test"s},
      {"length of 16 EiB", "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01test"s},
      {"fixed64 cut", "\x09\1\2\3\4\5\6\7"s},
      {"fixed32 cut", "\x0d\1\2\3"s},
      {"field 0", "\x00\x01"s},
      {"field beyond 2^29", "\x80\x80\x80\x80\x10\x01"s},
      {"group", "\x0b\x0c"s},
      {"wire type 6", "\x0e"s},
      {"wire type 7", "\x0f"s},
  };
  for (const auto& row : rows) {
    ProtoReader reader(row.message);
    CHECK_FALSE_TEXT(reader.next().has_value(), row.what);
    CHECK_TRUE_TEXT(reader.failed(), row.what);
    CHECK_FALSE_TEXT(reader.next().has_value(), row.what);
  }
}
