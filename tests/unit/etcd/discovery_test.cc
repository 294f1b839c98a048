#include "etcd/discovery.h"

#include <algorithm>

#include "../store/scratch.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

// Trees as the installations leave them, under a directory of the test's own.
TEST_GROUP(Discovery) {
  Scratch root;
  void put(const std::string& path, const std::string& content = "x") {
    std::filesystem::create_directories(
        std::filesystem::path(root.path(path.substr(1))).parent_path());
    root.write(path.substr(1), content);
  }
  void put_kubeadm() {
    for (const char* name : {"ca.crt", "healthcheck-client.crt", "healthcheck-client.key"}) {
      put(std::string("/etc/kubernetes/pki/etcd/") + name);
    }
  }
  void put_rke(const std::string& name) {
    put("/etc/kubernetes/ssl/kube-ca.pem");
    put("/etc/kubernetes/ssl/" + name + ".pem");
    put("/etc/kubernetes/ssl/" + name + "-key.pem");
  }
  void put_rancher(const std::string& product) {
    for (const char* name : {"server-ca.crt", "client.crt", "client.key"}) {
      put("/var/lib/rancher/" + product + "/server/tls/etcd/" + name);
    }
  }
  std::vector<std::string> notes;  // of the last look()
  std::vector<FoundEtcd> look() {
    Discovery discovery = discover_etcd(root.path());
    notes = std::move(discovery.notes);
    const auto& found = discovery.found;
    // The default is there where nothing else is, and only there: not behind certificates, where
    // it would hand the password to whoever listens.
    CHECK_FALSE(found.empty());
    const auto is_default = [](const FoundEtcd& etcd) { return etcd.source == "etcd's default"; };
    if (!is_default(found.front())) {
      LONGS_EQUAL(0, std::count_if(found.begin(), found.end(), is_default));
      return found;
    }
    LONGS_EQUAL(1, found.size());
    STRCMP_EQUAL("http://127.0.0.1:2379", found.front().url.c_str());
    STRCMP_EQUAL("", found.front().tls.ca_file.c_str());
    return {};
  }
  // The only place that is found.
  FoundEtcd only() {
    const auto found = look();
    LONGS_EQUAL(1, found.size());
    return found.front();
  }
  void check(const FoundEtcd& etcd, const char* source, const char* url, const std::string& ca,
             const std::string& certificate, const std::string& key) {
    STRCMP_EQUAL(source, etcd.source.c_str());
    STRCMP_EQUAL(url, etcd.url.c_str());
    const auto under_root = [this](const std::string& path) {
      return path.empty() ? path : root.path() + path;
    };
    STRCMP_EQUAL(under_root(ca).c_str(), etcd.tls.ca_file.c_str());
    STRCMP_EQUAL(under_root(certificate).c_str(), etcd.tls.cert_file.c_str());
    STRCMP_EQUAL(under_root(key).c_str(), etcd.tls.key_file.c_str());
  }
};

TEST(Discovery, FindsOnlyTheDefaultOnAnEmptyHost) {
  LONGS_EQUAL(0, look().size());
}

TEST(Discovery, AddsNoPlainDefaultWhereSomethingWasFound) {
  const auto check_alone = [this] {
    const auto found = discover_etcd(root.path()).found;
    LONGS_EQUAL(1, found.size());
    CHECK_TRUE(found.front().url.starts_with("https://"));
  };
  put_rancher("k3s");
  check_alone();
  std::filesystem::remove_all(root.path("var"));
  LONGS_EQUAL(1, discover_etcd(root.path()).found.size());
  STRCMP_EQUAL("http://127.0.0.1:2379", discover_etcd(root.path()).found.front().url.c_str());
  put_kubeadm();
  check_alone();
}

TEST(Discovery, FindsKubeadmWithoutAManifest) {
  put_kubeadm();
  check(only(), "kubeadm", "https://127.0.0.1:2379", "/etc/kubernetes/pki/etcd/ca.crt",
        "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
        "/etc/kubernetes/pki/etcd/healthcheck-client.key");
}

TEST(Discovery, TakesTheCertificateOfTheApiServerWhereThatOfTheHealthCheckIsMissing) {
  put("/etc/kubernetes/pki/etcd/ca.crt");
  put("/etc/kubernetes/pki/apiserver-etcd-client.crt");
  put("/etc/kubernetes/pki/apiserver-etcd-client.key");
  check(only(), "kubeadm", "https://127.0.0.1:2379", "/etc/kubernetes/pki/etcd/ca.crt",
        "/etc/kubernetes/pki/apiserver-etcd-client.crt",
        "/etc/kubernetes/pki/apiserver-etcd-client.key");
}

