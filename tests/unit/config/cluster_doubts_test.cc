// What of cluster.yml is read, what is in doubt, and what is nobody's business here.
#include <chrono>
#include <string>

#include "cluster_yaml_helpers.h"

using namespace etcd_snapshot;
using namespace std::chrono_literals;

namespace {

// Fails where there is none, so that a row says what it says.
void expect_doubt(const std::string& text, const char* what) {
  const Parsed parsed = parse(text);
  CHECK_TEXT(parsed.policy.ok(), text.c_str());
  CHECK_TEXT(parsed.policy->recurring, text.c_str());
  std::string all;
  for (const ConfigWarning& found : parsed.doubts) all += found.message + "\n";
  STRCMP_CONTAINS_TEXT(what, all.c_str(), text.c_str());
}

const char kAround[] = "services:\n  etcd:\n    backup_config:\n      interval_hours: 12\n";

}  // namespace

TEST_GROUP(ClusterDoubts){};

TEST(ClusterDoubts, TheDocumentedFilesRaiseNone) {
  for (const char* path : {"tests/data/cluster-newer-form.yml", "tests/data/cluster-older-form.yml",
                           "tests/data/cluster-rke-full.yml", "etc/cluster.yml.example"}) {
    STRCMP_EQUAL_TEXT("", doubt(file(path)).c_str(), path);
  }
  // A cluster.yml as `rke config` writes it, with the settings of Rancher's first versions
  // (rancher/rancher#18429).
  STRCMP_EQUAL(
      "", doubt("services:\n  etcd:\n    image: ''\n    extra_args: {}\n    extra_args_array: {}\n"
                "    extra_binds: []\n    extra_env: []\n    win_extra_args: {}\n"
                "    external_urls: []\n    ca_cert: ''\n    cert: ''\n    key: ''\n"
                "    path: ''\n    uid: 0\n    gid: 0\n    snapshot: true\n"
                "    retention: 72h\n    creation: 12h\n    backup_config: null\n"
                "  kube-api: {}\n  kube-controller: {}\n  scheduler: {}\n  kubelet: {}\n"
                "  kubeproxy: {}\nsystem_images: {etcd: x}\n")
              .c_str());
}

// A typing error, the case, `-` for `_`, at every level.
TEST(ClusterDoubts, AKeyNearOneOfOurs) {
  const struct {
    std::string text;
    const char* what;
  } table[] = {
      {"service:\n  etcd:\n    backup_config: {interval_hours: 1}\n",
       "cluster.yml:1:1: service: unknown key; probably meant: 'services'"},
      {"Services: {}\n", "Services: unknown key; probably meant: 'services'"},
      {"rancher-kubernetes-engine-config: {}\n",
       "probably meant: 'rancher_kubernetes_engine_config'"},
      {"services:\n  ectd: {}\n",
       "cluster.yml:2:3: services.ectd: unknown key; probably meant: 'etcd'"},
      {"services:\n  Etcd: {}\n", "services.Etcd: unknown key; probably meant: 'etcd'"},
      {"services:\n  etcd:\n    backup-config: {interval_hours: 1}\n",
       "cluster.yml:3:5: services.etcd.backup-config: unknown key; probably meant: "
       "'backup_config'"},
      {"services:\n  etcd:\n    backup_confg: {}\n", "probably meant: 'backup_config'"},
      {"services:\n  etcd:\n    snapshots: 1\n", "probably meant: 'snapshot'"},
      {"services:\n  etcd:\n    Snapshot: false\n", "probably meant: 'snapshot'"},
      {"services:\n  etcd:\n    creaton: 5m\n    snapshot: true\n", "probably meant: 'creation'"},
      {backup("intervall_hours: 1"),
       "cluster.yml:4:7: services.etcd.backup_config.intervall_hours: unknown key; probably meant: "
       "'interval_hours'"},
      {backup("interval-hours: 1"), "probably meant: 'interval_hours'"},
      {backup("Retention: 720"),
       "backup_config.Retention: unknown key; probably meant: 'retention'"},
      {backup("retention_days: 30"), "probably meant: 'retention'"},
      {backup("retenton: 30"), "probably meant: 'retention'"},
      {backup("Enabled: false"), "probably meant: 'enabled'"},
      {backup("s3-backup-config: {bucket_name: abc}"), "probably meant: 's3backupconfig'"},
      {backup("S3BackupConfig: {bucket_name: abc}"), "probably meant: 's3backupconfig'"},
      {backup("s3: {bucket_name: abc}"), "probably meant: 's3backupconfig'"},
      {s3("bucketname: x"), "cluster.yml:6:9: "},
      {s3("Folder: x"), "probably meant: 'folder'"},
      {s3("secretkey: x"), "probably meant: 'secret_key'"},
      // rancher-archives/rke#1628
      {s3("endpoint_ca: x"),
       "s3backupconfig.endpoint_ca: unknown key; probably meant: 'custom_ca'"},
  };
  for (const auto& row : table) expect_doubt(row.text, row.what);
  CHECK(good("service: {}").interval == 1h);
  CHECK(good(backup("intervall_hours: 12")).interval == 1h);
}

