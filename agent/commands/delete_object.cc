#include "commands/delete_object.h"

#include <algorithm>

#include "archive/writer.h"
#include "config/configuration.h"
#include "offsite/ledger.h"
#include "offsite/offsite.h"
#include "run/report.h"
#include "store/lock.h"
#include "systemd/message_ids.h"

namespace etcd_snapshot {
namespace {

// The objects that the name may mean, and the newest snapshot of this host that is none of them.
struct Search {
  std::vector<RemoteObject> exact, by_base;
  UnixSeconds newest_other = UnixSeconds::min();
};

Result<Search> search_bucket(const Context& context, Bucket& bucket, const std::string& wanted) {
  Search search;
  // Only the snapshots of its own host stand for it. Names without one count as this host's.
  const std::string own_host = sanitize_host(context.host);
  const auto line_of = [&](const std::optional<SnapshotName>& name) {
    return name && !name->host.empty() ? name->host : own_host;
  };
  const std::string line = line_of(parse_snapshot_name(wanted));
  const UnixSeconds now = context.clock.now();
  const auto extended = [&](Compression compression) {
    return wanted + std::string(archive_extension(compression));
  };
  ES_TRY(bucket.list([&](std::vector<RemoteObject> page) -> Result<void> {
    for (RemoteObject& object : page) {
      const auto name = parse_snapshot_name(object.file_name);
      if (object.file_name == wanted) {
        search.exact.push_back(std::move(object));
      } else if (object.file_name == extended(Compression::kZip) ||
                 object.file_name == extended(Compression::kZstd)) {
        search.by_base.push_back(std::move(object));
      } else if (name && name->kind == SnapshotKind::kRolling && name->time <= now &&
                 line_of(name) == line) {
        search.newest_other = std::max(search.newest_other, name->time);
      }
    }
    return {};
  }));
  return search;
}

// Whether an object that cannot be read is the local copy all the same: no other host writes a name
// with this one's in it, and what a cycle noted it has compared. Of any other, the same name and
// size may be another host's.
Result<bool> is_known_copy(const Context& context, Offsite& offsite, const LocalCopy& here,
                           const std::string& object) {
  ES_ASSIGN(info, offsite.client().head(offsite.bucket().key_of(object)));
  if (!info || info->size_bytes != here.size_bytes) return false;
  const auto name = parse_snapshot_name(object);
  if (name && !name->host.empty() && name->host == sanitize_host(context.host)) return true;
  const auto ledger = UploadLedger::read(runtime_directory(), offsite.bucket().display());
  const LedgerEntry* const noted = ledger.find(here.file_name);
  return noted != nullptr && noted->object == object && noted->etag == info->etag;
}

Error cannot_tell(const Offsite& offsite, const std::string& object, const Error& why) {
  Error error = why;
  error.message = "cannot tell whether '" + object + "' in " + offsite.bucket().display() +
                  " is the snapshot here or another host's: " + why.message;
  error.hint = why.hint + (why.hint.empty() ? "" : "; ") +
               "if it is this one: delete it here first, without --s3; then --s3 goes by the name "
               "alone";
  return error;
}

// The name of the object that holds the local copy, which may lie beside another host's; empty:
// none.
Result<std::string> find_copy(const Context& context, Offsite& offsite, const LocalCopy& here) {
  std::optional<Error> unclear;
  for (int number = 0; number <= Offsite::kNamesBeside; ++number) {
    const std::string object =
        number == 0 ? here.file_name : offsite.object_beside(here.file_name, here.base, number);
    auto same = offsite.bucket().holds(object, here.fd, here.size_bytes);
    if (!same) {
      if (!offsite.bucket().only_this_object(same.error())) return same.take_error();
      const auto known = is_known_copy(context, offsite, here, object);
      if (known && *known) return object;
      if (!unclear) unclear = cannot_tell(offsite, object, same.error());
    } else if (*same) {
      return object;
    }
  }
  if (unclear) return std::move(*unclear);
  return std::string();
}

// The name of a one-time snapshot, which is that of its file without the extension.
std::string base_of(const std::string& file_name) {
  for (const Compression compression : {Compression::kZip, Compression::kZstd}) {
    const std::string_view extension = archive_extension(compression);
    if (file_name.ends_with(extension)) {
      return file_name.substr(0, file_name.size() - extension.size());
    }
  }
  return file_name;
}

}  // namespace

Error ambiguous(const std::string& wanted, const std::string& one, const std::string& other) {
  return {ErrorKind::kUsage, "'" + wanted + "' could be " + one + " or " + other,
          "write it with its extension", false, 0};
}

Result<bool> delete_object(Context& context, const std::string& wanted,
                           const std::optional<LocalCopy>& here, bool force) {
  if (const Policy& policy = context.settings.policy; !policy.s3 && !policy.s3_error.empty()) {
    return doubt_error({policy.s3_error});
  }
  if (!context.settings.policy.s3) {
    return Error{ErrorKind::kUsage, "--s3: no bucket is configured",
                 "write s3backupconfig into cluster.yml", false, 0};
  }
  ES_ASSIGN(offsite, Offsite::open(context, Offsite::of_a_command(context.clock)));
  Bucket& bucket = offsite->bucket();
  std::string exact = wanted;
  if (here) {
    ES_ASSIGN(copy, find_copy(context, *offsite, *here));
    if (copy.empty()) return false;
    exact = copy;
  }
  ES_ASSIGN(search, search_bucket(context, bucket, exact));
  const auto& found = search.exact.empty() ? search.by_base : search.exact;
  if (found.empty()) return false;
  if (found.size() > 1) return ambiguous(wanted, found[0].file_name, found[1].file_name);
  const RemoteObject& object = found.front();
  const auto name = parse_snapshot_name(object.file_name);
  // A name of ours speaks for itself, and so does what is the same as the snapshot here. Only the
  // manifest says it of any other name.
  bool ours = name || (here && object.file_name == exact);
  if (!ours) {
    ES_ASSIGN(manifest, bucket.manifest(object));
    ours = manifest.has_value();
  }
  if (!ours) {
    return Error{ErrorKind::kUsage,
                 "'" + object.file_name + "' in " + bucket.display() + " is no snapshot",
                 "delete what is not this agent's with the tools of the bucket", false, 0};
  }
  if (name && name->kind == SnapshotKind::kRolling && search.newest_other <= name->time && !force) {
    return Error{ErrorKind::kUsage,
                 "no snapshot of this host in the bucket is newer than '" + object.file_name + "'",
                 "let a cycle upload another first, or say --force", false, 0};
  }
  ES_ASSIGN(faults, bucket.remove({object.file_name}));
  if (!faults.empty()) return bucket.delete_error(faults.front());
  context.log.write({.message = "Deleted remote backup",
                     .fields = {{"name", name ? name->base : base_of(object.file_name)}},
                     .message_id = kDeletedRemote});
  return true;
}

}  // namespace etcd_snapshot
