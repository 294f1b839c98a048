#include <chrono>
#include <string>

#include "cluster_yaml_helpers.h"

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(ClusterYaml){};

TEST(ClusterYaml, TakesTheNewerFormAsDocumented) {
  const Parsed parsed = parse(file("tests/data/cluster-newer-form.yml"));
  CHECK(parsed.policy.ok());
  const Policy& policy = *parsed.policy;
  CHECK(policy.recurring && !policy.older_form);
  CHECK(policy.interval == 12h);
  CHECK(policy.retention == 6h);
  LONGS_EQUAL(6, policy.retention_number);
  CHECK(policy.s3.has_value());
  STRCMP_EQUAL("S3_ACCESS_KEY", policy.s3->access_key.c_str());
  STRCMP_EQUAL("S3_SECRET_KEY", policy.s3->secret_key.c_str());
  STRCMP_EQUAL("s3-bucket-name", policy.s3->bucket_name.c_str());
  STRCMP_EQUAL("s3.amazonaws.com", policy.s3->endpoint.c_str());
  STRCMP_EQUAL("", policy.s3->custom_ca.c_str());
  LONGS_EQUAL(1, parsed.warnings.size());
  STRCMP_CONTAINS(
      "cluster.yml:13: services.etcd.backup_config.s3backupconfig.custom_ca: still holds",
      parsed.warnings[0].message.c_str());
}

TEST(ClusterYaml, TakesTheOlderFormAsDocumented) {
  const Policy policy = good(file("tests/data/cluster-older-form.yml"));
  CHECK(policy.recurring && policy.older_form);
  CHECK(policy.interval == 5min);
  CHECK(policy.retention == 24h);
}

TEST(ClusterYaml, TakesAWholeRkeFileAndTheShippedExample) {
  const Parsed parsed = parse(file("tests/data/cluster-rke-full.yml"));
  CHECK(parsed.policy.ok());
  LONGS_EQUAL(0, parsed.warnings.size());
  CHECK(parsed.policy->recurring && parsed.policy->safe_timestamp);
  CHECK(parsed.policy->interval == 6h);
  CHECK(parsed.policy->retention == 72h);
  CHECK(parsed.policy->timeout == Nanoseconds(300s));
  STRCMP_EQUAL("production/rke", parsed.policy->s3->folder.c_str());
  STRCMP_EQUAL("https://minio.example.com:9000", parsed.policy->s3->endpoint.c_str());
  CHECK(good(file("etc/cluster.yml.example")).interval == 12h);
}

TEST(ClusterYaml, FillsInTheDefaults) {
  const Policy policy = good(backup("{}"));
  CHECK(policy.recurring && !policy.older_form && !policy.timeout && !policy.s3);
  CHECK(policy.interval == 5min);
  CHECK(policy.retention == 24h);
  LONGS_EQUAL(24, policy.retention_number);
  CHECK_FALSE(policy.safe_timestamp);
}

TEST(ClusterYaml, ReadsIntervals) {
  const struct {
    const char* text;
    Nanoseconds interval;
  } table[] = {{"12", 12h},   {"1", 1h},       {"1m", 1min},          {"\"30m\"", 30min},
               {"'12'", 12h}, {"!!int 3", 3h}, {"!!str 90m", 90min},  {"null", 5min},
               {"~", 5min},   {"\"\"", 5min},  {"2562047", 2562047h}, {"12 # hours", 12h},
               {"", 5min}};
  for (const auto& row : table) {
    const Policy policy = good(backup(std::string("interval_hours: ") + row.text));
    CHECK_TEXT(policy.interval == row.interval, row.text);
  }
}

TEST(ClusterYaml, RefusesIntervalsThatAreNone) {
  const struct {
    const char *text, *what;
  } table[] = {{"0", "zero: '0'"},
               {"0m", "zero: '0m'"},
               {"-1", "a negative number: '-1'"},
               {"-5m", "a negative number: '-5m'"},
               {"+5", "a number with a sign: '+5'"},
               {"1.5", "a fraction: '1.5'"},
               {"012", "a leading zero (RKE would read an octal number) in '012'"},
               {"007m", "a leading zero"},
               {"0x10", "not a decimal number: '0x10'"},
               {"1e3", "unknown unit in '1e3'"},
               {"1_000", "underscores: '1_000'"},
               {"1h", "unknown unit in '1h'"},
               {"5min", "unknown unit in '5min'"},
               {"30M", "unknown unit in '30M'"},
               {"1d", "unknown unit"},
               {"1h30m", "unknown unit"},
               {"m", "not a number: 'm'"},
               {"twelve", "not a number: 'twelve'"},
               {"\"12 \"", "a space in the number '12 '"},
               {"\"1 m\"", "a space"},
               {"\" \"", "a space"},
               {"\"1\\n2\"", "'1\\x0a2'"},
               {"2562048", "longer than a duration can be"},
               {"99999999999999999999", "longer than a duration can be"},
               {"[12]", "a list where one value belongs"},
               {"{hours: 12}", "a map where one value belongs"}};
  for (const auto& row : table) {
    const std::string message = bad(backup(std::string("interval_hours: ") + row.text));
    STRCMP_CONTAINS(row.what, message.c_str());
    STRCMP_CONTAINS("cluster.yml:4: services.etcd.backup_config.interval_hours: ", message.c_str());
    STRCMP_CONTAINS("; accepted: ", message.c_str());
  }
}

