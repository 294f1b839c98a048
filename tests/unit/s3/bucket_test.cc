#include "s3/bucket.h"

#include <map>
#include <set>

#include "archive/writer.h"
#include "base/human.h"
#include "client_lab.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {

constexpr char kName[] = "2018-05-04T18:40:16Z_etcd.zip";

class StringSink final : public ByteSink {
 public:
  Result<void> write(Bytes bytes) override {
    content += as_text(bytes);
    return {};
  }
  std::string content;
};

std::string archive_of(Compression compression, size_t bytes, bool finished = true) {
  StringSink sink;
  auto writer = make_archive_writer({compression, "snapshot", UnixSeconds(), 0}, sink);
  std::string database(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) database[i] = static_cast<char>((i * i) >> 7);
  CHECK_TRUE(writer.ok() && (*writer)->write(as_bytes(database)).ok());
  Manifest manifest;
  manifest.name = "snapshot";
  manifest.kind = "rolling";
  manifest.created = "2018-05-04T18:40:16Z";
  manifest.revision = 77;
  manifest.sha256 = std::string(64, 'a');
  if (finished) CHECK_TRUE((*writer)->finish(manifest).ok());
  return sink.content;
}

}  // namespace

TEST_GROUP(Bucket) {
  ClientLab lab;
  FakeS3& s3 = lab.s3;
  std::unique_ptr<S3Client> client;
  std::unique_ptr<Bucket> opened;

  void setup() override {
    lab.policy.folder = "p1";
    lab.settings.retries = 0;
  }
  Bucket& bucket() {
    if (!opened) {
      client = std::make_unique<S3Client>(lab.session(), s3);
      opened = std::make_unique<Bucket>(lab.session(), *client);
    }
    return *opened;
  }
  Result<std::map<std::string, int64_t>> list() {
    std::map<std::string, int64_t> found;
    ES_TRY(bucket().list([&](std::vector<RemoteObject> page) -> Result<void> {
      for (const RemoteObject& object : page) {
        CHECK_TRUE(found.emplace(object.file_name, object.size_bytes).second);
      }
      return {};
    }));
    return found;
  }
  // The names of each page; "../x" lies outside of the folder.
  void answer_with_pages(const std::vector<std::vector<std::string>>& pages) {
    s3.before = [this, pages](const FakeCall&) -> std::optional<FakeAnswer> {
      const size_t number = s3.calls.size();
      const bool last = number == pages.size();
      std::string body = std::string("<ListBucketResult><IsTruncated>") +
                         (last ? "false" : "true") + "</IsTruncated>";
      if (!last) {
        body += "<NextContinuationToken>" + std::to_string(number) + "</NextContinuationToken>";
      }
      for (const std::string& name : pages.at(number - 1)) {
        const std::string key = name.starts_with("../") ? name.substr(3) : "p1/" + name;
        body += "<Contents><Key>" + key + "</Key><Size>1</Size><ETag>e</ETag></Contents>";
      }
      return FakeAnswer{200, {}, body + "</ListBucketResult>"};
    };
  }
  std::optional<Manifest> manifest(const std::string& name, const std::string& bytes) {
    s3.put("p1/" + name, bytes);
    auto found = bucket().manifest({name, static_cast<int64_t>(bytes.size()), ""});
    CHECK_TEXT(found.ok(), name.c_str());
    return found ? *found : std::nullopt;
  }
  // "before upgrade.zip" is ours, too: a snapshot here is called so.
  Result<std::vector<std::string>> sweep() {
    return bucket().sweep_uploads(
        lab.clock.now(), [](const std::string& name) { return name == "before upgrade.zip"; });
  }
  void add_upload(const std::string& id, const std::string& key, const std::string& initiated) {
    s3.uploads[id] = {.key = key, .initiated = initiated};
  }
};

TEST(Bucket, NamesItsPlace) {
  STRCMP_EQUAL("https://s3.test:9000/backups/p1", bucket().display().c_str());
  STRCMP_EQUAL("p1/a.zip", bucket().key_of("a.zip").c_str());
  opened.reset();
  ClientLab other;
  S3Client at_top(other.session(), other.s3);
  STRCMP_EQUAL("https://s3.test:9000/backups", Bucket(other.session(), at_top).display().c_str());
  STRCMP_EQUAL("a.zip", Bucket(other.session(), at_top).key_of("a.zip").c_str());
}

