#include "etcd/grpc.h"

#include <array>
#include <charconv>

namespace etcd_snapshot {
namespace {

constexpr size_t kPrefixBytes = 5;  // one byte of flags, four of length, big-endian
constexpr size_t kMaxUnaryBytes = 4 << 20;

Error refused(std::string message, int code, bool retryable) {
  Error error;
  error.kind = ErrorKind::kUnavailable;
  error.message = std::move(message);
  error.grpc_code = code;
  error.retryable = retryable;
  return error;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// etcd words these itself, under codes that differ between its versions (3.4: UNKNOWN).
constexpr std::string_view kNoUser = "user name is empty";
constexpr std::string_view kWrongPassword = "authentication failed";

std::string hint_for(int code, std::string_view message) {
  if (message.find(kNoUser) != message.npos) {
    return "etcd asks for a user: set [etcd] username and password_file";
  }
  if (message.find(kWrongPassword) != message.npos) {
    return "check [etcd] username and password_file";
  }
  if (code == kGrpcPermissionDenied) {
    return "the user of [etcd] username, or of the client certificate, needs etcd's role root";
  }
  if (code == kGrpcUnimplemented) {
    return "check that the address is etcd's client port, and not its peer or metrics port";
  }
  return "";
}

// Whether the same call may succeed later: everything but what an operator has to mend.
bool worth_a_retry(int code, std::string_view message) {
  if (message.find(kNoUser) != message.npos) return false;
  switch (code) {
    case kGrpcInvalidArgument:
    case kGrpcPermissionDenied:
    case kGrpcFailedPrecondition:
    case kGrpcUnimplemented:
    case kGrpcUnauthenticated:
      return false;
    default:
      return true;
  }
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

Result<void> check_grpc_response(const HttpResponse& response, const std::string& where) {
  if (response.status != 200) {
    Error error = refused(
        where + ": HTTP status " + std::to_string(response.status) + " where gRPC answers 200", 0,
        response.status >= 500);
    error.hint = "check that the address is etcd's client port, and not its peer or metrics port";
    return error;
  }
  const std::string type = response.trailer("content-type");
  if (!type.starts_with("application/grpc")) {
    return refused(where + ": content type '" + type + "' where gRPC answers application/grpc", 0,
                   false);
  }
  const std::string status = response.trailer("grpc-status");
  int code = -1;
  const auto parsed = std::from_chars(status.data(), status.data() + status.size(), code);
  if (status.empty()) {
    return refused(where + ": the answer ended without grpc-status: it was cut short", 0, true);
  }
  if (parsed.ec != std::errc() || parsed.ptr != status.data() + status.size() || code < 0) {
    return refused(where + ": grpc-status '" + status + "' is no number", 0, true);
  }
  if (code == kGrpcOk) return {};
  const std::string message = decode_grpc_message(response.trailer("grpc-message"));
  Error error = refused(
      where + ": " + (message.empty() ? "refused" : message) + " (" + grpc_code_name(code) + ")",
      code, worth_a_retry(code, message));
  error.hint = hint_for(code, message);
  return error;
}

bool is_grpc(const HttpResponse& response) {
  return response.status == 200 && response.trailer("content-type").starts_with("application/grpc");
}

Result<void> UnaryMessage::write(Bytes bytes) {
  if (!is_grpc(response_)) return {};  // an error page: what it is will be told by its headers
  if (buffer_.size() + bytes.size() > kMaxUnaryBytes + kPrefixBytes) {
    return refused("the answer is larger than 4 MiB, which no answer of etcd is", 0, false);
  }
  buffer_.append(as_text(bytes));
  return {};
}

Result<std::string> UnaryMessage::take(const std::string& where) {
  if (buffer_.size() < kPrefixBytes) return refused(where + ": an empty answer", 0, true);
  if (buffer_[0] != 0) {
    return refused(where + ": a compressed message, which was not asked for", 0, false);
  }
  uint32_t size = 0;
  for (int i = 1; i <= 4; ++i) size = size << 8 | static_cast<uint8_t>(buffer_[i]);
  if (buffer_.size() - kPrefixBytes != size) {
    return refused(where + ": a message of " + std::to_string(size) + " bytes was announced, " +
                       std::to_string(buffer_.size() - kPrefixBytes) + " came",
                   0, true);
  }
  return buffer_.substr(kPrefixBytes);
}

}  // namespace etcd_snapshot
