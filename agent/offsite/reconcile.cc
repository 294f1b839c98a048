// The bucket in order: one pass over its list, and then what it lacks.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/files.h"
#include "base/go_duration.h"
#include "offsite/offsite.h"
#include "pruning/history.h"
#include "pruning/local_prune.h"
#include "run/report.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {

// What one pass over the list found out.
struct Offsite::Search {
  std::vector<StoredSnapshot> locals;       // that belong into the bucket, newest first
  std::map<std::string, size_t> by_object;  // every name that a local one may have there
  std::vector<bool> there;
  int64_t ours = 0;             // objects with names of ours, one-time ones of this host too
  std::optional<Error> unread;  // the first read of one that failed, here or of what may pass there
};

// Every name that one of them may have in the bucket, and which of them that is.
std::map<std::string, size_t> Offsite::names_there(
    const std::vector<StoredSnapshot>& locals) const {
  std::map<std::string, size_t> names;
  for (size_t i = 0; i < locals.size(); ++i) {
    for (int number = 1; number <= kNamesBeside; ++number) {
      names.emplace(object_beside(locals[i].file_name, locals[i].name->base, number), i);
    }
  }
  // A name of its own goes before one beside another's.
  for (size_t i = 0; i < locals.size(); ++i) names[locals[i].file_name] = i;
  return names;
}

// One pass over the list: prunes as it goes and notes which local snapshots are there.
Result<RemotePruner::Outcome> Offsite::look(SnapshotDirectory& directory, const State& state,
                                            Search& search) {
  ES_ASSIGN(snapshots, directory.list());
  const std::string own_host = sanitize_host(context_.host);
  const UnixSeconds now = context_.clock.now();
  const auto accepted = read_accepted_history(directory);
  unknown_ = accepted ? find_unread(snapshots, now) : accepted.error();
  const bool frozen = accepted && find_history_break(snapshots, *accepted, now, own_host);
  for (StoredSnapshot& snapshot : snapshots) {
    if (belongs_there(snapshot)) search.locals.push_back(std::move(snapshot));
  }
  search.there.resize(search.locals.size());
  search.by_object = names_there(search.locals);

  RemotePruner::Options options;
  options.state.now = now;
  options.state.proven_this_cycle = state.proven_this_cycle && own_.has_value();
  options.state.cluster_healthy = state.cluster_healthy;
  options.state.clock_hold = state.clock_holds();
  options.state.doubt = !context_.settings.doubts.empty() || state.held || unknown_;
  options.state.making_room = state.by_hand;
  options.dry_run = state.dry_run;
  options.anchor = own_;
  options.own = own_manifest_;
  if (accepted) options.accepted_history = *accepted;
  options.state.frozen = frozen;
  RemotePruner pruner(context_, bucket_, std::move(options));

  ES_TRY(bucket_.list([&](std::vector<RemoteObject> page) -> Result<void> {
    for (const RemoteObject& object : page) {
      const auto found = search.by_object.find(object.file_name);
      if (found != search.by_object.end() || parse_snapshot_name(object.file_name)) ++search.ours;
      if (found == search.by_object.end()) continue;
      auto compared = compare(directory, object, search, found->second);
      if (!compared) return compared;
    }
    return pruner.feed(page);
  }));
  return pruner.finish();
}

void Offsite::report_pruned(const RemotePruner::Outcome& outcome) {
  if (outcome.history_break) {
    context_.log.write(
        {.level = LogLevel::kWarning,
         .message = "Nothing is pruned in the bucket: the history of the cluster changed",
         .fields = {{"reason", describe(*outcome.history_break)},
                    {"hint",
                     "if you restored or rebuilt the cluster on purpose: etcd-snapshot prune "
                     "--accept-history"}},
         .message_id = kFrozen});
  }
  if (outcome.locked > 0) {
    context_.log.write(
        {.message = "Expired backups stay in the bucket, which locks them",
         .fields = {{"count", std::to_string(outcome.locked)}, {"name", outcome.locked_example}},
         .message_id = kRemoteLocked});
  }
  if (!outcome.error) return;
  Error error = explain(*outcome.error);
  if (outcome.failed > 1) error.message += fmt::format(" ({} in all)", outcome.failed);
  report_error(context_.log, "Couldn't prune in the bucket", error, kRemoteDeleteFailed);
  prune_failed_ = true;
}

