#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "config/load.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

namespace {

HostSettings good_host(const std::string& text) {
  auto host = parse_host_ini("host.conf", text);
  CHECK_TEXT(host.ok(), host ? "" : host.error().message.c_str());
  return *host;
}

std::string bad_host(const std::string& text) {
  const auto host = parse_host_ini("host.conf", text);
  CHECK_FALSE_TEXT(host.ok(), text.substr(0, 200).c_str());
  CHECK(host.error().kind == ErrorKind::kConfig);
  CHECK(host.error().message.find('\n') == std::string::npos);
  STRCMP_CONTAINS("; accepted: ", host.error().message.c_str());
  return host.error().message;
}

std::string shipped_file() {
  std::ifstream stream("etc/etcd-snapshot.conf");
  CHECK(stream.good());
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

TEST_GROUP(HostIni){};

TEST(HostIni, AnEmptyFileMeansTheDefaults) {
  for (const char* text : {"", "\n\n", "# nothing\n; here\n", "[etcd]\n[s3]\n", "\xEF\xBB\xBF"}) {
    const HostSettings host = good_host(text);
    STRCMP_EQUAL("/opt/rke/etcd-snapshots", host.snapshots.directory.c_str());
    LONGS_EQUAL(0, host.etcd.endpoints.size());
    LONGS_EQUAL(4, host.etcd.retries);
  }
}

TEST(HostIni, ReadsEveryKey) {
  const HostSettings host = good_host(
      "[etcd]\nendpoints = https://10.0.0.1:2379 , etcd-2:1234,[::1]\nca_file = /c/ca.pem\n"
      "cert_file=/c/cert.pem\nkey_file: /c/key.pem\nusername = root user\npassword_file = /c/pw\n"
      "connect_timeout_s = 3\nstall_timeout_s = 20\nretries = 0\nretry_interval_s = 1\n"
      "[snapshots]\ndirectory = /srv//my snapshots/\ncompression = zstd\ninclude_host = yes\n"
      "retention_unit = snapshots\nkeep_last = 3\n"
      "[s3]\nlookup = path\npart_size_mib = 64\nconcurrency = 8\nretries = 9\nstall_timeout_s = "
      "30\n"
      "max_rate_mib_s = 50\nproxy = http://user:pass@proxy:3128\nca_file = /c/s3.pem\n"
      "access_key_file = /c/access\nsecret_key_file = /c/secret\nsse = aws:kms\n"
      "sse_kms_key_id = alias/etcd\nstorage_class = STANDARD_IA\n"
      "[pki]\nbundle = yes\ndirectory = /etc/pki\nupload = true\n"
      "[log]\nlevel = debug\n[metrics]\ntextfile = /var/lib/node/etcd.prom\n");
  LONGS_EQUAL(3, host.etcd.endpoints.size());
  STRCMP_EQUAL("https://10.0.0.1:2379", host.etcd.endpoints[0].c_str());
  STRCMP_EQUAL("https://etcd-2:1234", host.etcd.endpoints[1].c_str());
  STRCMP_EQUAL("https://[::1]:2379", host.etcd.endpoints[2].c_str());
  STRCMP_EQUAL("/c/ca.pem", host.etcd.ca_file.c_str());
  STRCMP_EQUAL("/c/cert.pem", host.etcd.cert_file.c_str());
  STRCMP_EQUAL("/c/key.pem", host.etcd.key_file.c_str());
  STRCMP_EQUAL("root user", host.etcd.username.c_str());
  STRCMP_EQUAL("/c/pw", host.etcd.password_file.c_str());
  LONGS_EQUAL(3, host.etcd.connect_timeout_s);
  LONGS_EQUAL(20, host.etcd.stall_timeout_s);
  LONGS_EQUAL(0, host.etcd.retries);
  LONGS_EQUAL(1, host.etcd.retry_interval_s);
  STRCMP_EQUAL("/srv/my snapshots", host.snapshots.directory.c_str());
  CHECK(host.snapshots.compression == Compression::kZstd);
  CHECK(host.snapshots.include_host);
  CHECK(host.snapshots.retention_unit == RetentionUnit::kSnapshots);
  LONGS_EQUAL(3, host.snapshots.keep_last);
  CHECK(host.s3.lookup == S3Lookup::kPath);
  LONGS_EQUAL(64, host.s3.part_size_mib);
  LONGS_EQUAL(8, host.s3.concurrency);
  LONGS_EQUAL(9, host.s3.retries);
  LONGS_EQUAL(30, host.s3.stall_timeout_s);
  CHECK(host.s3.max_rate_mib_s == 50);
  STRCMP_EQUAL("http://user:pass@proxy:3128", host.s3.proxy.c_str());
  STRCMP_EQUAL("/c/s3.pem", host.s3.ca_file.c_str());
  STRCMP_EQUAL("/c/access", host.s3.access_key_file.c_str());
  STRCMP_EQUAL("/c/secret", host.s3.secret_key_file.c_str());
  STRCMP_EQUAL("aws:kms", host.s3.sse.c_str());
  STRCMP_EQUAL("alias/etcd", host.s3.sse_kms_key_id.c_str());
  STRCMP_EQUAL("STANDARD_IA", host.s3.storage_class.c_str());
  CHECK(host.pki.bundle == BundleMode::kYes && host.pki.upload);
  STRCMP_EQUAL("/etc/pki", host.pki.directory.c_str());
  CHECK(host.log_level == LogLevel::kDebug);
  STRCMP_EQUAL("/var/lib/node/etcd.prom", host.metrics_textfile.c_str());
}

TEST(HostIni, EndpointsWithoutASchemeFollowTheCertificates) {
  STRCMP_EQUAL("http://a:2379", good_host("[etcd]\nendpoints = a").etcd.endpoints[0].c_str());
  STRCMP_EQUAL("https://a:2379",
               good_host("[etcd]\nendpoints = a\nca_file = /ca").etcd.endpoints[0].c_str());
  const auto mixed =
      good_host("[etcd]\nendpoints = http://a,HTTPS://b:1/\nca_file = /ca").etcd.endpoints;
  STRCMP_EQUAL("http://a:2379", mixed[0].c_str());
  STRCMP_EQUAL("https://b:1", mixed[1].c_str());
}

TEST(HostIni, WindowsLineEndsAndLeadingMarkAreTaken) {
  STRCMP_EQUAL(
      "/a", good_host("\xEF\xBB\xBF[snapshots]\r\ndirectory = /a\r\n").snapshots.directory.c_str());
  STRCMP_EQUAL("/a",
               good_host("[snapshots] ; comment\ndirectory = /a\n").snapshots.directory.c_str());
}

// inih would cut the value there, and what is written would not be what counts.
TEST(HostIni, ACommentBehindAValueIsAnErrorWithItsLine) {
  for (const char* line : {"directory = /a ; here", "directory = /a\t; here", "directory = /a ;",
                           "directory = ; nothing"}) {
    STRCMP_EQUAL(
        "host.conf:3: a comment behind a value; accepted: a comment on a line of its own, after #",
        bad_host("[snapshots]\n\n" + std::string(line) + "\n").c_str());
  }
  STRCMP_EQUAL(
      "/a;b",
      good_host("; a ; b\n# a ; b\n[snapshots]\ndirectory = /a;b\n").snapshots.directory.c_str());
}

TEST(HostIni, ABadLineIsAnErrorWithItsNumber) {
  const struct {
    std::string text;
    const char* what;
  } table[] = {
      {"[nowhere]\n", "host.conf:1: [nowhere]: unknown section; the nearest known one is ["},
      {"\n[etdc]\nretries = 1\n",
       "host.conf:2: [etdc]: unknown section; the nearest known one is [etcd]"},
      {"[ etcd ]\n", "host.conf:1: [ etcd ]: unknown section"},
      {"[etcd\nretries = 1", "host.conf:1: a section without ]"},
      {"[etcd] retries = 1", "host.conf:1: text after the section"},
      {"[etcd]]", "host.conf:1: text after the section"},
      {"[]", "host.conf:1: []: unknown section"},
      {"[etcd]\nendpoint = a\n",
       "host.conf:2: [etcd] endpoint: unknown key; the nearest known one is 'endpoints'"},
      {"[etcd]\ncompression = zip\n",
       "host.conf:2: [etcd] compression: unknown key; it belongs to [snapshots]"},
      {"[etcd]\n\nretries = 1\nretries = 1\n",
       "host.conf:4: [etcd] retries: written twice, first on line 3"},
      {"[etcd]\nretries = 1\n[log]\n[etcd]\nretries = 2\n",
       "host.conf:5: [etcd] retries: written twice"},
      {"retries = 1\n[etcd]\n", "host.conf:1: retries: a key before the first section"},
      {"[etcd]\nretries\n", "host.conf:2: neither a key nor a section: 'retries'"},
      {"[etcd]\n= 5\n", "host.conf:2: [etcd] : unknown key"},
      {"[etcd]\nendpoints = a,\n  b\n", "host.conf:2: [etcd] endpoints: an empty endpoint"},
      {"[etcd]\nendpoints = a\n  b\n", "host.conf:3: a line that begins with a space"},
      {"[etcd]\n\tretries = 1\n", "host.conf:2:1: a tab; accepted: a line from its first column"},
      {std::string("[etcd]\nca_file = /a\0b\n", 21), "host.conf:2: a control character"},
      {"[etcd]\nca_file = /a\x01\n", "host.conf:2: a control character"},
      {"[etcd]\nca_file = /\xff\n",
       "host.conf:2: a control character, or bytes that are not UTF-8"},
      {"[etcd]\nca_file = /a\tb\n", "host.conf:2:13: a tab in the value"},
      {"[etcd]\nca_file = /a\rb\n", "host.conf:2: [etcd] ca_file: a tab or other control"},
      {"[etcd]\nretries = 4 # four\n", "host.conf:2: [etcd] retries: a # after the value"},
      {"[etcd]\nca_file = # none\n", "host.conf:2: [etcd] ca_file: a # after the value"},
      {"[etcd]\nca_file = /" + std::string(188, 'a') + "\n",
       "host.conf:2: a line that is too long"},
      {"[etcd]\n" + std::string(100'000, 'a') + "\n", "host.conf:2: a line that is too long"}};
  for (const auto& row : table) STRCMP_CONTAINS(row.what, bad_host(row.text).c_str());
}

TEST(HostIni, TheLongestLineIsReadWhole) {
  const std::string path = "/" + std::string(187, 'a');
  const std::string line = "ca_file = " + path;
  LONGS_EQUAL(198, line.size());
  STRCMP_EQUAL(path.c_str(), good_host("[etcd]\n" + line + "\nretries = 7").etcd.ca_file.c_str());
  LONGS_EQUAL(7, good_host("[etcd]\r\n" + line + "\r\nretries = 7").etcd.retries);
  LONGS_EQUAL(7, good_host("[etcd]\n# " + std::string(5000, 'x') + "\nretries = 7").etcd.retries);
}

TEST(HostIni, ABadValueIsAnErrorThatSaysWhatIsAccepted) {
  const struct {
    const char *section, *line, *what;
  } table[] = {
      {"etcd", "retries = -1", "a negative number: '-1'; accepted: a whole number from 0 to 1000"},
      {"etcd", "retries = 010", "a leading zero"},
      {"etcd", "retries = 1.5", "a fraction"},
      {"etcd", "retries = many", "not a number: 'many'"},
      {"etcd", "retries = 5s", "not a whole number: '5s'"},
      {"etcd", "connect_timeout_s = 0", "too small: '0'"},
      {"etcd", "stall_timeout_s = 99999999999999999999", "too large"},
      {"etcd", "ca_file = ca.pem", "not an absolute path: 'ca.pem'"},
      {"etcd", "ca_file = \"/ca.pem\"", "not an absolute path"},
      {"etcd", "ca_file = /etc/../ca.pem", "a relative component in '/etc/../ca.pem'"},
      {"etcd", "endpoints = ftp://a", "unknown scheme in 'ftp://a'"},
      {"etcd", "endpoints = http://a:2379/v2", "a path or query in"},
      {"etcd", "endpoints = a:0", "not a port in 'a:0'"},
      {"etcd", "endpoints = a:65536", "not a port in"},
      {"etcd", "endpoints = ::1", "an IPv6 address without brackets"},
      {"etcd", "endpoints = a,,b", "an empty endpoint in 'a,,b'"},
      {"etcd", "endpoints = a b", "not a host name in 'a b'"},
      {"snapshots", "directory = /", "the root directory"},
      {"snapshots", "directory = snapshots", "not an absolute path"},
      {"snapshots", "compression = gzip", "unknown value 'gzip'; accepted: zip, zstd, none"},
      {"snapshots", "include_host = maybe", "not a boolean: 'maybe'"},
      {"snapshots", "retention_unit = days", "unknown value 'days'; accepted: hours, snapshots"},
      {"snapshots", "keep_last = 0", "too small: '0'"},
      {"s3", "lookup = dsn", "unknown value 'dsn'; accepted: auto, dns, path"},
      {"s3", "part_size_mib = 4", "too small: '4'; accepted: a whole number from 5 to 5120"},
      {"s3", "part_size_mib = 5121", "too large"},
      {"s3", "concurrency = 65", "too large"},
      {"s3", "max_rate_mib_s = 0", "too small"},
      {"s3", "sse = aes256", "unknown value 'aes256'; accepted: AES256, aws:kms"},
      {"s3", "storage_class = A B", "not one word"},
      {"pki", "bundle = perhaps", "unknown value 'perhaps'; accepted: auto, yes, no"},
      {"log", "level = verbose", "accepted: error, warning, info, debug"},
      {"metrics", "textfile = metrics.prom", "not an absolute path"},
      {"metrics", "textfile = /metrics.prom", "a file in the root directory"}};
  for (const auto& row : table) {
    const std::string line(row.line);
    const std::string message = bad_host(std::string("[") + row.section + "]\n" + line + "\n");
    STRCMP_CONTAINS(row.what, message.c_str());
    const std::string place =
        std::string("host.conf:2: [") + row.section + "] " + line.substr(0, line.find(' ')) + ": ";
    STRCMP_CONTAINS(place.c_str(), message.c_str());
  }
}

TEST(HostIni, HalfAPairIsAnError) {
  const struct {
    const char *text, *what;
  } table[] = {{"[etcd]\ncert_file = /a", "host.conf:2: [etcd] cert_file: set without key_file"},
               {"[etcd]\nkey_file = /a", "host.conf:2: [etcd] key_file: set without cert_file"},
               {"[etcd]\nusername = a", "host.conf:2: [etcd] username: set without password_file"},
               {"[etcd]\npassword_file = /a", "[etcd] password_file: set without username"},
               {"[s3]\naccess_key_file = /a", "[s3] access_key_file: set without secret_key_file"},
               {"[s3]\nsecret_key_file = /a", "[s3] secret_key_file: set without access_key_file"},
               {"[s3]\nsse = AES256\nsse_kms_key_id = a",
                "host.conf:3: [s3] sse_kms_key_id: set without sse"}};
  for (const auto& row : table) STRCMP_CONTAINS(row.what, bad_host(row.text).c_str());
}

TEST(HostIni, AProxyIsCheckedAndNeverShown) {
  for (const char* text :
       {"proxy", "proxy:3128", "http://proxy:3128/", "socks5h://u:p@[::1]:1080"}) {
    STRCMP_EQUAL(text, good_host(std::string("[s3]\nproxy = ") + text).s3.proxy.c_str());
  }
  for (const char* text : {"gopher://u:hidden@proxy", "http://u:hidden@", "@hidden", "u:hidden@a:b",
                           "http://u:hid@hidden@proxy", "u@v:hidden@proxy"}) {
    const std::string message = bad_host(std::string("[s3]\nproxy = ") + text);
    STRCMP_CONTAINS("host.conf:2: [s3] proxy: ", message.c_str());
    CHECK(message.find("hid") == std::string::npos);
  }
  STRCMP_CONTAINS("a second @ in the proxy", bad_host("[s3]\nproxy = u:p@q@proxy").c_str());
  STRCMP_CONTAINS("%40", bad_host("[s3]\nproxy = u:p@q@proxy").c_str());
  STRCMP_EQUAL("u:p%40q@proxy", good_host("[s3]\nproxy = u:p%40q@proxy").s3.proxy.c_str());
  CHECK(bad_host("[etcd]\nendpoints = http://u:hidden@a").find("hidden") == std::string::npos);
}

TEST(HostIni, TheShippedFileShowsEveryKeyWithItsDefault) {
  std::istringstream shipped(shipped_file());
  std::string section, uncommented;
  std::vector<std::string> shown;
  for (std::string line; std::getline(shipped, line);) {
    if (line.starts_with('[')) section = line.substr(1, line.size() - 2);
    if (line.starts_with('#') && !line.starts_with("# ")) {
      line.erase(0, 1);
      shown.push_back(section + "." + line.substr(0, line.find(' ')));
    }
    uncommented += line + "\n";
  }
  const std::vector<std::string> known = known_host_keys();
  LONGS_EQUAL(known.size(), shown.size());
  for (size_t i = 0; i < known.size(); ++i) STRCMP_EQUAL(known[i].c_str(), shown[i].c_str());

  const HostSettings host = good_host(uncommented), defaults;
  LONGS_EQUAL(0, host.etcd.endpoints.size());
  LONGS_EQUAL(defaults.etcd.connect_timeout_s, host.etcd.connect_timeout_s);
  LONGS_EQUAL(defaults.etcd.stall_timeout_s, host.etcd.stall_timeout_s);
  LONGS_EQUAL(defaults.etcd.retries, host.etcd.retries);
  LONGS_EQUAL(defaults.etcd.retry_interval_s, host.etcd.retry_interval_s);
  STRCMP_EQUAL(defaults.snapshots.directory.c_str(), host.snapshots.directory.c_str());
  CHECK(defaults.snapshots.compression == host.snapshots.compression);
  CHECK(defaults.snapshots.include_host == host.snapshots.include_host);
  CHECK(defaults.snapshots.retention_unit == host.snapshots.retention_unit);
  LONGS_EQUAL(defaults.snapshots.keep_last, host.snapshots.keep_last);
  CHECK(defaults.s3.lookup == host.s3.lookup);
  LONGS_EQUAL(defaults.s3.part_size_mib, host.s3.part_size_mib);
  LONGS_EQUAL(defaults.s3.concurrency, host.s3.concurrency);
  LONGS_EQUAL(defaults.s3.retries, host.s3.retries);
  LONGS_EQUAL(defaults.s3.stall_timeout_s, host.s3.stall_timeout_s);
  CHECK_FALSE(host.s3.max_rate_mib_s.has_value());
  CHECK(defaults.pki.bundle == host.pki.bundle);
  CHECK(defaults.pki.upload == host.pki.upload);
  CHECK(defaults.log_level == host.log_level);
  STRCMP_EQUAL("", host.metrics_textfile.c_str());
}

// Copied from a web page or a chat: nothing of it can be seen (aelassas/servy#963 U+200B,
// geerlingguy/ansible-role-jenkins#153 U+00A0, hotoo/pangu.vim#55 U+2060).
TEST(HostIni, NamesCharactersThatCannotBeSeen) {
  const struct {
    const char *line, *what;
  } table[] = {{"\u00a0directory = /a", "host.conf:3:1: U+00A0 NO-BREAK SPACE; accepted: "},
               {"directory\u00a0= /a", "host.conf:3:10: U+00A0 NO-BREAK SPACE"},
               {"directory = /ä/b\u200b", "host.conf:3:17: U+200B ZERO WIDTH SPACE"},
               {"directory = /a\u2060b", "host.conf:3:15: U+2060 WORD JOINER"},
               {"directory = /a\u3000b", "host.conf:3:15: U+3000 IDEOGRAPHIC SPACE"},
               {"directory\uff1a/a", "host.conf:3:10: U+FF1A FULLWIDTH COLON"},
               {"keep\u2013last = 3", "host.conf:3:5: U+2013 EN DASH"},
               {"\ufeffdirectory = /a", "host.conf:3:1: U+FEFF ZERO WIDTH NO-BREAK SPACE"},
               {"[s3\u00ad]", "host.conf:3:4: U+00AD SOFT HYPHEN"}};
  for (const auto& row : table) {
    STRCMP_CONTAINS(row.what, bad_host("[snapshots]\n\n" + std::string(row.line) + "\n").c_str());
  }
  // Comments may hold what they like, and names what only looks like ASCII.
  STRCMP_EQUAL(
      "/a–b", good_host("# a\u00a0b\n[snapshots]\ndirectory = /a–b\n").snapshots.directory.c_str());
}
