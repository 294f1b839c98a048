#include "archive/proof.h"

#include <algorithm>
#include <vector>

#include "support.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace etcd_snapshot::test;

namespace {

Result<Proof> prove(std::string_view snapshot, const std::vector<size_t>& pieces) {
  SnapshotProof proof;
  size_t next = 0;
  while (!snapshot.empty()) {
    const size_t size = std::min(pieces[next++ % pieces.size()], snapshot.size());
    ES_TRY(proof.update(as_bytes(snapshot.substr(0, size))));
    snapshot.remove_prefix(size);
  }
  return proof.finish();
}

void check_bad(const std::string& snapshot, const char* part_of_message) {
  for (const size_t piece : {1, 31, 32, 33, 512, 32768}) {
    const auto proof = prove(snapshot, {piece});
    CHECK_FALSE(proof.ok());
    CHECK(proof.error().kind == ErrorKind::kUnverified);
    CHECK_TRUE(proof.error().retryable);
    CHECK_FALSE(proof.error().hint.empty());
    STRCMP_CONTAINS(part_of_message, proof.error().message.c_str());
  }
}

}  // namespace

TEST_GROUP(SnapshotProof){};

TEST(SnapshotProof, HoldsForPiecesOfAnySize) {
  const std::vector<std::vector<size_t>> splits = {
      {1},          {2},           {7},       {31},        {32},        {33},
      {63},         {64},          {65},      {511},       {512},       {513},
      {4096},       {32768},       {1 << 20}, {1, 31, 32}, {31, 33},    {33, 1},
      {32, 1, 512}, {512, 31, 31}, {40, 20},  {20, 40, 3}, {1000, 1, 1}};
  for (const size_t sectors : {1, 2, 64, 200}) {
    const std::string snapshot = make_snapshot(sectors);
    const std::string digest = hex(sha256_of(snapshot.substr(0, sectors * 512)));
    for (const auto& split : splits) {
      const auto proof = prove(snapshot, split);
      CHECK_TRUE(proof.ok());
      LONGS_EQUAL(static_cast<long>(sectors * 512), proof->database_bytes);
      STRCMP_EQUAL(digest.c_str(), proof->sha256.c_str());
    }
  }
}

TEST(SnapshotProof, HoldsWhenTheDigestComesInItsOwnPiece) {
  const std::string snapshot = make_snapshot(8);
  SnapshotProof proof;
  CHECK_TRUE(proof.update(as_bytes(snapshot.substr(0, 4096))).ok());
  CHECK_TRUE(proof.update({}).ok());
  CHECK_TRUE(proof.update(as_bytes(snapshot.substr(4096))).ok());
  CHECK_TRUE(proof.update({}).ok());
  LONGS_EQUAL(4096 + 32, proof.received_bytes());
  CHECK_TRUE(proof.finish().ok());
}

TEST(SnapshotProof, KnowsTheDigestOfAKnownDatabase) {
  // sha256sum of 512 zero bytes
  const char digest[] = "076a27c79e5ace2a3d47f9dd2e83e4ff6ea8872b3c2218f66c92b89b55f36560";
  const std::string database(512, '\0');
  const auto proof = prove(database + sha256_of(database), {100});
  CHECK_TRUE(proof.ok());
  STRCMP_EQUAL(digest, proof->sha256.c_str());
}

TEST(SnapshotProof, RefusesWhatIsTooShort) {
  check_bad(make_snapshot(1).substr(0, 1), "cut short: 1 bytes");
  check_bad(make_snapshot(1).substr(0, 31), "cut short: 31 bytes");
  check_bad(sha256_of(""), "cut short: 32 bytes, which leaves no database");
  SnapshotProof empty;
  const auto proof = empty.finish();
  CHECK_FALSE(proof.ok());
  CHECK(proof.error().kind == ErrorKind::kUnverified);
  CHECK_TRUE(proof.error().retryable);
  STRCMP_EQUAL("the snapshot is empty: 0 bytes", proof.error().message.c_str());
}

TEST(SnapshotProof, RefusesASizeThatNoSnapshotHas) {
  const std::string snapshot = make_snapshot(4);
  check_bad(snapshot.substr(0, 2048), "2048 bytes, but a whole one has a multiple of 512");
  for (const size_t size : {33, 511, 513, 543, 545, 2047, 2049, 2079}) {
    check_bad(snapshot.substr(0, size), std::to_string(size).c_str());
  }
  check_bad(snapshot + "x", "2081 bytes");
}

TEST(SnapshotProof, RefusesAWrongDigestAndNamesBoth) {
  const std::string good = make_snapshot(4);
  const std::string sent = hex(good.substr(2048));
  for (const size_t at : {0, 1, 511, 512, 1000, 2047}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    check_bad(bad, sent.c_str());
    check_bad(bad, hex(sha256_of(bad.substr(0, 2048))).c_str());
  }
  for (const size_t at : {2048, 2049, 2079}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    check_bad(bad, "2048 bytes of database");
  }
  // A stream that lost a sector in the middle has the right size modulo 512.
  check_bad(good.substr(0, 512) + good.substr(1024), "1536 bytes of database");
}

TEST(SnapshotProof, GivesNoSecondProof) {
  const std::string snapshot = make_snapshot(1);
  SnapshotProof proof;
  CHECK_TRUE(proof.update(as_bytes(snapshot)).ok());
  CHECK_TRUE(proof.finish().ok());
  CHECK_FALSE(proof.finish().ok());
  CHECK_FALSE(proof.update(as_bytes(snapshot)).ok());
}
