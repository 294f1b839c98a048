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
  std::vector<FoundEtcd> look() {
    const auto found = discover_etcd(root.path());
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
    const auto found = discover_etcd(root.path());
    LONGS_EQUAL(1, found.size());
    CHECK_TRUE(found.front().url.starts_with("https://"));
  };
  put_rancher("k3s");
  check_alone();
  std::filesystem::remove_all(root.path("var"));
  LONGS_EQUAL(1, discover_etcd(root.path()).size());
  STRCMP_EQUAL("http://127.0.0.1:2379", discover_etcd(root.path()).front().url.c_str());
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
  }
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
