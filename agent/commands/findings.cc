#include "commands/findings.h"

#include <fmt/format.h>

namespace etcd_snapshot {

void Findings::section(const std::string& title) {
  fmt::print("{}\n", title);
}

void Findings::line(const char* mark, const std::string& text) {
  fmt::print("  {:<5} {}\n", mark, text);
}

void Findings::warn(const std::string& text, const std::string& hint) {
  ++warnings_;
  line("WARN", text);
  if (!hint.empty()) line("", "-> " + hint);
}

void Findings::fail(const Error& error) {
  line("FAIL", error.message);
  if (!error.hint.empty()) line("", "-> " + error.hint);
  if (code_ == kExitOk) code_ = exit_code(error.kind);
  ++failures_;
}

int Findings::finish() const {
  fmt::print("\n{} failed, {} warned\n", failures_, warnings_);
  return code_;
}

}  // namespace etcd_snapshot
