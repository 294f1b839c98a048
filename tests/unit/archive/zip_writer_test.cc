#include "archive/zip_writer.h"

#include <sys/stat.h>

#include "archive/little_endian.h"
#include "archive/reader.h"
#include "archive/zip_format.h"
#include "support.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace etcd_snapshot::test;

namespace {

constexpr int64_t kFiveGiB = int64_t{5} << 30;

// What Python's zipfile, which holds local and central header against each other, says of an
// archive: `expression` over `archive` and `entry`, its only one, after the CRC was checked.
bool python_agrees(const std::string& path, const std::string& expression) {
  return succeeds(
      "/usr/bin/python3 -c '\n"
      "import zipfile, sys, hashlib\n"
      "archive = zipfile.ZipFile(sys.argv[1])\n"
      "assert archive.testzip() is None\n"
      "entry, = archive.infolist()\n"
      "assert " +
      expression + "\n' " + path);
}

bool tools_agree(const std::string& archive, const std::string& snapshot) {
  const TemporaryFile file(archive), expected(snapshot);
  return succeeds("unzip -tqq " + file.path()) &&
         succeeds("unzip -p " + file.path() + " | cmp - " + expected.path()) &&
         python_agrees(file.path(), "entry.filename == \"/backup/2018-05-04T18:40:16Z_etcd\"") &&
         python_agrees(file.path(), "hashlib.sha256(archive.read(entry)).hexdigest() == \"" +
                                        hex(sha256_of(snapshot)) + "\"");
}

}  // namespace

TEST_GROUP(ZipWriter) {
  const std::string snapshot_ = make_snapshot(1000);
};

TEST(ZipWriter, WritesWhatUnzipAndPythonRead) {
  for (const size_t piece : {1000, 4096, 32768, 1 << 20}) {
    const auto options = make_options(Compression::kZip);
    CHECK_TRUE(tools_agree(make_archive(options, snapshot_, piece), snapshot_));
  }
}

TEST(ZipWriter, WritesZip64ThatUnzipAndPythonRead) {
  for (const int64_t expected : {kFiveGiB, int64_t{3} << 30, int64_t{0}}) {
    const auto options = make_options(Compression::kZip, expected);
    CHECK_TRUE(tools_agree(make_archive(options, snapshot_), snapshot_));
  }
}

TEST(ZipWriter, WritesAnEntryWithoutBytes) {
  for (const int64_t expected : {int64_t{1}, kFiveGiB}) {
    MemorySink sink;
    auto writer = make_archive_writer(make_options(Compression::kZip, expected), sink);
    CHECK_TRUE((*writer)->finish(Manifest()).ok());
    const TemporaryFile file(sink.content);
    CHECK_TRUE(succeeds("unzip -tqq " + file.path()));
    CHECK_TRUE(python_agrees(file.path(), "entry.file_size == 0"));
  }
}

TEST(ZipWriter, WritesBytesThatDoNotDeflate) {
  std::string database = Random(3).bytes(700 * 512);
  const std::string snapshot = database + sha256_of(database);
  CHECK_TRUE(tools_agree(make_archive(make_options(Compression::kZip), snapshot), snapshot));
}

TEST(ZipWriter, WritesHeadersAsRkeDoes) {
  const std::string archive = make_archive(make_options(Compression::kZip), snapshot_);
  const auto sample = read_file("tests/data/rke_snapshot_sample.zip", ErrorKind::kInternal);
  CHECK_TRUE(sample.ok());
  // Signature, version, flags, method: up to the time, which is another one.
  STRCMP_EQUAL(hex(sample->substr(0, 10)).c_str(), hex(archive.substr(0, 10)).c_str());
  // CRC and sizes, which come later, name and its length: alike too.
  STRCMP_EQUAL(hex(sample->substr(14, 49)).c_str(), hex(archive.substr(14, 49)).c_str());
  // 2018-05-04 18:40:16, two-second steps; then "UT", 5 bytes, modification time 1525459216.
  STRCMP_EQUAL("0895a44c", hex(archive.substr(10, 4)).c_str());
  STRCMP_EQUAL("5554050001", hex(archive.substr(63, 5)).c_str());
  CHECK_TRUE(get_le<uint32_t>(archive.data() + 68) == 1525459216);
}

