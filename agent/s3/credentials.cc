#include "s3/credentials.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/files.h"
#include "base/human.h"
#include "base/shortage.h"
#include "base/text.h"
#include "s3/credential_sources.h"
#include "store/names.h"

namespace etcd_snapshot {
namespace {

using Found = Result<std::optional<FoundKeys>>;

// Room for the longest transfer of a part, and for a service that is away for a while.
constexpr std::chrono::seconds kRenewBefore = std::chrono::minutes(5);
// Between two attempts to renew keys that still serve.
constexpr Nanoseconds kRenewPause = std::chrono::seconds(30);
constexpr Nanoseconds kFailureStands = std::chrono::seconds(5);
// A token of an identity provider with many groups has some KiB; a key far less.
constexpr size_t kSecretFileBytes = 64 << 10;

constexpr char kWhatToSet[] =
    "set access_key and secret_key in cluster.yml, or [s3] access_key_file and secret_key_file in "
    "etcd-snapshot.conf, or give this machine a role that may use the bucket";

constexpr char kByHand[] =
    "; keys that only the service gets (LoadCredential=): CREDENTIALS_DIRECTORY=/etc/etcd-snapshot "
    "etcd-snapshot check";

Found from_policy(const CredentialSearch& search, std::string& absent) {
  const CredentialInputs& inputs = search.inputs;
  if (inputs.access_key.empty() && inputs.secret_key.empty()) {
    absent = inputs.keys_from + " has no access_key";
    return std::optional<FoundKeys>();
  }
  const std::string access = "access_key of " + inputs.keys_from;
  const std::string secret = "secret_key of " + inputs.keys_from;
  if (inputs.secret_key.empty()) return half_a_pair(access, "secret_key");
  if (inputs.access_key.empty()) return half_a_pair(secret, "access_key");
  if (!is_one_word(inputs.access_key)) return no_word(access);
  if (!is_one_word(inputs.secret_key)) return no_word(secret);
  return std::optional(
      FoundKeys{{inputs.access_key, inputs.secret_key, ""}, inputs.keys_from, true, {}});
}

Found from_key_files(const CredentialSearch& search, std::string& absent) {
  const std::string& access_file = search.inputs.access_key_file;
  const std::string& secret_file = search.inputs.secret_key_file;
  if (access_file.empty() && secret_file.empty()) {
    absent = "[s3] access_key_file is not set";
    return std::optional<FoundKeys>();
  }
  if (secret_file.empty()) return half_a_pair("[s3] access_key_file", "secret_key_file");
  if (access_file.empty()) return half_a_pair("[s3] secret_key_file", "access_key_file");
  FoundKeys found;
  const auto read = [](const std::string& path, const char* key) -> Result<std::string> {
    auto word = read_secret_file(path, std::string("[s3] ") + key);
    return word ? std::move(word) : bucket_file_error(key, word.take_error());
  };
  ES_ASSIGN(access_key, read(access_file, "access_key_file"));
  ES_ASSIGN(secret_key, read(secret_file, "secret_key_file"));
  found.keys = {access_key, secret_key, ""};
  found.source = "the file " + access_file;
  found.written_down = true;
  return std::optional(std::move(found));
}

Found from_environment(const CredentialSearch& search, std::string& absent) {
  FoundKeys found;
  found.source = "the environment (AWS_ACCESS_KEY_ID)";
  found.written_down = true;
  found.keys = {search.environment("AWS_ACCESS_KEY_ID"),
                search.environment("AWS_SECRET_ACCESS_KEY"),
                search.environment("AWS_SESSION_TOKEN")};
  if (found.keys.access_key.empty() && found.keys.secret_key.empty()) {
    absent = "AWS_ACCESS_KEY_ID is not set";
    return std::optional<FoundKeys>();
  }
  if (found.keys.secret_key.empty())
    return half_a_pair("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
  if (found.keys.access_key.empty())
    return half_a_pair("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID");
  if (!is_one_word(found.keys.access_key)) return no_word("AWS_ACCESS_KEY_ID");
  if (!is_one_word(found.keys.secret_key)) return no_word("AWS_SECRET_ACCESS_KEY");
  if (!is_one_word(found.keys.session_token)) return no_word("AWS_SESSION_TOKEN");
  return std::optional(std::move(found));
}

// A file of systemd's credentials; nullopt where it is not there.
Result<std::optional<std::string>> read_credential(const std::string& path) {
  if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) return std::optional<std::string>();
  ES_ASSIGN(text, read_secret_file(path, "$CREDENTIALS_DIRECTORY"));
  return std::optional(std::move(text));
}

Found from_systemd(const CredentialSearch& search, std::string& absent) {
  const std::string directory = search.environment("CREDENTIALS_DIRECTORY");
  if (directory.empty()) {
    absent = "there is no $CREDENTIALS_DIRECTORY";
    return std::optional<FoundKeys>();
  }
  const std::string access_path = directory + "/s3-access-key";
  const std::string secret_path = directory + "/s3-secret-key";
  ES_ASSIGN(access_key, read_credential(access_path));
  ES_ASSIGN(secret_key, read_credential(secret_path));
  ES_ASSIGN(session_token, read_credential(directory + "/s3-session-token"));
  if (!access_key && !secret_key) {
    absent = "there is no " + access_path;
    return std::optional<FoundKeys>();
  }
  if (!access_key || !secret_key) {
    return bad_credentials(
        fmt::format("there is {}, but no {}", access_key ? access_path : secret_path,
                    access_key ? secret_path : access_path),
        "give the service both (LoadCredential= of systemd.exec(5)), or neither");
  }
  FoundKeys found;
  found.keys = {*access_key, *secret_key, session_token.value_or("")};
  found.source = "systemd's credentials (" + access_path + ")";
  found.written_down = true;
  return std::optional(std::move(found));
}

}  // namespace

Error bad_credentials(std::string message, std::string hint) {
  Error error;
  error.kind = ErrorKind::kConfig;
  error.message = std::move(message);
  error.hint = std::move(hint);
  return error;
}

Error bucket_file_error(std::string_view key, Error error) {
  // Of the system: what it lies on may not be mounted.
  if (!is_shortage(error.code) &&
      ((error.code != 0 && error.code != EACCES) || error.hint.empty())) {
    error.hint =
        "see that the file is there and that root can read it, and that what it lies on is "
        "mounted; until then snapshots stay on this host, and a later cycle uploads them";
  }
  error.kind = ErrorKind::kRemote;
  error.retryable = false;
  return std::move(error).within(fmt::format("[s3] {} of etcd-snapshot.conf", key));
}

Error half_a_pair(std::string_view there, std::string_view missing) {
  return bad_credentials(fmt::format("{} is set, but {} is not", there, missing),
                         "set both, or neither (then the next source of keys is looked at)");
}

Error no_word(std::string_view subject) {
  return bad_credentials(
      fmt::format("{} holds a space, line end or other character that no key holds (not shown)",
                  subject),
      "write the key alone, in printable ASCII");
}

bool is_one_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

Result<std::string> read_secret_file(const std::string& path, std::string_view named_by) {
  auto text = read_file(path, ErrorKind::kConfig, kSecretFileBytes);
  if (!text) {
    Error error = text.take_error();
    if (error.code != 0 && error.code != EACCES && !is_shortage(error.code)) {
      error.hint = fmt::format("{} names that file: check it", named_by);
    }
    return error;
  }
  const std::string word(trim(*text));
  if (word.empty()) {
    return bad_credentials(path + " is empty", "write the key or token into it, and nothing else");
  }
  if (!is_one_word(word)) return no_word(path);
  return word;
}

namespace {

constexpr CredentialStep kSteps[] = {from_policy,  from_key_files,    from_environment,
                                     from_systemd, from_web_identity, from_container,
                                     from_instance};

class CredentialChain final : public CredentialSource {
 public:
  CredentialChain(CredentialInputs inputs, HttpClient& http, Clock& clock)
      : inputs_(std::move(inputs)), http_(http), clock_(clock) {}

