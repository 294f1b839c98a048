#include "credentials_lab.h"

using namespace etcd_snapshot;

TEST_GROUP_BASE(Credentials, CredentialsBase){};

// --- written down

TEST(Credentials, TakesEachSourceBeforeTheNext) {
  in_ec2();
  with_container();
  with_web_identity();
  scratch.write("s3-access-key", "AKIASYSTEMD\n");
  scratch.write("s3-secret-key", "systemd/secret\n");
  environment["CREDENTIALS_DIRECTORY"] = scratch.path();
  environment["AWS_ACCESS_KEY_ID"] = "AKIAENV";
  environment["AWS_SECRET_ACCESS_KEY"] = "env/secret";
  scratch.write("access", " AKIAFILE \n");
  scratch.write("secret", "file/secret\r\n");
  inputs.access_key_file = scratch.path("access");
  inputs.secret_key_file = scratch.path("secret");
  inputs.access_key = "AKIAPOLICY";
  inputs.secret_key = "policy/secret";

  const auto check = [&](const char* key, const char* secret, const char* token,
                         const std::string& from) {
    const auto source = chain();
    check_keys(*source, key, secret, token);
    STRCMP_EQUAL(from.c_str(), source->source().c_str());
  };
  check("AKIAPOLICY", "policy/secret", "", "cluster.yml");
  inputs.keys_from = "the command line";
  check("AKIAPOLICY", "policy/secret", "", "the command line");
  inputs.access_key = inputs.secret_key = "";
  check("AKIAFILE", "file/secret", "", "the file " + scratch.path("access"));
  inputs.access_key_file = inputs.secret_key_file = "";
  check("AKIAENV", "env/secret", "", "the environment (AWS_ACCESS_KEY_ID)");
  environment["AWS_SESSION_TOKEN"] = "env//token==";
  check("AKIAENV", "env/secret", "env//token==", "the environment (AWS_ACCESS_KEY_ID)");
  environment.erase("AWS_ACCESS_KEY_ID");
  environment.erase("AWS_SECRET_ACCESS_KEY");
  check("AKIASYSTEMD", "systemd/secret", "",
        "systemd's credentials (" + scratch.path("s3-access-key") + ")");
  scratch.write("s3-session-token", "systemd//token==");
  check("AKIASYSTEMD", "systemd/secret",
        "systemd//token==", "systemd's credentials (" + scratch.path("s3-access-key") + ")");
  LONGS_EQUAL(0, http.requests.size());
  environment["CREDENTIALS_DIRECTORY"] = scratch.path("elsewhere");
  check("ASIASTS", "sts/secret",
        "sts//token==", "the role arn:aws:iam::1:role/backup (web identity)");
  environment.erase("AWS_WEB_IDENTITY_TOKEN_FILE");
  check("ASIATASK", "role/secret+1", "role//token==", "the role of this container");
  environment.erase("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  LONGS_EQUAL(0, http.calls(kToken));
  check("ASIAROLE", "role/secret+1", "role//token==", "the role backup of this machine");
}

// Nobody can renew them.
TEST(Credentials, DoesNotForgetWhatIsWrittenDown) {
  inputs.access_key = "AKIA";
  inputs.secret_key = "policy/secret";
  const auto source = chain();
  CHECK_FALSE(source->forget({"AKIA", "policy/secret", ""}));
  const auto keys = source->get();
  CHECK_TRUE(keys.ok());
  CHECK_FALSE(source->forget(*keys));
}

TEST(Credentials, RefusesHalfAPairAndNamesTheOtherHalf) {
  scratch.write("key", "AKIA");
  const std::string file = scratch.path("key");
  const struct {
    std::function<void()> set;
    const char* says;
  } rows[] = {
      {[&] { inputs.access_key = "AKIA"; }, "access_key of cluster.yml is set, but secret_key"},
      {[&] { inputs.secret_key = "env/secret"; },
       "secret_key of cluster.yml is set, but access_key"},
      {[&] { inputs.access_key_file = file; },
       "[s3] access_key_file is set, but secret_key_file is not"},
      {[&] { inputs.secret_key_file = file; },
       "[s3] secret_key_file is set, but access_key_file is not"},
      {[&] { environment["AWS_ACCESS_KEY_ID"] = "AKIA"; },
       "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"},
      {[&] { environment["AWS_SECRET_ACCESS_KEY"] = "env/secret"; },
       "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not"},
      {[&] { environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = file; },
       "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not"},
  };
  in_ec2();
  for (const auto& row : rows) {
    inputs = {};
    environment.clear();
    row.set();
    const Error error = failure(*chain());
    check_kind(ErrorKind::kConfig, error);
    check_says(error, row.says);
    CHECK_FALSE(error.hint.empty());
  }
  LONGS_EQUAL(0, http.requests.size());
}

TEST(Credentials, RefusesHalfOfSystemdsCredentials) {
  environment["CREDENTIALS_DIRECTORY"] = scratch.path();
  scratch.write("s3-secret-key", "env/secret");
  const Error error = failure(*chain());
  check_kind(ErrorKind::kConfig, error);
  check_says(error, "there is " + scratch.path("s3-secret-key") + ", but no " +
                        scratch.path("s3-access-key"));
}

TEST(Credentials, NamesTheKeyFileThatCannotBeUsed) {
  scratch.write("good", "AKIA");
  scratch.write("empty", "\n \n");
  scratch.write("two", "env/secret\nenv/secret\n");
  scratch.write("binary", std::string("env/secret\0", 11));
  scratch.write("umlaut", "env/secret\xc3\xa4");
  scratch.write("large", std::string(65 << 10, 'x'));
  for (const char* name : {"empty", "two", "binary", "umlaut", "large", "missing", "."}) {
    inputs.access_key_file = scratch.path("good");
    inputs.secret_key_file = scratch.path(name);
    const Error error = failure(*chain());
    // The bucket's failure: a cycle goes on without it.
    check_kind(ErrorKind::kRemote, error);
    check_says(error, "[s3] secret_key_file of etcd-snapshot.conf: ");
    check_says(error, scratch.path(name));
    CHECK_FALSE(error.hint.empty());
  }
  inputs.access_key_file = scratch.path("missing");
  const Error missing = failure(*chain());
  check_says(missing, "[s3] access_key_file of etcd-snapshot.conf: cannot read ");
  check_says(missing, "No such file or directory");
  check_hints(missing, "mount");
}

// A line end in a value would begin a header of its own.
TEST(Credentials, RefusesValuesThatNoHeaderCanHold) {
  const char* const kNames[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"};
  for (const char* name : kNames) {
    for (const char* value : {"env/secret\r\nx: y", "env/secret ", "env/secret\xc3\xa4", "\x7f"}) {
      environment = {{"AWS_ACCESS_KEY_ID", "AKIA"}, {"AWS_SECRET_ACCESS_KEY", "other"}};
      environment[name] = value;
      const Error error = failure(*chain());
      check_kind(ErrorKind::kConfig, error);
      check_says(error, name);
    }
  }
}

// --- the whole chain

TEST(Credentials, SaysOfEveryStepWhyItHadNothing) {
  const Error error = failure(*chain());
  check_kind(ErrorKind::kRemote, error);
  CHECK_FALSE(error.retryable);
  STRCMP_EQUAL(
      "there are no credentials for S3: cluster.yml has no access_key; [s3] access_key_file is not "
      "set; AWS_ACCESS_KEY_ID is not set; there is no $CREDENTIALS_DIRECTORY; "
      "AWS_WEB_IDENTITY_TOKEN_FILE is not set; AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and "
      "AWS_CONTAINER_CREDENTIALS_FULL_URI are not set; EC2 metadata at http://169.254.169.254: "
      "Connection refused",
      error.message.c_str());
  check_hints(error, "set access_key and secret_key in cluster.yml");
  // Whoever runs a command by hand does not have what the service is given.
  check_hints(error, "CREDENTIALS_DIRECTORY=/etc/etcd-snapshot etcd-snapshot check");
  LONGS_EQUAL(2, http.requests.size());
  environment["NOTIFY_SOCKET"] = "/run/systemd/notify";
  CHECK_FALSE(holds(failure(*chain()).hint, "CREDENTIALS_DIRECTORY"));
}

// Each thread of an upload would wait for it anew.
TEST(Credentials, LetsAFailureStandForAMoment) {
  const auto source = chain();
  const Error first = failure(*source), second = failure(*source);
  STRCMP_EQUAL(first.message.c_str(), second.message.c_str());
  LONGS_EQUAL(2, http.requests.size());
  clock.pass(std::chrono::seconds(6));
  in_ec2();
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
}

TEST(Credentials, ReturnsACancelledRequestAsItIs) {
  http.script[kToken] = {{0, "", cancelled_error()}};
  const auto source = chain();
  check_kind(ErrorKind::kCancelled, failure(*source));
  // And does not let it stand: cleaning up asks after the stop.
  in_ec2();
  CHECK_TRUE(source->get(true).ok());
  CHECK_TRUE(http.requests.back().after_stop);
}

// --- renewal

TEST(Credentials, RenewsBeforeTheEnd) {
  in_ec2(std::chrono::minutes(20));
  const auto source = chain();
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  clock.pass(std::chrono::minutes(15));
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  LONGS_EQUAL(1, http.calls(kRole));
  clock.pass(std::chrono::seconds(1));
  http.script[kRole] = {{200, role_keys(in(std::chrono::hours(6)), "ASIASECOND"), {}}};
  check_keys(*source, "ASIASECOND", "role/secret+1", "role//token==");
  LONGS_EQUAL(2, http.calls(kRole));
}

TEST(Credentials, KeepsTheOldOnesWhileTheyServe) {
  in_ec2(std::chrono::minutes(20));
  const auto source = chain();
  CHECK_TRUE(source->get().ok());
  clock.pass(std::chrono::minutes(16));
  http.script[kToken] = {refused_connection(kInstance)};
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  const int asked = http.calls(kToken);
  LONGS_EQUAL(3, asked);
  // Not with every request of an upload.
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  LONGS_EQUAL(asked, http.calls(kToken));
  clock.pass(std::chrono::seconds(31));
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
  CHECK_TRUE(http.calls(kToken) > asked);
  const std::string end = in(std::chrono::seconds(3 * 60 + 29));
  clock.pass(std::chrono::minutes(4));
  const Error error = failure(*source);
  check_kind(ErrorKind::kRemote, error);
  check_says(error, "the credentials of the role backup of this machine expired at " + end +
                        " and could not be renewed: EC2 metadata at http://169.254.169.254: ");
  CHECK_TRUE(error.retryable);
  clock.pass(std::chrono::seconds(6));
  in_ec2();
  check_keys(*source, "ASIAROLE", "role/secret+1", "role//token==");
}

// Cleaning up has seconds.
TEST(Credentials, DoesNotRenewEarlyAfterAStop) {
  in_ec2(std::chrono::minutes(4));
  const auto source = chain();
  CHECK_TRUE(source->get().ok());
  clock.pass(std::chrono::minutes(2));
  CHECK_TRUE(source->get(true).ok());
  LONGS_EQUAL(1, http.calls(kRole));
  clock.pass(std::chrono::minutes(3));
  in_ec2();
  CHECK_TRUE(source->get(true).ok());
  LONGS_EQUAL(2, http.calls(kRole));
}

TEST(Credentials, RefusesKeysThatHaveExpiredAlready) {
  in_ec2(-std::chrono::hours(1));
  const Error error = failure(*chain());
  check_kind(ErrorKind::kRemote, error);
  check_says(error, "expired at " + in(-std::chrono::hours(1)));
  check_hints(error, "timedatectl");
}

TEST(Credentials, FetchesAnewWhatTheServerDoesNotKnow) {
  in_ec2();
  const auto source = chain();
  CHECK_FALSE(source->forget({"ASIAROLE", "", ""}));
  const auto keys = source->get();
  CHECK_TRUE(keys.ok());
  CHECK_TRUE(source->forget(*keys));
  http.script[kRole] = {{200, role_keys(in(std::chrono::hours(6)), "ASIASECOND"), {}}};
  check_keys(*source, "ASIASECOND", "role/secret+1", "role//token==");
}

// Several threads are told at once that the old ones have expired.
TEST(Credentials, KeepsWhatAnotherThreadHasRenewed) {
  in_ec2();
  const auto source = chain();
  const auto old = source->get();
  CHECK_TRUE(source->forget(*old));
  CHECK_TRUE(source->forget(*old));  // before anybody has asked for others
  http.script[kRole] = {{200, role_keys(in(std::chrono::hours(6)), "ASIASECOND"), {}}};
  CHECK_TRUE(source->get().ok());
  const size_t asked = http.requests.size();
  CHECK_TRUE(source->forget(*old));
  check_keys(*source, "ASIASECOND", "role/secret+1", "role//token==");
  LONGS_EQUAL(asked, http.requests.size());
  // The same key with another token is another.
  Credentials token = *source->get();
  token.session_token = "before";
  CHECK_TRUE(source->forget(token));
  CHECK_TRUE(source->get().ok());
  LONGS_EQUAL(asked, http.requests.size());
}

TEST(Credentials, TellsWhichVariableNamesAFileThatIsMissing) {
  with_web_identity();
  environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/nonexistent/token";
  const Error error = failure(*chain());
  check_kind(ErrorKind::kConfig, error);
  check_says(error, "/nonexistent/token");
  check_hints(error, "AWS_WEB_IDENTITY_TOKEN_FILE");
  inputs.access_key_file = inputs.secret_key_file = "/nonexistent/key";
  check_says(failure(*chain()), "[s3] access_key_file");
}

TEST(Credentials, FetchesOnceForManyThreads) {
  in_ec2();
  http.during = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  const auto source = chain();
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto keys = source->get();
      if (keys && keys->access_key == "ASIAROLE") ++good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  LONGS_EQUAL(8, good);
  LONGS_EQUAL(3, http.requests.size());
}
