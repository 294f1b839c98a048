// A failed call of a client that is there in name only, and what its error is checked for.
#pragma once

#include "../text.h"
#include "s3/explain.h"

#include <string>

#include <CppUTest/TestHarness.h>

namespace etcd_snapshot {

TEST_BASE(ExplainBase) {
  S3CallName name{"PutObject",
                  "https://s3.example.com/bucket",
                  "key",
                  "bucket",
                  "us-east-1",
                  "cluster.yml",
                  UnixSeconds(std::chrono::seconds(1525459216))};  // 2018-05-04T18:40:16Z
  HttpResponse response;

  Error answer(long status, const std::string& body) {
    response.status = status;
    return explain_answer(name, response, body);
  }
  void check_says(const Error& error, const std::string& part) {
    CHECK_TEXT(holds(error.message, part), ("'" + error.message + "' lacks: " + part).c_str());
  }
  void check_hints(const Error& error, const std::string& part) {
    CHECK_TEXT(holds(error.hint, part), ("'" + error.hint + "' lacks: " + part).c_str());
  }
};

}  // namespace etcd_snapshot
