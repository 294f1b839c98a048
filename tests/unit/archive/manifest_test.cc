#include "archive/manifest.h"

#include "support.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace etcd_snapshot::test;

namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) FAIL(("not in the text: " + from).c_str());
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_GROUP(Manifest) {
  const Manifest manifest_ = make_manifest(make_snapshot(8));
  const std::string json_ = to_json(manifest_);
};

TEST(Manifest, IsOneLineOfJson) {
  const std::string expected =
      R"({"format":1,"name":"2018-05-04T18:40:16Z_etcd","kind":"rolling",)"
      R"("created":"2018-05-04T18:40:16Z","cluster_id":"cdf818194e3a8c32",)"
      R"("member_id":"8e9e05c52164694d","revision":4711,"etcd_version":"3.4.23",)"
      R"("database_bytes":4096,"sha256":")" +
      manifest_.sha256 + R"(","host":"master-1","agent_version":"0.1.0"})";
  STRCMP_EQUAL(expected.c_str(), json_.c_str());
}

TEST(Manifest, ComesBackAsItWas) {
  Manifest manifest = manifest_;
  manifest.host = "k\xc3\xb6ln\"\\\n";
  manifest.member_id = 0;
  manifest.cluster_id = UINT64_MAX;
  manifest.revision = INT64_MAX;
  manifest.database_bytes = INT64_MAX;
  const auto read = manifest_from_json(to_json(manifest));
  CHECK_TRUE(read.has_value());
  STRCMP_EQUAL(manifest.name.c_str(), read->name.c_str());
  STRCMP_EQUAL(manifest.kind.c_str(), read->kind.c_str());
  STRCMP_EQUAL(manifest.created.c_str(), read->created.c_str());
  CHECK_TRUE(manifest.cluster_id == read->cluster_id);
  CHECK_TRUE(manifest.member_id == read->member_id);
  CHECK_TRUE(manifest.revision == read->revision);
  STRCMP_EQUAL(manifest.etcd_version.c_str(), read->etcd_version.c_str());
  CHECK_TRUE(manifest.database_bytes == read->database_bytes);
  STRCMP_EQUAL(manifest.sha256.c_str(), read->sha256.c_str());
  STRCMP_EQUAL(manifest.host.c_str(), read->host.c_str());
  STRCMP_EQUAL(manifest.agent_version.c_str(), read->agent_version.c_str());
  LONGS_EQUAL(1, read->format);
}

TEST(Manifest, ReplacesWhatIsNoUtf8AndStaysAscii) {
  Manifest manifest = manifest_;
  manifest.host = "bad\xff\xfehost k\xc3\xb6ln";
  const std::string json = to_json(manifest);
  STRCMP_CONTAINS(R"("host":"bad\ufffd\ufffdhost k\u00f6ln")", json.c_str());
  const auto read = manifest_from_json(json);
  CHECK_TRUE(read.has_value());
  STRCMP_EQUAL("bad\xef\xbf\xbd\xef\xbf\xbdhost k\xc3\xb6ln", read->host.c_str());
}

TEST(Manifest, IgnoresUnknownMembersAndSpaceAround) {
  CHECK_TRUE(manifest_from_json(replaced(json_, "{", "{\"later\":[1,{}],")).has_value());
  CHECK_TRUE(manifest_from_json("  " + json_ + std::string(500, ' ')).has_value());
}

TEST(Manifest, SaysOnlyWhereItMayBeBehind) {
  Manifest manifest = manifest_;
  CHECK_TRUE(to_json(manifest).find("current") == std::string::npos);
  CHECK_TRUE(manifest_from_json(to_json(manifest))->current);
  manifest.current = false;
  CHECK_FALSE(manifest_from_json(to_json(manifest))->current);
}

TEST(Manifest, NeedsEveryMember) {
  for (const char* key :
       {"format", "name", "kind", "created", "cluster_id", "member_id", "revision", "etcd_version",
        "database_bytes", "sha256", "host", "agent_version"}) {
    const std::string quoted = "\"" + std::string(key) + "\"";
    CHECK_FALSE(manifest_from_json(replaced(json_, quoted, "\"other\"")).has_value());
  }
}

TEST(Manifest, RefusesIllTypedValues) {
  const char* const table[][2] = {
      {"\"format\":1", "\"format\":2"},
      {"\"format\":1", "\"format\":\"1\""},
      {"\"format\":1", "\"format\":1.0"},
      {"\"format\":1", "\"format\":4294967297"},
      {"\"kind\":\"rolling\"", "\"kind\":null"},
      {"\"name\":\"2018-05-04T18:40:16Z_etcd\"", "\"name\":[]"},
      {"4711", "-1"},
      {"4711", "4711.5"},
      {"4711", "9223372036854775808"},
      {"4711", "18446744073709551616"},
      {"4711", "1e400"},
      {"4711", "true"},
      {"4711", "\"4711\""},
      {"\"database_bytes\":4096", "\"database_bytes\":-4096"},
      {"\"cdf818194e3a8c32\"", "\"\""},
      {"\"cdf818194e3a8c32\"", "\"0xcdf81819\""},
      {"\"cdf818194e3a8c32\"", "\"CDF818194E3A8C32\""},
      {"\"cdf818194e3a8c32\"", "\"cdf818194e3a8c32f\""},
      {"\"cdf818194e3a8c32\"", "\"-1\""},
      {"\"cdf818194e3a8c32\"", "\" 1\""},
      {"\"cdf818194e3a8c32\"", "1"},
      {"\"sha256\":\"", "\"sha256\":\"0"},
      {"\"host\":\"master-1\"", "\"host\":{}"},
  };
  for (const auto& row : table) {
    CHECK_FALSE_TEXT(manifest_from_json(replaced(json_, row[0], row[1])).has_value(), row[1]);
  }
  CHECK_FALSE(manifest_from_json(replaced(json_, manifest_.sha256, std::string(64, 'g'))));
  CHECK_FALSE(manifest_from_json(replaced(json_, manifest_.sha256, std::string(63, 'a'))));
}

TEST(Manifest, TakesAnyBytesWithoutHarm) {
  for (const char* text : {"", " ", "null", "1", "\"", "[", "{", "{}", "[]", "{\"format\":", "\xff",
                           "{\"host\":\"\xff\"}", "{}{}", "nul", "\\u0000"}) {
    CHECK_FALSE(manifest_from_json(text).has_value());
  }
  CHECK_FALSE(manifest_from_json(std::string(60000, '[')).has_value());
  CHECK_FALSE(manifest_from_json(json_ + json_).has_value());
  CHECK_FALSE(manifest_from_json(std::string_view("\0\0\0", 3)).has_value());
  for (size_t size = 0; size < json_.size(); ++size) {
    CHECK_FALSE(manifest_from_json(json_.substr(0, size)).has_value());
  }
  Random random(7);
  for (int i = 0; i < 500; ++i) CHECK_FALSE(manifest_from_json(random.bytes(i)).has_value());
}
