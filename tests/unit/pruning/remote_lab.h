// What the tests of pruning in the bucket share: a host with a bucket, and what a cycle knows that
// has just proven its snapshot. Include before CppUTest's headers.
#pragma once

#include <memory>

#include "../lab.h"
#include "pruning/remote_prune.h"

#include <CppUTest/TestHarness.h>

namespace etcd_snapshot {

struct RemotePruneBase : Utest {
  Lab lab;
  std::unique_ptr<S3Session> session;
  std::unique_ptr<S3Client> client;
  std::unique_ptr<Bucket> bucket;
  RemotePruner::Options options;

  void setup() override {
    lab.with_bucket();
    lab.settings.policy.retention = std::chrono::hours(24);
    auto opened =
        S3Session::open(*lab.settings.policy.s3, lab.settings.host.s3, lab.clock, lab.s3.factory());
    CHECK_TRUE(opened.ok());
    session = std::move(*opened);
    client = std::make_unique<S3Client>(*session, lab.s3);
    bucket = std::make_unique<Bucket>(*session, *client);
    options.state.now = lab.clock.now();
    options.state.proven_this_cycle = true;
  }
};

}  // namespace etcd_snapshot
