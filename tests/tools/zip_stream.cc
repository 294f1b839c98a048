// zip_stream BYTES|- [zip|zstd|none] > FILE
//
// Writes an archive as the agent does, to standard output: of BYTES of made-up content that
// deflates about as well as Kubernetes objects, or, with "-", of the snapshot on standard input,
// which is proven on the way. For archives beyond 4 GiB, and to measure speed and memory without an
// etcd. Not installed.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <vector>

#include "archive/proof.h"
#include "archive/writer.h"
#include "base/files.h"

using namespace etcd_snapshot;

namespace {

constexpr size_t kPieceBytes = 64 << 10;

class StandardOutput final : public ByteSink {
 public:
  Result<void> write(Bytes bytes) override {
    return write_all(STDOUT_FILENO, bytes, "standard output");
  }
};

// Text with an identifier of random hex digits in each line, the same in every run.
class Content {
 public:
  Bytes next(size_t size) {
    static constexpr char kLine[] =
        "{\"kind\":\"Pod\",\"metadata\":{\"uid\":\"0123456789abcdef\",\"labels\":{\"app\":\"web\"}}"
        "}\n";
    piece_.resize(size);
    for (size_t at = 0; at < size; at += sizeof kLine - 1) {
      char line[sizeof kLine];
      std::memcpy(line, kLine, sizeof kLine);
      // xorshift64, Marsaglia 2003
      state_ ^= state_ << 13;
      state_ ^= state_ >> 7;
      state_ ^= state_ << 17;
      for (int i = 0; i < 16; ++i) line[34 + i] = "0123456789abcdef"[state_ >> (4 * i) & 15];
      std::memcpy(piece_.data() + at, line, std::min(sizeof kLine - 1, size - at));
    }
    return as_bytes({piece_.data(), piece_.size()});
  }

 private:
  uint64_t state_ = 88172645463325252ULL;
  std::vector<char> piece_;
};

Result<void> stream_made_up(int64_t bytes, ArchiveWriter& writer) {
  Content content;
  while (bytes > 0) {
    const Bytes piece = content.next(std::min<size_t>(kPieceBytes, static_cast<size_t>(bytes)));
    ES_TRY(writer.write(piece));
    bytes -= static_cast<int64_t>(piece.size());
  }
  return {};
}

Result<Proof> stream_standard_input(ArchiveWriter& writer) {
  SnapshotProof proof;
  std::vector<std::byte> piece(kPieceBytes);
  for (;;) {
    const ssize_t count = read(STDIN_FILENO, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(ErrorKind::kStorage, "cannot read", "standard input");
    if (count == 0) return proof.finish();
    const Bytes bytes(piece.data(), static_cast<size_t>(count));
    ES_TRY(proof.update(bytes));
    ES_TRY(writer.write(bytes));
  }
}

Result<void> run(bool standard_input, int64_t bytes, Compression compression) {
  ArchiveOptions options;
  options.compression = compression;
  options.name = "2018-05-04T18:40:16Z_etcd";
  options.time = UnixSeconds(std::chrono::seconds(1525459216));
  options.expected_bytes = standard_input ? 0 : bytes;
  StandardOutput output;
  ES_ASSIGN(writer, make_archive_writer(options, output));
  Manifest manifest;
  manifest.name = options.name;
  manifest.kind = "rolling";
  manifest.database_bytes = bytes;
  manifest.sha256 = std::string(64, '0');
  if (standard_input) {
    ES_ASSIGN(proof, stream_standard_input(*writer));
    manifest.database_bytes = proof.database_bytes;
    manifest.sha256 = proof.sha256;
  } else {
    ES_TRY(stream_made_up(bytes, *writer));
  }
  return writer->finish(manifest);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view size = argc > 1 ? argv[1] : "";
  const std::string_view form = argc > 2 ? argv[2] : "zip";
  int64_t bytes = 0;
  const auto parsed = std::from_chars(size.data(), size.data() + size.size(), bytes);
  const bool number =
      parsed.ec == std::errc() && parsed.ptr == size.data() + size.size() && bytes >= 0;
  if (argc > 3 || (size != "-" && !number) || (form != "zip" && form != "zstd" && form != "none")) {
    fprintf(stderr, "usage: zip_stream BYTES|- [zip|zstd|none] > FILE\n");
    return 64;
  }
  const Compression compression = form == "zip"    ? Compression::kZip
                                  : form == "zstd" ? Compression::kZstd
                                                   : Compression::kNone;
  const auto done = run(size == "-", bytes, compression);
  if (done) return 0;
  fprintf(stderr, "zip_stream: %s\n", done.error().message.c_str());
  return 1;
}