TEST(Bucket, ListsWhatLiesInItsFolderAndNothingElse) {
  for (const char* key : {"p1/a.zip", "p1/ \xc3\xa4&+%.zip", "p1/deeper/a.zip", "p11/b.zip", "p1",
                          "c.zip", "P1/d.zip", "p1/", "p1//e.zip"}) {
    s3.put(key, "four");
  }
  const auto found = list();
  CHECK_TRUE(found.ok());
  CHECK_TRUE(*found == (std::map<std::string, int64_t>{{"a.zip", 4}, {" \xc3\xa4&+%.zip", 4}}));
}

TEST(Bucket, ListsTheWholeBucketWhereThereIsNoFolder) {
  lab.policy.folder.clear();
  for (const char* key : {"a.zip", "p1/b.zip"}) s3.put(key, "");
  CHECK_TRUE(*list() == (std::map<std::string, int64_t>{{"a.zip", 0}}));
}

TEST(Bucket, GoesThroughAllPages) {
  s3.page_size = 7;
  std::set<std::string> expected;
  for (int i = 0; i < 100; ++i) {
    s3.put("p1/" + std::to_string(i), "x");
    expected.insert(std::to_string(i));
    s3.put("p1/deep" + std::to_string(i) + "/x", "x");
  }
  const auto found = list();
  CHECK_TRUE(found.ok());
  LONGS_EQUAL(100, found->size());
  for (const auto& [name, size] : *found) CHECK_TRUE(expected.contains(name));
  CHECK_TRUE(s3.count("ListObjectsV2") >= 15);
}

TEST(Bucket, BelievesNoKeyThatItDidNotAskFor) {
  s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "ListObjectsV2") return std::nullopt;
    std::string body = "<ListBucketResult><IsTruncated>false</IsTruncated>";
    for (const char* key : {"p11/a.zip", "a.zip", "p1/b/c.zip", "p1/", "p1/good.zip"}) {
      body +=
          std::string("<Contents><Key>") + key + "</Key><Size>1</Size><ETag>e</ETag></Contents>";
    }
    return FakeAnswer{200, {}, body + "</ListBucketResult>"};
  };
  CHECK_TRUE(*list() == (std::map<std::string, int64_t>{{"good.zip", 1}}));
}

TEST(Bucket, EndsWithTheErrorOfWhoLooks) {
  s3.page_size = 1;
  s3.put("p1/a", "");
  s3.put("p1/b", "");
  const auto listed = bucket().list([](std::vector<RemoteObject>) -> Result<void> {
    return Error{ErrorKind::kRemote, "enough", ""};
  });
  CHECK_FALSE(listed.ok());
  STRCMP_EQUAL("enough", listed.error().message.c_str());
  LONGS_EQUAL(1, s3.count("ListObjectsV2"));
}

// Pages that come for ever, each in its way. The fake gives up in the end, the bucket before.
TEST(Bucket, EndsAListThatDoesNotGoOn) {
  constexpr int kFakePatience = 5000;
  const auto page = [](const std::string& key, const std::string& token) {
    const std::string contents =
        key.empty() ? ""
                    : "<Contents><Key>" + key + "</Key><Size>1</Size><ETag>e</ETag></Contents>";
    return FakeAnswer{200,
                      {},
                      "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>" +
                          token + "</NextContinuationToken>" + contents + "</ListBucketResult>"};
  };
  const std::function<FakeAnswer(int)> rows[] = {
      [&](int) { return page("p1/a", "same"); },
      [&](int n) { return page("p1/a", "token" + std::to_string(n)); },
      [&](int n) { return page("", "token" + std::to_string(n)); },
      [&](int n) { return page(n % 2 ? "p1/a" : "p1/b", "token" + std::to_string(n % 2)); },
  };
  for (size_t row = 0; row < std::size(rows); ++row) {
    s3.calls.clear();
    s3.before = [&, row](const FakeCall&) -> std::optional<FakeAnswer> {
      if (s3.calls.size() > kFakePatience) return s3_error(403, "AccessDenied", "enough");
      return rows[row](static_cast<int>(s3.calls.size()));
    };
    const auto listed = bucket().list([](std::vector<RemoteObject>) { return Result<void>(); });
    const std::string what = "row " + std::to_string(row);
    CHECK_FALSE_TEXT(listed.ok(), what.c_str());
    CHECK_TRUE(listed.error().kind == ErrorKind::kRemote);
    CHECK_TEXT(holds(listed.error().message, "does not go on"),
               (what + ": " + listed.error().message).c_str());
  }
}

