// gRPC over HTTP/2: length-prefixed messages, and the status in the trailers. Knows nothing of what
// the messages mean. Source: grpc.io "gRPC over HTTP2" (PROTOCOL-HTTP2.md).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/http.h"

namespace etcd_snapshot {

// The status codes that are looked at (grpc statuscodes.md).
enum GrpcCode {
  kGrpcOk = 0,
  kGrpcInvalidArgument = 3,
  kGrpcPermissionDenied = 7,
  kGrpcFailedPrecondition = 9,
  kGrpcUnimplemented = 12,
  kGrpcUnavailable = 14,
  kGrpcUnauthenticated = 16,
};

// "UNAVAILABLE" for 14; "code 99" for what is not known.
std::string grpc_code_name(int code);

// Prefixes a message with its flags (not compressed) and its length.
std::string grpc_frame(std::string_view message);

// grpc-message is percent-encoded UTF-8; a malformed escape stays as it is.
std::string decode_grpc_message(std::string_view encoded);

// Whether the headers announce gRPC messages; an error page of a web server is none.
bool is_grpc(const HttpResponse& response);

// What to look at where something answers that is not etcd's gRPC.
inline constexpr char kNotTheClientPort[] =
    "check that the address is etcd's client port for gRPC (--listen-client-urls), and not its "
    "peer "
    "port, its metrics port or an HTTP-only client port (--listen-client-http-urls)";

// What a finished response says: ok, or the error. An HTTP status other than 200, another content
// type and a missing grpc-status are errors too. `where` is the origin for the message, `user` the
// one for the hint (etcd/refusal.h). An error's grpc_code is that status, 0 where there was none; a
// refusal because of who asked has the code that permission_denied() knows, in any version.
Result<void> check_grpc_response(const HttpResponse& response, const std::string& where,
                                 const std::string& user = "");

// The refusal in a response whose transfer failed afterwards: a server may refuse before it has
// read the request and then reset the stream (RFC 9113, 8.1), which libcurl reports instead.
// nullopt: it holds none.
std::optional<Error> early_refusal(const HttpResponse& response, const std::string& where,
                                   const std::string& user);

// Collects the one message of a unary answer, of at most 4 MiB (gRPC's own default limit).
class UnaryMessage final : public ByteSink {
 public:
  explicit UnaryMessage(const HttpResponse& response) : response_(response) {}
  Result<void> write(Bytes bytes) override;
  // The message, after the response was found good. Error: none, cut short, or compressed.
  Result<std::string> take(const std::string& where);

 private:
  const HttpResponse& response_;
  std::string buffer_;
};

}  // namespace etcd_snapshot
