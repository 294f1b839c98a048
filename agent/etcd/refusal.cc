#include "etcd/refusal.h"

#include "etcd/grpc.h"

namespace etcd_snapshot {
namespace {

constexpr struct {
  std::string_view words;  // how the message begins, behind the package's name
  Refusal refusal;
} kWords[] = {
    {"user name is empty", Refusal::kNoUser},
    {"authentication failed", Refusal::kWrongPassword},
    {"user name not found", Refusal::kUnknownUser},
    {"user not found", Refusal::kUnknownUser},
    {"permission denied", Refusal::kNoRight},
    {"invalid auth token", Refusal::kToken},
    {"rpc not supported for learner", Refusal::kLearner},
};

// The message without the name of etcd's package before it. Only what has one is etcd's own word:
// "open /var/lib/etcd/member/snap/db: permission denied" speaks of a file.
std::string_view own_words(std::string_view message) {
  for (const std::string_view package : {"etcdserver: ", "auth: "}) {
    if (message.starts_with(package)) return message.substr(package.size());
  }
  return {};
}

// How the role is given; USER where it is not known who asks.
std::string grant(const std::string& user) {
  return "etcdctl user grant-role " + (user.empty() ? "USER" : user) + " root";
}

std::string whose(const std::string& user) {
  return user.empty() ? "the client certificate's user (its common name, CN)"
                      : "the user '" + user + "'";
}

}  // namespace

Refusal refusal_of(int grpc_code, std::string_view message) {
  const std::string_view words = own_words(message);
  for (const auto& known : kWords) {
    if (words.starts_with(known.words)) return known.refusal;
  }
  if (grpc_code == kGrpcPermissionDenied) return Refusal::kNoRight;
  if (grpc_code == kGrpcUnauthenticated) return Refusal::kToken;
  return Refusal::kOther;
}

bool worth_a_retry(Refusal refusal, int grpc_code) {
  if (refusal != Refusal::kOther) return false;
  switch (grpc_code) {
    case kGrpcInvalidArgument:
    case kGrpcFailedPrecondition:
    case kGrpcUnimplemented:
      return false;
    default:
      return true;
  }
}

std::string refusal_hint(Refusal refusal, int grpc_code, const std::string& user) {
  switch (refusal) {
    case Refusal::kNoUser:
      return "etcd asks for a user: set [etcd] username and password_file, to a user with etcd's "
             "role root (" +
             grant("") + ")";
    case Refusal::kWrongPassword:
      return "check [etcd] username and password_file";
    case Refusal::kUnknownUser:
      return whose(user) + " does not exist in etcd, and needs its role root: etcdctl user add " +
             (user.empty() ? "USER" : user) + ", then " + grant(user);
    case Refusal::kNoRight:
      return whose(user) + " needs etcd's role root to take a snapshot: " + grant(user);
    case Refusal::kToken:
      return "etcd did not take the token that it gave out: name each member in [etcd] endpoints "
             "instead of an address that leads to several, and give all the same --auth-token";
    case Refusal::kLearner:
      return "etcd serves the snapshot of a learner from 3.5 on: name a voting member in [etcd] "
             "endpoints, or promote this one (etcdctl member promote ID)";
    case Refusal::kOther:
      break;
  }
  return grpc_code == kGrpcUnimplemented ? kNotTheClientPort : "";
}

bool permission_denied(const Error& error) {
  return error.grpc_code == kGrpcPermissionDenied || error.grpc_code == kGrpcUnauthenticated;
}

}  // namespace etcd_snapshot
