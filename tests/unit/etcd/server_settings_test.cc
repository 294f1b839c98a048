#include "etcd/server_settings.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(ServerSettings){};

TEST(ServerSettings, AreReadFromFlagsInEveryForm) {
  const struct {
    std::vector<std::string> command;
    const char* urls;
  } rows[] = {
      {{"etcd", "--listen-client-urls=http://a:1"}, "http://a:1"},
      {{"etcd", "--listen-client-urls", "http://a:1"}, "http://a:1"},
      {{"etcd", "-listen-client-urls=http://a:1"}, "http://a:1"},
      {{"etcd", "-listen-client-urls", "http://a:1", "--name=x"}, "http://a:1"},
      {{"etcd", "--listen-client-urls=http://a:1", "--listen-client-urls=http://b:1"},
       "http://b:1"},
      {{"etcd", "--experimental-listen-client-urls=http://a:1"}, ""},
      {{"etcd", "--listen-client-http-urls=http://a:1"}, ""},
      {{"etcd", "listen-client-urls=http://a:1"}, ""},
      {{"etcd", "--listen-client-urls"}, ""},
      {{"/bin/sh", "-c", "exec etcd --name=x --listen-client-urls='http://a:1' >/log"},
       "http://a:1"},
      {{"/bin/sh", "-ec"}, ""},
      {{}, ""},
  };
  for (const auto& row : rows) {
    STRCMP_EQUAL(row.urls, settings_of_command(row.command, {}).client_urls.c_str());
  }
}

// etcd op-guide/configuration: a flag overrides its variable.
TEST(ServerSettings, OfAFlagTakePrecedenceOverItsVariable) {
  const ServerSettings settings =
      settings_of_command({"etcd", "--cert-file=/flag"}, {{"ETCD_CERT_FILE", "/variable"},
                                                          {"ETCD_KEY_FILE", "/key"},
                                                          {"ETCD_TRUSTED_CA_FILE", "/ca"},
                                                          {"ETCD_LISTEN_CLIENT_URLS", "http://a:1"},
                                                          {"ETCD_CONFIG_FILE", "/conf"}});
  STRCMP_EQUAL("/flag", settings.cert_file.c_str());
  STRCMP_EQUAL("/key", settings.key_file.c_str());
  STRCMP_EQUAL("/ca", settings.ca_file.c_str());
  STRCMP_EQUAL("http://a:1", settings.client_urls.c_str());
  STRCMP_EQUAL("/conf", settings.config_file.c_str());
}

TEST(ServerSettings, OfAConfigurationFileAreThoseOfItsClientPort) {
  const ServerSettings settings =
      settings_of_config_file({{"listen-client-urls", "https://a:1"},
                               {"", "x"},
                               {"client-transport-security.cert-file", "/c"},
                               {"client-transport-security.key-file", "/k"},
                               {"client-transport-security.trusted-ca-file", "/ca"},
                               {"peer-transport-security.cert-file", "/peer"}});
  STRCMP_EQUAL("https://a:1", settings.client_urls.c_str());
  STRCMP_EQUAL("/c", settings.cert_file.c_str());
  STRCMP_EQUAL("/k", settings.key_file.c_str());
  STRCMP_EQUAL("/ca", settings.ca_file.c_str());
  STRCMP_EQUAL("", settings.config_file.c_str());
}