// Pages that overlap: somebody writes meanwhile, or the server is careless.
TEST(Bucket, ListsNoNameTwice) {
  answer_with_pages({{"a", "b", "b", "c"}, {"b", "c", "d"}, {"d"}, {"e"}});
  const auto found = list();
  CHECK_TRUE(found.ok());
  LONGS_EQUAL(5, found->size());
}

// What is skipped is not seen at all. Of a server that does not sort as S3 does nothing is.
TEST(Bucket, ListsAllAlsoWhereTheServerSortsOtherwise) {
  answer_with_pages({{"b", "a"}, {"aa", "c"}, {"B"}});
  const auto found = list();
  CHECK_TRUE(found.ok());
  LONGS_EQUAL(5, found->size());
}

TEST(Bucket, HidesNothingBehindAKeyThatItDidNotAskFor) {
  answer_with_pages({{"a", "../zzz"}, {"b"}});
  const auto found = list();
  CHECK_TRUE(found.ok());
  LONGS_EQUAL(2, found->size());
}

TEST(Bucket, HoldsWhatHasTheSameSizeAndTheSameEnd) {
  std::string bytes(10000, 'a');
  const BytesFile file(bytes);
  const auto held = [&](const std::string& object) {
    s3.put("p1/a.zip", object);
    const auto same = bucket().holds("a.zip", file.all().fd, file.all().size);
    CHECK_TRUE(same.ok());
    return same && same->has_value();
  };
  CHECK_TRUE(held(bytes));
  CHECK_FALSE(held(bytes + "a"));
  CHECK_FALSE(held(bytes.substr(1)));
  bytes.back() = 'b';
  CHECK_FALSE(held(bytes));
  bytes.back() = 'a';
  bytes[bytes.size() - 4096] = 'b';
  CHECK_FALSE(held(bytes));
  s3.buckets["backups"].clear();
  const auto missing = bucket().holds("a.zip", file.all().fd, file.all().size);
  CHECK_TRUE(missing.ok() && !missing->has_value());
}

TEST(Bucket, ReadsNoMoreThanItNeedsToTellThemApart) {
  const BytesFile file(std::string(10000, 'a'));
  s3.put("p1/a.zip", "shorter");
  CHECK_TRUE(bucket().holds("a.zip", file.all().fd, file.all().size).ok());
  LONGS_EQUAL(1, s3.count("GetObject"));  // HEAD may be wrong about the size
  STRCMP_EQUAL("bytes=0-0", s3.last().header("range").c_str());
  const BytesFile small("tiny");
  s3.put("p1/b.zip", "tiny");
  const auto same = bucket().holds("b.zip", small.all().fd, 4);
  CHECK_TRUE(same.ok() && same->has_value());
  STRCMP_EQUAL("bytes=0-3", s3.last().header("range").c_str());
  STRCMP_EQUAL(s3.objects().at("p1/b.zip").etag.c_str(), (*same)->etag.c_str());
  const BytesFile none("");
  s3.put("p1/c.zip", "");
  const auto empty = bucket().holds("c.zip", none.all().fd, 0);
  CHECK_TRUE(empty.ok() && empty->has_value());
  s3.denied = {"HeadObject"};
  CHECK_FALSE(bucket().holds("b.zip", small.all().fd, 4).ok());
}