TEST(Discovery, PassesOverKubeadmWhereAKeyIsMissing) {
  put("/etc/kubernetes/pki/etcd/ca.crt");
  put("/etc/kubernetes/pki/etcd/healthcheck-client.crt");
  LONGS_EQUAL(0, look().size());
}

TEST(Discovery, ReadsTheAddressFromTheManifest) {
  put_kubeadm();
  const struct {
    const char *line, *url;
  } rows[] = {
      {"    - --listen-client-urls=https://127.0.0.1:2379,https://10.0.0.5:2379\n",
       "https://127.0.0.1:2379"},
      {"    - --listen-client-urls=https://10.0.0.5:4001,https://127.0.0.1:4001\n",
       "https://127.0.0.1:4001"},
      {"    - --listen-client-urls=https://10.0.0.5:4001\n", "https://10.0.0.5:4001"},
      {"    - --listen-client-urls=https://0.0.0.0:4001\n", "https://127.0.0.1:4001"},
      {"    - --listen-client-urls=https://[::]:4001\n", "https://127.0.0.1:4001"},
      {"    - --listen-client-urls=https://[fd00::1]:4001,https://[::1]:4001\n",
       "https://[::1]:4001"},
      {"    - \"--listen-client-urls=https://10.0.0.5:4001/\"\n", "https://10.0.0.5:4001"},
      {"    - '--listen-client-urls=https://10.0.0.5:4001'\n", "https://10.0.0.5:4001"},
      {"    - --listen-client-urls=unix:///run/etcd.sock,https://10.0.0.5:4001\n",
       "https://10.0.0.5:4001"},
      {"    - --listen-client-urls=\n", "https://127.0.0.1:2379"},
      // Edited by hand: kubernetes/kubeadm#1049, #882, #1973, kubernetes/kubernetes#68333.
      {"#   - --listen-client-urls=https://127.0.0.1:4001\n"
       "    - --listen-client-urls=https://127.0.0.1:2379,https://10.0.0.5:2379\n",
       "https://127.0.0.1:2379"},
      {"    # - --listen-client-urls=https://127.0.0.1:4001\n", "https://127.0.0.1:2379"},
      {"    - --listen-client-urls=https://10.0.0.5:4001 # was 2379\n", "https://10.0.0.5:4001"},
      {"    - --listen-client-urls\n    - https://10.0.0.5:4001\n", "https://10.0.0.5:4001"},
      {"    - -listen-client-urls=https://10.0.0.5:4001\n", "https://10.0.0.5:4001"},
      {"    args:\n    - --listen-client-urls=https://10.0.0.5:4001\n", "https://10.0.0.5:4001"},
      {"    - &urls --listen-client-urls=https://10.0.0.5:4001\n    - *urls\n",
       "https://10.0.0.5:4001"},
      {"    - >-\n      --listen-client-urls=https://10.0.0.5:4001\n", "https://10.0.0.5:4001"},
      {"    - --listen-client-urls=https://10.0.0.5:4001\n"
       "    - --listen-client-urls=https://10.0.0.6:4001\n",
       "https://10.0.0.6:4001"},
      {"    env:\n    - {name: ETCD_LISTEN_CLIENT_URLS, value: 'https://10.0.0.5:4001'}\n",
       "https://10.0.0.5:4001"},
      {"    - --listen-client-urls=https://$(IP):4001\n    env: [{name: IP, value: 10.0.0.5}]\n",
       "https://10.0.0.5:4001"},
      {"  - name: proxy\n    command: [x, --listen-client-urls=https://10.0.0.5:1]\n"
       "  - name: etcd\n    command: [etcd, --listen-client-urls=https://10.0.0.5:2]\n"
       "  - name: other\n    command: [x, --listen-client-urls=https://10.0.0.5:3]\n",
       "https://10.0.0.5:2"},
      {"    - --listen-client-urls=https://10.0.0.5:4001", "https://10.0.0.5:4001"},  // cut there
      {"    - --listen-peer-urls=https://10.0.0.5:2380\n", "https://127.0.0.1:2379"},
      {"", "https://127.0.0.1:2379"},
  };
  for (const auto& row : rows) {
    put("/etc/kubernetes/manifests/etcd.yaml",
        std::string("spec:\n  containers:\n  - command:\n    - etcd\n"
                    "    - --advertise-client-urls=https://10.9.9.9:2379\n") +
            row.line);
    STRCMP_EQUAL_TEXT(row.url, only().url.c_str(), row.line);
    LONGS_EQUAL_TEXT(0, notes.size(), row.line);
  }
}

