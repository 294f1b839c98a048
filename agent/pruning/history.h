// The history guard. If the snapshots of a directory come from two clusters, or the revision went
// back (a cluster restored from an older snapshot, a member wiped), the older ones may be the only
// good copies: nothing is pruned until the operator accepts the new history.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/directory.h"

namespace etcd_snapshot {

// Where history breaks: the newest proven snapshot against an older one.
struct HistoryBreak {
  bool cluster_changed = false;  // else: the revision went back
  std::string older, newer;      // names
  uint64_t older_cluster = 0, newer_cluster = 0;
  int64_t older_revision = 0, newer_revision = 0;
};

// Pure. Looks at rolling snapshots with manifests only, dated not after `now` (a clock that ran
// ahead says nothing about order), of the same host part, in order of their time; returns the
// newest break. Revisions are compared only between snapshots of the same host, and not those of a
// learner or an unhealthy member (Manifest::current): members lag behind each other. A break whose
// `newer` is not later than `accepted` (a snapshot name's time) is passed over. A name that carries
// `own_host` is of one line with the names that carry none, as for the retention.
std::optional<HistoryBreak> find_history_break(const std::vector<StoredSnapshot>& snapshots,
                                               std::optional<UnixSeconds> accepted,
                                               UnixSeconds now = UnixSeconds::max(),
                                               std::string_view own_host = {});

// Pure. Whether a break could go unseen, because a rolling snapshot dated not after `now` could not
// be read: the error of the newest of them, and how many more there are. Of whichever host, as a
// break is looked for in the line of each.
std::optional<Error> find_unread(const std::vector<StoredSnapshot>& snapshots, UnixSeconds now);

// What the operator accepted, kept in the directory as ".etcd-snapshot.history" (JSON): every break
// up to the time of the newest snapshot. nullopt: nothing yet. kStorage when the file cannot be
// read or is no such JSON: then nothing may be pruned either.
Result<std::optional<UnixSeconds>> read_accepted_history(const SnapshotDirectory& directory);
Result<void> accept_history(const SnapshotDirectory& directory, UnixSeconds newest);

// One sentence for log and table.
std::string describe(const HistoryBreak& found);

}  // namespace etcd_snapshot
