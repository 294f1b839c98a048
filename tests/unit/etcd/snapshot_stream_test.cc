#include "etcd/snapshot_stream.h"

#include <string>
#include <vector>

#include "../fakes/etcd.h"
#include "etcd/grpc.h"
#include "etcd/protobuf.h"
#include "recorder.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using std::string_literals::operator""s;

namespace {

// A message of etcd 3.6: with its header and its version.
std::string rich_message(uint64_t remaining, const std::string& blob) {
  std::string header, message;
  put_varint_field(header, 1, UINT64_MAX);
  put_varint_field(header, 3, 12345678);
  put_bytes_field(message, 1, header);
  put_varint_field(message, 2, remaining);
  put_bytes_field(message, 3, blob);
  put_bytes_field(message, 4, "3.6.0");
  return grpc_frame(message);
}

}  // namespace

TEST_GROUP(SnapshotStream){
    // The error of a body that arrives in pieces; fails the test where there is none.
    Error error_of(const std::string& body, size_t piece = 1){Recorder recorder;
const Outcome outcome = feed(body, piece, recorder);
CHECK_TRUE(outcome.error.has_value());
CHECK_FALSE(outcome.error->message.empty());
return *outcome.error;
}
void check_malformed(const std::string& body, const char* part) {
  for (const size_t piece : {size_t{1}, body.size()}) {
    const Error error = error_of(body, piece);
    CHECK_TRUE_TEXT(error.kind == ErrorKind::kUnavailable, part);
    CHECK_TRUE_TEXT(error.retryable, part);
    CHECK_TEXT(error.message.find(part) != std::string::npos, error.message.c_str());
  }
}
void check_cut(const std::string& body, const char* what) {
  for (const size_t piece : {size_t{1}, body.size() + 1}) {
    const Error error = error_of(body, piece);
    CHECK_TRUE_TEXT(error.kind == ErrorKind::kUnverified, what);
    CHECK_TRUE_TEXT(error.retryable, what);
    CHECK_TEXT(error.message.find("cut short") != std::string::npos, error.message.c_str());
  }
}
}
;

TEST(SnapshotStream, HandsOnDatabaseAndDigestAndAnnouncesTheirSizeOnce) {
  const std::string database = fake_database(4096);
  Recorder recorder;
  CHECK_FALSE(feed(snapshot_body(database, 1000), 100, recorder).error.has_value());
  CHECK_TRUE(recorder.content == database + digest_of(database));
  LONGS_EQUAL(1, recorder.begins);
  LONGS_EQUAL(4096 + 32, recorder.expected);
}

TEST(SnapshotStream, IsTheSameHoweverTheBodyIsCutInTwo) {
  const std::string database = fake_database(512);
  const std::string body = rich_message(312, database.substr(0, 200)) +
                           snapshot_message(0, database.substr(200)) +
                           rich_message(0, digest_of(database));
  for (size_t cut = 0; cut <= body.size(); ++cut) {
    Recorder recorder;
    SnapshotStream stream(recorder);
    const std::string first = body.substr(0, cut), second = body.substr(cut);
    CHECK_TRUE(stream.write(as_bytes(first)).ok());
    CHECK_TRUE(stream.write(as_bytes(second)).ok());
    CHECK_TRUE(stream.finish().ok());
    CHECK_TRUE(recorder.content == database + digest_of(database));
    LONGS_EQUAL(512 + 32, recorder.expected);
    LONGS_EQUAL(512 + 32, stream.blob_bytes());
  }
}

TEST(SnapshotStream, IsTheSameInPiecesOfAnySize) {
  const std::string database = fake_database(2048);
  const std::string body = snapshot_body(database, 700);
  for (size_t piece = 1; piece <= body.size() + 1; piece += piece < 40 ? 1 : 37) {
    Recorder recorder;
    CHECK_FALSE(feed(body, piece, recorder).error.has_value());
    CHECK_TRUE(recorder.content == database + digest_of(database));
  }
}

TEST(SnapshotStream, TakesBlobsOfMegabytesWithoutHoldingThem) {
  const std::string database = fake_database(8 << 20);
  Recorder recorder;
  CHECK_FALSE(feed(snapshot_body(database, 3 << 20), 128 * 1024, recorder).error.has_value());
  CHECK_TRUE(recorder.content == database + digest_of(database));
  // Every piece goes on as it came: nothing was put together.
  CHECK_TRUE(recorder.largest <= 128 * 1024);
}