TEST(Bucket, ReadsTheManifestAtTheEndOfAnArchive) {
  for (const size_t bytes : {size_t{32}, size_t{300000}}) {
    LONGS_EQUAL(77, manifest(kName, archive_of(Compression::kZip, bytes)).value().revision);
    LONGS_EQUAL(77, manifest("2018-05-04T18:40:16Z_etcd.zst", archive_of(Compression::kZstd, bytes))
                        .value()
                        .revision);
  }
  // Whatever it is called.
  LONGS_EQUAL(77,
              manifest("before upgrade.zip", archive_of(Compression::kZip, 9000)).value().revision);
  LONGS_EQUAL(
      77, manifest("before upgrade.zst", archive_of(Compression::kZstd, 9000)).value().revision);
  for (const FakeCall& call : s3.calls) CHECK_TRUE(call.header("range") != "");
}

TEST(Bucket, FindsNoManifestWhereThereIsNone) {
  const std::string zip = archive_of(Compression::kZip, 9000),
                    zst = archive_of(Compression::kZstd, 9000);
  const struct {
    const char* name;
    std::string bytes;
  } rows[] = {{kName, std::string(9000, 'x')},
              {kName, "x"},
              {kName, ""},
              {kName, zst},
              {kName, zip + "x"},
              {kName, zip.substr(0, zip.size() - 1)},
              {kName, zip.substr(zip.size() - 600)},
              {kName, archive_of(Compression::kZip, 9000, false)},
              {"2018-05-04T18:40:16Z_etcd.zst", zip},
              {"2018-05-04T18:40:16Z_etcd.zst", std::string(9000, 'x')},
              {"2018-05-04T18:40:16Z_etcd.zst", "x"},
              {"2018-05-04T18:40:16Z_etcd.zst", ""},
              {"2018-05-04T18:40:16Z_etcd.zst", zst + "x"},
              {"2018-05-04T18:40:16Z_etcd", zip},
              {"pki.bundle.tar.gz", zip}};
  for (const auto& row : rows)
    CHECK_FALSE_TEXT(manifest(row.name, row.bytes).has_value(), row.name);
}

// Another host may have pruned it since it was listed.
TEST(Bucket, TakesWhatIsGoneForNoManifest) {
  const auto found = bucket().manifest({kName, 5000, ""});
  CHECK_TRUE(found.ok() && !found->has_value());
}

TEST(Bucket, TellsOfAnObjectThatCannotBeRead) {
  s3.put(std::string("p1/") + kName, "short");
  CHECK_FALSE(bucket().manifest({kName, 5000, ""}).ok());
  CHECK_FALSE(bucket().manifest({kName, int64_t{1} << 62, ""}).ok());
}

TEST(Bucket, DeletesInCallsOfAThousandAndNamesWhatStays) {
  std::vector<std::string> names;
  for (int i = 0; i < 2001; ++i) {
    names.push_back(std::to_string(i) + " & <.zip");
    s3.put("p1/" + names.back(), "x");
  }
  s3.put("0 & <.zip", "outside");
  s3.locked = {"p1/3 & <.zip", "p1/2000 & <.zip"};
  const auto faults = bucket().remove(names);
  CHECK_TRUE(faults.ok());
  LONGS_EQUAL(3, s3.count("DeleteObjects"));
  LONGS_EQUAL(2, faults->size());
  STRCMP_EQUAL("3 & <.zip", faults->at(0).key.c_str());
  STRCMP_EQUAL("AccessDenied", faults->at(0).code.c_str());
  STRCMP_EQUAL("2000 & <.zip", faults->at(1).key.c_str());
  LONGS_EQUAL(3, s3.objects().size());
  CHECK_TRUE(s3.has("0 & <.zip"));
  CHECK_TRUE(bucket().remove({}).ok());
  LONGS_EQUAL(3, s3.count("DeleteObjects"));
}