TEST(Discovery, NotesAManifestThatCannotBeUsed) {
  put_kubeadm();
  const struct {
    const char *content, *note;
  } rows[] = {
      {"spec: [\n", "not well-formed YAML"},
      {"kind: Pod\n", "not a pod's manifest"},
      {"spec: {containers: [{command: [etcd, '--listen-client-urls=https://$(HOST_IP):2379']}]}",
       "$(HOST_IP)"},
      {"spec: {containers: [{command: [etcd, --listen-client-urls=10.0.0.5:2379]}]}", "no URL"},
  };
  for (const auto& row : rows) {
    put("/etc/kubernetes/manifests/etcd.yaml", row.content);
    STRCMP_EQUAL_TEXT("https://127.0.0.1:2379", only().url.c_str(), row.content);
    LONGS_EQUAL_TEXT(1, notes.size(), row.content);
    STRCMP_CONTAINS_TEXT("/etc/kubernetes/manifests/etcd.yaml", notes.front().c_str(), row.content);
    STRCMP_CONTAINS_TEXT(row.note, notes.front().c_str(), row.content);
  }
}

// Only what does not exist is passed over in silence.
TEST(Discovery, NotesWhatCannotBeRead) {
  std::filesystem::create_directories(root.path("etc/default/etcd"));  // EISDIR
  std::filesystem::create_directories(root.path("etc/kubernetes"));
  std::filesystem::create_symlink("ssl", root.path("etc/kubernetes/ssl"));  // ELOOP
  std::filesystem::create_directories(root.path("etc/kubernetes/pki/etcd"));
  std::filesystem::create_symlink("ca.crt", root.path("etc/kubernetes/pki/etcd/ca.crt"));
  put("/etc/etcd", "a file where a directory is looked for");  // ENOTDIR
  LONGS_EQUAL(0, look().size());
  std::string all;
  for (const std::string& note : notes) all += note + "\n";
  for (const char* path : {"/etc/default/etcd", "/etc/kubernetes/ssl", "/pki/etcd/ca.crt"}) {
    STRCMP_CONTAINS(path, all.c_str());
  }
  CHECK_TEXT(all.find("/etc/etcd") == all.npos, all.c_str());
}

// certificatesDir of kubeadm's configuration.
TEST(Discovery, LooksForCertificatesWhereTheManifestOfKubeadmHasThem) {
  for (const char* name : {"ca.crt", "healthcheck-client.crt", "healthcheck-client.key"}) {
    put(std::string("/srv/pki/etcd/") + name);
  }
  put("/etc/kubernetes/manifests/etcd.yaml",
      "spec: {containers: [{command: [etcd, --trusted-ca-file=/srv/pki/etcd/ca.crt, "
      "'--listen-client-urls=https://10.0.0.5:2379']}]}");
  check(only(), "kubeadm", "https://10.0.0.5:2379", "/srv/pki/etcd/ca.crt",
        "/srv/pki/etcd/healthcheck-client.crt", "/srv/pki/etcd/healthcheck-client.key");
}

TEST(Discovery, TakesAPlainAddressOfAManifestWithoutCertificates) {
  put("/etc/kubernetes/manifests/etcd.yaml",
      "spec: {containers: [{command: [etcd, '--listen-client-urls=http://127.0.0.1:4001']}]}");
  check(only(), "kubeadm", "http://127.0.0.1:4001", "", "", "");
  put("/etc/kubernetes/manifests/etcd.yaml",
      "spec: {containers: [{command: [etcd, '--listen-client-urls=https://127.0.0.1:4001']}]}");
  LONGS_EQUAL(0, look().size());
}

// A pod that is started with a file (rancher/rke2#2138 shows one).
TEST(Discovery, ReadsTheConfigurationFileThatAManifestNames) {
  put_kubeadm();
  put("/etc/kubernetes/manifests/etcd.yaml",
      "spec: {containers: [{command: [etcd, --config-file=/etc/my/etcd.conf, "
      "'--listen-client-urls=https://127.0.0.1:1']}]}");
  put("/etc/my/etcd.conf", "listen-client-urls: https://10.0.0.5:2379,https://127.0.0.1:4001\n");
  STRCMP_EQUAL("https://127.0.0.1:4001", only().url.c_str());
}

TEST(Discovery, FindsRkeByTheCertificateOfTheNode) {
  put_rke("kube-etcd-10-0-0-1");
  check(only(), "RKE", "https://127.0.0.1:2379", "/etc/kubernetes/ssl/kube-ca.pem",
        "/etc/kubernetes/ssl/kube-etcd-10-0-0-1.pem",
        "/etc/kubernetes/ssl/kube-etcd-10-0-0-1-key.pem");
}

