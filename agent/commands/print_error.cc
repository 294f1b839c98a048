#include <fmt/format.h>

#include <cstdio>

#include "base/exit_code.h"
#include "commands/commands.h"

namespace etcd_snapshot {

int print_error(const Error& error) {
  fmt::print(stderr, "etcd-snapshot: {}\n", error.message);
  if (!error.hint.empty()) fmt::print(stderr, "  {}\n", error.hint);
  return exit_code(error.kind);
}

}  // namespace etcd_snapshot
