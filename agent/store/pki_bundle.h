// The certificates of the cluster beside its snapshots, as RKE's pki.bundle.tar.gz: members
// `etc/kubernetes/ssl/<file>`, 0600, replaced atomically and only when something changed. It holds
// private keys. Written with libarchive; deterministic, so that "changed" means the files changed.
#pragma once

#include <string>

#include "base/result.h"
#include "store/directory.h"

namespace etcd_snapshot {

inline constexpr char kPkiBundleName[] = "pki.bundle.tar.gz";

struct PkiBundleOutcome {
  bool written = false;  // false: nothing had changed
  int files = 0;
};

// Bundles the regular files of `pki_directory` (one level, and kubeadm's `etcd/` below it as
// `etc/kubernetes/ssl/etcd/<file>`); symbolic links to regular files are followed, everything else
// is left out. kConfig when the directory is missing, empty or unreadable, or a file in it is
// (which), or is larger than 8 MiB: then the bundle that is there stays. kStorage when it cannot be
// written.
Result<PkiBundleOutcome> update_pki_bundle(const SnapshotDirectory& directory,
                                           const std::string& pki_directory);

// How many files there are to bundle, each of them read: whether update_pki_bundle() can.
Result<int> read_pki_sources(const std::string& pki_directory);

// The first that exists of RKE's and kubeadm's: /etc/kubernetes/ssl, /etc/kubernetes/pki. Empty if
// none. `root` is put in front, for tests.
std::string find_pki_directory(const std::string& root = "");

}  // namespace etcd_snapshot
