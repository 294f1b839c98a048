// S3's XML, answers in and bodies out (S3 API Reference). Reads them with s3/xml.
// Hostile input gets an error: no document types, no entities, sizes are checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace etcd_snapshot {

// An <Error> document, S3's or that of STS; all empty where the text is none. Each is one line of
// bounded length.
struct S3Fault {
  std::string code, message, request_id;
  // Of AuthorizationHeaderMalformed, PermanentRedirect and the like: what the document names, or
  // what its Endpoint tells.
  std::string region;
  std::string server_time;  // of RequestTimeTooSkewed
};
S3Fault parse_fault(std::string_view xml);

// Whether it is a document of a server and no web page, whatever its Content-Type: OpenStack Swift
// sends XML as text/html.
bool is_xml_answer(std::string_view text);

// ListObjectsV2, with encoding-type=url where the server honours it (keys come back decoded).
struct ListedObject {
  std::string key;
  int64_t size_bytes = 0;
  std::string etag;  // normal_etag()
};
struct ListPage {
  std::vector<ListedObject> objects;
  std::string next_token;  // empty: the last page
};
// kRemote, naming what is missing: no XML, another document, a negative or missing size, a page
// that says it is truncated without a token.
Result<ListPage> parse_list(std::string_view xml);

// CreateMultipartUpload.
Result<std::string> parse_upload_id(std::string_view xml);

// CompleteMultipartUpload: the normal_etag(), which some servers leave empty. An <Error>
// inside a 200 is an error, with its s3_code (never retryable: explain.h decides that); here and in
// every other function.
Result<std::string> parse_complete(std::string_view xml);

// ListMultipartUploads.
struct ListedUpload {
  std::string key, upload_id;
  UnixSeconds initiated;
};
struct UploadPage {
  std::vector<ListedUpload> uploads;
  std::string next_key, next_upload_id;  // both empty: the last page
};
Result<UploadPage> parse_uploads(std::string_view xml);

// DeleteObjects: what could not be deleted (a key that was not there counts as deleted).
struct DeleteFault {
  std::string key, code, message;
};
Result<std::vector<DeleteFault>> parse_delete(std::string_view xml);

// GetBucketLocation. Empty means us-east-1, "EU" means eu-west-1; both are translated.
Result<std::string> parse_location(std::string_view xml);

// AssumeRoleWithWebIdentity (STS API Reference). kRemote where a field is missing.
struct StsCredentials {
  std::string access_key, secret_key, session_token;
  UnixSeconds expires;
};
Result<StsCredentials> parse_sts(std::string_view xml);

// Bodies. `etags` of the parts from number 1 on, bare_etag().
std::string complete_body(const std::vector<std::string>& etags);
std::string delete_body(const std::vector<std::string>& keys);

}  // namespace etcd_snapshot
