#include "kube_objects.h"

#include <iterator>
#include <string_view>

#include "random.h"

namespace etcd_snapshot::bench {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
// The alphabet of the suffixes that Kubernetes generates (apimachinery util/rand).
constexpr std::string_view kSuffix = "bcdfghjklmnpqrstvwxz2456789";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::string_view kTeams[] = {
    "payments", "checkout", "catalog",    "search",  "identity", "billing", "shipping", "inventory",
    "platform", "ingress",  "monitoring", "logging", "data",     "ml",      "frontend", "mobile"};
constexpr std::string_view kStages[] = {"dev", "test", "staging", "prod"};
constexpr std::string_view kParts[] = {"api",    "worker", "gateway",  "scheduler", "consumer",
                                       "web",    "cache",  "exporter", "indexer",   "proxy",
                                       "backup", "admin",  "notifier", "sync",      "importer"};
constexpr std::string_view kRegistries[] = {"registry.example.com/apps", "docker.io/library",
                                            "quay.io/example", "ghcr.io/example/services"};
constexpr std::string_view kEnvironment[] = {
    "DATABASE_URL",  "REDIS_HOST",    "KAFKA_BROKERS",  "LOG_LEVEL",       "HTTP_PORT",
    "METRICS_PORT",  "OTEL_ENDPOINT", "FEATURE_FLAGS",  "REQUEST_LIMIT",   "CACHE_TTL_SECONDS",
    "JAVA_OPTS",     "GOMAXPROCS",    "POD_NAMESPACE",  "NODE_NAME",       "SENTRY_DSN",
    "SESSION_STORE", "UPSTREAM_URL",  "RETRY_ATTEMPTS", "SHUTDOWN_GRACE",  "TRACE_SAMPLING",
    "S3_BUCKET",     "CERT_DIR",      "QUEUE_NAME",     "LEADER_ELECTION", "TZ"};
constexpr std::string_view kConditions[] = {"PodReadyToStartContainers", "Initialized", "Ready",
                                            "ContainersReady", "PodScheduled"};
struct EventText {
  std::string_view reason, message, component;
};
constexpr EventText kEvents[] = {
    {"Scheduled", "Successfully assigned to node", "default-scheduler"},
    {"Pulled", "Container image already present on machine", "kubelet"},
    {"Created", "Created container", "kubelet"},
    {"Started", "Started container", "kubelet"},
    {"Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", "kubelet"},
    {"BackOff", "Back-off restarting failed container", "kubelet"},
    {"ScalingReplicaSet", "Scaled up replica set", "deployment-controller"},
    {"FailedMount", "MountVolume.SetUp failed for volume: object not registered", "kubelet"}};
constexpr std::string_view kConfigLines[] = {
    "server.port=8080\n",
    "management.endpoints.web.exposure.include=health,info,prometheus\n",
    "spring.datasource.hikari.maximum-pool-size=",
    "logging.level.root=INFO\n",
    "  - match: { path: /api/v1, method: GET }\n    route: { cluster: backend, timeout: 15s }\n",
    "    labels:\n      severity: warning\n    annotations:\n      summary: error rate is high\n",
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n",
    "  expr: sum(rate(http_requests_total{code=~\"5..\"}[5m])) by (job) > 0.05\n",
    "# limits apply to each replica\n",
    "max_connections = "};

// Appends protobuf fields (https://protobuf.dev/programming-guides/encoding/).
class Message {
 public:
  Message& text(unsigned field, std::string_view value) {
    varint(field << 3 | 2);
    varint(value.size());
    bytes_.append(value);
    return *this;
  }
  Message& number(unsigned field, uint64_t value) {
    varint(field << 3);
    varint(value);
    return *this;
  }
  Message& message(unsigned field, const Message& value) { return text(field, value.bytes_); }
  Message& pair(unsigned field, std::string_view key, std::string_view value) {
    return message(field, Message().text(1, key).text(2, value));
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

std::string join(std::initializer_list<std::string_view> parts) {
  std::string result;
  for (std::string_view part : parts) result += part;
  return result;
}

std::string uid(Random& random) {
  std::string text = random.text(36, kHex);
  text[8] = text[13] = text[18] = text[23] = '-';
  text[14] = '4';
  return text;
}

std::string address(Random& random) {
  return join({"10.", std::to_string(random.between(42, 45)), ".",
               std::to_string(random.below(256)), ".", std::to_string(random.below(254) + 1)});
}

// One application of the cluster: what its pods, events and settings have in common.
struct Application {
  std::string space, name, image, digest, replica_hash, config_hash, replica_uid;
  uint64_t seed;
};

Application application(uint64_t seed, uint64_t number) {
  Random random(seed ^ (number + 1) * 0xd6e8feb86659fd93);
  Application app;
  app.seed = random.next();
  app.space = join({random.pick(kTeams), "-", random.pick(kStages)});
  app.name = join({random.pick(kTeams), "-", random.pick(kParts)});
  app.image = join({random.pick(kRegistries), "/", app.name, ":v", std::to_string(random.below(4)),
                    ".", std::to_string(random.below(30)), ".", std::to_string(random.below(10))});
  app.digest = join({"sha256:", random.text(64, kHex)});
  app.replica_hash = random.text(10, kSuffix);
  app.config_hash = random.text(64, kHex);
  app.replica_uid = uid(random);
  return app;
}

// What one object has: its own random stream (the same for each generation), and the time of the
// update. Updates come a few minutes apart, as those of a busy cluster do.
struct Context {
  Application app;
  Random identity, status;
  uint64_t created_s, updated_s, generation;

  Message created() const { return Message().number(1, created_s); }
  Message updated(uint64_t offset_s = 0) const { return Message().number(1, updated_s + offset_s); }
};

// managedFields: who owns which field, as JSON inside of the protobuf.
Message managed_fields(const Context& context, std::string_view manager, std::string_view version,
                       std::string_view fields) {
  return Message()
      .text(1, manager)
      .text(2, "Update")
      .text(3, version)
      .message(4, context.updated())
      .text(6, "FieldsV1")
      .message(7, Message().text(1, fields));
}

Message labels_of(const Context& context, Message meta) {
  const Application& app = context.app;
  meta.pair(11, "app.kubernetes.io/name", app.name)
      .pair(11, "app.kubernetes.io/instance", join({app.name, "-", app.space}))
      .pair(11, "app.kubernetes.io/managed-by", "Helm")
      .pair(11, "app.kubernetes.io/part-of", app.space)
      .pair(11, "helm.sh/chart", join({app.name, "-1.4.2"}));
  return meta;
}

Message metadata(Context& context, std::string_view name) {
  return Message()
      .text(1, name)
      .text(3, context.app.space)
      .text(5, uid(context.identity))
      .number(7, 1)
      .message(8, context.created());
}

Object envelope(std::string_view resource, const Context& context, std::string_view name,
                std::string_view version, std::string_view kind, const Message& object) {
  std::string value("k8s\0", 4);
  value += Message()
               .message(1, Message().text(1, version).text(2, kind))
               .text(2, object.bytes())
               .text(3, "")
               .text(4, "")
               .bytes();
  return {join({"/registry/", resource, "/", context.app.space, "/", name}), std::move(value)};
}

Message container(const Context& context, std::string_view name, std::string_view image) {
  // Of the application, not of the pod: the spec of all its pods is the same.
  Random random(context.app.seed ^ name.size());
  Message spec;
  spec.text(1, name).text(2, image);
  for (uint64_t left = random.between(4, 14), index = random.below(8); left > 0; --left, ++index) {
    std::string_view variable = kEnvironment[index % std::size(kEnvironment)];
    if (random.chance(30)) {
      spec.message(
          7, Message()
                 .text(1, variable)
                 .message(
                     3, Message().text(1, join({context.app.name, "-config"})).text(2, variable)));
    } else {
      spec.pair(7, variable,
                join({"http://", context.app.name, ".", context.app.space,
                      ".svc.cluster.local:", std::to_string(8000 + random.below(100))}));
    }
  }
  spec.message(6, Message().text(1, "http").number(3, 8080).text(4, "TCP"));
  spec.message(6, Message().text(1, "metrics").number(3, 9090).text(4, "TCP"));
  spec.message(8, Message()
                      .pair(1, "cpu", join({std::to_string(random.between(1, 20) * 50), "m"}))
                      .pair(1, "memory", join({std::to_string(random.between(1, 16) * 128), "Mi"}))
                      .pair(2, "cpu", "100m")
                      .pair(2, "memory", "128Mi"));
  spec.message(9, Message().text(1, "config").text(3, "/etc/app").number(2, 1));
  for (unsigned probe : {10u, 11u}) {
    spec.message(probe, Message()
                            .text(1, probe == 10 ? "/health/live" : "/health/ready")
                            .number(2, 15)
                            .number(3, 5)
                            .number(4, 10)
                            .number(5, 1)
                            .number(6, 3));
  }
  return spec.text(13, "/dev/termination-log").text(14, "IfNotPresent").text(20, "File");
}

Object pod(Context& context) {
  const Application& app = context.app;
  Random& random = context.identity;
  const std::string name = join({app.name, "-", app.replica_hash, "-", random.text(5, kSuffix)});
  const std::string node =
      join({"ip-10-0-", std::to_string(random.below(4)), "-", std::to_string(random.below(200)),
            ".eu-central-1.compute.internal"});
  const bool sidecar = app.seed % 3 == 0;
  Message meta = labels_of(context, metadata(context, name));
  meta.text(2, join({app.name, "-", app.replica_hash, "-"}))
      .pair(11, "pod-template-hash", app.replica_hash)
      .pair(12, "checksum/config", app.config_hash)
      .pair(12, "prometheus.io/scrape", "true")
      .pair(12, "prometheus.io/port", "9090")
      .pair(12, "cni.projectcalico.org/containerID", random.text(64, kHex))
      .message(13, Message()
                       .text(1, "ReplicaSet")
                       .text(3, join({app.name, "-", app.replica_hash}))
                       .text(4, app.replica_uid)
                       .text(5, "apps/v1")
                       .number(6, 1));
  meta.message(
      17,
      managed_fields(
          context, "kube-controller-manager", "v1",
          R"({"f:metadata":{"f:annotations":{".":{},"f:checksum/config":{}},"f:generateName":{},"f:labels":{".":{},"f:app.kubernetes.io/instance":{},"f:app.kubernetes.io/name":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:env":{},"f:image":{},"f:imagePullPolicy":{},"f:livenessProbe":{},"f:name":{},"f:ports":{},"f:readinessProbe":{},"f:resources":{},"f:volumeMounts":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{},"f:volumes":{}}})"));
  meta.message(
      17,
      managed_fields(
          context, "kubelet", "v1",
          R"({"f:status":{"f:conditions":{"k:{\"type\":\"ContainersReady\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"k:{\"type\":\"Initialized\"}":{".":{},"f:lastProbeTime":{}},"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{}}},"f:containerStatuses":{},"f:hostIP":{},"f:phase":{},"f:podIP":{},"f:podIPs":{},"f:startTime":{}}})"));

  const std::string token = join({"kube-api-access-", random.text(5, kSuffix)});
  Message spec;
  spec.message(1, Message().text(1, token).message(
                      2, Message().text(1, "token").number(2, 3607).text(3, "kube-root-ca.crt")));
  spec.message(1, Message().text(1, "config").text(2, join({app.name, "-config"})));
  spec.message(2, container(context, "app", app.image)
                      .message(9, Message().text(1, token).text(
                                      3, "/var/run/secrets/kubernetes.io/serviceaccount")));
  if (sidecar) spec.message(2, container(context, "proxy", "docker.io/envoyproxy/envoy:v1.29.1"));
  spec.text(3, "Always").number(4, 30).text(6, "ClusterFirst").text(8, app.name).text(10, node);
  spec.text(19, "default-scheduler")
      .message(22,
               Message().text(1, "node.kubernetes.io/not-ready").text(2, "Exists").number(5, 300))
      .message(
          22, Message().text(1, "node.kubernetes.io/unreachable").text(2, "Exists").number(5, 300));

  Message status;
  status.text(1, "Running");
  for (std::string_view condition : kConditions) {
    status.message(2, Message()
                          .text(1, condition)
                          .text(2, "True")
                          .message(4, context.updated(context.status.below(30))));
  }
  const std::string pod_address = address(random);
  status
      .text(5, join({"10.0.", std::to_string(random.below(4)), ".",
                     std::to_string(random.below(200))}))
      .text(6, pod_address)
      .message(7, context.created())
      .message(12, Message().text(1, pod_address))
      .text(9, "Burstable");
  for (int index = 0; index < (sidecar ? 2 : 1); ++index) {
    status.message(8,
                   Message()
                       .text(1, index == 0 ? "app" : "proxy")
                       .message(2, Message().message(2, Message().message(1, context.updated(5))))
                       .number(4, 1)
                       .number(5, context.generation)
                       .text(6, app.image)
                       .text(7, join({app.image, "@", app.digest}))
                       .text(8, join({"containerd://", random.text(64, kHex)})));
  }
  return envelope("pods", context, name, "v1", "Pod",
                  Message().message(1, meta).message(2, spec).message(3, status));
}

Object event(Context& context) {
  const Application& app = context.app;
  Random& random = context.identity;
  const EventText& text = random.pick(kEvents);
  const std::string pod_name =
      join({app.name, "-", app.replica_hash, "-", random.text(5, kSuffix)});
  const std::string name = join({pod_name, ".", random.text(16, kHex)});
  Message meta = metadata(context, name);
  meta.message(
      17,
      managed_fields(
          context, "kubelet", "v1",
          R"({"f:count":{},"f:firstTimestamp":{},"f:involvedObject":{},"f:lastTimestamp":{},"f:message":{},"f:reason":{},"f:reportingComponent":{},"f:source":{"f:component":{},"f:host":{}},"f:type":{}})"));
  Message object;
  object.message(1, meta)
      .message(2, Message()
                      .text(1, "Pod")
                      .text(2, app.space)
                      .text(3, pod_name)
                      .text(4, uid(random))
                      .text(5, "v1"))
      .text(3, text.reason)
      .text(4, join({text.message, " ", app.name, " (", app.image, ")"}))
      .message(5, Message().text(1, text.component))
      .message(6, context.created())
      .message(7, context.updated())
      .number(8, context.generation + 1)
      .text(9, text.reason == "BackOff" || text.reason == "Unhealthy" ? "Warning" : "Normal");
  return envelope("events", context, name, "v1", "Event", object);
}

// Secrets: tokens, key pairs, and the releases of Helm, which are compressed and encoded twice.
Object secret(Context& context) {
  Random& random = context.identity;
  const bool release = random.chance(35);
  const std::string name = release
                               ? join({"sh.helm.release.v1.", context.app.name, ".v",
                                       std::to_string(random.below(9000))})
                               : join({context.app.name, "-credentials-", random.text(5, kSuffix)});
  Message object;
  object.message(1, labels_of(context, metadata(context, name)));
  if (release) {
    object.pair(2, "release", random.text(random.between(2000, 9000), kBase64))
        .text(3, "helm.sh/release.v1");
  } else {
    object.pair(2, "username", context.app.name)
        .pair(2, "password", random.text(32, kBase64))
        .pair(2, "tls.key",
              join({"-----BEGIN EC PRIVATE KEY-----\n", random.text(160, kBase64),
                    "\n-----END EC PRIVATE KEY-----\n"}))
        .text(3, "Opaque");
  }
  return envelope("secrets", context, name, "v1", "Secret", object);
}

Object config_map(Context& context) {
  Random& random = context.identity;
  const std::string name = join({context.app.name, "-config-", random.text(5, kSuffix)});
  std::string text;
  const uint64_t size = random.chance(15) ? random.between(6000, 20000) : random.between(300, 4000);
  while (text.size() < size) {
    std::string_view line = random.pick(kConfigLines);
    text += line;
    if (!line.ends_with('\n')) text += std::to_string(random.below(1000)) + "\n";
    if (random.chance(10))
      text += join({"service = ", random.pick(kTeams), "-", random.pick(kParts), "\n"});
  }
  return envelope("configmaps", context, name, "v1", "ConfigMap",
                  Message()
                      .message(1, labels_of(context, metadata(context, name)))
                      .pair(2, "application.yaml", text));
}

Object lease(Context& context) {
  const std::string name = join({"ip-10-0-", std::to_string(context.identity.below(250)), "-",
                                 context.identity.text(5, kSuffix)});
  Message meta = metadata(context, name);
  meta.message(
      17,
      managed_fields(
          context, "kubelet", "coordination.k8s.io/v1",
          R"({"f:metadata":{"f:ownerReferences":{".":{}}},"f:spec":{"f:holderIdentity":{},"f:leaseDurationSeconds":{},"f:renewTime":{}}})"));
  return envelope("leases", context, name, "coordination.k8s.io/v1", "Lease",
                  Message().message(1, meta).message(
                      2, Message().text(1, name).number(2, 40).message(
                             4, context.updated().number(2, context.status.below(1'000'000'000)))));
}

Object endpoint_slice(Context& context) {
  Random& random = context.identity;
  const std::string name = join({context.app.name, "-", random.text(5, kSuffix)});
  Message object;
  object.message(1, labels_of(context, metadata(context, name)));
  for (uint64_t left = random.between(1, 20); left > 0; --left) {
    object.message(
        2, Message()
               .text(1, address(random))
               .message(2, Message().number(1, 1).number(2, 1).number(3, 0))
               .message(4, Message()
                               .text(1, "Pod")
                               .text(2, context.app.space)
                               .text(3, join({context.app.name, "-", context.app.replica_hash, "-",
                                              random.text(5, kSuffix)}))
                               .text(4, uid(random)))
               .text(6, join({"ip-10-0-1-", std::to_string(random.below(200)),
                              ".eu-central-1.compute.internal"})));
  }
  object.message(3, Message().text(1, "http").text(2, "TCP").number(3, 8080)).text(4, "IPv4");
  return envelope("endpointslices", context, name, "discovery.k8s.io/v1", "EndpointSlice", object);
}

}  // namespace

Object make_object(uint64_t seed, uint64_t identity, uint64_t generation) {
  constexpr uint64_t kApplications = 600;
  constexpr uint64_t kEpoch_s = 1714521600;  // 2024-05-01T00:00:00Z
  Random random(seed ^ (identity + 1) * 0x9e6c63d0876a9a47);
  const uint64_t share = random.below(100);
  const uint64_t created_s = kEpoch_s + identity / 4;
  // A rollout writes its pods one after the other: neighbours often belong to the same application.
  const uint64_t number =
      random.chance(70) ? identity / 24 % kApplications : random.below(kApplications);
  Context context{application(seed, number),          Random(random.next()),
                  Random(random.next() ^ generation), created_s,
                  created_s + generation * 311,       generation};
  if (share < 38) return pod(context);
  if (share < 68) return event(context);
  if (share < 81) return secret(context);
  if (share < 88) return config_map(context);
  if (share < 93) return lease(context);
  return endpoint_slice(context);
}

}  // namespace etcd_snapshot::bench
