// What the tests of cycles with a bucket share. Include before CppUTest's headers.
#pragma once

#include "cycle.h"
#include "lab.h"

#include <CppUTest/TestHarness.h>

namespace etcd_snapshot {

struct OffsiteBase : Utest {
  Lab lab;
  FakeS3& s3 = lab.s3;
  void setup() override { lab.with_bucket(); }
  int cycle() { return run_cycle(lab.context); }
  int next_cycle() {
    lab.clock.pass(std::chrono::minutes(5));
    lab.log.clear();
    s3.calls.clear();
    return cycle();
  }
};

}  // namespace etcd_snapshot