// rancher-archives/rke#1284 has s3backupconfig below etcd.
TEST(ClusterDoubts, KeysOfOursAtTheWrongLevel) {
  const struct {
    std::string text;
    const char* what;
  } table[] = {
      {"services:\n  etcd:\n    snapshot: true\n    creation: 6h\n    retention: 24h\n"
       "    s3backupconfig:\n      bucket_name: bkt\n",
       "cluster.yml:6:5: services.etcd.s3backupconfig: not read here; it belongs elsewhere: "
       "'s3backupconfig' below services.etcd.backup_config, indented with 6 spaces"},
      {std::string(kAround) + "    s3backupconfig:\n      bucket_name: bkt\n",
       "services.etcd.s3backupconfig: not read here"},
      {"services:\n  etcd:\n    backup_config:\n    interval_hours: 12\n    retention: 72\n",
       "cluster.yml:4:5: services.etcd.interval_hours: not read here; it belongs elsewhere: "
       "'interval_hours' below services.etcd.backup_config, indented with 6 spaces"},
      {"services:\n  backup_config:\n    interval_hours: 12\n",
       "services.backup_config: not read here; it belongs elsewhere: 'backup_config' below "
       "services.etcd, indented with 4 spaces"},
      {"etcd:\n  backup_config:\n    interval_hours: 12\n",
       "cluster.yml:1:1: etcd: not read here; it belongs elsewhere: 'etcd' below services, "
       "indented "
       "with 2 spaces"},
      {"backup_config:\n  interval_hours: 12\n", "cluster.yml:1:1: backup_config: not read here"},
      {std::string(kAround) + "retention: 720\n", "cluster.yml:5:1: retention: not read here"},
      {std::string(kAround) + "      bucket_name: bkt\n      region: x\n",
       "services.etcd.backup_config.bucket_name: not read here; it belongs elsewhere: "
       "'bucket_name' "
       "below services.etcd.backup_config.s3backupconfig, indented with 8 spaces"},
      {std::string(kAround) + "      snapshot: true\n", "backup_config.snapshot: not read here"},
      {s3("retention: 720"), "s3backupconfig.retention: not read here"},
      {std::string(kAround) + "    enabled: false\n", "services.etcd.enabled: not read here"},
      {"services:\n  etcd:\n    extra_args:\n      a: b\n      backup_config:\n        "
       "interval_hours: 12\n",
       "services.etcd.extra_args.backup_config: not read here"},
      {"nodes:\n- address: x\n  services:\n    etcd:\n      backup_config: {interval_hours: 1}\n",
       "cluster.yml:5:7: nodes.backup_config: not read here"},
      {"spec:\n  rancherKubernetesEngineConfig:\n    services:\n      etcd:\n        "
       "backupConfig:\n"
       "          intervalHours: 12\n",
       "cluster.yml:5:9: spec.backupConfig: not read here"},
  };
  for (const auto& row : table) expect_doubt(row.text, row.what);
}

