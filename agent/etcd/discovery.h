// Where the usual installations keep etcd's client address and certificates: looked up when
// etcd-snapshot.conf names no endpoint. Reads the file system only; whether etcd answers there is
// found out by asking, in the order given here.
#pragma once

#include <string>
#include <vector>

#include "base/http.h"

namespace etcd_snapshot {

struct FoundEtcd {
  std::string source;  // "kubeadm", "RKE", "RKE2", "K3s", "/etc/default/etcd", ...
  std::string url;
  TlsFiles tls;
};

struct Discovery {
  // Every place that exists, most specific first; http://127.0.0.1:2379 where there is none.
  std::vector<FoundEtcd> found;
  // What exists but could not be read or used, a sentence each: it may be what was looked for.
  std::vector<std::string> notes;
};

// `root` is put in front of the paths that are looked at (and of those returned), for tests.
Discovery discover_etcd(const std::string& root = "");

}  // namespace etcd_snapshot
