// Which object of the bucket was found to be which file here, kept below /run so that a cycle need
// not compare all of them again. Nothing depends on it being there: without it they are compared.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/result.h"

namespace etcd_snapshot {

struct LedgerEntry {
  std::string object;  // its file name in the bucket: the local one, or one beside it
  int64_t size_bytes = 0;
  std::string etag;
};

class UploadLedger {
 public:
  // What was written for the same `place` (Bucket::display()); empty for another, for none, or
  // where it cannot be read.
  static UploadLedger read(const std::string& runtime_dir, const std::string& place);
  // kStorage.
  Result<void> write(const std::string& runtime_dir) const;

  // By local file name; nullptr: never compared.
  const LedgerEntry* find(const std::string& file_name) const;
  void put(const std::string& file_name, LedgerEntry entry);

  // An object under a name of ours that was read and holds something else, as long as its ETag is
  // that one: what its ends look like does not make it ours.
  void note_foreign(const std::string& object, const std::string& etag) { foreign_[object] = etag; }
  bool is_foreign(const std::string& object, const std::string& etag) const {
    const auto found = foreign_.find(object);
    return found != foreign_.end() && found->second == etag;
  }
  // Drops what is not wanted any more.
  void retain(const std::function<bool(const std::string& file_name)>& wanted);

 private:
  std::string place_;
  std::map<std::string, LedgerEntry> entries_;
  std::map<std::string, std::string> foreign_;  // objects and their ETags
};

}  // namespace etcd_snapshot
