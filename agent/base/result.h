// Value-or-error, for everything that can fail on input, network or disk.
//
// An Error says what kind of failure it is (which decides the exit code), a message that grows on
// the way up ("cannot read /etc/x: Permission denied"), and, where one is known, what to do next.
// Errors of libraries are mapped to it in the one module that wraps the library. Nothing here logs.
#pragma once

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/errno_hint.h"

namespace etcd_snapshot {

// What failed. Each kind has one exit code (base/exit_code.h).
enum class ErrorKind {
  kInternal,     // a bug, or a library that failed for no reason of the operator's
  kUsage,        // the command line
  kUnverified,   // a snapshot that failed verification
  kUnavailable,  // etcd not reachable, or it refused
  kStorage,      // the local directory: missing, full, read-only
  kBusy,         // another run holds the lock
  kRemote,       // S3; the local snapshot is safe
  kConfig,       // cluster.yml, etcd-snapshot.conf, a certificate or key file
  kCancelled,    // SIGTERM or SIGINT
};

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string message;     // one sentence without a full stop; names the subject and the value
  std::string hint;        // what to do next, or empty
  bool retryable = false;  // whether the same call may succeed later by itself
  int code = 0;            // errno or curl code; 0 = none
  int grpc_code = 0;       // gRPC status of an answer that refused; 0 = it was none
  std::string s3_code{};   // S3's word for an answer that refused ("NoSuchBucket"); empty = none

  // Puts `context` before the message: "context: message".
  Error within(std::string_view context) && {
    message = std::string(context) + ": " + message;
    return std::move(*this);
  }
};

// The error of a failed system call: "operation subject: strerror", with the hint that fits the
// errno (errno_hint()). Uses `errnum` (default errno).
inline Error system_error(ErrorKind kind, std::string_view operation, std::string_view subject,
                          int errnum = errno) {
  Error error;
  error.kind = kind;
  error.message = std::string(operation) + " " + std::string(subject) + ": " + strerror(errnum);
  error.hint = errno_hint(errnum);
  error.code = errnum;
  return error;
}

// Either a T or an Error. Must be looked at. Reading the wrong side is a bug (std::get throws).
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return std::holds_alternative<T>(state_); }
  explicit operator bool() const { return ok(); }
  T& value() { return std::get<T>(state_); }
  const T& value() const { return std::get<T>(state_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<Error>(state_); }
  Error&& take_error() { return std::move(std::get<Error>(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return error_.value(); }
  Error&& take_error() { return std::move(error_.value()); }

 private:
  std::optional<Error> error_;
};

// Evaluates a Result expression and returns its error from the enclosing function, if it has one.
#define ES_TRY(expression)                                   \
  do {                                                       \
    if (auto es_result = (expression); !es_result) {         \
      return ::etcd_snapshot::Error(es_result.take_error()); \
    }                                                        \
  } while (0)

// Declares `variable` as the value of a Result expression, or returns its error.
#define ES_ASSIGN(variable, expression)                                                  \
  auto variable##_result = (expression);                                                 \
  if (!variable##_result) return ::etcd_snapshot::Error(variable##_result.take_error()); \
  auto variable = std::move(variable##_result.value())

}  // namespace etcd_snapshot
