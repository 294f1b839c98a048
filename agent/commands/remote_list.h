// What lies in the bucket only, as `list` shows it. Changes nothing. A bucket may hold a hundred
// thousand: of each no more is kept than what it takes to have them in order.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "offsite/offsite.h"

namespace etcd_snapshot {

class RemoteList {
 public:
  // The objects with names of ours, and those that a manifest says are one-time snapshots; none of
  // those that `is_here` says lie here, too. Manifests are read of the newest `max_manifests` (one
  // or two small requests each). An error is the list's.
  static Result<RemoteList> read(Bucket& bucket, int max_manifests,
                                 const std::function<bool(const RemoteObject&)>& is_here);

  // Newest first; of the same second, in the order of their names.
  size_t size() const { return entries_.size(); }
  UnixSeconds time(size_t index) const { return entries_[index].time; }
  int64_t size_bytes(size_t index) const { return entries_[index].size_bytes; }
  // Whether the manifest was looked for, and could be.
  bool looked_at(size_t index) const { return entries_[index].looked_at; }
  // Made anew for each call, with name and, where it was read, manifest.
  StoredSnapshot snapshot(size_t index) const;

  // Objects whose manifest could not be read, and why the first could not. `ended`: it was no
  // matter of single objects, and the rest was not asked.
  int64_t unread() const { return unread_; }
  const std::optional<Error>& error() const { return error_; }
  bool ended() const { return ended_; }
  // Whether one with a name of ours may not be read (the error is its then), and no other could be.
  bool denied() const { return denied_ && !read_any_; }

 private:
  struct Entry {
    UnixSeconds time;  // UnixSeconds::min(): the name does not tell
    int64_t size_bytes = 0;
    size_t name_at = 0;  // in names_
    uint32_t name_bytes = 0;
    int16_t manifest = -1;  // in manifests_
    bool looked_at = false;
  };

  void add(const RemoteObject& object);
  void sort();
  void read_manifests(Bucket& bucket, int max_manifests);
  std::string_view file_name(const Entry& entry) const {
    return std::string_view(names_).substr(entry.name_at, entry.name_bytes);
  }

  std::vector<Entry> entries_;
  std::string names_;  // all of them, one behind the other
  std::vector<Manifest> manifests_;
  int64_t unread_ = 0;
  std::optional<Error> error_;
  bool ended_ = false, denied_ = false, read_any_ = false;
};

}  // namespace etcd_snapshot
