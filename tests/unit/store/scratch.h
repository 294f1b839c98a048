// A directory of a test's own under /tmp, removed with all that is in it; and what tests ask of
// results. Include before CppUTest's headers.
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "../text.h"

namespace etcd_snapshot {

class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/etcd-snapshot-unit.XXXXXX";
    if (mkdtemp(name) == nullptr) abort();
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    // A test may have closed a directory, even to its owner.
    chmod(path_.c_str(), 0700);
    for (const auto& entry : std::filesystem::directory_iterator(path_, ignored)) {
      if (entry.is_directory(ignored)) chmod(entry.path().c_str(), 0700);
    }
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& path() const { return path_; }
  std::string path(const std::string& name) const { return path_ + "/" + name; }
  void write(const std::string& name, const std::string& content, mode_t mode = 0600) const {
    std::ofstream(path(name), std::ios::binary) << content;
    if (chmod(path(name).c_str(), mode) != 0) abort();
  }
  std::string read(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  bool has(const std::string& name) const {
    struct stat status = {};
    return lstat(path(name).c_str(), &status) == 0;
  }
  mode_t mode(const std::string& name) const {
    struct stat status = {};
    return stat(path(name).c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }

 private:
  std::string path_;
};

// Root reads everything: while this lives, permissions count. Does nothing for other users.
class Unprivileged {
 public:
  Unprivileged() {
    if (geteuid() == 0 && seteuid(65534) != 0) abort();
  }
  ~Unprivileged() {
    if (getuid() == 0 && seteuid(0) != 0) abort();
  }
};

// umask for the time of one test.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(umask(mask)) {}
  ~Umask() { umask(before_); }

 private:
  mode_t before_;
};

}  // namespace etcd_snapshot