TEST(ClusterDoubts, SomethingUnknownThatHoldsKeysOfOurs) {
  const struct {
    std::string text;
    const char* what;
  } table[] = {
      {std::string(kAround) + "      upload:\n        bucket_name: bkt\n",
       "cluster.yml:6:9: services.etcd.backup_config.upload.bucket_name: not read here"},
      {std::string(kAround) + "    archive: {access_key: a}\n", "services.etcd.archive.access_key"},
      {std::string(kAround) + "backups:\n  interval_hours: 1\n", "backups.interval_hours"},
      {std::string(kAround) + "backups:\n- bucket_name: bkt\n", "backups.bucket_name"},
      {s3("credentials: {secret_key: x}"), "s3backupconfig.credentials.secret_key"},
  };
  for (const auto& row : table) expect_doubt(row.text, row.what);
}

TEST(ClusterDoubts, AnEmptyBackupConfig) {
  expect_doubt("services:\n  etcd:\n    backup_config:\n",
               "cluster.yml:3: services.etcd.backup_config: empty; indent interval_hours");
  // Beside the older form, too: its content may have gone.
  expect_doubt("services:\n  etcd:\n    snapshot: true\n    backup_config:\n    uid: 1\n", "empty");
  expect_doubt(backup("interval_hours: 1\ns3backupconfig:"),
               "s3backupconfig: empty: nothing is uploaded");
  expect_doubt(backup("interval_hours: 1\nretention: # 720"), "retention: empty");
  STRCMP_EQUAL("", doubt(backup("retention: null")).c_str());
  STRCMP_EQUAL("", doubt(backup("{}")).c_str());
  STRCMP_EQUAL("", doubt(backup("s3backupconfig: null")).c_str());
}

// travis-ci/travis-ci#1204, nmstate/nmstate#2051, Azure/acr-builder#446 (U+00A0).
TEST(ClusterDoubts, KeysWithCharactersThatCannotBeSeen) {
  const struct {
    std::string text;
    const char* what;
  } table[] = {
      {std::string(kAround) + "\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0retention: 720\n",
       "cluster.yml:5:1: retention: the key holds U+00A0 NO-BREAK SPACE, so it is not read; "
       "probably "
       "meant: 'retention' below services.etcd.backup_config, indented with 6 spaces"},
      {"services:\n\u00a0\u00a0etcd:\n\u00a0\u00a0\u00a0\u00a0backup_config:\n"
       "\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0interval_hours: 12\n",
       "cluster.yml:3:1: backup_config: the key holds U+00A0 NO-BREAK SPACE"},
      {std::string(kAround) + "      \u00a0retention: 720\n",
       "cluster.yml:5:7: services.etcd.backup_config.retention: the key holds U+00A0"},
      {std::string(kAround) + "      retention\u00a0: 720\n", "cluster.yml:5:16: "},
      {std::string(kAround) + "      retention:\u00a0720\n", "cluster.yml:5:17: "},
      {std::string(kAround) + "      reten\u200btion: 720\n", "U+200B ZERO WIDTH SPACE"},
      {std::string(kAround) + "      \ufeffretention: 720\n", "U+FEFF"},
      {std::string(kAround) + "      \u202aretention: 720\n", "U+202A LEFT-TO-RIGHT EMBEDDING"},
      {std::string(kAround) + "      reten\u00adtion: 720\n", "U+00AD SOFT HYPHEN"},
      {std::string(kAround) + "      retention\uff1a720\n", "U+FF1A FULLWIDTH COLON"},
      {std::string(kAround) + "      \"retention\u2028\": 720\n", "U+2028 LINE SEPARATOR"},
      {std::string(kAround) + "      \"retention\\u00a0\": 720\n", "cluster.yml:5:7: "},
      {std::string(kAround) + "    \u3000s3backupconfig: {bucket_name: abc}\n",
       "services.etcd.s3backupconfig: the key holds U+3000 IDEOGRAPHIC SPACE, so it is not read; "
       "probably meant: 's3backupconfig' below services.etcd.backup_config"},
      {"services\u00a0:\n  etcd:\n    backup_config: {interval_hours: 1}\n",
       "cluster.yml:1:9: services: the key holds U+00A0"},
      {"services:\n  etcd:\n    backup_config:\n      retention\uff1a720\n",
       "cluster.yml:4:16: services.etcd.backup_config: U+FF1A FULLWIDTH COLON makes one word"},
      {"services:\n  etcd:\n    backup_config:\n      retention:720\n",
       "cluster.yml:4:7: services.etcd.backup_config: no space after the colon"},
      {s3("folder\u00a0: x"), "U+00A0"},
  };
  for (const auto& row : table) expect_doubt(row.text, row.what);
}

