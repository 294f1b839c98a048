// fill ENDPOINT BYTES [--seed N] [--cacert F --cert F --key F] [--max-seconds N]
// Fills an etcd with objects as Kubernetes keeps them until its database holds about BYTES. The
// same seed writes the same objects in the same order. Writes to the etcd it is pointed at: for
// throwaway members only. BYTES takes k, M and G (powers of 1000).
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <thread>
#include <unordered_set>

#include "connection.h"
#include "kube_objects.h"
#include "random.h"

using namespace etcd_snapshot::bench;

namespace {

// etcd's defaults: --max-txn-ops=128, --max-request-bytes=1.5 MiB.
constexpr size_t kMaxPuts = 128;
constexpr size_t kMaxRequestBytes = 1'000'000;

void append_varint(std::string& text, uint64_t value) {
  for (; value >= 0x80; value >>= 7) text += static_cast<char>(value | 0x80);
  text += static_cast<char>(value);
}

void append_field(std::string& text, unsigned field, std::string_view value) {
  append_varint(text, field << 3 | 2);
  append_varint(text, value.size());
  text += value;
}

// The varint field `field` of a message, or nullopt. Skips the others (wire types 0 and 2 only: the
// answers that are read here have no others).
std::optional<uint64_t> number_in(std::string_view message, unsigned field) {
  auto varint = [&]() -> std::optional<uint64_t> {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !message.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(message.front());
      message.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  };
  while (!message.empty()) {
    std::optional<uint64_t> tag = varint(), value = tag ? varint() : std::nullopt;
    if (!value) return std::nullopt;
    if (*tag == (field << 3)) return value;
    if ((*tag & 7) == 2 && *value <= message.size())
      message.remove_prefix(*value);
    else if ((*tag & 7) != 0)
      return std::nullopt;
  }
  return std::nullopt;
}

uint64_t database_bytes(Connection& connection) {
  // StatusResponse.dbSize = 3 (etcd api/etcdserverpb/rpc.proto)
  const std::string status = connection.call("/etcdserverpb.Maintenance/Status", "");
  return number_in(status, 3).value_or(0);
}

// One TxnRequest of puts: etcd refuses the same key twice in one, so whoever adds asks first.
class Batch {
 public:
  bool takes(const Object& object) const {
    return puts_ < kMaxPuts && request_.size() + object.value.size() < kMaxRequestBytes &&
           !keys_.contains(object.key);
  }
  void add(const Object& object) {
    put_.clear();
    append_field(put_, 1, object.key);  // PutRequest
    append_field(put_, 2, object.value);
    operation_.clear();
    append_field(operation_, 2, put_);      // RequestOp.request_put
    append_field(request_, 2, operation_);  // TxnRequest.success
    keys_.insert(object.key);
    ++puts_;
  }
  void send(Connection& connection) {
    if (puts_ == 0) return;
    // TxnResponse.succeeded = 2: no comparison, so it always is.
    if (number_in(connection.call("/etcdserverpb.KV/Txn", request_), 2) != 1)
      fail("etcd did not apply a transaction");
    request_.clear();
    keys_.clear();
    puts_ = 0;
  }

 private:
  std::string request_, put_, operation_;
  std::unordered_set<std::string> keys_;
  size_t puts_ = 0;
};

uint64_t parse_number(std::string_view flag, std::string_view text) {
  uint64_t value = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(rest, text.data() + text.size() - rest);
  const uint64_t factor = unit.empty()  ? 1
                          : unit == "k" ? 1'000
                          : unit == "M" ? 1'000'000
                          : unit == "G" ? 1'000'000'000
                                        : 0;
  if (error != std::errc() || factor == 0 || value > UINT64_MAX / factor)
    fail(std::string(flag) + " '" + std::string(text) +
         "' is not a whole number (k, M, G allowed)");
  return value * factor;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr char kUsage[] =
      "usage: fill ENDPOINT BYTES [--seed N] [--cacert F --cert F --key F] [--max-seconds N]\n";
  Target target;
  uint64_t wanted_bytes = 0, seed = 1, max_seconds = 1800;
  for (int index = 1; index < argc; ++index) {
    std::string_view flag = argv[index];
    if (flag == "--help") return printf("%s", kUsage) < 0;
    if (!flag.starts_with("--")) {
      if (target.endpoint.empty())
        target.endpoint = flag;
      else
        wanted_bytes = parse_number("BYTES", flag);
    } else if (++index == argc) {
      fail(std::string(flag) + " needs a value");
    } else if (flag == "--seed") {
      seed = parse_number(flag, argv[index]);
    } else if (flag == "--max-seconds") {
      max_seconds = parse_number(flag, argv[index]);
    } else if (!take_tls_flag(target, flag, argv[index])) {
      fail("unknown flag " + std::string(flag));
    }
  }
  if (target.endpoint.empty() || wanted_bytes == 0) {
    fprintf(stderr, "%s", kUsage);
    return 64;
  }

  const auto start = std::chrono::steady_clock::now();
  auto elapsed_s = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  Connection connection(target);
  Random random(seed);
  Batch batch;
  uint64_t objects = 0, written = 0, sent_bytes = 0, requests = 0, next_look = 0;
  uint64_t size = database_bytes(connection);
  double next_line_s = 0;
  auto put = [&](const Object& object) {
    if (!batch.takes(object)) {
      batch.send(connection);
      ++requests;
    }
    batch.add(object);
    ++written;
    sent_bytes += object.key.size() + object.value.size();
  };
  while (size < wanted_bytes) {
    put(make_object(seed, objects++, 0));
    // Old revisions stay until a compaction: a quarter of what lies in the database is the earlier
    // states of objects that were written again since.
    if (random.chance(30)) {
      const uint64_t back = random.below(2000);
      if (back < objects) put(make_object(seed, objects - 1 - back, random.between(1, 50)));
    }
    if (elapsed_s() > static_cast<double>(max_seconds))
      fail("not done after " + std::to_string(max_seconds) + " s (--max-seconds)");
    if (sent_bytes < next_look) continue;
    next_look = sent_bytes + std::min<uint64_t>(wanted_bytes / 50, 4'000'000);
    // etcd commits to its file every 100 ms (--backend-batch-interval): near the end wait for that,
    // or a small database grows far beyond what was asked for.
    if (size + 16'000'000 > wanted_bytes)
      std::this_thread::sleep_for(std::chrono::milliseconds(120));
    size = database_bytes(connection);
    if (elapsed_s() >= next_line_s) {
      fprintf(stderr, "fill: %4.0f s  %6.1f of %.1f MB\n", elapsed_s(),
              static_cast<double>(size) / 1e6, static_cast<double>(wanted_bytes) / 1e6);
      next_line_s = elapsed_s() + 5;
    }
  }
  batch.send(connection);
  printf(
      "%llu objects, %llu revisions, %.1f MB written in %llu requests; database %.1f MB; %.1f s\n",
      static_cast<unsigned long long>(objects), static_cast<unsigned long long>(written),
      static_cast<double>(sent_bytes) / 1e6, static_cast<unsigned long long>(requests + 1),
      static_cast<double>(database_bytes(connection)) / 1e6, elapsed_s());
}
