#include "s3/answers.h"

#include <algorithm>
#include <charconv>

#include "s3/address.h"
#include "s3/wire_text.h"
#include "s3/xml.h"
#include "store/names.h"

namespace etcd_snapshot {
namespace {

constexpr char kNamespace[] = "http://s3.amazonaws.com/doc/2006-03-01/";

S3Fault fault_of(const pugi::xml_node& root) {
  // STS wraps it and tells the id outside (STS Query API).
  const bool wrapped = is_element(root, "ErrorResponse");
  const pugi::xml_node error = wrapped ? child(root, "Error") : root;
  if (!is_element(error, "Error")) return {};
  S3Fault fault;
  fault.code = word(error, "Code");
  fault.message = word(error, "Message");
  fault.request_id = word(wrapped ? root : error, "RequestId");
  fault.region = word(error, "Region");
  // PermanentRedirect and TemporaryRedirect name the right endpoint in place of the region.
  if (fault.region.empty()) fault.region = region_of_endpoint(word(error, "Endpoint"));
  fault.server_time = word(error, "ServerTime");
  return fault;
}

Error fault_error(const S3Fault& fault, std::string_view what) {
  Error error = unreadable(what, "it is an error without a code");
  if (fault.code.empty()) return error;
  error.message = std::string(what) + " is the error " + fault.code;
  if (!fault.message.empty()) error.message += ": " + fault.message;
  if (!fault.request_id.empty()) error.message += " (request " + fault.request_id + ")";
  error.hint.clear();
  error.s3_code = fault.code;
  return error;
}

// The document's element at the top, which `document` owns.
Result<pugi::xml_node> open_answer(pugi::xml_document& document, std::string_view xml,
                                   const char* name, std::string_view what) {
  std::string why;
  const pugi::xml_node root = parse_xml(document, xml, why);
  if (!root) return unreadable(what, why.empty() ? "no XML" : why);
  if (is_element(root, name)) return root;
  if (is_element(root, "Error") || is_element(root, "ErrorResponse")) {
    return fault_error(fault_of(root), what);
  }
  return unreadable(what, std::string("it is no ") + name);
}

// Whether the server says that it encoded the keys; one that does not know the parameter leaves
// both out.
Result<bool> keys_are_encoded(const pugi::xml_node& root, std::string_view what) {
  ES_ASSIGN(type, field(root, "EncodingType", what));
  return type == "url";
}

Result<std::string> key_field(const pugi::xml_node& parent, bool encoded, std::string_view what) {
  ES_ASSIGN(key, needed_field(parent, "Key", what));
  return encoded ? url_decode(key) : key;
}

// Whether more follows. Some servers leave the element out on the only page.
Result<bool> is_truncated(const pugi::xml_node& root, std::string_view what) {
  ES_ASSIGN(text, field(root, "IsTruncated", what));
  if (text == "true") return true;
  if (text.empty() || text == "false") return false;
  return unreadable(what, "its IsTruncated is neither true nor false");
}

Result<int64_t> size_field(const pugi::xml_node& parent, std::string_view what) {
  ES_ASSIGN(text, needed_field(parent, "Size", what));
  int64_t size = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (fault != std::errc() || end != text.data() + text.size() || size < 0) {
    return unreadable(what, "an object in it has a Size that is no number of bytes");
  }
  return size;
}

// What becomes a header: nothing that ends or splits one.
Result<std::string> header_field(const pugi::xml_node& parent, const char* name,
                                 std::string_view what) {
  ES_ASSIGN(text, needed_field(parent, name, what));
  const bool visible =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (visible) return text;
  return unreadable(what, std::string("its ") + name + " (not shown) holds what no header can");
}

}  // namespace

S3Fault parse_fault(std::string_view xml) {
  pugi::xml_document document;
  std::string why;
  return fault_of(parse_xml(document, xml, why));
}

bool is_xml_answer(std::string_view text) {
  constexpr const char* kElements[] = {"ListBucketResult",
                                       "InitiateMultipartUploadResult",
                                       "CompleteMultipartUploadResult",
                                       "DeleteResult",
                                       "ListMultipartUploadsResult",
                                       "LocationConstraint",
                                       "Error",
                                       "ErrorResponse"};
  pugi::xml_document document;
  std::string why;
  const pugi::xml_node root = parse_xml(document, text, why);
  if (!root) return false;
  const size_t begin = text.find('<');
  // A page may be XHTML.
  if (text.substr(begin).starts_with("<?xml")) return lower(root.name()) != "html";
  return std::any_of(std::begin(kElements), std::end(kElements),
                     [&](const char* name) { return is_element(root, name); });
}

Result<ListPage> parse_list(std::string_view xml) {
  constexpr std::string_view kWhat = "the list of objects";
  pugi::xml_document document;
  ES_ASSIGN(root, open_answer(document, xml, "ListBucketResult", kWhat));
  ES_ASSIGN(encoded, keys_are_encoded(root, kWhat));
  ListPage page;
  for (const pugi::xml_node& node : root.children()) {
    if (!is_element(node, "Contents")) continue;
    ListedObject object;
    ES_ASSIGN(key, key_field(node, encoded, kWhat));
    ES_ASSIGN(size, size_field(node, kWhat));
    ES_ASSIGN(etag, field(node, "ETag", kWhat));
    object.key = std::move(key);
    object.size_bytes = size;
    object.etag = normal_etag(etag);
    page.objects.push_back(std::move(object));
  }
  ES_ASSIGN(truncated, is_truncated(root, kWhat));
  if (!truncated) return page;
  ES_ASSIGN(token, field(root, "NextContinuationToken", kWhat));
  if (token.empty()) {
    Error error = unreadable(kWhat, "it goes on but names no NextContinuationToken");
    error.hint = "the server may not know ListObjectsV2, which the agent needs";
    return error;
  }
  page.next_token = std::move(token);
  return page;
}

Result<std::string> parse_upload_id(std::string_view xml) {
  constexpr std::string_view kWhat = "the answer to CreateMultipartUpload";
  pugi::xml_document document;
  ES_ASSIGN(root, open_answer(document, xml, "InitiateMultipartUploadResult", kWhat));
  return needed_field(root, "UploadId", kWhat);
}

Result<std::string> parse_complete(std::string_view xml) {
  constexpr std::string_view kWhat = "the answer to CompleteMultipartUpload";
  pugi::xml_document document;
  ES_ASSIGN(root, open_answer(document, xml, "CompleteMultipartUploadResult", kWhat));
  ES_ASSIGN(etag, field(root, "ETag", kWhat));
  return normal_etag(etag);
}

Result<UploadPage> parse_uploads(std::string_view xml) {
  constexpr std::string_view kWhat = "the list of uploads";
  pugi::xml_document document;
  ES_ASSIGN(root, open_answer(document, xml, "ListMultipartUploadsResult", kWhat));
  ES_ASSIGN(encoded, keys_are_encoded(root, kWhat));
  UploadPage page;
  for (const pugi::xml_node& node : root.children()) {
    if (!is_element(node, "Upload")) continue;
    ListedUpload upload;
    ES_ASSIGN(key, key_field(node, encoded, kWhat));
    ES_ASSIGN(id, needed_field(node, "UploadId", kWhat));
    ES_ASSIGN(initiated, needed_field(node, "Initiated", kWhat));
    const auto time = parse_rfc3339(initiated);
    if (!time) return unreadable(kWhat, "an upload in it has an Initiated that is no time");
    upload.key = std::move(key);
    upload.upload_id = std::move(id);
    upload.initiated = *time;
    page.uploads.push_back(std::move(upload));
  }
  ES_ASSIGN(truncated, is_truncated(root, kWhat));
  if (!truncated) return page;
  ES_ASSIGN(next_key, needed_field(root, "NextKeyMarker", kWhat));
  ES_ASSIGN(next_id, field(root, "NextUploadIdMarker", kWhat));
  page.next_key = encoded ? url_decode(next_key) : std::move(next_key);
  page.next_upload_id = std::move(next_id);
  return page;
}

Result<std::vector<DeleteFault>> parse_delete(std::string_view xml) {
  constexpr std::string_view kWhat = "the answer to DeleteObjects";
  pugi::xml_document document;
  ES_ASSIGN(root, open_answer(document, xml, "DeleteResult", kWhat));
  std::vector<DeleteFault> faults;
  for (const pugi::xml_node& node : root.children()) {
    if (!is_element(node, "Error")) continue;
    DeleteFault fault;
    ES_ASSIGN(key, needed_field(node, "Key", kWhat));
    fault.key = std::move(key);
    fault.code = word(node, "Code");
    fault.message = word(node, "Message");
    if (fault.code != "NoSuchKey") faults.push_back(std::move(fault));
  }
  return faults;
}

Result<std::string> parse_location(std::string_view xml) {
  constexpr std::string_view kWhat = "the answer to GetBucketLocation";
  pugi::xml_document document;
  ES_ASSIGN(root, open_answer(document, xml, "LocationConstraint", kWhat));
  auto region = text_of(root);
  if (!region) return unreadable(kWhat, "its LocationConstraint is no text");
  if (region->find_first_not_of(" \t\r\n") == region->npos) return std::string("us-east-1");
  return *region == "EU" ? std::string("eu-west-1") : *region;
}

Result<StsCredentials> parse_sts(std::string_view xml) {
  constexpr std::string_view kWhat = "the answer to AssumeRoleWithWebIdentity";
  pugi::xml_document document;
  ES_ASSIGN(root, open_answer(document, xml, "AssumeRoleWithWebIdentityResponse", kWhat));
  const pugi::xml_node keys = child(child(root, "AssumeRoleWithWebIdentityResult"), "Credentials");
  if (!keys) return unreadable(kWhat, "it has no Credentials");
  ES_ASSIGN(access_key, header_field(keys, "AccessKeyId", kWhat));
  ES_ASSIGN(secret_key, header_field(keys, "SecretAccessKey", kWhat));
  ES_ASSIGN(session_token, header_field(keys, "SessionToken", kWhat));
  ES_ASSIGN(expiration, needed_field(keys, "Expiration", kWhat));
  const auto expires = parse_rfc3339(expiration);
  if (!expires) return unreadable(kWhat, "its Expiration is no time");
  return StsCredentials{access_key, secret_key, session_token, *expires};
}

std::string complete_body(const std::vector<std::string>& etags) {
  std::string xml = std::string("<CompleteMultipartUpload xmlns=\"") + kNamespace + "\">";
  for (size_t i = 0; i < etags.size(); ++i) {
    xml += "<Part><PartNumber>" + std::to_string(i + 1) + "</PartNumber><ETag>\"";
    append_escaped(xml, etags[i]);
    xml += "\"</ETag></Part>";
  }
  return xml + "</CompleteMultipartUpload>";
}

std::string delete_body(const std::vector<std::string>& keys) {
  // Quiet: the answer tells what could not be deleted and nothing else.
  std::string xml = std::string("<Delete xmlns=\"") + kNamespace + "\"><Quiet>true</Quiet>";
  for (const std::string& key : keys) {
    xml += "<Object><Key>";
    append_escaped(xml, key);
    xml += "</Key></Object>";
  }
  return xml + "</Delete>";
}

}  // namespace etcd_snapshot
