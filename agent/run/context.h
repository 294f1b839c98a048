// What one activation works with: the checked settings and the seams. Made once in main.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/http.h"
#include "config/settings.h"
#include "systemd/log.h"

namespace etcd_snapshot {

// What a cycle spends its time on; the metrics tell each apart.
enum class Phase {
  kConnect,  // asking etcd
  kStream,   // the snapshot comes
  kStore,    // the last of it, and its way to the disk
  kWait,     // until the next attempt
  kUpload,   // what is left of the upload after the proof
  kBucket,   // looking through the bucket, pruning there
  kCatchUp,  // what earlier cycles could not upload
  kPrune,    // pruning here
  kOther,    // of a command that nobody measures
};

// Where somebody who waits sees how far the work is: a terminal, `systemctl status`, or nowhere.
class Progress {
 public:
  virtual ~Progress() = default;
  // A new phase, and in words: "asking etcd", "pruning".
  virtual void phase(Phase phase, std::string_view text) = 0;
  // Bytes done of the phase; total 0 = not known. Called often: implementations thin it out.
  virtual void advance(int64_t done_bytes, int64_t total_bytes) = 0;
  // The end, in words that stay: what `systemctl status` shows until the next run.
  virtual void finish(std::string_view text) = 0;
};

struct Context {
  const Settings& settings;
  Clock& clock;
  Log& log;
  HttpClient& http;       // for etcd
  HttpFactory make_http;  // for the bucket: one for each thread
  Progress& progress;
  std::string host;                     // this host's name, for names and manifests
  std::optional<Nanoseconds> deadline;  // Clock::monotonic() at which the cycle's time is over
};

}  // namespace etcd_snapshot
