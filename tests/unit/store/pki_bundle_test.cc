#include "store/pki_bundle.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <string>

#include "scratch.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

// Name, mode, owner, size and time of each member, a line each.
std::string members(const std::string& path) {
  const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), archive_read_free);
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_format_tar(reader.get());
  if (archive_read_open_filename(reader.get(), path.c_str(), 10240) != ARCHIVE_OK) {
    return archive_error_string(reader.get());
  }
  std::string lines;
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader.get(), &entry) == ARCHIVE_OK) {
    char line[512];
    snprintf(line, sizeof line, "%s %o %lld:%lld %s:%s %lld %lld\n", archive_entry_pathname(entry),
             archive_entry_mode(entry), static_cast<long long>(archive_entry_uid(entry)),
             static_cast<long long>(archive_entry_gid(entry)), archive_entry_uname(entry),
             archive_entry_gname(entry), static_cast<long long>(archive_entry_size(entry)),
             static_cast<long long>(archive_entry_mtime(entry)));
    lines += line;
  }
  return lines;
}

}  // namespace

TEST_GROUP(PkiBundle) {
  Scratch scratch;

  void setup() override {
    mkdir(scratch.path("pki").c_str(), 0755);
    mkdir(scratch.path("out").c_str(), 0700);
  }
  void put(const std::string& name, const std::string& content, time_t modified = 1525459216) {
    scratch.write("pki/" + name, content, 0644);
    const timespec times[2] = {{modified, 5}, {modified, 5}};
    CHECK_EQUAL(0, utimensat(AT_FDCWD, scratch.path("pki/" + name).c_str(), times, 0));
  }
  Result<PkiBundleOutcome> update(const std::string& directory = "pki") {
    const auto out = SnapshotDirectory::open(scratch.path("out"), true);
    if (!out) FAIL(out.error().message.c_str());
    return update_pki_bundle(*out, scratch.path(directory));
  }
  PkiBundleOutcome updated() {
    const auto outcome = update();
    if (!outcome) FAIL(outcome.error().message.c_str());
    return *outcome;
  }
  std::string bundle() {
    return scratch.read("out/pki.bundle.tar.gz");
  }
  ino_t inode() {
    struct stat status = {};
    return stat(scratch.path("out/pki.bundle.tar.gz").c_str(), &status) == 0 ? status.st_ino : 0;
  }
};

TEST(PkiBundle, HoldsTheFilesAsRkeNamesThem) {
  put("kube-ca.pem", "ca");
  put("kube-ca-key.pem", "key!", 1525459217);
  mkdir(scratch.path("pki/etcd").c_str(), 0755);
  put("etcd/ca.crt", "etcd ca");
  const Umask umask_for_now(0);
  const PkiBundleOutcome outcome = updated();
  CHECK_TRUE(outcome.written);
  LONGS_EQUAL(3, outcome.files);
  LONGS_EQUAL(0600, scratch.mode("out/pki.bundle.tar.gz"));
  STRCMP_EQUAL(
      "etc/kubernetes/ssl/etcd/ca.crt 100600 0:0 root:root 7 1525459216\n"
      "etc/kubernetes/ssl/kube-ca-key.pem 100600 0:0 root:root 4 1525459217\n"
      "etc/kubernetes/ssl/kube-ca.pem 100600 0:0 root:root 2 1525459216\n",
      members(scratch.path("out/pki.bundle.tar.gz")).c_str());
}

TEST(PkiBundle, IsWhatTarExtracts) {
  const std::string name = "kube-\xc3\xa9-" + std::string(150, 'n') + ".pem";
  put(name, std::string(100000, 'x'));
  put("empty", "");
  mkdir(scratch.path("pki/etcd").c_str(), 0755);
  put("etcd/ca.crt", "etcd ca");
  updated();
  mkdir(scratch.path("ssl").c_str(), 0700);
  const std::string extract = "tar xzf " + scratch.path("out/pki.bundle.tar.gz") + " -C " +
                              scratch.path("ssl") + " --strip-components 3 > " +
                              scratch.path("tar.log") + " 2>&1";
  CHECK_EQUAL(0, system(extract.c_str()));
  STRCMP_EQUAL("", scratch.read("tar.log").c_str());
  CHECK_TRUE(scratch.read("ssl/" + name) == std::string(100000, 'x'));
  CHECK_TRUE(scratch.has("ssl/empty"));
  STRCMP_EQUAL("etcd ca", scratch.read("ssl/etcd/ca.crt").c_str());
  LONGS_EQUAL(0600, scratch.mode("ssl/etcd/ca.crt"));
  CHECK_EQUAL(0, system(("gzip -t " + scratch.path("out/pki.bundle.tar.gz")).c_str()));
}

TEST(PkiBundle, IsReplacedOnlyWhenAFileChanged) {
  put("a.pem", "one");
  put("b.pem", "two");
  CHECK_TRUE(updated().written);
  const std::string first = bundle();
  const ino_t first_inode = inode();
  CHECK_FALSE(updated().written);
  CHECK_TRUE(first_inode == inode());
  put("b.pem", "TWO");
  CHECK_TRUE(updated().written);
  CHECK_FALSE(first == bundle());
  put("b.pem", "two");
  CHECK_TRUE(updated().written);
  CHECK_TRUE(first == bundle());
  put("b.pem", "two", 1600000000);
  CHECK_TRUE(updated().written);
  unlink(scratch.path("pki/b.pem").c_str());
  CHECK_TRUE(updated().written);
  CHECK_FALSE(updated().written);
}

