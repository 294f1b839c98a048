// What `check` found, line by line on standard output; remembers the first failure for the exit
// code.
#pragma once

#include <string>

#include "base/exit_code.h"
#include "base/result.h"

namespace etcd_snapshot {

class Findings {
 public:
  void section(const std::string& title);
  void ok(const std::string& text) { line("ok", text); }
  void note(const std::string& text) { line("note", text); }
  void warn(const std::string& text, const std::string& hint = "");
  void fail(const Error& error);
  // Prints the counts; returns the exit code.
  int finish() const;

 private:
  static void line(const char* mark, const std::string& text);
  int code_ = kExitOk, failures_ = 0, warnings_ = 0;
};

}  // namespace etcd_snapshot