TEST(SnapshotStream, PassesOverFieldsItDoesNotKnow) {
  const std::string database = fake_database(512);
  std::string first;
  first += "\x09\1\2\3\4\5\6\7\x08"s;                     // field 1, fixed64
  first += "\x2d\1\2\3\4"s;                               // field 5, fixed32
  put_varint_field(first, 6, UINT64_MAX);                 // ten bytes
  put_bytes_field(first, 7, "");                          // nothing in it
  put_bytes_field(first, 1000, std::string(5000, '\3'));  // looks like tags
  put_varint_field(first, 2, 0);
  put_bytes_field(first, 3, database);
  put_bytes_field(first, 4, "3.6.0");
  const std::string body = grpc_frame(first) + snapshot_message(0, digest_of(database));
  for (const size_t piece : {1, 3, 1000, 100000}) {
    Recorder recorder;
    CHECK_FALSE(feed(body, piece, recorder).error.has_value());
    CHECK_TRUE(recorder.content == database + digest_of(database));
  }
}

TEST(SnapshotStream, TakesAnEmptyMessageAndAnEmptyBlob) {
  std::string empty_blob;
  put_bytes_field(empty_blob, 3, "");
  const std::string body =
      grpc_frame("") + grpc_frame(empty_blob) + snapshot_message(0, "abc") + grpc_frame("");
  Recorder recorder;
  CHECK_FALSE(feed(body, 1, recorder).error.has_value());
  STRCMP_EQUAL("abc", recorder.content.c_str());
  LONGS_EQUAL(1, recorder.begins);
}

TEST(SnapshotStream, TakesTheMissingRemainingBytesForZero) {
  std::string with_zero;
  put_varint_field(with_zero, 2, 0);
  put_bytes_field(with_zero, 3, "end");
  for (const std::string& last : {snapshot_message(0, "end"), grpc_frame(with_zero)}) {
    Recorder recorder;
    CHECK_FALSE(feed(snapshot_message(3, "start") + last, 1, recorder).error.has_value());
    STRCMP_EQUAL("startend", recorder.content.c_str());
  }
}

TEST(SnapshotStream, SaysThatItWasCutShort) {
  const std::string body = snapshot_message(300, std::string(200, 'x'));
  // Within prefix, tag, number, length and blob of a second message.
  for (size_t more = 1; more < body.size(); ++more) {
    check_cut(body + body.substr(0, more), "inside");
  }
  check_cut(body, "between messages, with bytes to come");
  STRCMP_EQUAL("the snapshot stream was cut short after 200 bytes, 300 were still to come",
               error_of(body).message.c_str());
  check_cut(snapshot_message(0, "whole") + "\0"s, "one byte of a prefix");
}

TEST(SnapshotStream, AnEmptyBodyHandsOnNothing) {
  Recorder recorder;
  CHECK_FALSE(feed("", 1, recorder).error.has_value());
  LONGS_EQUAL(0, recorder.begins);
}