TEST(Discovery, FindsEveryPairOfRkeInOrderAndThatOfTheNodeLast) {
  put_rke("kube-node");
  put_rke("kube-etcd-10-0-0-2");
  put_rke("kube-etcd-10-0-0-1");
  put("/etc/kubernetes/ssl/kube-etcd-10-0-0-3.pem");  // its key is on another host
  const auto found = look();
  LONGS_EQUAL(3, found.size());
  CHECK_TRUE(found[0].tls.cert_file.ends_with("kube-etcd-10-0-0-1.pem"));
  CHECK_TRUE(found[1].tls.cert_file.ends_with("kube-etcd-10-0-0-2.pem"));
  CHECK_TRUE(found[2].tls.cert_file.ends_with("kube-node.pem"));
}

TEST(Discovery, FindsRke2AndK3s) {
  put_rancher("rke2");
  check(only(), "RKE2", "https://127.0.0.1:2379",
        "/var/lib/rancher/rke2/server/tls/etcd/server-ca.crt",
        "/var/lib/rancher/rke2/server/tls/etcd/client.crt",
        "/var/lib/rancher/rke2/server/tls/etcd/client.key");
  put_rancher("k3s");
  LONGS_EQUAL(2, look().size());
  check(look()[1], "K3s", "https://127.0.0.1:2379",
        "/var/lib/rancher/k3s/server/tls/etcd/server-ca.crt",
        "/var/lib/rancher/k3s/server/tls/etcd/client.crt",
        "/var/lib/rancher/k3s/server/tls/etcd/client.key");
}

// Their own etcd's configuration file, and a data directory that was moved.
TEST(Discovery, ReadsTheAddressAndTheDirectoryOfRke2) {
  put_rancher("rke2");
  put("/var/lib/rancher/rke2/server/db/etcd/config",
      "client-transport-security:\n  client-cert-auth: true\n"
      "listen-client-urls: https://10.0.0.5:2379,https://127.0.0.1:4001\n"
      "log-outputs:\n- default\n");
  STRCMP_EQUAL("https://127.0.0.1:4001", only().url.c_str());
  put("/etc/rancher/rke2/config.yaml", "tls-san: [a]\ndata-dir: /srv/rke2\n");
  LONGS_EQUAL(0, look().size());
  for (const char* name : {"server-ca.crt", "client.crt", "client.key"}) {
    put(std::string("/srv/rke2/server/tls/etcd/") + name);
  }
  check(only(), "RKE2", "https://127.0.0.1:2379", "/srv/rke2/server/tls/etcd/server-ca.crt",
        "/srv/rke2/server/tls/etcd/client.crt", "/srv/rke2/server/tls/etcd/client.key");
}

TEST(Discovery, ReadsTheSettingsOfThePackages) {
  const struct {
    const char *content, *url;  // nullptr: nothing found
  } rows[] = {
      {"ETCD_LISTEN_CLIENT_URLS=\"http://localhost:2379\"\n", "http://localhost:2379"},
      {"ETCD_LISTEN_CLIENT_URLS=http://10.0.0.1:2379,http://127.0.0.1:4001\n",
       "http://127.0.0.1:4001"},
      {"ETCD_LISTEN_CLIENT_URLS='http://0.0.0.0:2379'\r\n", "http://127.0.0.1:2379"},
      {"ETCD_LISTEN_CLIENT_URLS=\"http://10.0.0.1:2379, http://10.0.0.2:2379\"",
       "http://10.0.0.1:2379"},
      {"ETCD_LISTEN_CLIENT_URLS=http://a:1\nETCD_LISTEN_CLIENT_URLS=http://b:2\n", "http://b:2"},
      {"  ETCD_LISTEN_CLIENT_URLS=http://10.0.0.1:2379\n", "http://10.0.0.1:2379"},
      {"ETCD_LISTEN_CLIENT_URLS = \"http://10.0.0.1:2379\"\n", "http://10.0.0.1:2379"},
      {"ETCD_LISTEN_CLIENT_URLS=\"http://10.0.0.1:2379, \\\n http://127.0.0.1:4001\"\n",
       "http://127.0.0.1:4001"},
      {"DAEMON_ARGS=\"--name x --listen-client-urls http://10.0.0.1:2379\"\n",
       "http://10.0.0.1:2379"},
      {"DAEMON_ARGS=\"--listen-client-urls='http://10.0.0.1:2379'\"\n"
       "ETCD_LISTEN_CLIENT_URLS=http://10.0.0.2:2379\n",
       "http://10.0.0.1:2379"},
      {"export ETCD_LISTEN_CLIENT_URLS=http://10.0.0.1:2379\n", nullptr},
      {"; ETCD_LISTEN_CLIENT_URLS=http://10.0.0.1:2379\n", nullptr},
      {"# ETCD_LISTEN_CLIENT_URLS=\"http://localhost:2379\"\n", nullptr},
      {"#ETCD_LISTEN_CLIENT_URLS=\"http://localhost:2379\"\n", nullptr},
      {"ETCD_LISTEN_CLIENT_URLS=\n", nullptr},
      {"ETCD_NAME=default\n", nullptr},
      {"", nullptr},
  };
  for (const char* path : {"/etc/default/etcd", "/etc/etcd/etcd.conf"}) {
    for (const auto& row : rows) {
      put(path, row.content);
      const auto found = look();
      LONGS_EQUAL_TEXT(row.url == nullptr ? 0 : 1, found.size(), row.content);
      if (row.url != nullptr) check(found[0], path, row.url, "", "", "");
    }
    std::filesystem::remove(root.path() + path);
  }
}