TEST(ClusterYaml, RetentionMayBeZeroButNotNegative) {
  CHECK(good(backup("retention: 0")).retention == 0h);
  CHECK(good(backup("retention: 0m")).retention == 0h);
  CHECK(good(backup("retention: 45m")).retention == 45min);
  CHECK_FALSE(good(backup("retention: 45m")).retention_countable);
  CHECK(good(backup("retention: 7")).retention_countable);
  LONGS_EQUAL(7, good(backup("retention: 7")).retention_number);
  STRCMP_CONTAINS("cluster.yml:5: services.etcd.backup_config.retention: a negative number: '-6'",
                  bad(backup("interval_hours: 1\nretention: -6")).c_str());
}

TEST(ClusterYaml, BackupConfigWinsOverTheOlderKeys) {
  const std::string older = "    creation: 10m\n    retention: 48h\n";
  Policy policy = good(backup("interval_hours: 2\nretention: 3") + older);
  CHECK(policy.interval == 2h && policy.retention == 3h && !policy.older_form);
  policy = good(backup("{}") + older);
  CHECK(policy.interval == 10min && policy.retention == 48h && !policy.older_form);
  CHECK_FALSE(policy.retention_countable);
}

TEST(ClusterYaml, AnOlderKeyThatIsBadAndUnusedIsAWarning) {
  const Parsed parsed = parse(backup("interval_hours: 2") + "    creation: often\n");
  CHECK(parsed.policy.ok());
  LONGS_EQUAL(1, parsed.warnings.size());
  STRCMP_CONTAINS("cluster.yml:5: services.etcd.creation: not a duration: 'often'",
                  parsed.warnings[0].message.c_str());
  STRCMP_CONTAINS("cluster.yml:5: services.etcd.creation: ",
                  bad(backup("retention: 2") + "    creation: often\n").c_str());
}

TEST(ClusterYaml, ReadsTheOlderForm) {
  const Policy policy = good("services: {etcd: {snapshot: yes, creation: 1h30m}}");
  CHECK(policy.recurring && policy.older_form);
  CHECK(policy.interval == 90min);
  CHECK(policy.retention == 24h);
}

TEST(ClusterYaml, RefusesOlderDurationsThatAreNone) {
  const struct {
    const char *line, *what;
  } table[] = {{"creation: 5", "creation: a number without a unit: '5'"},
               {"creation: 0s", "creation: zero"},
               {"creation: 1500us", "creation: zero or a fraction of a millisecond"},
               {"creation: -5m", "creation: a negative duration: '-5m'"},
               {"creation: [5m]", "creation: a list where one value belongs"},
               {"retention: 24", "retention: a number without a unit: '24'"},
               {"retention: -24h", "retention: a negative duration"},
               {"retention: 1day", "retention: unknown unit 'day'"},
               {"snapshot: maybe", "snapshot: not a boolean: 'maybe'"}};
  for (const auto& row : table) {
    const std::string message = bad(std::string("services:\n  etcd:\n    ") + row.line);
    STRCMP_CONTAINS(row.what, message.c_str());
    STRCMP_CONTAINS("cluster.yml:3: services.etcd.", message.c_str());
    STRCMP_CONTAINS("; accepted: ", message.c_str());
  }
}

TEST(ClusterYaml, SaysWhichKeyTurnsRecurringSnapshotsOff) {
  const struct {
    const char *text, *reason;
  } table[] = {
      {"services: {etcd: {snapshot: false}}", "cluster.yml:1: services.etcd.snapshot: false"},
      {"services:\n  etcd:\n    backup_config:\n    snapshot: no\n",
       "cluster.yml:4: services.etcd.snapshot: false"},
      {"services:\n  etcd:\n    backup_config:\n      enabled: No\n",
       "cluster.yml:4: services.etcd.backup_config.enabled: false"}};
  for (const auto& row : table) {
    const Policy policy = good(row.text);
    CHECK_FALSE_TEXT(policy.recurring, row.text);
    STRCMP_EQUAL(row.reason, policy.off_reason.c_str());
    CHECK_TEXT(policy.off_on_purpose, row.text);
    STRCMP_EQUAL("", doubt(row.text).c_str());
  }
}

