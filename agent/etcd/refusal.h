// What etcd means where it refuses a call: one table of its words, whatever code a version sends
// them under. Up to 3.5.16 Maintenance hands on what its own packages say as UNKNOWN ("auth:
// permission denied"); 3.5.30 and 3.6 have a code for it. Source: etcd api/v3rpc/rpctypes/error.go
// and server/auth/store.go.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace etcd_snapshot {

enum class Refusal {
  kOther,
  kNoUser,         // RBAC is on, and nobody was named
  kWrongPassword,  // or no such user: Authenticate does not tell them apart
  kUnknownUser,    // the certificate's or token's user does not exist
  kNoRight,  // the user has no right to this: a snapshot takes the role root (etcd issue 9554)
  kToken,    // the token that was sent is not, or no longer, good
  kLearner,  // a learner does not serve this call
};

// By the gRPC status and the decoded grpc-message.
Refusal refusal_of(int grpc_code, std::string_view message);

// Whether the same call may succeed later by itself: everything but what an operator has to mend.
bool worth_a_retry(Refusal refusal, int grpc_code);

// What to do about it; empty: not known. `user`: [etcd] username, empty where the client
// certificate is the user.
std::string refusal_hint(Refusal refusal, int grpc_code, const std::string& user);

// Whether etcd refused because of who asked, in any wording: no user, an unknown one, one without
// the right, a wrong password, a token that it does not take. Waiting mends none of these.
bool permission_denied(const Error& error);

}  // namespace etcd_snapshot