// Read as they were probably meant: nothing is deleted, but the interval is right.
TEST(ClusterDoubts, ValuesWithCharactersThatCannotBeSeen) {
  const struct {
    const char *line, *what;
  } table[] = {{"interval_hours: \u200b7",
                "cluster.yml:4:23: services.etcd.backup_config.interval_hours: "
                "the value holds U+200B ZERO WIDTH SPACE"},
               {"interval_hours: 7\u00a0", "cluster.yml:4:24: "},
               {"interval_hours: 7\u00a0# hours", "U+00A0 NO-BREAK SPACE"},
               {"interval_hours: \uff17", "U+FF17 FULLWIDTH CHARACTER"},
               {"interval_hours: \u201c7\u201d", "U+201C LEFT DOUBLE QUOTATION MARK"},
               {"interval_hours: \"7\u2060\"", "U+2060 WORD JOINER"}};
  for (const auto& row : table) {
    expect_doubt(backup(row.line), row.what);
    CHECK_TEXT(good(backup(row.line)).interval == 7h, row.line);
  }
  const Parsed parsed =
      parse(s3("region: eu\u200b-1\nfolder: a\u00a0b\u00a0\naccess_key: \ufeffA\n"
               "secret_key: B\u00a0\nendpoint: \u200bs3.test"));
  CHECK(parsed.policy.ok() && parsed.policy->s3);
  LONGS_EQUAL(5, parsed.doubts.size());
  STRCMP_EQUAL("eu-1", parsed.policy->s3->region.c_str());
  STRCMP_EQUAL("a b", parsed.policy->s3->folder.c_str());
  STRCMP_EQUAL("A", parsed.policy->s3->access_key.c_str());
  STRCMP_EQUAL("B", parsed.policy->s3->secret_key.c_str());
  STRCMP_EQUAL("s3.test", parsed.policy->s3->endpoint.c_str());
  // What turns snapshots off has to be clear.
  expect_doubt(backup("enabled: fal\u200bse"), "U+200B");
  expect_doubt("services: {etcd: {snapshot: \"false\u00a0\"}}", "U+00A0");
}

TEST(ClusterDoubts, ASyntaxErrorNamesWhatCannotBeSeen) {
  STRCMP_CONTAINS("cluster.yml:5:1: not well-formed YAML: a tab; YAML is indented with spaces",
                  bad(std::string(kAround) + "\tretention: 5\n").c_str());
  STRCMP_CONTAINS(
      "cluster.yml:4:1: not well-formed YAML: a tab",
      bad("services:\n  etcd:\n    backup_config:\n\t  interval_hours: 12\n\t  a: 1\n").c_str());
  STRCMP_CONTAINS("cluster.yml:5:7: not well-formed YAML: U+00A0 NO-BREAK SPACE",
                  bad(std::string(kAround) + "      \u00a0\n      retention: 720\n").c_str());
}

