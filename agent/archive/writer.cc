#include "archive/writer.h"

#include "archive/zip_writer.h"
#include "archive/zstd_writer.h"

namespace etcd_snapshot {
namespace {

// compression = none: the file is what etcd sent, and restores without any tool.
class PlainWriter final : public ArchiveWriter {
 public:
  explicit PlainWriter(ByteSink& sink) : sink_(sink) {}
  Result<void> write(Bytes bytes) override { return sink_.write(bytes); }
  Result<void> finish(const Manifest&) override { return {}; }

 private:
  ByteSink& sink_;
};

}  // namespace

Result<std::unique_ptr<ArchiveWriter>> make_archive_writer(const ArchiveOptions& options,
                                                           ByteSink& sink) {
  switch (options.compression) {
    case Compression::kZip:
      return make_zip_writer(options, sink);
    case Compression::kZstd:
      return make_zstd_writer(sink);
    case Compression::kNone:
      break;
  }
  return std::unique_ptr<ArchiveWriter>(std::make_unique<PlainWriter>(sink));
}

std::string_view archive_extension(Compression compression) {
  switch (compression) {
    case Compression::kZip:
      return ".zip";
    case Compression::kZstd:
      return ".zst";
    case Compression::kNone:
      break;
  }
  return "";
}

}  // namespace etcd_snapshot