TEST(Discovery, TakesTheCertificatesOfAPackageThatSpeaksTls) {
  put("/etc/default/etcd",
      "ETCD_LISTEN_CLIENT_URLS=\"https://10.0.0.1:2379\"\n"
      "ETCD_TRUSTED_CA_FILE=\"/etc/etcd/ca.crt\"\n"
      "ETCD_CERT_FILE=\"/etc/etcd/server.crt\"\n"
      "ETCD_KEY_FILE=\"/etc/etcd/server.key\"\n");
  check(only(), "/etc/default/etcd", "https://10.0.0.1:2379", "/etc/etcd/ca.crt",
        "/etc/etcd/server.crt", "/etc/etcd/server.key");
}

// etcd passes over flags and variables where it is given a file (op-guide/configuration).
TEST(Discovery, ReadsTheConfigurationFileThatAPackageNames) {
  const char* const config =
      "listen-client-urls: 'https://10.0.0.5:2379'\nclient-transport-security:\n"
      "  cert-file: /etc/etcd/server.crt\n  key-file: /etc/etcd/server.key\n"
      "  trusted-ca-file: /etc/etcd/ca.crt\n  client-cert-auth: true\n";
  put("/srv/etcd.yml", config);
  for (const char* content :
       {"DAEMON_ARGS=\"--config-file=/srv/etcd.yml --listen-client-urls=http://a:1\"\n",
        "ETCD_CONFIG_FILE=/srv/etcd.yml\nETCD_LISTEN_CLIENT_URLS=http://a:1\n"}) {
    put("/etc/default/etcd", content);
    check(only(), "/etc/default/etcd", "https://10.0.0.5:2379", "/etc/etcd/ca.crt",
          "/etc/etcd/server.crt", "/etc/etcd/server.key");
  }
  std::filesystem::remove(root.path("etc/default/etcd"));
  put("/etc/etcd/etcd.conf.yml", config);
  check(only(), "/etc/etcd/etcd.conf.yml", "https://10.0.0.5:2379", "/etc/etcd/ca.crt",
        "/etc/etcd/server.crt", "/etc/etcd/server.key");
}

// libcurl refuses a certificate without its key; the server may ask for none.
TEST(Discovery, TakesNoCertificateWithoutItsKey) {
  put("/etc/etcd/etcd.conf",
      "ETCD_LISTEN_CLIENT_URLS=https://10.0.0.1:2379\nETCD_CERT_FILE=/etc/etcd/server.crt\n"
      "ETCD_TRUSTED_CA_FILE=/etc/etcd/ca.crt\n");
  check(only(), "/etc/etcd/etcd.conf", "https://10.0.0.1:2379", "/etc/etcd/ca.crt", "", "");
}

TEST(Discovery, FindsSeveralMostSpecificFirst) {
  put("/etc/etcd/etcd.conf", "ETCD_LISTEN_CLIENT_URLS=http://10.0.0.1:1\n");
  put("/etc/default/etcd", "ETCD_LISTEN_CLIENT_URLS=http://10.0.0.1:2\n");
  put_rancher("k3s");
  put_rancher("rke2");
  put_rke("kube-etcd-10-0-0-1");
  put_kubeadm();
  const char* const expected[] = {
      "kubeadm", "RKE", "RKE2", "K3s", "/etc/default/etcd", "/etc/etcd/etcd.conf"};
  const auto found = look();
  LONGS_EQUAL(std::size(expected), found.size());
  for (size_t i = 0; i < found.size(); ++i) STRCMP_EQUAL(expected[i], found[i].source.c_str());
}
