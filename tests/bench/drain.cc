// drain ENDPOINT [--cacert F --cert F --key F] [--buffer-kib N]
// The bare drain: etcd's snapshot stream to nowhere, with no more work than libcurl itself does.
// What it costs is the least that any backup over this interface can cost. Prints bytes and
// seconds.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "connection.h"

using namespace etcd_snapshot::bench;

namespace {

size_t count_only(char*, size_t size, size_t count, void* total) noexcept {
  *static_cast<uint64_t*>(total) += size * count;
  return size * count;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr char kUsage[] =
      "usage: drain ENDPOINT [--cacert F --cert F --key F] [--buffer-kib N]\n";
  Target target;
  // Larger buffers cost memory and save nothing that can be measured: etcd sends 32 KiB messages.
  long buffer_kib = 64;
  for (int index = 1; index < argc; ++index) {
    std::string_view flag = argv[index];
    if (flag == "--help") return printf("%s", kUsage) < 0;
    if (flag == "--version") return printf("%s\n", curl_version()) < 0;
    if (!flag.starts_with("--")) {
      target.endpoint = flag;
    } else if (++index == argc) {
      fail(std::string(flag) + " needs a value");
    } else if (flag == "--buffer-kib") {
      const char* end = argv[index] + strlen(argv[index]);
      auto [rest, error] = std::from_chars(argv[index], end, buffer_kib);
      if (error != std::errc() || rest != end || buffer_kib < 1)
        fail(std::string("--buffer-kib '") + argv[index] + "' is not a number of KiB from 1");
    } else if (!take_tls_flag(target, flag, argv[index])) {
      fail("unknown flag " + std::string(flag));
    }
  }
  if (target.endpoint.empty()) {
    fprintf(stderr, "%s", kUsage);
    return 64;
  }

  uint64_t total_bytes = 0;
  Connection connection(target);
  // SnapshotRequest is empty: the five bytes of a frame of length 0.
  connection.prepare("/etcdserverpb.Maintenance/Snapshot", std::string_view("\0\0\0\0\0", 5));
  set(connection.handle(), CURLOPT_BUFFERSIZE, buffer_kib * 1024);
  set(connection.handle(), CURLOPT_WRITEFUNCTION, &count_only);
  set(connection.handle(), CURLOPT_WRITEDATA, &total_bytes);
  const auto start = std::chrono::steady_clock::now();
  connection.perform();
  const std::chrono::duration<double> elapsed_s = std::chrono::steady_clock::now() - start;
  printf("%llu bytes in %.3f s, %.1f MB/s\n", static_cast<unsigned long long>(total_bytes),
         elapsed_s.count(), static_cast<double>(total_bytes) / 1e6 / elapsed_s.count());
}