// rancher-archives/rke#3314: RKE takes the last one.
TEST(ClusterDoubts, WhatIsNotReadIsNotJudged) {
  const char* texts[] = {
      "services:\n  etcd:\n    extra_args: {a: 1}\n    backup_config: {interval_hours: 12}\n"
      "    extra_args: {b: 2}\n    uid: x\n    uid: y\n  kube-api: {a: b}\n  kubelet: []\n"
      "  kube-api: 5\nnodes: {}\nnodes: []\n",
      "cloud_provider: {region: x, access_key: a}\nmonitoring: {enabled: true, retention: 5d}\n"
      "private_registries: [{user: a\u00a0b}]\nservices: {etcd: {backup_config: {interval_hours: "
      "12}}}\n",
      "addons: |-\n  backup_config:\n  \tinterval_hours: 1\u00a0\n"
      "services: {etcd: {backup_config: {interval_hours: 12}}}\n",
      "rancher: {url: x}\nservices_of_ours: 1\n"
      "services: {etcd: {backup_config: {interval_hours: 12}}}\n",
      "notes\uff1a: x\nservices: {etcd: {backup_config: {interval_hours: 12}}}\n",
      // Merged or aliased, they are read where they belong.
      "x: &b {interval_hours: 12}\ny: [&s {bucket_name: bkt}]\n"
      "services: {etcd: {backup_config: {<<: *b, s3backupconfig: *s}}}\n",
      "backup_config: &b {interval_hours: 12}\nservices: {etcd: {backup_config: *b}}\n"};
  for (const char* text : texts) {
    const Parsed parsed = parse(text);
    CHECK_TEXT(parsed.policy.ok(), text);
    CHECK_TEXT(parsed.policy->interval == 12h, text);
    STRCMP_EQUAL_TEXT("", doubt(text).c_str(), text);
  }
}

// rancher-archives/rke#2480, rancher/rancher#22073, rancher/docs#1540, rancher/docs#1766.
TEST(ClusterDoubts, RanchersSpellingsAreRead) {
  const char* texts[] = {
      "docker_root_dir: /var/lib/docker\nenable_cluster_alerting: false\n"
      "rancher_kubernetes_engine_config:\n  services:\n    etcd:\n      backup_config:\n"
      "        enabled: true\n        interval_hours: 12\n        retention: 6\n"
      "        safe_timestamp: true\n        s3_backup_config:\n          bucket_name: bkt\n"
      "          access_key: A\n          secret_key: B\n",
      "rancherKubernetesEngineConfig:\n  addonJobTimeout: 45\n  services:\n    etcd:\n"
      "      extraArgs: {}\n      caCert: ''\n      backupConfig:\n        intervalHours: 12\n"
      "        retention: 6\n        safeTimestamp: true\n        s3BackupConfig:\n"
      "          bucketName: bkt\n          accessKey: A\n          secretKey: B\n",
      "services:\n  kubeApi: {}\n  etcd:\n    backup_config:\n      interval_hours: 12\n"
      "      retention: 6\n      safe_timestamp: true\n      s3_backup_config:\n"
      "        bucket_name: bkt\n        access_key: A\n        secret_key: B\n"};
  for (const char* text : texts) {
    const Policy policy = good(text);
    STRCMP_EQUAL_TEXT("", doubt(text).c_str(), text);
    CHECK_TEXT(policy.interval == 12h && policy.retention == 6h && policy.safe_timestamp, text);
    STRCMP_EQUAL_TEXT("bkt", policy.s3->bucket_name.c_str(), text);
    STRCMP_EQUAL_TEXT("B", policy.s3->secret_key.c_str(), text);
  }
  STRCMP_CONTAINS(
      "cluster.yml:5: services.etcd.backup_config.interval_hours: written twice, first on line 4",
      bad(backup("interval_hours: 1\nintervalHours: 2")).c_str());
  STRCMP_CONTAINS("it is also below rancher_kubernetes_engine_config",
                  bad("services: {}\nrancher_kubernetes_engine_config: {services: {}}\n").c_str());
}
