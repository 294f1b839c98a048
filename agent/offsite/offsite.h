// The second half of a cycle: every proven snapshot gets to the bucket, beside the stream or later,
// and the bucket is pruned by the same policy. Whatever goes wrong here is kRemote and costs no
// local snapshot. The cycle, `save --s3` and `prune` use it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "offsite/ledger.h"
#include "pruning/remote_prune.h"
#include "run/context.h"
#include "run/take_snapshot.h"
#include "s3/bucket.h"
#include "s3/upload.h"

namespace etcd_snapshot {

class Offsite final : public ArchiveFollower {
 public:
  // When the bucket has had its time (Clock::monotonic(); none: never), and what to say then.
  struct Patience {
    std::optional<Nanoseconds> deadline{};
    std::string hint = "backup_config.timeout is over: raise it, or find out what slows the bucket";
  };
  // For a command that somebody waits for: a list without end has one.
  static Patience of_a_command(const Clock& clock);

  // Sends nothing. kConfig for a
  // ca_file that is none. The context outlives it.
  static Result<std::unique_ptr<Offsite>> open(Context& context, Patience patience);

  // ArchiveFollower: the upload beside the stream.
  void begin(const std::string& file_name, int fd, int64_t expected_bytes) override;
  void grown(int64_t size_bytes) override;
  void abandoned() override;

  // The snapshot is proven and in place: completes its upload, compares, logs.
  Result<void> upload(const SnapshotOutcome& outcome);

  // What is known for tidy().
  struct State {
    bool proven_this_cycle = false, cluster_healthy = true;
    bool held = false;  // something that deletion rests on could not be read: nothing goes
    // Whether nothing is pruned because the clock was set ahead; asked when the ages are.
    std::function<bool()> clock_holds = [] { return false; };
    std::optional<Nanoseconds> backlog_until{};  // begins no further upload after it
    // Not a cycle: what goes is older than a proven one that stays, whenever that was taken.
    bool by_hand = false;
    // Tells of each object what would happen to it; nothing is deleted then.
    std::function<void(const RemoteObject&, const RetentionDecision&)> dry_run{};
  };
  // One pass over the list: prunes there, finds what the bucket lacks, and uploads that, newest
  // first. What expired meanwhile is not uploaded: there it would go at once. Logs what it did, and
  // an error of the pruning, which is not in the result: see prune_failed().
  Result<void> tidy(SnapshotDirectory& directory, const State& state);

  // The same pass by hand, without uploads: measured by a proven snapshot here that is there, too,
  // the newest where it can be read. Without one nothing is pruned, and the outcome says so.
  Result<RemotePruner::Outcome> prune(SnapshotDirectory& directory, State state);

  bool prune_failed() const { return prune_failed_; }
  // What kept everything from being deleted there because it could not be read here.
  const std::optional<Error>& unknown() const { return unknown_; }

  // What tidy() did and saw; what it did not come to is not known.
  struct Figures {
    std::optional<int64_t> kept, pruned;  // of our names, whichever host's
  };
  const Figures& figures() const { return figures_; }
  // How many proven snapshots of this host the bucket lacks. Where tidy() did not get so far: how
  // many are not known to be there.
  std::optional<int64_t> backlog(const SnapshotDirectory& directory) const;

  // `[pki] upload`: puts the bundle there where it is not yet what it is here.
  Result<void> upload_bundle(const SnapshotDirectory& directory);

  // Whether the bucket has no need of that local file: it holds it, or would not keep it. Known
  // after tidy(); before, what the ledger tells. Of one that could not be read nobody knows, and it
  // is not.
  bool released(const StoredSnapshot& snapshot) const;

  // How many names of an object are tried beside one that is taken.
  static constexpr int kNamesBeside = 2;

  // The name of the object with the extension of the file. `number` from 1 to kNamesBeside.
  std::string object_beside(const std::string& file_name, const std::string& base,
                            int number) const;

  // An error of bucket(), as the bucket's half: what is late says why.
  Error explain(Error error) const;

  Bucket& bucket() { return bucket_; }
  const Bucket& bucket() const { return bucket_; }
  S3Client& client() { return client_; }
  S3Session& session() { return *session_; }

 private:
  Offsite(Context& context, std::unique_ptr<S3Session> session, std::unique_ptr<HttpClient> http);

  struct Search;
  struct Candidate {
    const StoredSnapshot* local;
    std::string object;
  };
  Result<RemotePruner::Outcome> look(SnapshotDirectory& directory, const State& state,
                                     Search& search);
  Result<void> compare(SnapshotDirectory& directory, const RemoteObject& object, Search& search,
                       size_t index);
  Result<void> catch_up(SnapshotDirectory& directory, const State& state, Search& search);
  Result<UploadedObject> send(const std::string& file_name, const std::string& base, int fd,
                              int64_t size_bytes, std::unique_ptr<ObjectUpload> begun);
  bool belongs_there(const StoredSnapshot& local) const;
  void report_pruned(const RemotePruner::Outcome& outcome);
  void sweep(const Search& search);
  void remember();
  std::map<std::string, size_t> names_there(const std::vector<StoredSnapshot>& locals) const;
  Result<void> look_after_own(Search& search);
  Result<void> find_anchor(SnapshotDirectory& directory, Search& search);
  Result<void> take_anchor(SnapshotDirectory& directory, const std::vector<Candidate>& candidates,
                           Search& search);

  Context& context_;
  std::unique_ptr<S3Session> session_;
  std::unique_ptr<HttpClient> http_;
  S3Client client_;
  Bucket bucket_;
  UploadLedger ledger_;
  std::string late_hint_;
  bool prune_failed_ = false;
  std::optional<Error> unknown_;
  Figures figures_;
  std::optional<int64_t> lacking_;
  std::unique_ptr<ObjectUpload> running_;  // beside the stream
  std::optional<RemoteObject> own_;        // this cycle's snapshot, as the bucket holds it
  std::optional<Manifest> own_manifest_;
  std::set<std::string> released_;  // local file names
};

}  // namespace etcd_snapshot
