// What the tests of cluster.yml share: parsing that must succeed or must fail, and shorthands.
#pragma once

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
  std::vector<ConfigWarning> warnings;
};

inline Parsed parse(const std::string& text) {
  std::vector<ConfigWarning> warnings;
  auto policy = parse_cluster_yaml("cluster.yml", text, warnings);
  return {std::move(policy), std::move(warnings)};
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
