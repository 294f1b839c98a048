#include "s3/answers.h"

#include <string>

#include "base/human.h"
#include "documents.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(Answers){};

TEST(Answers, ReadsAPageOfObjects) {
  const auto page = parse_list(kList);
  CHECK_TRUE(page.ok());
  LONGS_EQUAL(2, page->objects.size());
  STRCMP_EQUAL("p1/2018-05-04T18:40:16Z_etcd.zip", page->objects[0].key.c_str());
  CHECK_TRUE(page->objects[0].size_bytes == 5368709120);
  STRCMP_EQUAL("70ee1738b6b21e2c8a43f3a5ab0eee71-2", page->objects[0].etag.c_str());
  STRCMP_EQUAL("p1/a b+c d", page->objects[1].key.c_str());
  CHECK_TRUE(page->objects[1].size_bytes == 0);
  STRCMP_EQUAL("", page->objects[1].etag.c_str());
  STRCMP_EQUAL("1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=", page->next_token.c_str());
}

TEST(Answers, DecodesKeysOnlyWhereTheServerEncodedThem) {
  struct Row {
    const char* type;
    const char* written;
    const char* key;
  };
  const Row table[] = {
      {"", "a+b%2Bc", "a+b%2Bc"},
      {"<EncodingType>url</EncodingType>", "a+b%2Bc%2fd", "a b+c/d"},
      {"<EncodingType>url</EncodingType>", "%", "%"},
      {"<EncodingType>url</EncodingType>", "%4", "%4"},
      {"<EncodingType>url</EncodingType>", "%zz%41", "%zzA"},
      {"<EncodingType>url</EncodingType>", "%0a%E4%B8%AD", "\n\xe4\xb8\xad"},
      {"", "a&lt;b&gt;&amp;&quot;&apos;", "a<b>&\"'"},
      {"", "&amp;lt;", "&lt;"},
      {"", "a&#x1;b&#10;&#xE9;&#x20AC;&#128512;",
       "a\x01"
       "b\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
      {"", "<![CDATA[a&amp;<b>]]>", "a&amp;<b>"},
      {"", "a<!-- no -->b", "ab"},
      {"", " ", " "},
      {"", " a ", " a "},
  };
  for (const Row& row : table) {
    const auto page = parse_list(list_with(std::string(row.type) + "<Contents><Key>" + row.written +
                                           "</Key><Size>1</Size></Contents>"));
    CHECK_TRUE_TEXT(page.ok(), row.written);
    STRCMP_EQUAL_TEXT(row.key, page->objects.at(0).key.c_str(), row.written);
  }
}

TEST(Answers, ComparesLocalNames) {
  const auto page = parse_list(
      "<s3:ListBucketResult xmlns:s3=\"x\"><s3:Contents><s3:Key>a</s3:Key><s3:Size>3</s3:Size>"
      "</s3:Contents><s3:IsTruncated>false</s3:IsTruncated></s3:ListBucketResult>");
  CHECK_TRUE(page.ok());
  STRCMP_EQUAL("a", page->objects.at(0).key.c_str());
}

TEST(Answers, TakesTheLastPageForTheLast) {
  for (const char* end : {"", "<IsTruncated>false</IsTruncated>", "<IsTruncated/>",
                          "<IsTruncated>false</IsTruncated>"
                          "<NextContinuationToken>t</NextContinuationToken>"}) {
    const auto page = parse_list(list_with(end));
    CHECK_TRUE_TEXT(page.ok(), end);
    CHECK_TRUE(page->objects.empty());
    STRCMP_EQUAL_TEXT("", page->next_token.c_str(), end);
  }
}

TEST(Answers, SaysWhatIsMissing) {
  const auto list = parse_list(list_with("<Contents><Key>a</Key></Contents>"));
  STRCMP_EQUAL("the list of objects cannot be read: it has no Size", list.error().message.c_str());
  CHECK_FALSE(list.error().hint.empty());
  const auto html = parse_list("<html/>");
  STRCMP_EQUAL("the list of objects cannot be read: it is no ListBucketResult",
               html.error().message.c_str());
  // A server that knows version 1 only.
  const auto old =
      parse_list(list_with("<IsTruncated>true</IsTruncated><NextMarker>p1/a</NextMarker>"));
  CHECK_TRUE(holds(old.error().hint, "ListObjectsV2"));
}

TEST(Answers, ReadsTheUploadId) {
  const auto id = parse_upload_id(kInitiated);
  CHECK_TRUE(id.ok());
  STRCMP_EQUAL("VXBsb2FkIElE~&", id->c_str());
  for (const std::string& document :
       {std::string(), kList, replaced(kInitiated, "VXBsb2FkIElE~&amp;", ""),
        std::string("<InitiateMultipartUploadResult/>")}) {
    check_refused(parse_upload_id(document), document);
  }
}

TEST(Answers, ReadsTheEtagOfACompletedUpload) {
  const auto etag = parse_complete(kCompleted);
  CHECK_TRUE(etag.ok());
  STRCMP_EQUAL("3858f62230ac3c915f300c664312c11f-9", etag->c_str());
  // Blanks keep the connection alive while S3 puts the parts together.
  STRCMP_EQUAL("3858f62230ac3c915f300c664312c11f-9",
               parse_complete("\n  \n" + kCompleted + "\n")->c_str());
  STRCMP_EQUAL("3858f62230ac3c915f300c664312c11f-9",
               parse_complete(replaced(kCompleted, "\n", "\n \n   \n"))->c_str());
  for (const char* written : {"<ETag>\"\"</ETag>", "<ETag></ETag>", "<ETag/>", ""}) {
    const auto none = parse_complete(
        replaced(kCompleted, "<ETag>\"3858f62230ac3c915f300c664312c11f-9\"</ETag>", written));
    CHECK_TRUE_TEXT(none.ok(), written);
    STRCMP_EQUAL_TEXT("", none->c_str(), written);
  }
  check_refused(parse_complete(""), "");
  check_refused(parse_complete(kInitiated), kInitiated);
}

TEST(Answers, FindsTheErrorInsideAGoodStatus) {
  const auto etag =
      parse_complete(std::string(kDeclaration) +
                     "\n\n<Error><Code>InternalError</Code><Message>We encountered an "
                     "internal error.</Message><RequestId>656c76</RequestId></Error>");
  CHECK_FALSE(etag.ok());
  CHECK_TRUE(etag.error().kind == ErrorKind::kRemote);
  STRCMP_EQUAL("InternalError", etag.error().s3_code.c_str());
  STRCMP_EQUAL(
      "the answer to CompleteMultipartUpload is the error InternalError: We encountered an "
      "internal error. (request 656c76)",
      etag.error().message.c_str());
  check_refused(parse_complete("<Error/>"), "<Error/>");
  STRCMP_EQUAL("SlowDown",
               parse_list("<Error><Code>SlowDown</Code></Error>").error().s3_code.c_str());
}

TEST(Answers, ReadsUploadsInProgress) {
  const auto page = parse_uploads(kUploads);
  CHECK_TRUE(page.ok());
  LONGS_EQUAL(2, page->uploads.size());
  STRCMP_EQUAL("p1/a", page->uploads[0].key.c_str());
  STRCMP_EQUAL("id-1", page->uploads[0].upload_id.c_str());
  STRCMP_EQUAL("2018-05-04T18:40:16Z", format_utc(page->uploads[0].initiated).c_str());
  STRCMP_EQUAL("id-2%2F", page->uploads[1].upload_id.c_str());
  STRCMP_EQUAL("p1/z", page->next_key.c_str());
  STRCMP_EQUAL("id-2%2F", page->next_upload_id.c_str());
  const auto last = parse_uploads(replaced(kUploads, "<IsTruncated>true<", "<IsTruncated>false<"));
  CHECK_TRUE(last.ok());
  STRCMP_EQUAL("", (last->next_key + last->next_upload_id).c_str());
  CHECK_TRUE(parse_uploads("<ListMultipartUploadsResult/>")->uploads.empty());
}

TEST(Answers, TellsWhatWasNotDeleted) {
  const auto faults = parse_delete(kDeleted);
  CHECK_TRUE(faults.ok());
  LONGS_EQUAL(1, faults->size());
  STRCMP_EQUAL("b&c", (*faults)[0].key.c_str());
  STRCMP_EQUAL("AccessDenied", (*faults)[0].code.c_str());
  STRCMP_EQUAL("Access Denied", (*faults)[0].message.c_str());
  CHECK_TRUE(parse_delete("<DeleteResult/>")->empty());
  CHECK_TRUE(parse_delete("<DeleteResult>\n</DeleteResult>")->empty());
  check_refused(parse_delete(""), "");
  check_refused(parse_delete(kFault), kFault);
  // Which object it was has to be known.
  check_refused(parse_delete(replaced(kDeleted, "<Key>b&amp;c</Key>", "")), "");
}

TEST(Answers, ReadsTheLocation) {
  struct Row {
    const char* document;
    const char* region;
  };
  const Row table[] = {
      {"<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>", "us-east-1"},
      {"<LocationConstraint></LocationConstraint>", "us-east-1"},
      {"<LocationConstraint>\n</LocationConstraint>", "us-east-1"},
      {"<?xml version=\"1.0\"?><LocationConstraint>EU</LocationConstraint>", "eu-west-1"},
      {"<LocationConstraint>eu-central-1</LocationConstraint>", "eu-central-1"},
  };
  for (const Row& row : table) {
    const auto region = parse_location(row.document);
    CHECK_TRUE_TEXT(region.ok(), row.document);
    STRCMP_EQUAL_TEXT(row.region, region->c_str(), row.document);
  }
  for (const char* document : {"", "<html/>", "<LocationConstraint><a/></LocationConstraint>"}) {
    check_refused(parse_location(document), document);
  }
}

TEST(Answers, ReadsTheCredentialsOfARole) {
  const auto credentials = parse_sts(kSts);
  CHECK_TRUE(credentials.ok());
  STRCMP_EQUAL("ASgeIAIOSFODNN7EXAMPLE", credentials->access_key.c_str());
  STRCMP_EQUAL("wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY", credentials->secret_key.c_str());
  STRCMP_EQUAL("AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE",
               credentials->session_token.c_str());
  STRCMP_EQUAL("2014-10-24T23:00:23Z", format_utc(credentials->expires).c_str());
}

TEST(Answers, ReadsAFault) {
  const S3Fault fault = parse_fault(kFault);
  STRCMP_EQUAL("AuthorizationHeaderMalformed", fault.code.c_str());
  STRCMP_EQUAL("the region 'us-east-1' is wrong; expecting 'eu-west-1'", fault.message.c_str());
  STRCMP_EQUAL("656c76696e6727", fault.request_id.c_str());
  STRCMP_EQUAL("eu-west-1", fault.region.c_str());
  const S3Fault moved = parse_fault(
      "<Error><Code>PermanentRedirect</Code><Endpoint>backups.s3-us-west-2.amazonaws.com</Endpoint>"
      "<Bucket>backups</Bucket></Error>");
  STRCMP_EQUAL("us-west-2", moved.region.c_str());
  const S3Fault skewed = parse_fault(
      "<Error><Code>RequestTimeTooSkewed</Code><RequestTime>20180504T184016Z</RequestTime>"
      "<ServerTime>2018-05-04T19:00:16Z</ServerTime></Error>");
  STRCMP_EQUAL("2018-05-04T19:00:16Z", skewed.server_time.c_str());
  const S3Fault sts = parse_fault(
      "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"
      "<Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>m</Message></Error>"
      "<RequestId>4ac4</RequestId></ErrorResponse>");
  STRCMP_EQUAL("InvalidIdentityToken", sts.code.c_str());
  STRCMP_EQUAL("4ac4", sts.request_id.c_str());
}

TEST(Answers, WritesTheBodyThatCompletesAnUpload) {
  STRCMP_EQUAL(
      "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
      "<Part><PartNumber>1</PartNumber><ETag>\"a54357\"</ETag></Part>"
      "<Part><PartNumber>2</PartNumber><ETag>\"x&lt;&quot;\"</ETag></Part>"
      "</CompleteMultipartUpload>",
      complete_body({"a54357", "x<\""}).c_str());
}

TEST(Answers, WritesTheBodyThatDeletes) {
  STRCMP_EQUAL(
      "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>"
      "<Object><Key>p1/2018-05-04T18:40:16Z_etcd.zip</Key></Object>"
      "<Object><Key>&amp;&lt;&gt;&quot;&apos;\xc3\xa9 %</Key></Object>"
      "<Object><Key>a&#x1;&#xA;&#xD;&#x1F;&#x7F;</Key></Object></Delete>",
      delete_body({"p1/2018-05-04T18:40:16Z_etcd.zip", "&<>\"'\xc3\xa9 %", "a\x01\n\r\x1f\x7f"})
          .c_str());
}

// What a key is in a request is what it is in an answer.
TEST(Answers, ReadsBackWhatItWrites) {
  std::string key;
  for (int c = 1; c < 256; ++c) key += static_cast<char>(c);
  const std::string body = delete_body({key});
  const size_t start = body.find("<Key>"), end = body.find("</Object>");
  const auto page = parse_list(
      list_with("<Contents>" + body.substr(start, end - start) + "<Size>1</Size></Contents>"));
  CHECK_TRUE(page.ok());
  CHECK_TRUE(page->objects.at(0).key == key);
}