// Whether the object is the local snapshot. After a reboot, or where another host's lies under the
// name, its last bytes are looked at.
Result<void> Offsite::compare(SnapshotDirectory& directory, const RemoteObject& object,
                              Search& search, size_t index) {
  const StoredSnapshot& local = search.locals[index];
  if (search.there[index] || object.size_bytes != local.size_bytes) return {};
  if (ledger_.is_foreign(object.file_name, object.etag)) return {};
  const LedgerEntry* const known = ledger_.find(local.file_name);
  if (known == nullptr || known->object != object.file_name || known->etag != object.etag) {
    auto fd = directory.open_file(local.file_name);
    if (!fd && is_absent(fd.error())) return {};
    // Where either cannot be read (archived, say) or the server fails, its name and size speak for
    // it: it is not sent again, and not counted on.
    if (fd && !bucket_.worth_reading()) {
      search.there[index] = true;
      return {};
    }
    auto same = fd ? bucket_.holds(object.file_name, fd->get(), local.size_bytes)
                   : Result<std::optional<ObjectInfo>>(fd.take_error());
    const bool here = !same && same.error().kind == ErrorKind::kStorage;
    if (here || (!same && bucket_.only_this_object(same.error()))) {
      search.there[index] = true;
      if ((here || same.error().retryable) && !search.unread) search.unread = same.take_error();
      return {};
    }
    if (!same) return same.take_error();
    if (!*same) return {};
    ledger_.put(local.file_name, {object.file_name, object.size_bytes, object.etag});
  }
  search.there[index] = true;
  released_.insert(local.file_name);
  return {};
}

// Uploads what the bucket lacks, newest first.
Result<void> Offsite::catch_up(SnapshotDirectory& directory, const State& state, Search& search) {
  // What the policy would take away here if it were there already.
  ES_ASSIGN(plan, plan_prune(context_, directory,
                             {.proven_this_cycle = state.proven_this_cycle,
                              .cluster_healthy = state.cluster_healthy,
                              .clock_hold = state.clock_holds(),
                              .doubt = state.held || unknown_}));
  if (plan.unknown) unknown_ = plan.unknown;
  std::set<std::string> expired;
  for (size_t i = 0; i < plan.snapshots.size(); ++i) {
    if (plan.deletes(i)) expired.insert(plan.snapshots[i].file_name);
  }
  const auto wanted = [&](size_t i) {
    return !search.there[i] && !expired.contains(search.locals[i].file_name);
  };
  lacking_ = 0;
  for (size_t i = 0; i < search.locals.size(); ++i) *lacking_ += wanted(i) ? 1 : 0;
  int64_t left = 0;
  std::optional<Error> first;
  for (size_t i = 0; i < search.locals.size(); ++i) {
    const StoredSnapshot& local = search.locals[i];
    if (!wanted(i)) continue;
    if (state.backlog_until && context_.clock.monotonic() >= *state.backlog_until) {
      ++left;
      continue;
    }
    auto fd = directory.open_file(local.file_name);
    if (!fd && is_absent(fd.error())) {  // deleted meanwhile
      --*lacking_;
      continue;
    }
    if (!fd) {
      if (!first) first = fd.take_error();
      continue;
    }
    context_.progress.phase(Phase::kCatchUp, "catching up with the bucket");
    const Nanoseconds start = context_.clock.monotonic();
    auto sent = send(local.file_name, local.name->base, fd->get(), local.size_bytes, nullptr);
    if (!sent && (sent.error().kind == ErrorKind::kStorage ||
                  (sent.error().kind == ErrorKind::kRemote && !sent.error().retryable))) {
      // What is wrong with one must not keep the others from going.
      if (!first) first = sent.take_error();
      continue;
    }
    if (!sent) return sent.take_error();
    const std::string object = sent->key.substr(session_->prefix().size());
    ledger_.put(local.file_name, {object, sent->size_bytes, sent->etag});
    released_.insert(local.file_name);
    --*lacking_;
    ++*figures_.kept;
    const Nanoseconds runtime = context_.clock.monotonic() - start;
    context_.log.write(
        {.message = "Uploaded backup of an earlier cycle",
         .fields = {{"name", local.name->base}, {"runtime", format_go_duration(runtime)}},
         .message_id = kCaughtUp});
    remember();
  }
  if (first) return std::move(*first);
  if (left > 0) {
    return Error{ErrorKind::kRemote,
                 fmt::format("{} local backups are not in the bucket yet: the time until the next "
                             "snapshot is over",
                             left),
                 "later cycles go on with them; if there are more each time, raise interval_hours",
                 true, 0};
  }
  // The bucket has all that it would keep.
  released_.insert(expired.begin(), expired.end());
  return {};
}

void Offsite::sweep(const Search& search) {
  // Needs rights beyond those of an upload; without them there is nothing to do and to tell.
  const auto swept = bucket_.sweep_uploads(context_.clock.now(), [&](const std::string& name) {
    return search.by_object.contains(name);  // named by hand
  });
  if (!swept) return;
  for (const std::string& name : *swept) {
    context_.log.write({.message = "Aborted an upload that was never finished",
                        .fields = {{"name", name}},
                        .message_id = kSwept});
  }
}

