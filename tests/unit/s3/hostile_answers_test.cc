// What a broken or hostile server may answer: an error, never a crash and never a shorter list.
#include "s3/answers.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "documents.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(HostileAnswers){};

TEST(HostileAnswers, RefusesAListThatIsNone) {
  const auto contents = [](const std::string& inside) {
    return list_with("<Contents>" + inside + "</Contents>");
  };
  const std::string table[] = {
      "",
      " ",
      "null",
      "{\"error\": 1}",
      "<!DOCTYPE html><html><head><title>Sign in</title></head><body><br></body></html>",
      "<!DOCTYPE html><html><body>Sign in</body></html>",
      kInitiated,
      kList + "<ListBucketResult/>",
      kList + "<junk",
      contents("<Size>1</Size>"),
      contents("<Key></Key><Size>1</Size>"),
      contents("<Key>a</Key>"),
      contents("<Key>a</Key><Size/>"),
      contents("<Key>a</Key><Size>-1</Size>"),
      contents("<Key>a</Key><Size>+1</Size>"),
      contents("<Key>a</Key><Size>1e3</Size>"),
      contents("<Key>a</Key><Size>0x10</Size>"),
      contents("<Key>a</Key><Size> 1</Size>"),
      contents("<Key>a</Key><Size>9223372036854775808</Size>"),
      contents("<Key>a</Key><Size>" + std::string(100000, '9') + "</Size>"),
      contents("<Key>a</Key><Size>1<b/></Size>"),
      contents("<Key>a<Key>b</Key></Key><Size>1</Size>"),
      contents("<Key>a&lol;</Key><Size>1</Size>"),
      contents("<Key>a&</Key><Size>1</Size>"),
      contents("<Key>a&;</Key><Size>1</Size>"),
      contents("<Key>a&#;</Key><Size>1</Size>"),
      contents("<Key>a&#x;</Key><Size>1</Size>"),
      contents("<Key>a&#-1;</Key><Size>1</Size>"),
      // What would cut a C string off, so that the key looked like another.
      contents("<Key>a&#0;b</Key><Size>1</Size>"),
      contents("<Key>a&#x100000000;b</Key><Size>1</Size>"),
      contents("<Key>a&#x110000;b</Key><Size>1</Size>"),
      contents("<Key>a&#xD800;b</Key><Size>1</Size>"),
      contents(std::string("<Key>a\0b</Key><Size>1</Size>", 27)),
      list_with("<IsTruncated>true</IsTruncated>"),
      list_with("<IsTruncated>true</IsTruncated><NextContinuationToken/>"),
      list_with("<IsTruncated>maybe</IsTruncated>"),
      std::string("\xff\xfe<\0a\0/\0>\0", 10),
  };
  for (const std::string& document : table) check_refused(parse_list(document), document);
}

TEST(HostileAnswers, NeverExpandsEntities) {
  std::string bomb = "<!DOCTYPE lolz [<!ENTITY lol \"lol\">";
  for (int i = 1; i < 10; ++i) {
    bomb += "<!ENTITY lol" + std::to_string(i) + " \"";
    for (int n = 0; n < 10; ++n) bomb += i == 1 ? "&lol;" : "&lol" + std::to_string(i - 1) + ";";
    bomb += "\">";
  }
  bomb += "]>";
  check_refused(
      parse_list(bomb + list_with("<Contents><Key>&lol9;</Key><Size>1</Size></Contents>")), bomb);
  const std::string external = "<!DOCTYPE x [<!ENTITY file SYSTEM \"file:///etc/passwd\">]>" +
                               list_with("<Contents><Key>&file;</Key><Size>1</Size></Contents>");
  check_refused(parse_list(external), external);
  // Nor is one taken that uses none of them.
  const auto declared = parse_list("<!DOCTYPE x [<!ENTITY y \"z\">]>" + list_with(""));
  check_refused(declared, "a document type");
  CHECK_TRUE(holds(declared.error().message, "an answer with a document type"));
  CHECK_TRUE(is_empty(parse_fault("<!DOCTYPE x><Error><Code>SlowDown</Code></Error>")));
  STRCMP_EQUAL("", parse_fault(bomb + "<Error><Code>&lol9;</Code></Error>").code.c_str());
}

TEST(HostileAnswers, SurvivesDeepNesting) {
  constexpr int kDepth = 100000;
  std::string open, close;
  for (int i = 0; i < kDepth; ++i) {
    open += "<Key>";
    close += "</Key>";
  }
  const std::string in_key = list_with("<Contents>" + open + close + "<Size>1</Size></Contents>");
  check_refused(parse_list(in_key), in_key);
  check_refused(parse_list(open + close), "deep");
  check_refused(parse_list(open), "deep and not closed");
  // Where nobody looks, it does not matter.
  CHECK_TRUE(parse_list(list_with("<Owner>" + open + close + "</Owner>")).ok());
  std::string group;
  for (int i = 0; i < kDepth; ++i) group += "<![";
  check_refused(parse_list("<!DOCTYPE a [" + group), "deep document type");
  CHECK_TRUE(is_empty(parse_fault(open + close)));
}

TEST(HostileAnswers, RefusesMoreThanEightMebibytes) {
  const std::string spaces(8 * 1024 * 1024 - list_with("").size(), ' ');
  CHECK_TRUE(parse_list(list_with("") + spaces).ok());
  check_refused(parse_list(list_with("") + spaces + " "), "too long");
}

