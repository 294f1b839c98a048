#include "offsite/ledger.h"

#include <fcntl.h>

#include "base/fd.h"
#include "base/files.h"
#include "base/json.h"

namespace etcd_snapshot {
namespace {

constexpr char kLedgerFile[] = "bucket.json";

}  // namespace

UploadLedger UploadLedger::read(const std::string& runtime_dir, const std::string& place) {
  UploadLedger ledger;
  ledger.place_ = place;
  const auto text = read_file(runtime_dir + "/" + kLedgerFile, ErrorKind::kStorage);
  if (!text) return ledger;
  const auto object = parse_json(*text);
  if (!object.is_object()) return ledger;
  const auto written_for = object.find("place");
  const auto entries = object.find("entries");
  if (written_for == object.end() || *written_for != place || entries == object.end() ||
      !entries->is_object()) {
    return ledger;
  }
  for (const auto& [file_name, value] : entries->items()) {
    if (!value.is_object()) continue;
    const auto name = value.find("object"), size = value.find("size"), etag = value.find("etag");
    if (name == value.end() || !name->is_string() || size == value.end() ||
        !size->is_number_integer() || etag == value.end() || !etag->is_string()) {
      continue;
    }
    ledger.entries_[file_name] = {name->get<std::string>(), size->get<int64_t>(),
                                  etag->get<std::string>()};
  }
  if (const auto foreign = object.find("foreign");
      foreign != object.end() && foreign->is_object()) {
    for (const auto& [name, etag] : foreign->items()) {
      if (etag.is_string()) ledger.foreign_[name] = etag.get<std::string>();
    }
  }
  return ledger;
}

Result<void> UploadLedger::write(const std::string& runtime_dir) const {
  nlohmann::json entries = nlohmann::json::object();
  for (const auto& [file_name, entry] : entries_) {
    entries[file_name] = {
        {"object", entry.object}, {"size", entry.size_bytes}, {"etag", entry.etag}};
  }
  const nlohmann::json object = {
      {"place", place_}, {"entries", std::move(entries)}, {"foreign", foreign_}};
  const UniqueFd directory(open(runtime_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return system_error(ErrorKind::kStorage, "cannot open", runtime_dir);
  return replace_file_at(directory.get(), kLedgerFile, as_bytes(json_text(object) + "\n"), 0644);
}

const LedgerEntry* UploadLedger::find(const std::string& file_name) const {
  const auto found = entries_.find(file_name);
  return found == entries_.end() ? nullptr : &found->second;
}

void UploadLedger::put(const std::string& file_name, LedgerEntry entry) {
  entries_[file_name] = std::move(entry);
}

void UploadLedger::retain(const std::function<bool(const std::string&)>& wanted) {
  std::erase_if(entries_, [&](const auto& entry) { return !wanted(entry.first); });
}

}  // namespace etcd_snapshot
