// check: fails wherever a run would, and tells no other story than run and status.
#include <sys/stat.h>

#include "../fakes/certificates.h"
#include "../lab.h"
#include "base/exit_code.h"
#include "commands/commands.h"
#include "cycle.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;
using namespace std::chrono_literals;

TEST_GROUP(CommandCheck) {
  Lab lab;
  ConfigPaths paths;
  void setup() override {
    paths.cluster_file = lab.scratch.path("cluster.yml");
    lab.scratch.write("cluster.yml", "");
    std::filesystem::create_directory(lab.scratch.path("snapshots"));
    chmod(lab.scratch.path("snapshots").c_str(), 0700);
  }
  Printed check() {
    return capture([&] { return call(lab, {"check"}, paths); });
  }
  void check_says(const char* text, int code = kExitOk) {
    const Printed printed = check();
    STRCMP_CONTAINS(text, printed.out.c_str());
    LONGS_EQUAL_TEXT(code, printed.code, printed.out.c_str());
  }
  std::string certificate(const char* name, Nanoseconds age, Nanoseconds left) {
    const auto now = lab.clock.now();
    const auto made = make_certificate(name, std::chrono::floor<std::chrono::seconds>(now - age),
                                       std::chrono::floor<std::chrono::seconds>(now + left));
    lab.scratch.write("key.pem", made.key);
    return made.certificate;
  }
  // An endpoint with TLS: a client certificate, and the authorities of the server's.
  void use_tls(const std::string& authorities, Nanoseconds left) {
    EtcdSettings& etcd = lab.settings.host.etcd;
    etcd.endpoints = {"https://127.0.0.1:2379"};
    lab.scratch.write("ca.pem", authorities);
    lab.scratch.write("cert.pem", certificate("client", 24h, left));
    etcd.ca_file = lab.scratch.path("ca.pem");
    etcd.cert_file = lab.scratch.path("cert.pem");
    etcd.key_file = lab.scratch.path("key.pem");
  }
};

TEST(CommandCheck, GoesTheWayOfARunUpToTheFirstBytes) {
  check_says("http://127.0.0.1:2379 sends its snapshot: ");
  LONGS_EQUAL(1, lab.etcd.calls("Snapshot"));
  LONGS_EQUAL(0, lab.files().size());
  LONGS_EQUAL(0, lab.hidden().size());
}

// etcd-io/etcd#9554: 3.4.23 and 3.5.16 answer Status, and refuse the snapshot alone.
TEST(CommandCheck, FailsWhereTheUserMayNotTakeASnapshot) {
  const struct {
    int code;
    const char* message;
  } rows[] = {{2, "auth: permission denied"},
              {7, "etcdserver: permission denied"},
              {9, "etcdserver: permission denied"}};
  for (const auto& row : rows) {
    lab.etcd.script["Snapshot"] = {refuse(row.code, row.message)};
    const Printed printed = check();
    LONGS_EQUAL_TEXT(kExitUnavailable, printed.code, printed.out.c_str());
    STRCMP_CONTAINS("FAIL", printed.out.c_str());
    STRCMP_CONTAINS("role root", printed.out.c_str());
    STRCMP_CONTAINS("1 failed, 0 warned", printed.out.c_str());
  }
}

TEST(CommandCheck, FailsWhereTheMemberSendsNoSnapshot) {
  FakeReply nothing;
  lab.etcd.script["Snapshot"] = {nothing};
  LONGS_EQUAL(kExitUnavailable, check().code);
  lab.etcd.script["Snapshot"] = {refuse(12, "unknown service")};
  LONGS_EQUAL(kExitUnavailable, check().code);
}

TEST(CommandCheck, MeasuresByTheNewestProvenSnapshotOfThisHost) {
  lab.context.host = "node-3";
  lab.add_snapshot(1h);
  lab.context.host = "node-1";
  check_says("1 of other hosts in ");
  check_says("the newest of node-3");
  check_says("none of them proven by this agent on this host (node-1)");
  lab.add_snapshot(-2h);
  const std::string own = lab.add_snapshot(3h);
  check_says(("the newest proven one is 3h old: " + own).c_str());
}

// The old authority stays beside the new one while certificates are replaced
// (openshift-docs#77406).
TEST(CommandCheck, SaysNothingOfAnExpiredAuthorityBesideAValidOne) {
  const std::string old = certificate("old", 48h, -24h), valid = certificate("new", 24h, 1000h);
  for (const std::string& bundle : {old + valid, valid + old}) {
    use_tls(bundle, 1000h);
    const Printed printed = check();
    LONGS_EQUAL_TEXT(kExitOk, printed.code, printed.out.c_str());
    STRCMP_CONTAINS("0 failed, 0 warned", printed.out.c_str());
    CHECK_FALSE_TEXT(holds(printed.out, "expired"), printed.out.c_str());
    lab.etcd.dead = {"https://127.0.0.1:2379"};
    const Printed stopped = check();
    LONGS_EQUAL(kExitUnavailable, stopped.code);
    STRCMP_CONTAINS("check that it is running and that the address is right", stopped.out.c_str());
    CHECK_FALSE_TEXT(holds(stopped.out, "expired"), stopped.out.c_str());
    lab.etcd.dead.clear();
  }
  use_tls(old, 1000h);
  check_says("ca.pem expired on ");
}

TEST(CommandCheck, WarnsOfACertificateThatExpiresWithinTwoWeeks) {
  const std::string valid = certificate("ca", 24h, 1000h);
  use_tls(valid, 13 * 24h);
  check_says("cert.pem expires in 13d");
  use_tls(valid, 15 * 24h);
  check_says("0 failed, 0 warned");
  use_tls(certificate("ca", 24h, 24h), 1000h);
  check_says("ca.pem expires in ");
}

TEST(CommandCheck, FailsWhereTheBundleCannotBeMade) {
  lab.settings.host.pki.bundle = BundleMode::kYes;
  lab.settings.host.pki.directory = lab.scratch.path("pki");
  LONGS_EQUAL(kExitConfig, check().code);
  std::filesystem::create_directory(lab.scratch.path("pki"));
  LONGS_EQUAL(kExitConfig, check().code);
  lab.scratch.write("pki/ca.pem", "x");
  check_says("1 files taken from ");
  // A run reads each of them.
  std::filesystem::create_symlink("loop.pem", lab.scratch.path("pki/loop.pem"));
  const Printed printed = check();
  LONGS_EQUAL(run_cycle(lab.context), printed.code);
}
