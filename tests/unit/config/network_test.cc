#include "config/network.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(Network){};

TEST(Network, KnowsThisMachineByTheTextOfAUrl) {
  for (const char* url :
       {"http://127.0.0.1:2379", "https://127.0.0.1", "http://127.255.255.254:1/path",
        "http://localhost", "http://localhost:2379/", "https://[::1]:2379", "[::1]:2379",
        "127.0.0.1:2379", "localhost"}) {
    CHECK_TRUE_TEXT(is_loopback_url(url), url);
  }
  for (const char* url :
       {"", "http://", "http://128.0.0.1:2379", "http://10.0.0.1", "http://127.0.0.1.example.com",
        "http://localhost.example.com", "http://127.1", "http://0.0.0.0:2379", "http://[::]:2379",
        "http://[2001:db8::1]:2379", "https://example.com/127.0.0.1", "https://example.com/[::1]",
        "http://127.0.0.1@example.com/", "http://0127.0.0.1"}) {
    CHECK_FALSE_TEXT(is_loopback_url(url), url);
  }
}