TEST(ZipWriter, UsesZip64ExactlyWhereItMayBeNeeded) {
  const struct {
    int64_t expected_bytes;
    bool zip64;
  } table[] = {{1, false},
               {int64_t{2} << 30, false},
               {(int64_t{3} << 30) - 1, false},
               {int64_t{3} << 30, true},
               {int64_t{4} << 30, true},
               {int64_t{1} << 50, true},
               {0, true},
               {-1, true}};
  for (const auto& row : table) {
    const std::string archive =
        make_archive(make_options(Compression::kZip, row.expected_bytes), make_snapshot(1));
    LONGS_EQUAL(row.zip64 ? 45 : 20, get_le<uint16_t>(archive.data() + 4));
    CHECK_TRUE(get_le<uint32_t>(archive.data() + 18) == (row.zip64 ? zip::kSeeZip64 : 0));
    LONGS_EQUAL(row.zip64 ? 29 : 9, get_le<uint16_t>(archive.data() + 28));
    // From the descriptor to the central header: 16 bytes, or 24 where its sizes have 8 bytes.
    const size_t directory = archive.rfind("PK\1\2"), descriptor = archive.rfind("PK\7\10");
    LONGS_EQUAL(row.zip64 ? 24 : 16, directory - descriptor);
  }
}

TEST(ZipWriter, MarksTheEntryAsAFileOfItsOwner) {
  const TemporaryFile file(make_archive(make_options(Compression::kZip), snapshot_));
  CHECK_TRUE(python_agrees(file.path(), "entry.create_system == 3"));
  CHECK_TRUE(python_agrees(file.path(), "entry.external_attr >> 16 == 0o100600"));
  CHECK_TRUE(python_agrees(file.path(), "entry.date_time == (2018, 5, 4, 18, 40, 16)"));
  CHECK_TRUE(python_agrees(file.path(), "entry.flag_bits == 8"));
  CHECK_TRUE(python_agrees(file.path(), "archive.comment.startswith(b\"{\\\"format\\\":1\")"));
}

TEST(ZipWriter, SaysThatANameIsUtf8) {
  auto options = make_options(Compression::kZip);
  options.name = "vor dem upgrade \xc3\xa4";
  const std::string snapshot = make_snapshot(2);
  const TemporaryFile file(make_archive(options, snapshot));
  CHECK_TRUE(python_agrees(file.path(), "entry.filename == \"/backup/vor dem upgrade \\xe4\""));
  CHECK_TRUE(python_agrees(file.path(), "entry.flag_bits == 8 | 1 << 11"));
  CHECK_TRUE(succeeds("unzip -tqq " + file.path()));
  MemorySink sink;
  CHECK_TRUE(extract_snapshot(file.fd(), Compression::kZip, sink).ok());
  CHECK_TRUE(sink.content == snapshot);
}

TEST(ZipWriter, ClampsTimesThatAZipCannotSay) {
  const struct {
    int64_t seconds;
    const char* date;
    size_t extra_bytes;
  } table[] = {{-1, "(1980, 1, 1, 0, 0, 0)", 9},
               {315532800, "(1980, 1, 1, 0, 0, 0)", 9},
               {2147483647, "(2038, 1, 19, 3, 14, 6)", 9},
               {2147483648, "(2038, 1, 19, 3, 14, 8)", 0},
               {4354819199, "(2107, 12, 31, 23, 59, 58)", 0},
               {4354819200, "(2107, 12, 31, 0, 0, 0)", 0},
               {-2147483649, "(1980, 1, 1, 0, 0, 0)", 0}};
  for (const auto& row : table) {
    auto options = make_options(Compression::kZip);
    options.time = UnixSeconds(std::chrono::seconds(row.seconds));
    const std::string archive = make_archive(options, make_snapshot(1));
    const TemporaryFile file(archive);
    CHECK_TRUE_TEXT(python_agrees(file.path(), "entry.date_time == " + std::string(row.date)),
                    row.date);
    LONGS_EQUAL(row.extra_bytes, get_le<uint16_t>(archive.data() + 28));
  }
}

