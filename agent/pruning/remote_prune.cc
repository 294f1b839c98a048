#include "pruning/remote_prune.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "pruning/local_prune.h"
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
  const std::string text = lower(fault.code + " " + fault.message);
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
  // A name that comes again, as some servers let it, must not count twice: what a count keeps is
  // held here.
  std::set<std::string> names;
  for (const RemoteObject& object : objects) names.insert(object.file_name);
  for (const RemoteObject& object : page) {
    if (!names.insert(object.file_name).second) continue;
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

// Reads the object's manifest into `history`. False: that object cannot be read.
Result<bool> RemotePruner::ask(const RemoteObject& object, std::vector<StoredSnapshot>& history) {
  if (!bucket_.worth_reading()) return false;
  auto read = bucket_.manifest(object);
  if (!read && !bucket_.only_this_object(read.error())) return read.take_error();
  if (!read) {
    fail(read.take_error(), 1);
    return false;
  }
  if (!*read) return true;  // RKE's, bare, or gone: says nothing of its neighbours
  history.emplace_back();
  history.back().name = parse_snapshot_name(object.file_name);
  history.back().name->host.clear();  // all of this host, with its name or without
  history.back().manifest = std::move(*read);
  return true;
}

// Nothing of another cluster, and nothing that is ahead of the cluster as it is now, goes: it may
// be the last good copy. In the steady state a batch is an object or two, and each is asked; of a
// batch of hundreds, the oldest, the newest and some between. What cannot be read (archived, or
// encrypted with a key that is gone) stays; what was not asked goes only between two that were
// read, so that there is less of it in each cycle until all are asked.
Result<std::vector<bool>> RemotePruner::held_by_history(const std::vector<Doomed>& batch) {
  std::vector<bool> held(batch.size(), outcome_.history_break.has_value());
  if (outcome_.history_break || !options_.own) return held;
  std::vector<std::pair<UnixSeconds, size_t>> oldest_first;
  for (size_t i = 0; i < batch.size(); ++i) {
    const UnixSeconds time = parse_snapshot_name(batch[i].object.file_name)->time;
    if (options_.accepted_history && time <= *options_.accepted_history) continue;
    oldest_first.emplace_back(time, i);
  }
  std::sort(oldest_first.begin(), oldest_first.end());
  std::vector<StoredSnapshot> history;
  const size_t asked = std::min(oldest_first.size(), kAskedOfABatch);
  size_t next = 0;  // the first that nothing is known of
  bool before = true;
  for (size_t i = 0; i < asked; ++i) {
    // Both ends, and evenly between.
    const size_t at = asked == 1 ? 0 : i * (oldest_first.size() - 1) / (asked - 1);
    ES_ASSIGN(readable, ask(batch[oldest_first[at].second].object, history));
    for (; next < at; ++next) held[oldest_first[next].second] = !before || !readable;
    held[oldest_first[next++].second] = !readable;
    before = readable;
  }
  if (history.empty()) return held;
  history.emplace_back();
  history.back().name = history.front().name;
  history.back().name->base = options_.own->name;
  history.back().name->time = options_.state.now;
  history.back().manifest = options_.own;
  outcome_.history_break = find_history_break(history, std::nullopt);
  if (outcome_.history_break) held.assign(batch.size(), true);
  return held;
}

void RemotePruner::fail(Error error, int64_t objects) {
  if (!outcome_.error) outcome_.error = std::move(error);
  outcome_.failed += objects;
}

// At most a thousand of those that wait, each once.
std::vector<RemotePruner::Doomed> RemotePruner::next_batch() {
  const auto end = doomed_.begin() + static_cast<ptrdiff_t>(std::min(kBatch, doomed_.size()));
  std::vector<Doomed> batch(std::make_move_iterator(doomed_.begin()), std::make_move_iterator(end));
  doomed_.erase(doomed_.begin(), end);
  std::set<std::string> names;
  std::erase_if(
      batch, [&](const Doomed& doomed) { return !names.insert(doomed.object.file_name).second; });
  return batch;
}

// Deletes in calls of a thousand, as long as so many are waiting.
Result<void> RemotePruner::flush(size_t at_least) {
  while (!doomed_.empty() && doomed_.size() >= at_least) {
    // One refusal of a whole call is enough.
    if (delete_failed_ && outcome_.deleted == 0 && outcome_.locked == 0) {
      outcome_.failed += static_cast<int64_t>(doomed_.size());
      doomed_.clear();
      break;
    }
    const std::vector<Doomed> batch = next_batch();
    ES_ASSIGN(held, held_by_history(batch));
    std::vector<std::string> names;
    for (size_t i = 0; i < batch.size(); ++i) {
      if (options_.dry_run) {
        options_.dry_run(batch[i].object, held[i]
                                              ? RetentionDecision{0, true, RetentionReason::kFrozen}
                                              : batch[i].decision);
      }
      if (!held[i]) names.push_back(batch[i].object.file_name);
    }
    outcome_.kept += static_cast<int64_t>(batch.size() - names.size());
    if (options_.dry_run) {
      outcome_.deleted += static_cast<int64_t>(names.size());
    } else if (!names.empty()) {
      ES_TRY(remove(names));
    }
  }
  return {};
}

// One call. An error is one that ends the whole pass.
Result<void> RemotePruner::remove(const std::vector<std::string>& names) {
  auto faults = bucket_.remove(names);
  if (!faults) {
    // The call as a whole: a policy, or the network. The list is worth going on with; should it be
    // the network, that fails next.
    if (faults.error().kind == ErrorKind::kCancelled) return faults.take_error();
    fail(faults.take_error(), static_cast<int64_t>(names.size()));
    delete_failed_ = true;
    return {};
  }
  std::map<std::string, const DeleteFault*> refused;
  for (const DeleteFault& fault : *faults) refused[fault.key] = &fault;
  const bool told = std::all_of(faults->begin(), faults->end(), [&](const DeleteFault& fault) {
    return std::find(names.begin(), names.end(), fault.key) != names.end();
  });
  if (!told) {
    // Refused under a name that nobody asked for: which of the batch are gone is not known.
    fail(bucket_.delete_error(faults->front()), static_cast<int64_t>(names.size()));
    delete_failed_ = true;
    return {};
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
      fail(bucket_.delete_error(*fault->second), 1);
      delete_failed_ = true;
    }
  }
  return {};
}

}  // namespace etcd_snapshot
