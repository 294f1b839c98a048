#include "offsite/ledger.h"

#include "../store/scratch.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(UploadLedger) {
  Scratch scratch;
  const std::string place = "https://s3.test/backups/p1";
  UploadLedger read(const std::string& of) {
    return UploadLedger::read(scratch.path(), of);
  }
  // What is read when that stands there.
  UploadLedger with(const std::string& text) {
    scratch.write("bucket.json", text);
    return read(place);
  }
};

TEST(UploadLedger, ReadsWhatItWrote) {
  UploadLedger ledger = read(place);
  CHECK_TRUE(ledger.find("a.zip") == nullptr);
  ledger.put("a.zip", {"a_node-1.zip", int64_t{6} << 30, "etag-2"});
  ledger.put("b \"\xc3\xa4\".zip", {"b.zip", 1, ""});
  ledger.put("b.zip", {"b.zip", 1, "old"});
  ledger.put("b.zip", {"b.zip", 2, "new"});
  CHECK_TRUE(ledger.write(scratch.path()).ok());
  const UploadLedger again = read(place);
  const LedgerEntry* const entry = again.find("a.zip");
  CHECK_TRUE(entry != nullptr);
  STRCMP_EQUAL("a_node-1.zip", entry->object.c_str());
  CHECK_TRUE(entry->size_bytes == int64_t{6} << 30);
  STRCMP_EQUAL("etag-2", entry->etag.c_str());
  CHECK_TRUE(again.find("b \"\xc3\xa4\".zip") != nullptr);
  STRCMP_EQUAL("new", again.find("b.zip")->etag.c_str());
  CHECK_TRUE(again.find("a") == nullptr);
}

TEST(UploadLedger, KnowsNothingOfAnotherPlace) {
  UploadLedger ledger = read(place);
  ledger.put("a.zip", {"a.zip", 1, "etag"});
  CHECK_TRUE(ledger.write(scratch.path()).ok());
  for (const char* other : {"https://s3.test/backups/p11", "https://s3.test/backups", ""}) {
    CHECK_TRUE(read(other).find("a.zip") == nullptr);
  }
  // And takes the file over for its own.
  CHECK_TRUE(read("other").write(scratch.path()).ok());
  CHECK_TRUE(read(place).find("a.zip") == nullptr);
}

TEST(UploadLedger, TakesADamagedFileForNone) {
  const std::string good =
      R"({"place":")" + place + R"(","entries":{"a":{"object":"a","size":1,"etag":"e"}}})";
  CHECK_TRUE(with(good).find("a") != nullptr);
  for (
      const char* text :
      {"", "{", "[]", "null", "7", "\"x\"", "{\"place\":7,\"entries\":{}}", "\xff\xfe{}",
       R"({"place":"https://s3.test/backups/p1"})",
       R"({"place":"https://s3.test/backups/p1","entries":[]})",
       R"({"place":"https://s3.test/backups/p1","entries":{"a":7}})",
       R"({"place":"https://s3.test/backups/p1","entries":{"a":{"object":"a","size":1}}})",
       R"({"place":"https://s3.test/backups/p1","entries":{"a":{"object":7,"size":1,"etag":""}}})",
       R"({"place":"https://s3.test/backups/p1","entries":{"a":{"object":"a","size":"1","etag":""}}})"}) {
    CHECK_TRUE_TEXT(with(text).find("a") == nullptr, text);
  }
  // One bad entry costs no other.
  CHECK_TRUE(with(good.substr(0, good.size() - 2) + ",\"b\":{}}}").find("a") != nullptr);
}

TEST(UploadLedger, DropsWhatIsNotWantedAnyMore) {
  UploadLedger ledger = read(place);
  ledger.put("a", {"a", 1, "e"});
  ledger.put("b", {"b", 1, "e"});
  ledger.retain([](const std::string& name) { return name == "b"; });
  CHECK_TRUE(ledger.find("a") == nullptr);
  CHECK_TRUE(ledger.find("b") != nullptr);
}

TEST(UploadLedger, SaysWhereItCannotBeWritten) {
  const auto written = read(place).write(scratch.path("missing"));
  CHECK_FALSE(written.ok());
  CHECK_TRUE(written.error().kind == ErrorKind::kStorage);
  CHECK_TRUE(holds(written.error().message, scratch.path("missing")));
}