// Makes the first that holds the local one what the others are measured by. Reads no more than ten;
// what cannot be read is passed over.
Result<void> Offsite::take_anchor(SnapshotDirectory& directory,
                                  const std::vector<Candidate>& candidates, Search& search) {
  constexpr size_t kTries = 10;
  for (size_t i = 0; i < std::min(candidates.size(), kTries) && bucket_.worth_reading(); ++i) {
    const StoredSnapshot& local = *candidates[i].local;
    auto fd = directory.open_file(local.file_name);
    if (!fd && is_absent(fd.error())) continue;  // deleted meanwhile
    auto same = fd ? bucket_.holds(candidates[i].object, fd->get(), local.size_bytes)
                   : Result<std::optional<ObjectInfo>>(fd.take_error());
    const bool here = !same && same.error().kind == ErrorKind::kStorage;
    if (!same && !here && !bucket_.only_this_object(same.error())) return same.take_error();
    if (!same && !search.unread) search.unread = same.take_error();
    if (!same || !*same || ledger_.is_foreign(candidates[i].object, (*same)->etag)) continue;
    own_ = RemoteObject{candidates[i].object, local.size_bytes, (*same)->etag};
    own_manifest_ = local.manifest;
    break;
  }
  return {};
}

// The newest proven snapshot of this host that lies in both places. What a cycle has noted is there
// most likely; without that, the list tells which have their name and size there.
Result<void> Offsite::find_anchor(SnapshotDirectory& directory, Search& search) {
  ES_ASSIGN(locals, directory.list());
  std::erase_if(locals, [&](const StoredSnapshot& local) {
    return !belongs_there(local) || local.name->kind != SnapshotKind::kRolling;
  });
  std::vector<Candidate> candidates;
  for (const StoredSnapshot& local : locals) {
    const LedgerEntry* const known = ledger_.find(local.file_name);
    if (known != nullptr) candidates.push_back({&local, known->object});
  }
  ES_TRY(take_anchor(directory, candidates, search));
  if (own_) return {};
  candidates.clear();
  const std::map<std::string, size_t> names = names_there(locals);
  ES_TRY(bucket_.list([&](std::vector<RemoteObject> page) -> Result<void> {
    for (const RemoteObject& object : page) {
      const auto found = names.find(object.file_name);
      if (found == names.end() || locals[found->second].size_bytes != object.size_bytes) continue;
      candidates.push_back({&locals[found->second], object.file_name});
    }
    return {};
  }));
  std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
    return a.local->name->time > b.local->name->time;
  });
  return take_anchor(directory, candidates, search);
}

Result<RemotePruner::Outcome> Offsite::prune(SnapshotDirectory& directory, State state) {
  state.by_hand = true;
  Search search;
  if (auto found = find_anchor(directory, search); !found) return explain(found.take_error());
  // Where there is another, the pass below tells of what cannot be read and ought to be.
  if (own_) search.unread.reset();
  auto looked = look(directory, state, search);
  if (!looked) return explain(looked.take_error());
  if (!own_) {
    looked->nothing_goes =
        "no proven recurring snapshot of this host lies both here and there, to measure the others "
        "by; let a cycle upload one (where the bucket is full, make room first: etcd-snapshot "
        "delete --s3)";
  }
  if (!looked->error) looked->error = unknown_ ? unknown_ : std::move(search.unread);
  if (looked->error) looked->error = explain(std::move(*looked->error));
  // What the list does not hold any more is not there, whatever was noted of it.
  ledger_.retain([&](const std::string& name) { return released_.contains(name); });
  return looked;
}

// Somebody may have deleted or replaced it there while the bucket was waited for; the others would
// be measured by nothing then. It counts as missing, and goes there again.
Result<void> Offsite::look_after_own(Search& search) {
  if (!own_) return {};
  auto there = client_.head(bucket_.key_of(own_->file_name));
  if (there && *there && (*there)->size_bytes == own_->size_bytes && (*there)->etag == own_->etag) {
    return {};
  }
  if (!there && !bucket_.only_this_object(there.error())) return there.take_error();
  if (!there) {
    search.unread = there.take_error();
  } else {
    // Nothing but its own is in there so early.
    ledger_.retain([&](const std::string& name) { return !released_.contains(name); });
    released_.clear();
    context_.log.write(
        {.level = LogLevel::kWarning,
         .message = "Nothing is pruned in the bucket in this cycle",
         .fields = {{"object", own_->file_name},
                    {"reason", "this backup was deleted or replaced there meanwhile"}},
         .message_id = kPruneSkipped});
  }
  own_.reset();
  own_manifest_.reset();
  return {};
}

Result<void> Offsite::tidy(SnapshotDirectory& directory, const State& state) {
  context_.progress.phase(Phase::kBucket, "looking through the bucket");
  Search search;
  if (auto found = look_after_own(search); !found) return explain(found.take_error());
  auto looked = look(directory, state, search);
  if (!looked) return explain(looked.take_error());
  figures_ = {search.ours - looked->deleted, looked->deleted};
  // A delete that was refused does not keep what is missing from going there.
  report_pruned(*looked);
  auto done = catch_up(directory, state, search);
  ledger_.retain([&](const std::string& name) { return released_.contains(name); });
  remember();
  if (!done) return explain(done.take_error());
  sweep(search);
  if (search.unread) return explain(std::move(*search.unread));
  return {};
}

}  // namespace etcd_snapshot
