#include "base/digest.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

std::string hex_of(const Result<std::string>& digest) {
  return digest ? to_hex(*digest) : "error: " + digest.error().message;
}

// A file without a name that holds `text`.
UniqueFd file_of(const std::string& text) {
  char path[] = "/tmp/digest_test.XXXXXX";
  UniqueFd fd(mkstemp(path));
  CHECK_TRUE(static_cast<bool>(fd));
  LONGS_EQUAL(0, unlink(path));
  LONGS_EQUAL(text.size(), write(fd.get(), text.data(), text.size()));
  return fd;
}

}  // namespace

TEST_GROUP(Digest){};

// FIPS 180-4 examples (NIST, "SHA256.pdf") and the digest of nothing.
TEST(Digest, Sha256IsTheStandards) {
  STRCMP_EQUAL("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
               hex_of(sha256("")).c_str());
  STRCMP_EQUAL("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
               hex_of(sha256("abc")).c_str());
  STRCMP_EQUAL("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
               hex_of(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).c_str());
}

TEST(Digest, Sha256TakesPiecesOfAnySize) {
  const std::string text(100000, 'x');
  const std::string whole = hex_of(sha256(text));
  for (const size_t piece : {1UL, 63UL, 64UL, 65UL, 4096UL, 100000UL}) {
    Sha256 digest;
    for (size_t at = 0; at < text.size(); at += piece) {
      CHECK_TRUE(digest.update(as_bytes(std::string_view(text).substr(at, piece))).ok());
      CHECK_TRUE(digest.update({}).ok());
    }
    STRCMP_EQUAL(whole.c_str(), hex_of(digest.finish()).c_str());
  }
}

TEST(Digest, Sha256EndsOnce) {
  Sha256 digest;
  CHECK_TRUE(digest.finish().ok());
  CHECK_FALSE(digest.finish().ok());
  const auto late = digest.update(as_bytes("x"));
  CHECK_FALSE(late.ok());
  CHECK_TRUE(late.error().kind == ErrorKind::kInternal);
}

TEST(Digest, Sha256MovesWithWhatItHas) {
  Sha256 first;
  CHECK_TRUE(first.update(as_bytes("ab")).ok());
  Sha256 second(std::move(first));
  CHECK_TRUE(second.update(as_bytes("c")).ok());
  STRCMP_EQUAL(hex_of(sha256("abc")).c_str(), hex_of(second.finish()).c_str());
}