// A file that was cut short, or whose keys went elsewhere, must not end backups.
TEST(ClusterYaml, WhatSaysNothingTurnsNothingOff) {
  const char* texts[] = {
      "",
      "# nothing\n",
      "---\n",
      "services:\n",
      "services:\n  etcd:\n",
      "nodes: []\n",
      "services: {etcd: {snapshot: null, retention: \"\", creation: \"\", backup_config: null}}",
      "services:\n  etcd:\n    creation: 5m\n"};
  for (const char* text : texts) {
    const Policy policy = good(text);
    CHECK_TEXT(policy.recurring && policy.assumed && !policy.off_on_purpose, text);
    STRCMP_CONTAINS("nothing turns snapshots off", doubt(text).c_str());
    CHECK_EQUAL_TEXT(policy.interval_set, policy.interval == 5min, text);
  }
  CHECK(good("").interval == 1h);
}

TEST(ClusterYaml, SnapshotFalseBesideBackupConfigIsAWarning) {
  const Parsed parsed = parse(backup("{}") + "    snapshot: false\n");
  CHECK(parsed.policy->recurring);
  LONGS_EQUAL(1, parsed.warnings.size());
  STRCMP_CONTAINS("cluster.yml:5: services.etcd.snapshot: false has no effect",
                  parsed.warnings[0].message.c_str());
}

TEST(ClusterYaml, ReadsBooleansAsYaml11Does) {
  for (const char* text : {"true", "True", "TRUE", "yes", "Yes", "on", "ON", "y", "\"true\""}) {
    CHECK_TEXT(good(backup(std::string("safe_timestamp: ") + text)).safe_timestamp, text);
  }
  for (const char* text : {"false", "no", "NO", "off", "n", "", "null"}) {
    CHECK_FALSE_TEXT(good(backup(std::string("safe_timestamp: ") + text)).safe_timestamp, text);
  }
  for (const char* text : {"1", "0", "tRUE", "enabled", "[true]", "\" true\""}) {
    STRCMP_CONTAINS("backup_config.safe_timestamp: ",
                    bad(backup(std::string("safe_timestamp: ") + text)).c_str());
  }
}

TEST(ClusterYaml, TimeoutIsAPositiveNumberOfSeconds) {
  CHECK(good(backup("timeout: 300")).timeout == Nanoseconds(300s));
  for (const char* text : {"0", "-1", "5m", "1.5", "010", "99999999999999999999999"}) {
    STRCMP_CONTAINS("backup_config.timeout: ",
                    bad(backup(std::string("timeout: ") + text)).c_str());
  }
}

TEST(ClusterYaml, AnUnknownKeyFarFromOursIsAWarning) {
  const Parsed parsed =
      parse(backup("colour: blue\ns3backupconfig:\n  bucket_name: bucket\n  fish: x"));
  CHECK(parsed.policy.ok());
  LONGS_EQUAL(0, parsed.doubts.size());
  LONGS_EQUAL(2, parsed.warnings.size());
  STRCMP_CONTAINS("cluster.yml:4: services.etcd.backup_config.colour: unknown key, ignored; ",
                  parsed.warnings[0].message.c_str());
  STRCMP_CONTAINS("cluster.yml:7: ", parsed.warnings[1].message.c_str());
}

TEST(ClusterYaml, KeysElsewhereAreIgnored) {
  const Parsed parsed = parse(
      "colour: blue\nservices:\n  etcd-proxy: {}\n  etcd:\n    grace: 1\n"
      "    ? [a, b]\n    : c\n    backup_config: {interval_hours: 1}\n"
      "nodes: 5\nnodes: 6\n");
  CHECK(parsed.policy.ok() && parsed.policy->recurring);
  LONGS_EQUAL(0, parsed.warnings.size());
  LONGS_EQUAL(0, parsed.doubts.size());
}

TEST(ClusterYaml, AKeyWrittenTwiceIsAnError) {
  STRCMP_CONTAINS(
      "cluster.yml:5: services.etcd.backup_config.retention: written twice, first on line 4",
      bad(backup("retention: 1\nretention: 2")).c_str());
  STRCMP_CONTAINS("cluster.yml:7: services.etcd.backup_config.s3backupconfig.region: written twice",
                  no_bucket(s3("region: a\nregion: b")).c_str());
  STRCMP_CONTAINS("cluster.yml:2: services: written twice",
                  bad("services: {}\nservices: {}").c_str());
  STRCMP_CONTAINS("cluster.yml:3: services.etcd: written twice",
                  bad("services:\n  etcd: {}\n  etcd: {}").c_str());
  STRCMP_CONTAINS("cluster.yml:4: services.etcd.backup_config: written twice",
                  bad("services:\n  etcd:\n    backup_config: {}\n    backup_config:").c_str());
}

