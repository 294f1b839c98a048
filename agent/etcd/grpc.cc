#include "etcd/grpc.h"

#include <array>
#include <charconv>

#include "etcd/refusal.h"

namespace etcd_snapshot {
namespace {

constexpr size_t kPrefixBytes = 5;  // one byte of flags, four of length, big-endian
constexpr size_t kMaxUnaryBytes = 4 << 20;

constexpr char kCutShort[] =
    "look at etcd's log (journalctl -u etcd), and at a proxy between this host and etcd";

// What no etcd answers.
Error foreign(std::string message, bool retryable, const char* hint) {
  return {ErrorKind::kUnavailable, std::move(message), hint, retryable, 0};
}

// The code that tells permission_denied() about it, whatever the version sent.
int refusal_code(Refusal refusal, int code) {
  switch (refusal) {
    case Refusal::kUnknownUser:
    case Refusal::kNoRight:
      return kGrpcPermissionDenied;
    case Refusal::kNoUser:
    case Refusal::kWrongPassword:
    case Refusal::kToken:
      return kGrpcUnauthenticated;
    case Refusal::kLearner:
    case Refusal::kOther:
      break;
  }
  return code;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string grpc_code_name(int code) {
  static constexpr std::array<std::string_view, 17> kNames = {"OK",
                                                              "CANCELLED",
                                                              "UNKNOWN",
                                                              "INVALID_ARGUMENT",
                                                              "DEADLINE_EXCEEDED",
                                                              "NOT_FOUND",
                                                              "ALREADY_EXISTS",
                                                              "PERMISSION_DENIED",
                                                              "RESOURCE_EXHAUSTED",
                                                              "FAILED_PRECONDITION",
                                                              "ABORTED",
                                                              "OUT_OF_RANGE",
                                                              "UNIMPLEMENTED",
                                                              "INTERNAL",
                                                              "UNAVAILABLE",
                                                              "DATA_LOSS",
                                                              "UNAUTHENTICATED"};
  if (code >= 0 && static_cast<size_t>(code) < kNames.size()) {
    return std::string(kNames[static_cast<size_t>(code)]);
  }
  return "code " + std::to_string(code);
}

std::string grpc_frame(std::string_view message) {
  std::string frame(kPrefixBytes, '\0');
  const auto size = static_cast<uint32_t>(message.size());
  for (int i = 0; i < 4; ++i) frame[1 + i] = static_cast<char>(size >> (24 - 8 * i));
  frame.append(message);
  return frame;
}

std::string decode_grpc_message(std::string_view encoded) {
  std::string text;
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] == '%' && i + 2 < encoded.size()) {
      const int high = hex_digit(encoded[i + 1]);
      const int low = hex_digit(encoded[i + 2]);
      if (high >= 0 && low >= 0) {
        text.push_back(static_cast<char>(high << 4 | low));
        i += 2;
        continue;
      }
    }
    text.push_back(encoded[i]);
  }
  return text;
}

Result<void> check_grpc_response(const HttpResponse& response, const std::string& where,
                                 const std::string& user) {
  if (response.status != 200) {
    return foreign(
        where + ": HTTP status " + std::to_string(response.status) + " where gRPC answers 200",
        response.status >= 500, kNotTheClientPort);
  }
  const std::string type = response.trailer("content-type");
  if (!type.starts_with("application/grpc")) {
    return foreign(where + ": content type '" + type + "' where gRPC answers application/grpc",
                   false, kNotTheClientPort);
  }
  const std::string status = response.trailer("grpc-status");
  int code = -1;
  const auto parsed = std::from_chars(status.data(), status.data() + status.size(), code);
  if (status.empty()) {
    return foreign(where + ": the answer ended without grpc-status: it was cut short", true,
                   kCutShort);
  }
  if (parsed.ec != std::errc() || parsed.ptr != status.data() + status.size() || code < 0) {
    return foreign(where + ": grpc-status '" + status + "' is not a number", true, kCutShort);
  }
  if (code == kGrpcOk) return {};
  const std::string message = decode_grpc_message(response.trailer("grpc-message"));
  const Refusal refusal = refusal_of(code, message);
  Error error{
      ErrorKind::kUnavailable,
      where + ": " + (message.empty() ? "refused" : message) + " (" + grpc_code_name(code) + ")",
      refusal_hint(refusal, code, user), worth_a_retry(refusal, code), 0};
  error.grpc_code = refusal_code(refusal, code);
  return error;
}

std::optional<Error> early_refusal(const HttpResponse& response, const std::string& where,
                                   const std::string& user) {
  if (response.status == 0) return std::nullopt;
  const std::string status = response.trailer("grpc-status");
  if (response.status == 200 && (status.empty() || status == "0")) return std::nullopt;
  auto checked = check_grpc_response(response, where, user);
  if (checked) return std::nullopt;
  return checked.take_error();
}

bool is_grpc(const HttpResponse& response) {
  return response.status == 200 && response.trailer("content-type").starts_with("application/grpc");
}

Result<void> UnaryMessage::write(Bytes bytes) {
  if (!is_grpc(response_)) return {};  // an error page: what it is will be told by its headers
  if (buffer_.size() + bytes.size() > kMaxUnaryBytes + kPrefixBytes) {
    return foreign("the answer is larger than 4 MiB, which no answer of etcd is", false,
                   kNotTheClientPort);
  }
  buffer_.append(as_text(bytes));
  return {};
}

Result<std::string> UnaryMessage::take(const std::string& where) {
  if (buffer_.size() < kPrefixBytes) return foreign(where + ": an empty answer", true, kCutShort);
  if (buffer_[0] != 0) {
    return foreign(where + ": a compressed message, which was not asked for", false, kCutShort);
  }
  uint32_t size = 0;
  for (int i = 1; i <= 4; ++i) size = size << 8 | static_cast<uint8_t>(buffer_[i]);
  if (buffer_.size() - kPrefixBytes != size) {
    return foreign(where + ": a message of " + std::to_string(size) + " bytes was announced, " +
                       std::to_string(buffer_.size() - kPrefixBytes) + " came",
                   true, kCutShort);
  }
  return buffer_.substr(kPrefixBytes);
}

}  // namespace etcd_snapshot