TEST(SnapshotStream, RefusesWhatIsNoSuchStream) {
  check_malformed("\1\0\0\0\1x"s, "compressed");
  check_malformed("\xff\0\0\0\1x"s, "compressed");
  check_malformed("HTTP/1.1 400 Bad Request\r\n", "compressed");
  check_malformed(grpc_frame("\x1b\x1c"s), "unknown type");  // a group
  check_malformed(grpc_frame("\x1e\1"s), "unknown type");
  check_malformed(grpc_frame("\x1f\1"s), "unknown type");
  check_malformed(grpc_frame("\x1a\x05"
                             "abc"s),
                  "beyond its message");
  check_malformed(grpc_frame("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                             "abc"s),
                  "beyond its message");
  check_malformed(grpc_frame("\x09\1\2\3"s), "beyond its message");
  check_malformed(grpc_frame("\x0d\1\2\3"s), "beyond its message");
  check_malformed(grpc_frame("\x10"s), "beyond its message");
  check_malformed(grpc_frame("\x10\x80"s), "beyond its message");
  check_malformed(grpc_frame("\x1a"s), "beyond its message");
  check_malformed(grpc_frame("\x90"s), "beyond its message");
  check_malformed(grpc_frame("\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"s),
                  "more than ten bytes");
  check_malformed(grpc_frame("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s), "remaining_bytes");
}

// The size that the announcement adds up to would be beyond what an int64_t holds.
TEST(SnapshotStream, RefusesASizeThatNoDatabaseHas) {
  std::string message;
  put_varint_field(message, 2, INT64_MAX);
  put_bytes_field(message, 3, "abc");
  Recorder recorder;
  const Outcome outcome = feed(grpc_frame(message), 1, recorder);
  CHECK_TRUE(outcome.error.has_value());
  CHECK_TRUE(recorder.expected >= 0);
}

TEST(SnapshotStream, BelievesNoLengthBeforeTheBytesAreThere) {
  // A message of 4 GiB that holds a blob of almost as much, of which three bytes come.
  const std::string body =
      "\0\xff\xff\xff\xff\x1a\xf0\xff\xff\xff\x0f"
      "abc"s;
  Recorder recorder;
  SnapshotStream stream(recorder);
  CHECK_TRUE(stream.write(as_bytes(body)).ok());
  STRCMP_EQUAL("abc", recorder.content.c_str());
  const auto finished = stream.finish();
  CHECK_FALSE(finished.ok());
  CHECK_TRUE(finished.error().kind == ErrorKind::kUnverified);
}

TEST(SnapshotStream, GivesTheErrorOfTheReceiverAsItIs) {
  const std::string body = snapshot_body(fake_database(1024), 300);
  for (const bool in_begin : {true, false}) {
    Recorder recorder;
    (in_begin ? recorder.fail_begin : recorder.fail_receive) =
        Error{ErrorKind::kStorage, "disk full", "free some", false, ENOSPC};
    const Outcome outcome = feed(body, 7, recorder);
    CHECK_TRUE(outcome.error.has_value());
    CHECK_TRUE(outcome.error->kind == ErrorKind::kStorage);
    STRCMP_EQUAL("disk full", outcome.error->message.c_str());
    STRCMP_EQUAL("free some", outcome.error->hint.c_str());
    CHECK_FALSE(outcome.error->retryable);
    LONGS_EQUAL(ENOSPC, outcome.error->code);
  }
}

// etcd 3.4 to 3.7 takes an error while it reads its file for the end of the file, and sends this
// until somebody hangs up (siderolabs/talos#14212 and etcd-io/etcd#10298 are of clients that did
// not).
TEST(SnapshotStream, EndsAfterManyMessagesWithoutABlob) {
  const std::string database = fake_database(4096);
  std::string empty_blob;
  put_varint_field(empty_blob, 2, 3096);
  put_bytes_field(empty_blob, 3, "");
  std::string none;
  put_varint_field(none, 2, 3096);
  for (const std::string& message :
       {rich_message(3096, ""), grpc_frame(empty_blob), grpc_frame(none)}) {
    std::string body = snapshot_message(3096, database.substr(0, 1000));
    for (int i = 0; i < 1000; ++i) body += message;
    for (const size_t piece : {size_t{7}, body.size()}) {
      const Error error = error_of(body, piece);
      CHECK_TRUE(error.kind == ErrorKind::kUnavailable);
      CHECK_FALSE(error.retryable);
      STRCMP_CONTAINS("cannot read its database file to the end", error.message.c_str());
      STRCMP_CONTAINS("after 1000 bytes, 3096 were still to come", error.message.c_str());
      STRCMP_CONTAINS("etcdctl member remove", error.hint.c_str());
    }
  }
}

TEST(SnapshotStream, EndsWhereAllMessagesAreWithoutABlob) {
  std::string body;
  for (int i = 0; i < 1000; ++i) body += snapshot_message(4096, "");
  const Error error = error_of(body);
  CHECK_FALSE(error.retryable);
  STRCMP_CONTAINS("after 0 bytes", error.message.c_str());
}

TEST(SnapshotStream, KnowsThatItRanDry) {
  Recorder recorder;
  SnapshotStream stream(recorder);
  const auto feed_one = [&](const std::string& message) {
    CHECK_TRUE(stream.write(as_bytes(message)).ok());
  };
  CHECK_FALSE(stream.ran_dry());
  feed_one(snapshot_message(6, "abc"));
  CHECK_FALSE(stream.ran_dry());
  feed_one(snapshot_message(6, ""));
  CHECK_TRUE(stream.ran_dry());
  feed_one(snapshot_message(3, "def"));
  CHECK_FALSE(stream.ran_dry());
}

TEST(SnapshotStream, EndsWhereMoreComesThanWasAnnounced) {
  const std::string database = fake_database(4096);
  std::string body = snapshot_body(database, 1000);
  for (int i = 0; i < 10; ++i) body += snapshot_message(1000, database);
  Recorder recorder;
  const Outcome outcome = feed(body, 100, recorder);
  CHECK_TRUE(outcome.error.has_value());
  CHECK_TRUE(outcome.error->kind == ErrorKind::kUnverified);
  STRCMP_CONTAINS("after the 4128 bytes that it announced", outcome.error->message.c_str());
  LONGS_EQUAL(4096 + 32, recorder.content.size());
}
