#include "remote_prune.h"

#include <algorithm>
#include <map>

#include "prune.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

constexpr size_t kBatch = 1000;  // of one delete call
constexpr size_t kAskedOfABatch = 20;

// Reasons that a newer snapshot, further on in the list, may overturn.
bool is_provisional(RetentionReason reason) {
  return reason == RetentionReason::kNewestProven || reason == RetentionReason::kNothingNewer ||
         reason == RetentionReason::kCounted;
}

// S3 itself says AccessDenied and means the lock; others have words of their own.
bool is_lock(const DeleteFault& fault) {
  std::string text = fault.code + " " + fault.message;
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return tolower(c); });
  for (const char* word : {"object lock", "objectlock", "object is locked", "worm", "legal hold"}) {
    if (text.find(word) != text.npos) return true;
  }
  return false;
}

}  // namespace

RemotePruner::RemotePruner(Context& context, Bucket& bucket, Options options)
    : context_(context),
      bucket_(bucket),
      options_(std::move(options)),
      policy_(retention_policy(context)) {}

Result<void> RemotePruner::feed(const std::vector<RemoteObject>& page) {
  std::vector<RemoteObject> objects = std::move(held_);
  held_.clear();
  for (const RemoteObject& object : page) {
    if (options_.anchor && object.file_name == options_.anchor->file_name) {
      // Stands for itself, known to be proven, in every page.
      if (options_.dry_run) options_.dry_run(object, {0, true, RetentionReason::kNewestProven});
      ++outcome_.kept;
    } else {
      objects.push_back(object);
    }
  }
  // Whether they are proven nobody knows without reading them: as far as keep_last protects the
  // newest proven ones, they count as such.
  std::vector<RetentionEntry> entries;
  entries.reserve(objects.size() + 1);
  for (const RemoteObject& object : objects) {
    entries.push_back(retention_entry(object.file_name, parse_snapshot_name(object.file_name),
                                      policy_.keep_last > 1));
  }
  if (options_.anchor) {
    const std::string& name = options_.anchor->file_name;
    entries.push_back(retention_entry(name, parse_snapshot_name(name), true));
  }
  std::optional<UnixSeconds> anchor_time;
  if (const auto name = options_.anchor ? parse_snapshot_name(options_.anchor->file_name)
                                        : std::optional<SnapshotName>()) {
    anchor_time = name->time;
  }
  for (const RetentionDecision& decision : decide_retention(entries, policy_, options_.state)) {
    if (decision.index >= objects.size()) continue;
    RemoteObject& object = objects[decision.index];
    // Without an anchor nothing goes, and nothing need be remembered.
    if (decision.keep && options_.anchor && is_provisional(decision.reason)) {
      held_.push_back(std::move(object));
      continue;
    }
    // Whether anything newer than the anchor is proven nobody knows; without one nobody knows
    // anything.
    const auto name = parse_snapshot_name(object.file_name);
    const bool measured = anchor_time && name && name->time < *anchor_time;
    if (!decision.keep && !measured) {
      if (options_.dry_run) options_.dry_run(object, {0, true, RetentionReason::kNothingNewer});
      ++outcome_.kept;
      continue;
    }
    if (!decision.keep) {
      doomed_.push_back({std::move(object), decision});
      continue;
    }
    if (options_.dry_run) options_.dry_run(object, decision);
    if (decision.reason != RetentionReason::kForeign) ++outcome_.kept;
  }
  return flush(kBatch);
}

Result<RemotePruner::Outcome> RemotePruner::finish() {
  if (options_.dry_run) {
    for (const RemoteObject& object : held_) {
      options_.dry_run(
          object, {0, true,
                   policy_.unit == RetentionUnit::kSnapshots ? RetentionReason::kCounted
                                                             : RetentionReason::kNewestProven});
    }
  }
  outcome_.kept += static_cast<int64_t>(held_.size());
  ES_TRY(flush(1));
  return std::move(outcome_);
}

