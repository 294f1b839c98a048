// Objects as a Kubernetes API server keeps them in etcd: keys under /registry, values in its
// protobuf envelope ("k8s\0", then a runtime.Unknown with the type and the encoded object). What
// counts for a measurement is there: the sizes, the mix of kinds, how often an object is written
// again, and how much of the bytes is random (uids, digests, tokens) against what repeats (names,
// labels, images, managedFields). The field numbers follow the API's .proto files only loosely, and
// no API server could use the result.
#pragma once

#include <cstdint>
#include <string>

namespace etcd_snapshot::bench {

struct Object {
  std::string key;
  std::string value;
};

// The object number `identity` of the cluster that `seed` stands for, in the state it has after
// `generation` updates: the same key, uid and spec, but a newer status. Pure.
Object make_object(uint64_t seed, uint64_t identity, uint64_t generation);

}  // namespace etcd_snapshot::bench