// RFC 4231, cases 1, 2, 3 and 6 (a key longer than a block), and a key of nothing.
TEST(Digest, HmacIsTheStandards) {
  const struct {
    std::string key, bytes, digest;
  } cases[] = {
      {std::string(20, '\x0b'), "Hi There",
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", "what do ya want for nothing?",
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {std::string(20, '\xaa'), std::string(50, '\xdd'),
       "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First",
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {"", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
  };
  for (const auto& test : cases) {
    STRCMP_EQUAL(test.digest.c_str(), hex_of(hmac_sha256(test.key, test.bytes)).c_str());
  }
  STRCMP_EQUAL(cases[4].digest.c_str(), hex_of(hmac_sha256({}, {})).c_str());
}

// RFC 1321, A.5.
TEST(Digest, Md5IsTheStandards) {
  STRCMP_EQUAL("d41d8cd98f00b204e9800998ecf8427e", hex_of(md5("")).c_str());
  STRCMP_EQUAL("900150983cd24fb0d6963f7d28e17f72", hex_of(md5("abc")).c_str());
  STRCMP_EQUAL("f96b697d7cb7938d525a2f31aaf161d0", hex_of(md5("message digest")).c_str());
}

TEST(Digest, OfAFilesRange) {
  std::string text(300000, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 + i / 256);
  const UniqueFd fd = file_of(text);
  const struct {
    int64_t offset, size;
  } ranges[] = {{0, 300000}, {0, 0}, {1, 131072}, {299999, 1}, {300000, 0}, {5, 200000}};
  for (const auto& range : ranges) {
    const std::string part =
        text.substr(static_cast<size_t>(range.offset), static_cast<size_t>(range.size));
    STRCMP_EQUAL(hex_of(sha256(part)).c_str(),
                 hex_of(sha256_of_range(fd.get(), range.offset, range.size)).c_str());
  }
}

TEST(Digest, TwoOfARangeInOnePass) {
  std::string text(300000, 'x');
  const UniqueFd fd = file_of(text);
  std::string also = "old";
  const auto digest = sha256_of_range(fd.get(), 1, 200000, {}, &also);
  STRCMP_EQUAL(hex_of(sha256(text.substr(1, 200000))).c_str(), hex_of(digest).c_str());
  STRCMP_EQUAL(hex_of(md5(text.substr(1, 200000))).c_str(), to_hex(also).c_str());
  STRCMP_EQUAL(to_hex(also).c_str(), hex_of(md5_of_range(fd.get(), 1, 200000)).c_str());
}

// A long file on a slow disk must not outlast a request to stop.
TEST(Digest, OfARangeEndsWhereItIsToldTo) {
  const UniqueFd fd = file_of(std::string(1 << 20, 'x'));
  int asked = 0;
  const auto third = [&]() -> Result<void> {
    if (++asked < 3) return {};
    return Error{ErrorKind::kCancelled, "enough", ""};
  };
  const auto one = sha256_of_range(fd.get(), 0, 1 << 20, third);
  CHECK_TRUE(one.error().kind == ErrorKind::kCancelled);
  LONGS_EQUAL(3, asked);
  asked = 0;
  CHECK_TRUE(md5_of_range(fd.get(), 0, 1 << 20, third).error().kind == ErrorKind::kCancelled);
  LONGS_EQUAL(3, asked);
}

TEST(Digest, OfARangeThatIsNotThereIsAStorageError) {
  const UniqueFd fd = file_of("0123456789");
  const auto beyond = sha256_of_range(fd.get(), 4, 7);
  CHECK_FALSE(beyond.ok());
  CHECK_TRUE(beyond.error().kind == ErrorKind::kStorage);
  STRCMP_CONTAINS("6 of 7 bytes from byte 4", beyond.error().message.c_str());
  const auto closed = sha256_of_range(-1, 0, 1);
  CHECK_FALSE(closed.ok());
  CHECK_TRUE(closed.error().kind == ErrorKind::kStorage);
  LONGS_EQUAL(EBADF, closed.error().code);
}

TEST_GROUP(DigestText){};

TEST(DigestText, HexThereAndBack) {
  const std::string bytes("\x00\x01\x7f\x80\xff\xa5", 6);
  STRCMP_EQUAL("00017f80ffa5", to_hex(bytes).c_str());
  CHECK_TRUE(from_hex("00017f80ffa5") == bytes);
  CHECK_TRUE(from_hex("00017F80FFA5") == bytes);
  STRCMP_EQUAL("", to_hex("").c_str());
}

TEST(DigestText, WhatIsNoHexIsEmpty) {
  for (const char* text : {"", "0", "012", "0g", "g0", " 00", "0x", "00-1", "\xff\xff"}) {
    CHECK_TRUE(from_hex(text).empty());
  }
}

// RFC 4648, 10.
TEST(DigestText, Base64IsTheStandards) {
  const struct {
    const char *bytes, *text;
  } cases[] = {{"", ""},
               {"f", "Zg=="},
               {"fo", "Zm8="},
               {"foo", "Zm9v"},
               {"foob", "Zm9vYg=="},
               {"fooba", "Zm9vYmE="},
               {"foobar", "Zm9vYmFy"}};
  for (const auto& test : cases) STRCMP_EQUAL(test.text, to_base64(test.bytes).c_str());
  STRCMP_EQUAL("+/+/AP8=", to_base64(std::string("\xfb\xff\xbf\x00\xff", 5)).c_str());
}