TEST(Bucket, SweepsUploadsOfOurNamesAfterADay) {
  s3.page_size = 2;
  const auto ago = [&](Nanoseconds age) {
    std::string text = format_utc(std::chrono::floor<std::chrono::seconds>(lab.clock.now() - age));
    return text.replace(text.size() - 1, 1, ".000Z");
  };
  const std::string ours = std::string("p1/") + kName;
  add_upload("1", ours, ago(25h));
  add_upload("2", ours, ago(23h));
  add_upload("3", "p1/rke_etcd_snapshot_2018-05-01T00:00:00Z.zst", ago(48h));
  add_upload("4", "p1/notes.zip", ago(480h));
  add_upload("5", std::string("p11/") + kName, ago(480h));
  add_upload("6", kName, ago(480h));
  add_upload("7", std::string("p1/deeper/") + kName, ago(480h));
  add_upload("8", ours, ago(-480h));
  add_upload("9", "p1/before upgrade.zip", ago(25h));
  const auto swept = sweep();
  CHECK_TRUE(swept.ok());
  CHECK_TRUE(std::set<std::string>(swept->begin(), swept->end()) ==
             (std::set<std::string>{kName, "rke_etcd_snapshot_2018-05-01T00:00:00Z.zst",
                                    "before upgrade.zip"}));
  LONGS_EQUAL(3, s3.count("AbortMultipartUpload"));
  LONGS_EQUAL(6, s3.uploads.size());
  for (const char* id : {"1", "3", "9"}) LONGS_EQUAL(0, s3.uploads.count(id));
}

TEST(Bucket, SweepsTheOthersWhereOneAbortIsRefused) {
  s3.page_size = 1;
  for (const char* second : {"10", "11", "12"}) {
    add_upload(second, std::string("p1/2018-05-04T18:40:") + second + "Z_etcd.zip",
               "2018-05-01T00:00:00.000Z");
  }
  s3.before = [](const FakeCall& call) -> std::optional<FakeAnswer> {
    const bool refused = call.operation == "AbortMultipartUpload" && holds(call.key, ":11Z");
    if (!refused) return std::nullopt;
    return s3_error(403, "AccessDenied", "not this one");
  };
  const auto swept = sweep();
  CHECK_TRUE(swept.ok());
  CHECK_TRUE(*swept == (std::vector<std::string>{"2018-05-04T18:40:10Z_etcd.zip",
                                                 "2018-05-04T18:40:12Z_etcd.zip"}));
  LONGS_EQUAL(1, s3.uploads.size());
}

// Rights that are missing are missing for each.
TEST(Bucket, DoesNotGoOnSweepingWhereEachAbortIsRefused) {
  for (int i = 0; i < 100; ++i) {
    add_upload(std::to_string(i), std::string("p1/") + kName, "2018-05-01T00:00:00.000Z");
  }
  s3.denied = {"AbortMultipartUpload"};
  const auto swept = sweep();
  CHECK_TRUE(swept.ok() && swept->empty());
  CHECK_TRUE(s3.count("AbortMultipartUpload") <= 10);
}

TEST(Bucket, TellsWhatItSweptBeforeTheListFailed) {
  s3.page_size = 1;
  add_upload("1", "p1/2018-05-04T18:40:10Z_etcd.zip", "2018-05-01T00:00:00.000Z");
  add_upload("2", "p1/2018-05-04T18:40:11Z_etcd.zip", "2018-05-01T00:00:00.000Z");
  s3.before = [this](const FakeCall& call) -> std::optional<FakeAnswer> {
    if (call.operation != "ListMultipartUploads" || s3.calls.size() == 1) return std::nullopt;
    return s3_error(403, "AccessDenied", "no more");
  };
  const auto swept = sweep();
  CHECK_TRUE(swept.ok());
  LONGS_EQUAL(1, swept->size());
}

TEST(Bucket, TellsThatItMayNotSweep) {
  s3.denied = {"ListMultipartUploads"};
  const auto swept = sweep();
  CHECK_FALSE(swept.ok());
  STRCMP_EQUAL("AccessDenied", swept.error().s3_code.c_str());
}

TEST(Bucket, EndsAListOfUploadsThatDoesNotGoOn) {
  s3.before = [this](const FakeCall&) -> std::optional<FakeAnswer> {
    if (s3.calls.size() > 5000) return s3_error(403, "AccessDenied", "enough");
    return FakeAnswer{200,
                      {},
                      "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>"
                      "p1/a</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>"
                      "</ListMultipartUploadsResult>"};
  };
  const auto swept = sweep();
  CHECK_FALSE(swept.ok());
  CHECK_TEXT(holds(swept.error().message, "does not go on"), swept.error().message.c_str());
}
