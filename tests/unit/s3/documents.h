// S3's answers as the API Reference shows them, for the tests that read them whole and broken.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../text.h"
#include "s3/answers.h"

#include <CppUTest/TestHarness.h>

namespace etcd_snapshot {

inline constexpr char kDeclaration[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

inline const std::string kList =
    std::string(kDeclaration) +
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>backups</Name>"
    "<Prefix>p1/</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>"
    "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
    "<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>"
    "<Contents><Key>p1/2018-05-04T18%3A40%3A16Z_etcd.zip</Key>"
    "<LastModified>2018-05-04T18:40:20.000Z</LastModified>"
    "<ETag>&quot;70ee1738b6b21e2c8a43f3a5ab0eee71-2&quot;</ETag><Size>5368709120</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
    "<Contents><Key>p1/a+b%2Bc%20d</Key><Size>0</Size></Contents>"
    "<CommonPrefixes><Prefix>p1/x/</Prefix></CommonPrefixes></ListBucketResult>";

inline const std::string kInitiated =
    std::string(kDeclaration) +
    "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<Bucket>backups</Bucket><Key>k</Key><UploadId>VXBsb2FkIElE~&amp;</UploadId>"
    "</InitiateMultipartUploadResult>";

inline const std::string kCompleted =
    std::string(kDeclaration) +
    "<CompleteMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<Location>http://backups.s3.amazonaws.com/k</Location><Bucket>backups</Bucket><Key>k</Key>"
    "<ETag>\"3858f62230ac3c915f300c664312c11f-9\"</ETag></CompleteMultipartUploadResult>";

inline const std::string kUploads =
    std::string(kDeclaration) +
    "<ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<Bucket>backups</Bucket><KeyMarker/><UploadIdMarker/>"
    "<NextKeyMarker>p1%2Fz</NextKeyMarker><NextUploadIdMarker>id-2%2F</NextUploadIdMarker>"
    "<EncodingType>url</EncodingType><MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated>"
    "<Upload><Key>p1%2Fa</Key><UploadId>id-1</UploadId>"
    "<Initiator><ID>arn</ID><DisplayName>x</DisplayName></Initiator>"
    "<Initiated>2018-05-04T18:40:16.123Z</Initiated></Upload>"
    "<Upload><Key>p1%2Fz</Key><UploadId>id-2%2F</UploadId>"
    "<Initiated>2018-05-04T18:40:17+00:00</Initiated></Upload></ListMultipartUploadsResult>";

inline const std::string kDeleted =
    std::string(kDeclaration) +
    "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<Deleted><Key>a</Key></Deleted>"
    "<Error><Key>b&amp;c</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    "<Error><Key>gone</Key><Code>NoSuchKey</Code><Message>none</Message></Error></DeleteResult>";

inline const std::string kSts =
    "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n"
    "  <AssumeRoleWithWebIdentityResult>\n    <Audience>a</Audience>\n    <Credentials>\n"
    "      <SessionToken>AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE</SessionToken>\n"
    "      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>\n"
    "      <Expiration>2014-10-24T23:00:23Z</Expiration>\n"
    "      <AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>\n    </Credentials>\n"
    "  </AssumeRoleWithWebIdentityResult>\n"
    "  <ResponseMetadata><RequestId>ad4156e9</RequestId></ResponseMetadata>\n"
    "</AssumeRoleWithWebIdentityResponse>\n";

inline const std::string kFault =
    std::string(kDeclaration) +
    "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong; "
    "expecting 'eu-west-1'</Message><Region>eu-west-1</Region><RequestId>656c76696e6727"
    "</RequestId><HostId>x</HostId></Error>";

inline std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  if (at == text.npos) FAIL("the document does not hold what is to be replaced");
  return text.replace(at, what.size(), with);
}

inline std::string list_with(const std::string& inside) {
  return "<ListBucketResult>" + inside + "</ListBucketResult>";
}

template <typename T>
void check_refused(const Result<T>& result, const std::string& document) {
  CHECK_FALSE_TEXT(result.ok(), document.substr(0, 300).c_str());
  CHECK_TRUE(result.error().kind == ErrorKind::kRemote);
  CHECK_FALSE(result.error().message.empty());
}

inline bool is_empty(const S3Fault& fault) {
  return (fault.code + fault.message + fault.request_id + fault.region + fault.server_time).empty();
}

}  // namespace etcd_snapshot