// Nothing of another cluster, and nothing that is ahead of the cluster as it is now, goes: it may
// be the last good copy. In the steady state a batch is an object or two, and each is asked; of a
// batch of hundreds, the oldest, the newest and some between.
Result<bool> RemotePruner::history_holds(const std::vector<Doomed>& batch) {
  if (outcome_.history_break) return false;
  if (!options_.own) return true;
  std::vector<const RemoteObject*> unaccepted;
  for (const Doomed& doomed : batch) {
    const UnixSeconds time = parse_snapshot_name(doomed.object.file_name)->time;
    if (options_.accepted_history && time <= *options_.accepted_history) continue;
    unaccepted.push_back(&doomed.object);
  }
  std::sort(unaccepted.begin(), unaccepted.end(), [](const auto* a, const auto* b) {
    return parse_snapshot_name(a->file_name)->time < parse_snapshot_name(b->file_name)->time;
  });
  std::vector<StoredSnapshot> history;
  const size_t asked = std::min(unaccepted.size(), kAskedOfABatch);
  for (size_t i = 0; i < asked; ++i) {
    // Both ends, and evenly between.
    const size_t at = asked == 1 ? 0 : i * (unaccepted.size() - 1) / (asked - 1);
    auto read = bucket_.manifest(*unaccepted[at]);
    if (!read && (read.error().retryable || read.error().kind == ErrorKind::kCancelled)) {
      return read.take_error();
    }
    if (!read) {
      // Archived, or encrypted with a key that is gone: what cannot be read stays, and the rest of
      // the list goes on.
      if (!outcome_.error) outcome_.error = read.take_error();
      ++outcome_.failed;
      return false;
    }
    std::optional<Manifest> manifest = std::move(*read);
    if (!manifest) continue;  // RKE's, bare, or gone: says nothing of its neighbours
    history.emplace_back();
    history.back().name = parse_snapshot_name(unaccepted[at]->file_name);
    history.back().name->host.clear();  // all of this host, with its name or without
    history.back().manifest = std::move(manifest);
  }
  if (history.empty()) return true;
  history.emplace_back();
  history.back().name = history.front().name;
  history.back().name->base = options_.own->name;
  history.back().name->time = options_.state.now;
  history.back().manifest = options_.own;
  outcome_.history_break = find_history_break(history, std::nullopt);
  return !outcome_.history_break;
}

// Deletes in calls of a thousand, as long as so many are waiting.
Result<void> RemotePruner::flush(size_t at_least) {
  while (!doomed_.empty() && doomed_.size() >= at_least) {
    // One refusal of a whole call is enough.
    if (outcome_.error && outcome_.deleted == 0 && outcome_.locked == 0) {
      outcome_.failed += static_cast<int64_t>(doomed_.size());
      doomed_.clear();
      break;
    }
    const auto end = doomed_.begin() + static_cast<ptrdiff_t>(std::min(kBatch, doomed_.size()));
    const std::vector<Doomed> batch(doomed_.begin(), end);
    doomed_.erase(doomed_.begin(), end);
    ES_ASSIGN(holds, history_holds(batch));
    for (const Doomed& doomed : batch) {
      if (!options_.dry_run) break;
      options_.dry_run(doomed.object, holds ? doomed.decision
                                            : RetentionDecision{0, true, RetentionReason::kFrozen});
    }
    if (!holds) {
      outcome_.kept += static_cast<int64_t>(batch.size());
      continue;
    }
    if (options_.dry_run) {
      outcome_.deleted += static_cast<int64_t>(batch.size());
      continue;
    }
    std::vector<std::string> names;
    for (const Doomed& doomed : batch) names.push_back(doomed.object.file_name);
    auto faults = bucket_.remove(names);
    if (!faults) {
      // The call as a whole: a policy, or the network. The list is worth going on with; should it
      // be the network, that fails next.
      if (faults.error().kind == ErrorKind::kCancelled) return faults.take_error();
      if (!outcome_.error) outcome_.error = faults.take_error();
      outcome_.failed += static_cast<int64_t>(batch.size());
      continue;
    }
    std::map<std::string, const DeleteFault*> refused;
    for (const DeleteFault& fault : *faults) refused[fault.key] = &fault;
    const bool told = std::all_of(faults->begin(), faults->end(), [&](const DeleteFault& fault) {
      return std::find(names.begin(), names.end(), fault.key) != names.end();
    });
    if (!told) {
      // Refused under a name that nobody asked for: which of the batch are gone is not known.
      if (!outcome_.error) outcome_.error = bucket_.delete_error(faults->front());
      outcome_.failed += static_cast<int64_t>(batch.size());
      continue;
    }
    for (const std::string& name : names) {
      const auto fault = refused.find(name);
      if (fault == refused.end()) {
        ++outcome_.deleted;
        context_.log.write({.message = "Deleted remote backup",
                            .fields = {{"name", parse_snapshot_name(name)->base}},
                            .message_id = kDeletedRemote});
      } else if (is_lock(*fault->second)) {
        ++outcome_.locked;
        outcome_.locked_example = name;
      } else {
        ++outcome_.failed;
        if (!outcome_.error) outcome_.error = bucket_.delete_error(*fault->second);
      }
    }
  }
  return {};
}

}  // namespace etcd_snapshot
