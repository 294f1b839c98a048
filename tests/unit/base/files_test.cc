#include "base/files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(Files) {
  std::string path;
  UniqueFd dir;
  mode_t mask = 0;

  void setup() override {
    char name[] = "/tmp/etcd-snapshot-unit.XXXXXX";
    CHECK_TRUE(mkdtemp(name) != nullptr);
    path = name;
    dir.reset(open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    mask = umask(022);
  }
  void teardown() override {
    umask(mask);
    dir.reset();
    std::filesystem::remove_all(path);
  }
  std::string at(const std::string& name) const {
    return path + "/" + name;
  }
  mode_t mode(const std::string& name) const {
    struct stat status = {};
    return lstat(at(name).c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }
  void replace(const std::string& name, const std::string& content, mode_t bits = 0600) {
    const auto result = replace_file_at(dir.get(), name, as_bytes(content), bits);
    if (!result) FAIL(result.error().message.c_str());
  }
  void check_content(const std::string& name, const std::string& content) {
    const auto read = read_file_at(dir.get(), name, ErrorKind::kConfig);
    if (!read) FAIL(read.error().message.c_str());
    CHECK_TRUE(*read == content);
  }
};

TEST(Files, AreReadAsTheyAre) {
  const std::string content = std::string("a\0b\n", 4) + std::string(50000, 'x');
  replace("f", content);
  check_content("f", content);
  CHECK_TRUE(*read_file(at("f"), ErrorKind::kConfig) == content);
  replace("empty", "");
  check_content("empty", "");
}

TEST(Files, AreReadUpToALimit) {
  replace("f", "12345");
  CHECK_TRUE(read_file(at("f"), ErrorKind::kConfig, 5).ok());
  const auto result = read_file(at("f"), ErrorKind::kConfig, 4);
  CHECK_FALSE(result.ok());
  CHECK_TRUE(result.error().message.find("larger than 4 bytes") != std::string::npos);
}

TEST(Files, FollowALinkByPathButNotInADirectory) {
  replace("f", "x");
  CHECK_EQUAL(0, symlink("f", at("link").c_str()));
  CHECK_TRUE(read_file(at("link"), ErrorKind::kConfig).ok());
  LONGS_EQUAL(ELOOP, read_file_at(dir.get(), "link", ErrorKind::kConfig).error().code);
}

TEST(Files, ThatAreNoneAreErrorsAndNotWaitedFor) {
  CHECK_EQUAL(0, mkfifo(at("fifo").c_str(), 0600));
  for (const std::string name : {"fifo", ".", "missing"}) {
    const auto result = read_file(at(name), ErrorKind::kConfig);
    CHECK_FALSE_TEXT(result.ok(), name.c_str());
    CHECK_TRUE(result.error().kind == ErrorKind::kConfig);
    CHECK_TRUE(result.error().message.find(at(name)) != std::string::npos);
  }
  CHECK_TRUE(read_file("/dev/null", ErrorKind::kConfig).ok());
}

TEST(Files, AreReplacedWithExactlyTheModeAskedFor) {
  for (const mode_t mask_now : {0000, 0077, 0777}) {
    umask(mask_now);
    replace("f", "x", 0644);
    LONGS_EQUAL(0644, mode("f"));
    replace("f", "y", 0600);
    LONGS_EQUAL(0600, mode("f"));
  }
  check_content("f", "y");
}

TEST(Files, AreReplacedOverALeftoverButNotUnderAWriter) {
  const std::string temporary = temporary_name("f");
  {
    const auto held = create_locked_at(dir.get(), temporary, 0600);
    CHECK_TRUE(held.ok());
    const auto result = replace_file_at(dir.get(), "f", as_bytes("x"), 0600);
    CHECK_FALSE(result.ok());
    LONGS_EQUAL(EEXIST, result.error().code);
    CHECK_TRUE(result.error().retryable);
  }
  replace("f", "x");
  check_content("f", "x");
  LONGS_EQUAL(1, list_directory(dir.get(), path)->size());
}

TEST(Files, LeaveNoTemporaryFileWhenTheyCannotBeReplaced) {
  CHECK_EQUAL(0, mkdir(at("f").c_str(), 0700));
  const auto result = replace_file_at(dir.get(), "f", as_bytes("x"), 0600);
  CHECK_FALSE(result.ok());
  CHECK_TRUE(result.error().kind == ErrorKind::kStorage);
  LONGS_EQUAL(1, list_directory(dir.get(), path)->size());
}

TEST(Files, AreLockedWhileTheyAreOpen) {
  {
    const auto fd = create_locked_at(dir.get(), "f", 0600);
    CHECK_TRUE(fd.ok());
    CHECK_FALSE(*remove_unlocked_at(dir.get(), "f"));
    LONGS_EQUAL(0600, mode("f"));
  }
  CHECK_TRUE(*remove_unlocked_at(dir.get(), "f"));
  CHECK_FALSE(*remove_unlocked_at(dir.get(), "f"));
}

TEST(Files, OtherThanRegularAreNotRemoved) {
  CHECK_EQUAL(0, mkfifo(at("fifo").c_str(), 0600));
  CHECK_EQUAL(0, mkdir(at("directory").c_str(), 0700));
  replace("f", "x");
  CHECK_EQUAL(0, symlink("f", at("link").c_str()));
  for (const std::string name : {"fifo", "directory", "link"}) {
    const auto removed = remove_unlocked_at(dir.get(), name);
    CHECK_TRUE_TEXT(removed.ok(), name.c_str());
    CHECK_FALSE_TEXT(*removed, name.c_str());
  }
  LONGS_EQUAL(4, list_directory(dir.get(), path)->size());
}

TEST(Files, AreListedWithHiddenOnesAgainAndAgain) {
  for (const std::string name : {"b", ".a", "c"}) replace(name, "");
  for (int i = 0; i < 2; ++i) {
    auto names = *list_directory(dir.get(), path);
    std::sort(names.begin(), names.end());
    LONGS_EQUAL(3, names.size());
    STRCMP_EQUAL(".a", names[0].c_str());
    STRCMP_EQUAL("c", names[2].c_str());
  }
}

TEST(Files, SayWhatCouldNotBeWritten) {
  const UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  const auto result = write_all(full.get(), as_bytes("x"), "the file");
  CHECK_FALSE(result.ok());
  LONGS_EQUAL(ENOSPC, result.error().code);
  STRCMP_EQUAL("cannot write the file: No space left on device", result.error().message.c_str());
}
