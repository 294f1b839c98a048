// The steps of the chain of credentials, for s3/credentials.cc alone: each looks in one place and
// says why nothing is there. Keeps nothing between two calls.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "s3/credentials.h"

namespace etcd_snapshot {

struct FoundKeys {
  Credentials keys;
  std::string source;                  // CredentialSource::source()
  bool written_down = false;           // by somebody, rather than handed out for a time
  std::optional<UnixSeconds> expires;  // unset: never, as far as the source says
};

// What every step has to hand.
struct CredentialSearch {
  const CredentialInputs& inputs;
  HttpClient& http;
  Clock& clock;
  bool after_stop = false;

  std::string environment(const char* name) const { return inputs.environment(name); }
};

// nullopt: the source is not set; `absent` says so ("AWS_ACCESS_KEY_ID is not set"). Errors: it was
// meant, but failed: kConfig for what the operator set wrong, kRemote else.
using CredentialStep = Result<std::optional<FoundKeys>> (*)(const CredentialSearch& search,
                                                            std::string& absent);

Result<std::optional<FoundKeys>> from_web_identity(const CredentialSearch& search,
                                                   std::string& absent);
Result<std::optional<FoundKeys>> from_container(const CredentialSearch& search,
                                                std::string& absent);
Result<std::optional<FoundKeys>> from_instance(const CredentialSearch& search, std::string& absent);

// --- what the steps share

// Settings that are wrong: in general, one name of a pair that is set without the other, and a
// value that is not one word.
Error bad_credentials(std::string message, std::string hint);
Error half_a_pair(std::string_view there, std::string_view missing);
Error no_word(std::string_view subject);
// A file that `key` of [s3] names and that is of no use: the bucket's failure (kRemote), as it may
// lie on a mount that is away. Names file, section and key, and says what to do.
Error bucket_file_error(std::string_view key, Error error);

// A small file that holds a key or token: without the spaces and line ends around it. kConfig,
// naming the path: unreadable, empty, or not one word of visible ASCII. `named_by` is the setting
// or variable that says where it is, for the hint.
Result<std::string> read_secret_file(const std::string& path, std::string_view named_by);

// Whether all of it is visible ASCII, without spaces: keys and tokens go into headers.
bool is_one_word(std::string_view text);

// Whether it is http:// or https:// and goes on with visible ASCII and no user info.
bool is_plain_url(std::string_view url);
// "scheme://host[:port]" of a plain URL.
std::string origin_of(const std::string& url);

// An answer of a service that hands out keys: whole, at most 64 KiB.
struct ServiceAnswer {
  long status = 0;
  std::string body;
};

// Asks twice at most (once after a stop) where the network, a 429 or a 5xx is in the way. kRemote;
// messages begin with `subject` ("EC2 metadata at http://169.254.169.254"). The body is in no
// message.
Result<ServiceAnswer> ask_service(const CredentialSearch& search, HttpRequest request,
                                  const std::string& subject);

// Refuses what is no key, has expired already, or is past its end on this host's clock.
Result<void> check_found(const FoundKeys& found, const std::string& subject, UnixSeconds now);

}  // namespace etcd_snapshot
