// Makes one system call of this process fail (tests/tools/faults.cc) while it lives.
#pragma once

#include <stdlib.h>

#include <atomic>
#include <string>

namespace fault_injection {
extern std::atomic<long> matched;
}

namespace etcd_snapshot {

class Fault {
 public:
  // `call` on a path that matches `glob` fails with `number`; `nth` as "3", or "1+" for each.
  Fault(const std::string& call, int number, const std::string& glob,
        const std::string& nth = "1+") {
    fault_injection::matched = 0;
    setenv("FAULTS_UNDER", "/tmp/etcd-snapshot-unit.", 1);
    setenv("FAULT", (call + " " + std::to_string(number) + " " + nth + " " + glob).c_str(), 1);
  }
  ~Fault() {
    unsetenv("FAULT");
    unsetenv("FAULTS_UNDER");
  }
  Fault(const Fault&) = delete;
  Fault& operator=(const Fault&) = delete;

  // How often the call was made: a fault that never came to pass tests nothing.
  static long matched() { return fault_injection::matched; }
};

}  // namespace etcd_snapshot
