// Whose keys sign the requests: a chain of sources, tried in order, refreshed before they expire.
// Nothing secret gets into a message.
//
// Order: cluster.yml (or the command line), key files of etcd-snapshot.conf, the environment
// (AWS_ACCESS_KEY_ID, ...), systemd credentials ($CREDENTIALS_DIRECTORY/s3-access-key,
// s3-secret-key, s3-session-token), web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN; STS),
// container endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI), EC2 instance metadata
// (version 2, version 1 where the machine refuses 2). A source that is not set is passed over; one
// that is set but fails ends the search, as the AWS SDKs do, for it was meant.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/http.h"
#include "config/settings.h"
#include "s3/signature.h"

namespace etcd_snapshot {

class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  // Good for at least a few minutes, fetched anew where need be. Any thread; one fetches, the
  // others wait. `after_stop`: also while the process ends (base/http.h).
  virtual Result<Credentials> get(bool after_stop = false) = 0;
  // The server said that `used` have expired or are unknown: the next get() fetches anew. Nothing
  // is forgotten where another thread has others already. Returns whether it makes sense to ask
  // again (not with keys that somebody wrote down).
  virtual bool forget(const Credentials& used) = 0;
  // Where they come from, for `check`: "cluster.yml", "the environment", "the role X of this
  // machine". After the first successful get().
  virtual std::string source() const = 0;
};

// A variable of this process, empty where it is not set.
std::string process_environment(const char* name);

struct CredentialInputs {
  std::string access_key, secret_key;     // of cluster.yml or the command line
  std::string keys_from = "cluster.yml";  // which of them it was, for messages
  std::string access_key_file, secret_key_file;
  std::string region;  // for STS's regional endpoint; may be empty
  bool fips = false;   // STS with FIPS 140 modules where there is one, as the bucket's endpoint is
  // An environment variable's value, empty where it is not set. Default: the process's.
  std::function<std::string(const char*)> environment;
  std::string extra_roots;  // for STS; PEM
  std::string proxy;        // for STS; never for the metadata and container endpoints
};

// `http` is used by get() only, with the source's own lock held: it must not be shared with
// anything else that runs at the same time. References must outlive the source.
//
// Errors of get(): kConfig for what the operator set wrong (a key file: names it); kCancelled;
// kRemote else, which stands for 5 s, so that several threads do not wait for the same failure one
// after the other. Where the whole chain has nothing, the message names each step and why it had
// none. Fetched keys are renewed 5 minutes before they end; while that fails, they serve until they
// do.
std::unique_ptr<CredentialSource> make_credential_chain(CredentialInputs inputs, HttpClient& http,
                                                        Clock& clock);

}  // namespace etcd_snapshot