  Result<Credentials> get(bool after_stop) override {
    const std::lock_guard lock(mutex_);
    if (found_ && !is_due(after_stop)) return found_->keys;
    if (!found_ && failure_ && !after_stop && clock_.monotonic() < failure_until_) return *failure_;
    auto searched = search(after_stop);
    next_renewal_ = clock_.monotonic() + kRenewPause;
    if (searched) {
      found_ = std::move(*searched);
      source_ = found_->source;
      failure_.reset();
      return found_->keys;
    }
    Error error = searched.take_error();
    if (found_) {
      if (left() > std::chrono::seconds(0)) return found_->keys;
      const std::string ended = format_utc(*found_->expires);
      found_.reset();
      if (error.kind != ErrorKind::kCancelled) {
        error = std::move(error).within(fmt::format(
            "the credentials of {} expired at {} and could not be renewed", source_, ended));
      }
    }
    if (error.kind == ErrorKind::kRemote) {
      failure_ = error;
      failure_until_ = clock_.monotonic() + kFailureStands;
    }
    return error;
  }

  bool forget(const Credentials& used) override {
    const std::lock_guard lock(mutex_);
    if (!found_) return !source_.empty();  // forgotten by another thread, and not yet renewed
    if (found_->written_down) return false;
    // A renewal may hand out the same access key with another token.
    const Credentials& here = found_->keys;
    const bool others =
        here.access_key != used.access_key || here.session_token != used.session_token;
    if (!others) found_.reset();
    return true;
  }