TEST(PkiBundle, IsClosedAgainWhenSomebodyOpenedIt) {
  put("a.pem", "one");
  updated();
  CHECK_EQUAL(0, chmod(scratch.path("out/pki.bundle.tar.gz").c_str(), 0644));
  CHECK_TRUE(updated().written);
  LONGS_EQUAL(0600, scratch.mode("out/pki.bundle.tar.gz"));
}

TEST(PkiBundle, ReplacesALinkAndNotItsTarget) {
  put("a.pem", "one");
  scratch.write("elsewhere", "untouched");
  CHECK_EQUAL(0, symlink("../elsewhere", scratch.path("out/pki.bundle.tar.gz").c_str()));
  CHECK_TRUE(updated().written);
  STRCMP_EQUAL("untouched", scratch.read("elsewhere").c_str());
  CHECK_FALSE(std::filesystem::is_symlink(scratch.path("out/pki.bundle.tar.gz")));
}

TEST(PkiBundle, FollowsLinksToFilesAndNeverWaits) {
  put("2024.pem", "current");
  CHECK_EQUAL(0, symlink("2024.pem", scratch.path("pki/current.pem").c_str()));
  CHECK_EQUAL(0, symlink("nowhere", scratch.path("pki/dangling.pem").c_str()));
  CHECK_EQUAL(0, symlink(".", scratch.path("pki/link-to-directory").c_str()));
  CHECK_EQUAL(0, mkfifo(scratch.path("pki/fifo").c_str(), 0600));
  CHECK_EQUAL(0, mkfifo(scratch.path("fifo").c_str(), 0600));
  CHECK_EQUAL(0, symlink("../fifo", scratch.path("pki/link-to-fifo").c_str()));
  mkdir(scratch.path("pki/other").c_str(), 0755);
  put("other/left-out.pem", "x");
  LONGS_EQUAL(2, updated().files);
  STRCMP_EQUAL(
      "etc/kubernetes/ssl/2024.pem 100600 0:0 root:root 7 1525459216\n"
      "etc/kubernetes/ssl/current.pem 100600 0:0 root:root 7 1525459216\n",
      members(scratch.path("out/pki.bundle.tar.gz")).c_str());
}

TEST(PkiBundle, NamesTheFileThatCannotBeReadAndKeepsTheOldBundle) {
  put("a.pem", "one");
  put("b-key.pem", "key");
  updated();
  const std::string before = bundle();
  put("a.pem", "changed");
  CHECK_EQUAL(0, chmod(scratch.path("pki/b-key.pem").c_str(), 0));
  CHECK_EQUAL(0, chmod(scratch.path().c_str(), 0755));
  const auto out = SnapshotDirectory::open(scratch.path("out"), true);
  {
    const Unprivileged unprivileged;
    const auto outcome = update_pki_bundle(*out, scratch.path("pki"));
    CHECK_FALSE(outcome.ok());
    CHECK_TRUE(outcome.error().kind == ErrorKind::kConfig);
    CHECK_TRUE_TEXT(holds(outcome.error().message, scratch.path("pki/b-key.pem")),
                    outcome.error().message.c_str());
    CHECK_FALSE(outcome.error().hint.empty());
  }
  CHECK_TRUE(before == bundle());
}

TEST(PkiBundle, RefusesAFileThatIsNoCertificate) {
  put("a.pem", "one");
  put("backup.db", std::string((8 << 20) + 1, 'x'));
  const auto outcome = update();
  CHECK_FALSE(outcome.ok());
  CHECK_TRUE(outcome.error().kind == ErrorKind::kConfig);
  CHECK_TRUE(holds(outcome.error().message, "backup.db"));
  CHECK_FALSE(scratch.has("out/pki.bundle.tar.gz"));
}

TEST(PkiBundle, SaysWhenTheDirectoryIsMissingEmptyOrNone) {
  mkdir(scratch.path("empty").c_str(), 0755);
  scratch.write("file", "");
  for (const std::string directory : {"missing", "empty", "file"}) {
    const auto outcome = update(directory);
    CHECK_FALSE_TEXT(outcome.ok(), directory.c_str());
    CHECK_TRUE(outcome.error().kind == ErrorKind::kConfig);
    CHECK_TRUE(holds(outcome.error().message, scratch.path(directory)));
    CHECK_TRUE(holds(outcome.error().hint, "[pki] directory="));
  }
}

TEST(PkiBundle, FindsWhereRkeAndKubeadmKeepThem) {
  STRCMP_EQUAL("", find_pki_directory(scratch.path()).c_str());
  std::filesystem::create_directories(scratch.path("etc/kubernetes/pki"));
  STRCMP_EQUAL(scratch.path("etc/kubernetes/pki").c_str(),
               find_pki_directory(scratch.path()).c_str());
  std::filesystem::create_directories(scratch.path("etc/kubernetes/ssl"));
  STRCMP_EQUAL(scratch.path("etc/kubernetes/ssl").c_str(),
               find_pki_directory(scratch.path()).c_str());
}
