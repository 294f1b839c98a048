#include "etcd/discovery.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/files.h"
#include "config/network.h"

namespace etcd_snapshot {
namespace {

constexpr char kLoopbackTls[] = "https://127.0.0.1:2379";

bool there(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

bool complete(const TlsFiles& tls) {
  return there(tls.ca_file) && there(tls.cert_file) && there(tls.key_file);
}

// The address of a list of URLs to use from this host: loopback if listed, "any" as loopback.
std::string local_url(const std::string& list) {
  std::string first;
  for (size_t at = 0; at < list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    std::string url = list.substr(at, comma - at);
    at = comma + 1;
    url.erase(std::remove_if(url.begin(), url.end(), [](char c) { return c == ' ' || c == '/'; }),
              url.end());
    // The slashes of "://" went with the others.
    if (url.starts_with("https:")) {
      url.insert(6, "//");
    } else if (url.starts_with("http:")) {
      url.insert(5, "//");
    } else {
      continue;
    }
    if (const size_t any = url.find("//0.0.0.0:"); any != url.npos)
      url.replace(any, 10, "//127.0.0.1:");
    if (const size_t any = url.find("//[::]:"); any != url.npos)
      url.replace(any, 7, "//127.0.0.1:");
    if (is_loopback_url(url)) return url;
    if (first.empty()) first = url;
  }
  return first;
}

// kubeadm: the static pod's manifest tells the address, the health check's certificate is a
// client's.
void look_for_kubeadm(const std::string& root, std::vector<FoundEtcd>& found) {
  const std::string pki = root + "/etc/kubernetes/pki/";
  FoundEtcd etcd{"kubeadm",
                 kLoopbackTls,
                 {pki + "etcd/ca.crt", pki + "etcd/healthcheck-client.crt",
                  pki + "etcd/healthcheck-client.key"}};
  if (!complete(etcd.tls)) {
    etcd.tls.cert_file = pki + "apiserver-etcd-client.crt";
    etcd.tls.key_file = pki + "apiserver-etcd-client.key";
  }
  if (!complete(etcd.tls)) return;
  const auto manifest = read_file(root + "/etc/kubernetes/manifests/etcd.yaml", ErrorKind::kConfig);
  constexpr std::string_view kOption = "--listen-client-urls=";
  if (manifest) {
    if (const size_t at = manifest->find(kOption); at != std::string::npos) {
      const size_t start = at + kOption.size();
      const std::string url =
          local_url(manifest->substr(start, manifest->find_first_of("\n\r\"' ", start) - start));
      if (!url.empty()) etcd.url = url;
    }
  }
  found.push_back(std::move(etcd));
}

// RKE: one certificate per node, named after its address: kube-etcd-10-0-0-1.pem and ...-key.pem.
void look_for_rke(const std::string& root, std::vector<FoundEtcd>& found) {
  const std::string ssl = root + "/etc/kubernetes/ssl";
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(ssl.c_str()), closedir);
  if (!directory) return;
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name.starts_with("kube-etcd-") && name.ends_with(".pem") && !name.ends_with("-key.pem")) {
      names.push_back(name.substr(0, name.size() - 4));
    }
  }
  std::sort(names.begin(), names.end());
  names.emplace_back("kube-node");
  for (const std::string& name : names) {
    const FoundEtcd etcd{
        "RKE",
        kLoopbackTls,
        {ssl + "/kube-ca.pem", ssl + "/" + name + ".pem", ssl + "/" + name + "-key.pem"}};
    if (complete(etcd.tls)) found.push_back(etcd);
  }
}

void look_for_rancher(const std::string& root, const std::string& directory,
                      const std::string& source, std::vector<FoundEtcd>& found) {
  const std::string tls = root + directory + "/server/tls/etcd/";
  const FoundEtcd etcd{
      source, kLoopbackTls, {tls + "server-ca.crt", tls + "client.crt", tls + "client.key"}};
  if (complete(etcd.tls)) found.push_back(etcd);
}

// ETCD_NAME="value" lines as systemd's EnvironmentFile= reads them, comments left out.
std::map<std::string, std::string> read_environment(const std::string& text) {
  std::map<std::string, std::string> values;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    line.erase(0, line.find_first_not_of(" \t"));
    const size_t equals = line.find('=');
    if (!line.starts_with("ETCD_") || equals == line.npos) continue;
    std::string value = line.substr(equals + 1);
    value.erase(std::remove_if(value.begin(), value.end(),
                               [](char c) { return c == '"' || c == '\'' || c == '\r'; }),
                value.end());
    values[line.substr(0, equals)] = value;
  }
  return values;
}

// The distributions' packages: settings in an environment file. A server certificate is often good
// for clients too; where etcd wants another one, the operator has to say.
void look_for_package(const std::string& root, const std::string& path,
                      std::vector<FoundEtcd>& found) {
  const auto text = read_file(root + path, ErrorKind::kConfig);
  if (!text) return;
  auto values = read_environment(*text);
  std::string url = local_url(values["ETCD_LISTEN_CLIENT_URLS"]);
  if (url.empty()) return;
  FoundEtcd etcd{path, url, {}};
  if (url.starts_with("https://")) {
    for (const char* name : {"ETCD_TRUSTED_CA_FILE", "ETCD_CERT_FILE", "ETCD_KEY_FILE"}) {
      if (!values[name].empty()) values[name] = root + values[name];
    }
    etcd.tls.ca_file = values["ETCD_TRUSTED_CA_FILE"];
    if (!values["ETCD_KEY_FILE"].empty()) {
      etcd.tls.cert_file = values["ETCD_CERT_FILE"];
      etcd.tls.key_file = values["ETCD_KEY_FILE"];
    }
  }
  found.push_back(std::move(etcd));
}

}  // namespace

std::vector<FoundEtcd> discover_etcd(const std::string& root) {
  std::vector<FoundEtcd> found;
  look_for_kubeadm(root, found);
  look_for_rke(root, found);
  look_for_rancher(root, "/var/lib/rancher/rke2", "RKE2", found);
  look_for_rancher(root, "/var/lib/rancher/k3s", "K3s", found);
  look_for_package(root, "/etc/default/etcd", found);    // Debian
  look_for_package(root, "/etc/etcd/etcd.conf", found);  // Fedora
  // Not behind certificates that were found: while etcd is down, whoever takes its port would get
  // the user's password, and could pass anything off as its database.
  if (found.empty()) found.push_back({"etcd's default", "http://127.0.0.1:2379", {}});
  return found;
}

}  // namespace etcd_snapshot