TEST(HostileAnswers, ReadsAThousandObjectsOfTheLongestKeys) {
  std::string contents;
  for (int i = 0; i < 1000; ++i) {
    contents += "<Contents><Key>";
    for (int n = 0; n < 1024; ++n) contents += "&quot;";
    contents += "</Key><Size>9223372036854775807</Size></Contents>";
  }
  const auto page = parse_list(list_with(contents));
  CHECK_TRUE(page.ok());
  LONGS_EQUAL(1000, page->objects.size());
  CHECK_TRUE(page->objects[999].key == std::string(1024, '"'));
  CHECK_TRUE(page->objects[999].size_bytes == INT64_MAX);
}

TEST(HostileAnswers, RefusesUploadsThatCannotBeJudged) {
  for (const std::string& document :
       {std::string(), kList, replaced(kUploads, "<UploadId>id-1</UploadId>", ""),
        replaced(kUploads, "<Key>p1%2Fa</Key>", ""),
        replaced(kUploads, "2018-05-04T18:40:16.123Z", "yesterday"),
        replaced(kUploads, "2018-05-04T18:40:16.123Z", "2018-05-04T18:40:16"),
        replaced(kUploads, "<Initiated>2018-05-04T18:40:16.123Z</Initiated>", ""),
        replaced(kUploads, "<NextKeyMarker>p1%2Fz</NextKeyMarker>", "")}) {
    check_refused(parse_uploads(document), document);
  }
}

TEST(HostileAnswers, RefusesCredentialsWithoutShowingThem) {
  const std::string secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY";
  for (const std::string& document :
       {replaced(kSts, secret, ""), replaced(kSts, secret, secret + "&#10;x-evil: 1"),
        replaced(kSts, secret, secret + " "), replaced(kSts, "AccessKeyId>", "KeyId>"),
        replaced(kSts, "<AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>", ""),
        replaced(kSts, "2014-10-24T23:00:23Z", "soon"), replaced(kSts, "Credentials>", "Keys>"),
        std::string("<AssumeRoleWithWebIdentityResponse/>"), kList}) {
    const auto credentials = parse_sts(document);
    check_refused(credentials, document);
    CHECK_FALSE(holds(credentials.error().message, secret));
  }
}

TEST(HostileAnswers, FindsNoFaultInWhatIsNone) {
  for (const std::string& document :
       {std::string(), std::string("<html>407</html>"), std::string("Bad Gateway"), kList,
        std::string("<Error><Code>SlowDown"), std::string("<ErrorResponse/>"),
        std::string("<Error/>")}) {
    CHECK_TRUE_TEXT(is_empty(parse_fault(document)), document.c_str());
  }
}

TEST(HostileAnswers, KeepsTheWordsOfAFaultShortAndOnOneLine) {
  const S3Fault fault = parse_fault("<Error><Code>A&#27;[2J</Code><Message>one\ntwo" +
                                    std::string(100000, 'x') + "</Message></Error>");
  STRCMP_EQUAL("A [2J", fault.code.c_str());
  CHECK_TRUE(fault.message.starts_with("one two"));
  CHECK_TRUE(fault.message.ends_with("x..."));
  LONGS_EQUAL(1003, fault.message.size());
  // Cut between two characters, not inside one.
  std::string long_text = "x";
  for (int i = 0; i < 1000; ++i) long_text += "\xc3\xa9";
  const S3Fault foreign = parse_fault("<Error><Message>" + long_text + "</Message></Error>");
  CHECK_TRUE(foreign.message == long_text.substr(0, 999) + "...");
}

// Cut off anywhere, an answer is an error: never a shorter list, never another id.
TEST(HostileAnswers, RefusesEveryTruncation) {
  const auto each = [](const std::string& document, auto parse) {
    CHECK_TRUE(parse(document));
    const size_t last = document.rfind('>');
    for (size_t size = 0; size <= last; ++size) {
      // A copy of its own, so that the sanitizer sees a read behind its end.
      const std::vector<char> part(document.begin(), document.begin() + size);
      CHECK_FALSE_TEXT(parse(std::string_view(part.data(), part.size())),
                       document.substr(0, size).c_str());
    }
  };
  each(kList, [](std::string_view xml) { return parse_list(xml).ok(); });
  each(kInitiated, [](std::string_view xml) { return parse_upload_id(xml).ok(); });
  each(kCompleted, [](std::string_view xml) { return parse_complete(xml).ok(); });
  each(kUploads, [](std::string_view xml) { return parse_uploads(xml).ok(); });
  each(kDeleted, [](std::string_view xml) { return parse_delete(xml).ok(); });
  each(kSts, [](std::string_view xml) { return parse_sts(xml).ok(); });
  each(kFault, [](std::string_view xml) { return !is_empty(parse_fault(xml)); });
}

// One byte replaced anywhere: whatever comes out, nothing breaks.
TEST(HostileAnswers, SurvivesEveryChangedByte) {
  for (const std::string& document : {kList, kUploads, kDeleted, kSts, kFault}) {
    for (size_t at = 0; at < document.size(); ++at) {
      for (const char c : {'<', '>', '&', ';', '"', '/', '!', '\0', '\xff'}) {
        std::string changed = document;
        changed[at] = c;
        const auto list = parse_list(changed);
        if (list.ok()) {
          for (const ListedObject& object : list->objects) CHECK_TRUE(object.size_bytes >= 0);
        }
        (void)parse_uploads(changed).ok();
        (void)parse_delete(changed).ok();
        (void)parse_sts(changed).ok();
        (void)parse_fault(changed);
      }
    }
  }
}