TEST(ClusterYaml, AWrongShapeIsAnErrorWithItsLine) {
  const struct {
    const char *text, *what;
  } table[] = {
      {"[1, 2]", "cluster.yml:1: the document: a list where a map belongs"},
      {"hello", "cluster.yml:1: the document: a single value where a map belongs"},
      {"\n\nservices: []", "cluster.yml:3: services: a list where a map belongs"},
      {"services:\n  etcd: on", "cluster.yml:2: services.etcd: a single value where a map belongs"},
      {"services:\n  etcd:\n    backup_config: yes",
       "cluster.yml:3: services.etcd.backup_config: a single value where a map belongs"}};
  for (const auto& row : table) STRCMP_CONTAINS(row.what, bad(row.text).c_str());
  STRCMP_CONTAINS(
      "cluster.yml:4: services.etcd.backup_config.s3backupconfig: a list where a map belongs",
      no_bucket(backup("s3backupconfig: [a]")).c_str());
}

TEST(ClusterYaml, WhatIsNotWellFormedIsAnErrorWithItsLine) {
  const struct {
    std::string text;
    const char* line;
  } table[] = {{"services:\n  etcd: {a: 1\nx: y: z", "cluster.yml:"},
               {"services:\n\tetcd: {}", "cluster.yml:2:1: "},
               {"a: b: c\n", "cluster.yml:1: "},
               {"services: \"open\nend", "cluster.yml:"},
               {"services: *nowhere", "cluster.yml:1: "},
               {"services:\n  etcd:\n    backup_config: {}\n lost: 1\n", "cluster.yml:4: "},
               {"a: 1\n}\n", "cluster.yml:2: "},
               {"]", "cluster.yml:1: "},
               {std::string("a: 1\nb: \0 2", 11), "cluster.yml:2: "},
               {"a: 1\n\x04services: {}", "cluster.yml:2: "},
               {"a: 1\nb: \xff\n", "cluster.yml:2: "}};
  for (const auto& row : table) {
    const std::string message = bad(row.text);
    STRCMP_CONTAINS(row.line, message.c_str());
    STRCMP_CONTAINS("not well-formed YAML: ", message.c_str());
  }
}

TEST(ClusterYaml, OnlyTheFirstDocumentCounts) {
  CHECK(good(backup("interval_hours: 3") + "---\nservices: []\n").interval == 3h);
  CHECK(good("---\n" + backup("interval_hours: 3") + "...\n").interval == 3h);
  CHECK(good("\xEF\xBB\xBF" + backup("interval_hours: 3")).interval == 3h);
}

TEST(ClusterYaml, WindowsLineEndsAreTaken) {
  CHECK(
      good("services:\r\n  etcd:\r\n    backup_config:\r\n      interval_hours: 3\r\n").interval ==
      3h);
}

TEST(ClusterYaml, AnchorsAndMergedMapsWork) {
  const Policy policy = good(
      "common: &common {interval_hours: 2, retention: 9}\n"
      "hours: &hours 4\n"
      "services:\n  etcd:\n    backup_config:\n      <<: *common\n      retention: *hours\n");
  CHECK(policy.interval == 2h);
  CHECK(policy.retention == 4h);
  CHECK(good("a: &a {timeout: 5}\nb: &b {<<: *a, interval_hours: 2}\n"
             "services: {etcd: {backup_config: {<<: [*b, {interval_hours: 7}]}}}")
            .interval == 2h);
  STRCMP_CONTAINS("no map to merge", bad(backup("<<: 5")).c_str());
  STRCMP_CONTAINS("too many merged maps", bad(backup("&x\n<<: *x")).c_str());
}

TEST(ClusterYaml, DeepAndHugeInputIsNoCrash) {
  bad("a: " + std::string(100'000, '['));
  bad(std::string(100'000, '{'));
  std::string dashes;
  for (int i = 0; i < 20'000; ++i) dashes += "- ";
  bad(dashes);
  std::string indented;
  for (int i = 0; i < 2000; ++i) indented += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  bad(indented);
  STRCMP_CONTAINS("nested too deeply", bad(std::string(1000, '[')).c_str());
  std::string wide = "services:\n  etcd:\n    backup_config: {interval_hours: 3}\n";
  for (int i = 0; i < 20'000; ++i) wide += "  k" + std::to_string(i) + ": 1\n";
  CHECK(good(wide).interval == 3h);
  std::string laughs = "a0: &a0 x\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + before + ", *a" +
              before + "]\n";
  }
  CHECK(good(laughs + backup("interval_hours: 3")).interval == 3h);
}
