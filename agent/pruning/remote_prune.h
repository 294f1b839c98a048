// Pruning the bucket: the rules of pruning/retention.h over a list that comes page by page, in
// constant memory. What is decided from what is known so far holds whatever comes later: a newer
// snapshot can only make more of the others superfluous. `run` and `prune` both use it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pruning/history.h"
#include "pruning/retention.h"
#include "run/context.h"
#include "s3/bucket.h"

namespace etcd_snapshot {

class RemotePruner {
 public:
  struct Options {
    RetentionState state;
    // A proven snapshot of this host that is in the bucket for certain: what the others are
    // measured by. Without one nothing goes. Need not come in a page.
    std::optional<RemoteObject> anchor;
    // Of the anchor, or of the newest proven one here: where an object is of another cluster or of
    // a later revision, it and all that would go with it stay (pruning/history.h). Asked is each
    // object of a call of up to 20; of a larger one 20, evenly over their time and with the oldest
    // and the newest, and what lies between two of them goes unasked. nullopt: no such guard.
    std::optional<Manifest> own;
    std::optional<UnixSeconds> accepted_history;
    // Tells of each object what would happen; where set nothing is deleted. In no order.
    std::function<void(const RemoteObject&, const RetentionDecision&)> dry_run;
  };

  struct Outcome {
    int64_t deleted = 0, kept = 0;  // of the names of ours; what stays for good reason
    int64_t locked = 0;             // refused, because the object is locked
    std::string locked_example;
    std::optional<Error> error;  // the first, of a delete or of an object that cannot be read
    int64_t failed = 0;          // objects of such errors
    // Why nothing could go, whatever there is; empty: something might. Of a command, to be printed.
    std::string nothing_goes;
    std::optional<HistoryBreak> history_break;
  };

  RemotePruner(Context& context, Bucket& bucket, Options options);

  // A page of the list. kRemote where a call failed, or kCancelled.
  Result<void> feed(const std::vector<RemoteObject>& page);
  // After the last page. Logs each deletion, here and in feed().
  Result<Outcome> finish();

 private:
  struct Doomed {
    RemoteObject object;
    RetentionDecision decision;
  };
  Result<void> flush(size_t at_least);
  std::vector<Doomed> next_batch();
  Result<void> remove(const std::vector<std::string>& names);
  void fail(Error error, int64_t objects);
  Result<std::vector<bool>> held_by_history(const std::vector<Doomed>& batch);
  Result<bool> ask(const RemoteObject& object, std::vector<StoredSnapshot>& history);

  Context& context_;
  Bucket& bucket_;
  const Options options_;
  const RetentionPolicy policy_;
  std::vector<RemoteObject> held_;  // stay for now, because nothing newer is known yet
  std::vector<Doomed> doomed_;      // go with the next batch
  Outcome outcome_;
  bool delete_failed_ = false;
};

}  // namespace etcd_snapshot
