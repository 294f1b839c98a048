#include "commands/check_bucket.h"

#include <fmt/format.h>

#include "base/human.h"
#include "base/x509.h"
#include "commands/check_write.h"
#include "offsite/offsite.h"
#include "store/names.h"

namespace etcd_snapshot {
namespace {

void check_roots(const S3Session& session, UnixSeconds now, Findings& findings) {
  if (session.extra_roots.empty()) return;
  const auto certificates = parse_certificates(session.extra_roots, "custom_ca or ca_file");
  if (!certificates) return findings.fail(certificates.error());
  for (const CertificateInfo& certificate : *certificates) {
    const std::string problem =
        validity_problem(certificate, "an authority of custom_ca or ca_file", now);
    findings.note(problem.empty() ? "trusted beside the system's roots: " + certificate.subject
                                  : problem);
  }
}

// What the list tells: how far the bucket is behind this host.
struct Counts {
  int64_t ours = 0, others = 0;
  UnixSeconds newest = UnixSeconds::min();
  std::string newest_name;
};

Result<Counts> count(Bucket& bucket, UnixSeconds now) {
  Counts counts;
  ES_TRY(bucket.list([&](const std::vector<RemoteObject>& page) -> Result<void> {
    for (const RemoteObject& object : page) {
      const auto name = parse_snapshot_name(object.file_name);
      if (!name) {
        ++counts.others;
        continue;
      }
      ++counts.ours;
      if (name->time <= counts.newest || name->time > now) continue;
      counts.newest = name->time;
      counts.newest_name = object.file_name;
    }
    return {};
  }));
  return counts;
}

}  // namespace

void check_bucket(Context& context, BucketCheck how, Findings& findings) {
  findings.section("Bucket");
  const S3Policy& policy = *context.settings.policy.s3;
  const UnixSeconds now = context.clock.now();
  auto opened = Offsite::open(context, Offsite::of_a_command(context.clock));
  if (!opened) return findings.fail(opened.error());
  Offsite& offsite = **opened;
  S3Session& session = offsite.session();
  const S3Address address = session.location.address();
  const std::string shown = offsite.bucket().display();
  const bool unsettled = session.location.unsettled();
  findings.note(fmt::format("{}, asked as {}, region {}{}", shown, address.url("", ""),
                            address.region,
                            session.location.region_is_guess() ? " (a guess: none is set)" : ""));
  if (address.scheme == "http") {
    findings.warn("the way to the bucket is not encrypted: endpoint says http://",
                  "write https:// or no scheme, if the server speaks TLS");
  }
  check_roots(session, now, findings);
  const auto credentials = session.credentials->get();
  if (!credentials) return findings.fail(credentials.error());
  findings.ok("keys from " + session.credentials->source());
  const auto counts = count(offsite.bucket(), now);
  if (!counts) return findings.fail(counts.error());
  if (const std::string settled = offsite.bucket().display(); unsettled && settled != shown) {
    findings.note("the endpoint is the bucket's own host name: " + settled);
  }
  const std::string region = session.location.address().region;
  if (region != address.region) {
    findings.note(
        fmt::format("the server says that the bucket is in {}: write region: {} into "
                    "cluster.yml, it saves a request",
                    region, region));
  }
  findings.ok(counts->newest_name.empty()
                  ? fmt::format("it answers: no snapshot in {}", offsite.bucket().display())
                  : fmt::format("it answers: {}, the newest is {} old: {}",
                                counts->ours == 1 ? "1 snapshot"
                                                  : fmt::format("{} snapshots", counts->ours),
                                human_age(now - counts->newest), counts->newest_name));
  // Reading what is there and what is not needs the same right as comparing an upload.
  const std::string probe =
      counts->newest_name.empty() ? "etcd-snapshot-check" : counts->newest_name;
  const auto head = offsite.client().head(offsite.bucket().key_of(probe));
  if (!head) return findings.fail(head.error());
  findings.ok(how == BucketCheck::kWrites
                  ? "objects can be looked at"
                  : "objects can be looked at; writing and deleting is tried with --write only");
  const auto uploads = offsite.client().list_uploads(session.prefix(), "", "");
  if (!uploads) {
    const Error& error = uploads.error();
    findings.note("uploads that were interrupted cannot be listed (" +
                  (error.s3_code == "AccessDenied" ? "s3:ListBucketMultipartUploads is not allowed"
                                                   : error.message) +
                  "): let a lifecycle rule of the bucket abort incomplete multipart uploads");
  }
  if (policy.folder.empty() && counts->others > 0) {
    findings.note(
        fmt::format("{} objects of others lie beside; a folder keeps them apart", counts->others));
  }
  if (how == BucketCheck::kWrites) {
    check_writing(offsite, !context.settings.policy.safe_timestamp, findings);
  }
}

}  // namespace etcd_snapshot
