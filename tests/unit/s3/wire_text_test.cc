#include "s3/wire_text.h"

#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(WireText){};

TEST(WireText, ReadsTheDatesThatServersMustSend) {
  const auto seconds = [](const char* text) {
    const auto time = parse_http_date(text);
    return time ? time->time_since_epoch().count() : -1;
  };
  LONGS_EQUAL(784111777, seconds("Sun, 06 Nov 1994 08:49:37 GMT"));
  LONGS_EQUAL(951782400, seconds("Tue, 29 Feb 2000 00:00:00 GMT"));
  LONGS_EQUAL(1483228800, seconds("Sat, 31 Dec 2016 23:59:60 GMT"));  // a leap second
  for (const char* bad : {"", "GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
                          "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 nov 1994 08:49:37 GMT",
                          "Sun, 30 Feb 2000 00:00:00 GMT", "Sun, 06 anF 1994 08:49:37 GMT",
                          "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
                          "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, +6 Nov 1994 08:49:37 GMT"}) {
    LONGS_EQUAL_TEXT(-1, seconds(bad), bad);
  }
}

TEST(WireText, MakesAPeersWordsFitForAMessage) {
  const struct {
    std::string text, fit;
  } rows[] = {
      {"plain", "plain"},
      {"  two\r\n\t lines ", "two lines"},
      {"\x1b[31m\x07", "?[31m?"},
      {std::string("a\0b", 3), "a?b"},
      {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
       "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xc3", "?"},
      {"\xff\xfe", "??"},
      {"\xc2\x9b", "??"},       // CSI
      {"\xc0\xaf", "??"},       // overlong
      {"\xed\xa0\x80", "???"},  // a surrogate
      {"\xf4\x90\x80\x80", "????"},
      {"0123456789abc", "0123456789..."},
      {"012345678\xc3\xbc", "012345678..."},  // not in the middle of a character
  };
  for (const auto& row : rows) {
    const size_t most = row.text.starts_with("012") ? 10 : 300;
    STRCMP_EQUAL(row.fit.c_str(), peer_text(row.text, most).c_str());
  }
}

TEST(WireText, TakesTheOriginOffAMessage) {
  const auto check = [](const char* message, const char* rest) {
    STRCMP_EQUAL(rest, std::string(without_origin(message)).c_str());
  };
  check("https://a.example:8443: refused: no", "refused: no");
  check("http://[::1]:9000: refused", "refused");
  check("refused: by all", "refused: by all");
  check("https://a.example is gone: 404", "https://a.example is gone: 404");
}
