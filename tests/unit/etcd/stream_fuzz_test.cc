// Bytes from a network: a few hundred thousand inputs, the same in every run, half of them noise
// and half of them real streams with damage. Nothing may crash, and two ways to cut an input must
// agree.
#include <random>

#include "../fakes/etcd.h"
#include "etcd/grpc.h"
#include "etcd/protobuf.h"
#include "recorder.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

std::string noise(std::mt19937& random) {
  // Few values, so that small numbers, tags and lengths come up often.
  static constexpr unsigned char kLikely[] = {0,  0,  0,  0,  1,   2,   5,  8,
                                              16, 18, 24, 26, 127, 128, 255};
  std::string bytes(random() % 64, '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(random() % 4 == 0 ? random() : kLikely[random() % sizeof kLikely]);
  }
  return bytes;
}

std::string damaged(std::mt19937& random, const std::string& good) {
  std::string bytes = good;
  for (unsigned i = 1 + random() % 3; i > 0; --i) {
    const size_t at = random() % bytes.size();
    switch (random() % 4) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes.erase(at, 1 + random() % 8);
        break;
      case 2:
        bytes.insert(at, noise(random));
        break;
      default:
        bytes.resize(at + 1);
    }
    if (bytes.empty()) bytes.assign(1, '\0');
  }
  return bytes;
}

// True where the input was refused.
bool refused(const std::string& input, size_t piece, std::string& content) {
  Recorder recorder;
  const Outcome outcome = feed(input, piece, recorder);
  CHECK_FALSE(recorder.out_of_order);
  CHECK_TRUE(recorder.begins <= 1);
  CHECK_TRUE(recorder.content.size() <= input.size());
  if (outcome.error) {
    CHECK_TRUE(outcome.error->kind == ErrorKind::kUnavailable ||
               outcome.error->kind == ErrorKind::kUnverified);
  }
  content = recorder.content;
  return outcome.error.has_value();
}

}  // namespace

TEST_GROUP(StreamFuzz){};

TEST(StreamFuzz, AnyBytesAreTakenOrRefusedAndAlwaysTheSameWay) {
  std::mt19937 random(20180504);
  const std::string good = snapshot_message(8, "abcdefgh") + snapshot_message(0, "ijklmnop") +
                           snapshot_message(0, std::string(32, 'd'));
  int refusals = 0;
  constexpr int kInputs = 300000;
  for (int i = 0; i < kInputs; ++i) {
    const std::string input = i % 2 == 0 ? noise(random) : damaged(random, good);
    std::string whole, cut;
    const bool refused_whole = refused(input, input.size() + 1, whole);
    const bool refused_cut = refused(input, 1 + random() % 7, cut);
    CHECK_EQUAL(refused_whole, refused_cut);
    CHECK_TRUE(whole == cut);
    refusals += refused_whole ? 1 : 0;
  }
  // Both ends were seen.
  CHECK_TRUE(refusals > kInputs / 2 && refusals < kInputs);
}

TEST(StreamFuzz, AnyBytesAreReadAsAMessageOrRefused) {
  std::mt19937 random(1);
  for (int i = 0; i < 200000; ++i) {
    const std::string input = noise(random);
    ProtoReader reader(input);
    size_t bytes = 0;
    while (const auto field = reader.next()) {
      CHECK_TRUE(field->number > 0);
      bytes += field->bytes.size();
    }
    CHECK_TRUE(bytes <= input.size());
    decode_grpc_message(input);
  }
}
