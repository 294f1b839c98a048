// What the tests of cluster.yml share: parsing that must succeed or must fail, and shorthands.
#pragma once

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "config/load.h"

#include <CppUTest/TestHarness.h>

namespace etcd_snapshot {

inline std::string file(const std::string& path) {
  std::ifstream stream(path);
  CHECK_TEXT(stream.good(), path.c_str());
  return {std::istreambuf_iterator<char>(stream), {}};
}

struct Parsed {
  Result<Policy> policy;
  std::vector<ConfigWarning> warnings, doubts;
};

inline Parsed parse(const std::string& text) {
  std::vector<ConfigWarning> warnings, doubts;
  auto policy = parse_cluster_yaml("cluster.yml", text, warnings, doubts);
  return {std::move(policy), std::move(warnings), std::move(doubts)};
}

inline Policy good(const std::string& text) {
  Parsed parsed = parse(text);
  const std::string message = parsed.policy ? "" : parsed.policy.error().message;
  CHECK_TEXT(parsed.policy.ok(), (text.substr(0, 200) + "\n" + message).c_str());
  return *parsed.policy;
}

inline std::string bad(const std::string& text) {
  const Parsed parsed = parse(text);
  CHECK_FALSE_TEXT(parsed.policy.ok(), text.substr(0, 200).c_str());
  CHECK(parsed.policy.error().kind == ErrorKind::kConfig);
  CHECK(parsed.policy.error().message.find('\n') == std::string::npos);
  return parsed.policy.error().message;
}

// The first doubt of a text that can be read; "" where there is none.
inline std::string doubt(const std::string& text) {
  const Parsed parsed = parse(text);
  const std::string message = parsed.policy ? "" : parsed.policy.error().message;
  CHECK_TEXT(parsed.policy.ok(), (text.substr(0, 200) + "\n" + message).c_str());
  for (const ConfigWarning& found : parsed.doubts) {
    CHECK_TEXT(found.message.find('\n') == std::string::npos, found.message.c_str());
  }
  return parsed.doubts.empty() ? "" : parsed.doubts[0].message;
}

// Why the bucket of a text cannot be used: a doubt, and everything else is read.
inline std::string no_bucket(const std::string& text) {
  const Parsed parsed = parse(text);
  const std::string message = parsed.policy ? "" : parsed.policy.error().message;
  CHECK_TEXT(parsed.policy.ok(), (text.substr(0, 200) + "\n" + message).c_str());
  CHECK_TEXT(parsed.policy->recurring && !parsed.policy->s3, text.substr(0, 200).c_str());
  CHECK_TEXT(!parsed.policy->s3_error.empty(), text.substr(0, 200).c_str());
  CHECK(parsed.policy->s3_error.find('\n') == std::string::npos);
  CHECK(std::any_of(parsed.doubts.begin(), parsed.doubts.end(),
                    [&](const auto& found) { return found.message == parsed.policy->s3_error; }));
  return parsed.policy->s3_error;
}

// Lines below services.etcd.backup_config; the first is on line 4.
inline std::string backup(const std::string& lines) {
  std::string text = "services:\n  etcd:\n    backup_config:\n      ";
  for (const char c : lines) text += c == '\n' ? std::string("\n      ") : std::string(1, c);
  return text + "\n";
}

// Lines below s3backupconfig beside a bucket; the first is on line 6.
inline std::string s3(const std::string& lines) {
  std::string text = "s3backupconfig:\n  bucket_name: bucket\n  ";
  for (const char c : lines) text += c == '\n' ? std::string("\n  ") : std::string(1, c);
  return backup(text);
}

}  // namespace etcd_snapshot
