#include "etcd/discovery.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/fd.h"
#include "base/files.h"
#include "config/environment_file.h"
#include "config/foreign_yaml.h"
#include "config/network.h"
#include "etcd/server_settings.h"

namespace etcd_snapshot {
namespace {

constexpr char kLoopbackTls[] = "https://127.0.0.1:2379";
constexpr size_t kMaxFileBytes = 1 << 20;

std::string directory_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

class Search {
 public:
  explicit Search(std::string root) : root_(std::move(root)) {}

  Discovery run() {
    look_for_kubeadm();
    look_for_rke();
    look_for_rancher("rke2", "RKE2");
    look_for_rancher("k3s", "K3s");
    look_for_package("/etc/default/etcd");    // Debian
    look_for_package("/etc/etcd/etcd.conf");  // Fedora
    look_for_config_file("/etc/etcd/etcd.conf.yml");
    // Not behind certificates that were found: while etcd is down, whoever takes its port would get
    // the user's password, and could pass anything off as its database.
    if (result_.found.empty())
      result_.found.push_back({"etcd's default", "http://127.0.0.1:2379", {}});
    return std::move(result_);
  }

 private:
  void note(const Error& error) { result_.notes.push_back(error.message); }
  static bool is_absent(int code) { return code == ENOENT || code == ENOTDIR; }

  // nullopt: does not exist, or was noted.
  std::optional<std::string> read(const std::string& path) {
    auto text = read_file(root_ + path, ErrorKind::kConfig, kMaxFileBytes);
    if (text) return std::move(*text);
    if (!is_absent(text.error().code)) note(text.error());
    return std::nullopt;
  }

  // Whether all three exist. One that cannot be looked at is noted.
  bool complete(const TlsFiles& tls) {
    for (const std::string& path : {tls.ca_file, tls.cert_file, tls.key_file}) {
      struct stat status = {};
      if (stat(path.c_str(), &status) == 0) continue;
      if (!is_absent(errno)) note(system_error(ErrorKind::kConfig, "cannot read", path));
      return false;
    }
    return true;
  }

  // The address of a list of URLs to use from this host: loopback if listed, "any" as loopback.
  // Empty: none that can be used. A socket in the file system is none, and no mistake.
  std::string local_url(const std::string& place, const std::string& list) {
    std::string first;
    for (size_t at = 0; at < list.size();) {
      const size_t comma = std::min(list.find(',', at), list.size());
      std::string url = list.substr(at, comma - at);
      at = comma + 1;
      std::erase_if(url, [](char c) { return c == ' ' || c == '\t'; });
      if (url.empty() || url.starts_with("unix")) continue;
      const auto address = parse_address({root_ + place, 0, "listen-client-urls"}, url);
      if (!address || address->scheme.empty()) {
        note(address ? bad_value({root_ + place, 0, "listen-client-urls"}, "no URL:", url,
                                 "http://host:port or https://host:port")
                     : address.error());
        continue;
      }
      Address local = *address;
      if (local.host == "0.0.0.0" || local.host == "[::]") local.host = "127.0.0.1";
      url = to_string(local);
      if (is_loopback_url(url)) return url;
      if (first.empty()) first = url;
    }
    return first;
  }

  // What the flags and variables say, or the file that they name instead.
  ServerSettings resolved(ServerSettings settings) {
    if (settings.config_file.empty()) return settings;
    return read_config_file(settings.config_file);
  }

  ServerSettings read_config_file(const std::string& path) {
    return settings_of_config_file(read_values(path));
  }

  std::map<std::string, std::string> read_values(const std::string& path) {
    const auto text = read(path);
    if (!text) return {};
    auto values = read_yaml_values(root_ + path, *text);
    if (values) return std::move(*values);
    note(values.error());
    return {};
  }

  // What the static pod starts etcd with: of several containers, the one that has a client port.
  ServerSettings read_manifest(const std::string& path) {
    const auto text = read(path);
    if (!text) return {};
    const auto containers = read_pod_containers(root_ + path, *text);
    if (!containers) {
      note(containers.error());
      return {};
    }
    ServerSettings found;
    for (const PodContainer& container : *containers) {
      ServerSettings settings = resolved(settings_of_command(container.command, container.env));
      if (settings.client_urls.empty()) continue;
      if (found.client_urls.empty() || container.name == "etcd") found = std::move(settings);
    }
    return found;
  }