TEST(ZipWriter, GivesTheSinkLargePiecesAndNoneBeforeThereAreAny) {
  MemorySink sink;
  auto writer = make_archive_writer(make_options(Compression::kZip), sink);
  CHECK_TRUE(writer.ok());
  const std::string noise = Random(5).bytes(1 << 20);
  CHECK_TRUE((*writer)->write(as_bytes(noise.substr(0, 100))).ok());
  LONGS_EQUAL(0, sink.writes);
  for (size_t at = 0; at < noise.size(); at += 1000) {
    CHECK_TRUE((*writer)->write(as_bytes(std::string_view(noise).substr(at, 1000))).ok());
  }
  CHECK_TRUE((*writer)->finish(Manifest()).ok());
  LONGS_EQUAL(9, sink.writes);
}

TEST(ZipWriter, PassesOnTheErrorOfTheSinkAndLeavesItAlone) {
  const std::string noise = Random(6).bytes(1 << 20);
  for (const size_t limit : {0, 200000, 600000, 1 << 20}) {
    FullSink sink(limit);
    auto writer = make_archive_writer(make_options(Compression::kZip), sink);
    auto result = (*writer)->write(as_bytes(noise));
    if (result) result = (*writer)->finish(Manifest());
    CHECK_FALSE(result.ok());
    CHECK(result.error().kind == ErrorKind::kStorage);
    LONGS_EQUAL(ENOSPC, result.error().code);
    CHECK_FALSE((*writer)->write(as_bytes(noise)).ok());
    CHECK_FALSE((*writer)->finish(Manifest()).ok());
    LONGS_EQUAL(0, sink.calls_after_error);
  }
}

TEST(ZipWriter, RefusesAManifestThatNoCommentHolds) {
  MemorySink sink;
  auto writer = make_archive_writer(make_options(Compression::kZip), sink);
  Manifest manifest = make_manifest(snapshot_);
  const size_t rest = 65535 - to_json(manifest).size();
  manifest.host += std::string(rest + 1, 'h');
  const auto refused = (*writer)->finish(manifest);
  CHECK_FALSE(refused.ok());
  STRCMP_CONTAINS("65536 bytes", refused.error().message.c_str());
  manifest.host.pop_back();
  CHECK_TRUE((*writer)->finish(manifest).ok());
  const TemporaryFile file(sink.content);
  CHECK_TRUE(succeeds("unzip -tqq " + file.path()));
  const auto read = read_manifest(file.fd(), Compression::kZip);
  CHECK_TRUE(read.ok() && read->has_value());
  STRCMP_EQUAL(manifest.host.c_str(), (**read).host.c_str());
}

TEST(ZipWriter, RefusesToGoOnAfterItsEnd) {
  MemorySink sink;
  auto writer = make_archive_writer(make_options(Compression::kZip), sink);
  CHECK_TRUE((*writer)->finish(Manifest()).ok());
  const size_t size = sink.content.size();
  CHECK_FALSE((*writer)->write(as_bytes("x")).ok());
  CHECK_FALSE((*writer)->finish(Manifest()).ok());
  LONGS_EQUAL(size, sink.content.size());
}

TEST(ZipWriter, RefusesNamesThatNoEntryHas) {
  MemorySink sink;
  auto options = make_options(Compression::kZip);
  for (const size_t size : {0, 65528, 100000}) {
    options.name = std::string(size, 'n');
    CHECK_FALSE(make_archive_writer(options, sink).ok());
  }
  options.name = std::string(65527, 'n');
  CHECK_TRUE(make_archive_writer(options, sink).ok());
}