  std::string source() const override {
    const std::lock_guard lock(mutex_);
    return source_;
  }

 private:
  std::chrono::seconds left() const { return *found_->expires - clock_.now(); }

  bool is_due(bool after_stop) const {
    if (!found_->expires || left() >= kRenewBefore) return false;
    if (left() <= std::chrono::seconds(0)) return true;
    return !after_stop && clock_.monotonic() >= next_renewal_;
  }

  // Every step again, also for a renewal: those before the one that had keys cost no request.
  Result<FoundKeys> search(bool after_stop) {
    const CredentialSearch search{inputs_, http_, clock_, after_stop};
    std::string tried;
    Error none;
    none.kind = ErrorKind::kRemote;
    none.hint = kWhatToSet;
    // $NOTIFY_SOCKET: of the service itself.
    if (inputs_.environment("NOTIFY_SOCKET").empty()) none.hint += kByHand;
    for (const CredentialStep step : kSteps) {
      std::string absent;
      auto found = step(search, absent);
      if (found && *found) return std::move(**found);
      if (!found) {
        Error error = found.take_error();
        // Nobody has to have set anything for the metadata service to be asked: that it failed is
        // the reason why nothing was found, unless it had keys before.
        const bool unasked = step == from_instance && error.kind == ErrorKind::kRemote;
        if (!unasked || !source_.empty()) return error;
        absent = error.message;
        const bool answered = error.code == 0;
        if (answered && !error.hint.empty()) none.hint = error.hint;
        none.retryable = answered && error.retryable;
      }
      tried += (tried.empty() ? "" : "; ") + absent;
    }
    none.message = "there are no credentials for S3: " + tried;
    return none;
  }

  const CredentialInputs inputs_;
  HttpClient& http_;
  Clock& clock_;
  mutable std::mutex mutex_;  // guards what follows, and http_
  std::optional<FoundKeys> found_;
  std::string source_;
  Nanoseconds next_renewal_{0};
  std::optional<Error> failure_;
  Nanoseconds failure_until_{0};
};

}  // namespace

std::string process_environment(const char* name) {
  const char* const value = getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::unique_ptr<CredentialSource> make_credential_chain(CredentialInputs inputs, HttpClient& http,
                                                        Clock& clock) {
  if (!inputs.environment) inputs.environment = process_environment;
  return std::make_unique<CredentialChain>(std::move(inputs), http, clock);
}

}  // namespace etcd_snapshot