  // kubeadm: the static pod's manifest tells the address, the health check's certificate is a
  // client's. Its certificatesDir may be elsewhere: the manifest names a file in it.
  void look_for_kubeadm() {
    constexpr char kManifest[] = "/etc/kubernetes/manifests/etcd.yaml";
    const ServerSettings server = read_manifest(kManifest);
    const std::string url = local_url(kManifest, server.client_urls);
    std::vector<std::string> directories;
    if (server.ca_file.starts_with('/')) directories.push_back(directory_of(server.ca_file));
    const std::string usual = "/etc/kubernetes/pki/etcd";
    if (std::find(directories.begin(), directories.end(), usual) == directories.end()) {
      directories.push_back(usual);
    }
    for (const std::string& directory : directories) {
      for (const std::string& certificate : {directory + "/healthcheck-client",
                                             directory_of(directory) + "/apiserver-etcd-client"}) {
        const FoundEtcd etcd{"kubeadm",
                             url.empty() ? kLoopbackTls : url,
                             {root_ + directory + "/ca.crt", root_ + certificate + ".crt",
                              root_ + certificate + ".key"}};
        if (!complete(etcd.tls)) continue;
        result_.found.push_back(etcd);
        return;
      }
    }
    if (url.starts_with("http://")) result_.found.push_back({"kubeadm", url, {}});
  }

  // RKE: a certificate per node, named after its address: kube-etcd-10-0-0-1.pem and ...-key.pem.
  void look_for_rke() {
    const std::string ssl = root_ + "/etc/kubernetes/ssl";
    const UniqueFd fd(open(ssl.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) {
      if (!is_absent(errno)) note(system_error(ErrorKind::kConfig, "cannot read", ssl));
      return;
    }
    auto names = list_directory(fd.get(), ssl);
    if (!names) return note(names.error());
    std::erase_if(*names, [](const std::string& name) {
      return !name.starts_with("kube-etcd-") || !name.ends_with(".pem") ||
             name.ends_with("-key.pem");
    });
    std::sort(names->begin(), names->end());
    names->emplace_back("kube-node.pem");
    for (const std::string& name : *names) {
      const std::string base = ssl + "/" + name.substr(0, name.size() - 4);
      const FoundEtcd etcd{
          "RKE", kLoopbackTls, {ssl + "/kube-ca.pem", base + ".pem", base + "-key.pem"}};
      if (complete(etcd.tls)) result_.found.push_back(etcd);
    }
  }

  // Its data directory; `data-dir` moves it (docs.rke2.io/reference/server_config).
  std::string data_directory(const std::string& product) {
    const auto values = read_values("/etc/rancher/" + product + "/config.yaml");
    const auto moved = values.find("data-dir");
    if (moved != values.end() && moved->second.starts_with('/')) return moved->second;
    return "/var/lib/rancher/" + product;
  }

  // RKE2 and K3s write a configuration file for their etcd, rancher/rke2#2138.
  void look_for_rancher(const std::string& product, const std::string& source) {
    const std::string server = data_directory(product) + "/server";
    const std::string tls = root_ + server + "/tls/etcd/";
    FoundEtcd etcd{
        source, kLoopbackTls, {tls + "server-ca.crt", tls + "client.crt", tls + "client.key"}};
    if (!complete(etcd.tls)) return;
    const std::string config = server + "/db/etcd/config";
    const std::string url = local_url(config, read_config_file(config).client_urls);
    if (!url.empty()) etcd.url = url;
    result_.found.push_back(std::move(etcd));
  }

  // The distributions' packages: settings in an environment file, or flags in DAEMON_ARGS (the unit
  // of Debian). A server certificate is often good for clients too; where etcd wants another one,
  // the operator has to say.
  void look_for_package(const std::string& path) {
    const auto text = read(path);
    if (!text) return;
    const auto env = parse_environment_file(*text);
    const auto arguments = env.find("DAEMON_ARGS");
    add_server(path,
               resolved(settings_of_command(arguments == env.end() ? std::vector<std::string>()
                                                                   : split_words(arguments->second),
                                            env)));
  }

  void look_for_config_file(const std::string& path) { add_server(path, read_config_file(path)); }

  void add_server(const std::string& path, const ServerSettings& server) {
    FoundEtcd etcd{path, local_url(path, server.client_urls), {}};
    if (etcd.url.empty()) return;
    const auto under_root = [this](const std::string& file) {
      return file.empty() ? file : root_ + file;
    };
    if (etcd.url.starts_with("https://")) {
      etcd.tls.ca_file = under_root(server.ca_file);
      if (!server.key_file.empty()) {
        etcd.tls.cert_file = under_root(server.cert_file);
        etcd.tls.key_file = under_root(server.key_file);
      }
    }
    result_.found.push_back(std::move(etcd));
  }

  const std::string root_;
  Discovery result_;
};

}  // namespace

Discovery discover_etcd(const std::string& root) {
  return Search(root).run();
}

}  // namespace etcd_snapshot
