// What FakeS3 does of each call.
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>

#include "s3.h"
#include "s3/signature.h"

namespace etcd_snapshot {
namespace {

constexpr char kXmlns[] = " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
  }
  return out;
}

std::string unescape(std::string text) {
  const std::pair<const char*, const char*> entities[] = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&amp;", "&"}};
  for (const auto& [entity, plain] : entities) {
    for (size_t at = 0; (at = text.find(entity, at)) != text.npos; ++at) {
      text.replace(at, std::string(entity).size(), plain);
    }
  }
  return text;
}

std::string unquote(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), '"'), text.end());
  return text;
}

// The contents of every <name>, in order.
std::vector<std::string> all_of_tag(const std::string& xml, const std::string& name) {
  std::vector<std::string> found;
  for (size_t at = 0;;) {
    const size_t begin = xml.find("<" + name + ">", at);
    const size_t end = xml.find("</" + name + ">", begin);
    if (begin == xml.npos || end == xml.npos) return found;
    const size_t from = begin + name.size() + 2;
    found.push_back(unescape(xml.substr(from, end - from)));
    at = end;
  }
}

FakeAnswer xml(const std::string& root, const std::string& content) {
  FakeAnswer answer;
  answer.headers["content-type"] = "application/xml";
  answer.body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<" + root + kXmlns + ">" + content +
                "</" + root + ">";
  return answer;
}

std::string value_of(const std::map<std::string, std::string>& map, const std::string& name) {
  const auto found = map.find(name);
  return found == map.end() ? std::string() : found->second;
}

std::map<std::string, std::string> kept_headers(const FakeCall& call, bool encrypts) {
  std::map<std::string, std::string> kept;
  for (const char* name : {"content-type", "x-amz-server-side-encryption",
                           "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-storage-class"}) {
    if (!encrypts && std::string(name).starts_with("x-amz-server-side")) continue;
    if (const std::string value = call.header(name); !value.empty()) kept[name] = value;
  }
  return kept;
}

// What PUT and Complete make of If-None-Match: *.
std::optional<FakeAnswer> condition(FakeS3::WriteOnce kind, const FakeCall& call, bool there) {
  if (call.header("if-none-match").empty() || kind == FakeS3::WriteOnce::kIgnored) return {};
  if (kind == FakeS3::WriteOnce::kRefused) {
    return s3_error(501, "NotImplemented", "A header implies functionality that is not there");
  }
  if (kind == FakeS3::WriteOnce::kBadRequest) {
    return s3_error(400, "InvalidArgument", "the header If-None-Match is not supported");
  }
  if (!there) return {};
  return s3_error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold",
                  "<Condition>If-None-Match</Condition>");
}

}  // namespace

FakeAnswer FakeS3::answer(const FakeCall& call, const std::string& body) {
  if (auto refused = refusal(call, body)) return *refused;
  const bool sends = call.operation == "PutObject" || call.operation == "UploadPart";
  if (md5_refusal && sends && call.header("content-md5").empty()) return *md5_refusal;
  Objects& objects = buckets[call.bucket];
  const std::string& operation = call.operation;
  if (operation == "PutObject") return put_object(call, body, objects);
  if (operation == "CreateMultipartUpload") return create_upload(call);
  if (operation == "ListObjectsV2") return list(call, objects);
  if (operation == "ListMultipartUploads") return list_uploads(call);
  if (operation == "DeleteObjects") return no_batch ? *no_batch : remove(call, body, objects);
  if (operation == "DeleteObject") return remove_one(call, objects);
  if (operation == "GetObject" || operation == "HeadObject") return get(call, objects);
  if (operation == "GetBucketLocation") {
    const bool told = tells_region != TellsRegion::kNever && region != "us-east-1";
    return xml("LocationConstraint", told ? region : "");
  }
  if (call.query.count("uploadId")) {
    const auto upload = uploads.find(call.query.at("uploadId"));
    if (upload == uploads.end() || upload->second.key != call.key) {
      return s3_error(404, "NoSuchUpload", "The specified upload does not exist");
    }
    if (operation == "UploadPart") return upload_part(call, body);
    if (operation == "CompleteMultipartUpload") return complete(call, body, objects);
    uploads.erase(upload);
    return {204};
  }
  return s3_error(501, "NotImplemented", "the fake does not know this call");
}

// In quotes, as S3 writes it.
std::string FakeS3::told(const std::string& etag) const {
  return tells_etag ? tells_etag(etag) : "\"" + etag + "\"";
}

FakeAnswer FakeS3::put_object(const FakeCall& call, const std::string& body, Objects& objects) {
  const std::string if_match = call.header("if-match");
  if (wants_condition && if_match.empty() && call.header("if-none-match").empty()) {
    return s3_error(403, "AccessDenied", "explicit deny in a resource-based policy");
  }
  const auto there = objects.find(call.key);
  if (!if_match.empty() && (there == objects.end() || told(there->second.etag) != if_match)) {
    return s3_error(412, "PreconditionFailed", "no", "<Condition>If-Match</Condition>");
  }
  if (auto refused = condition(put_once, call, objects.count(call.key) != 0)) return *refused;
  const FakeObject& object =
      objects[call.key] = {body, hex_of(md5(body)), kept_headers(call, encrypts)};
  return {200, {{"etag", told(object.etag)}, {"x-amz-request-id", "tx1"}}};
}

FakeAnswer FakeS3::create_upload(const FakeCall& call) {
  const std::string id = "2~upload/" + std::to_string(next_upload_++) + "+=";  // has to be encoded
  uploads[id] = {.key = call.key, .headers = kept_headers(call, encrypts)};
  return xml("InitiateMultipartUploadResult",
             tag("Bucket", call.bucket) + tag("Key", escape(call.key)) + tag("UploadId", id));
}

FakeAnswer FakeS3::upload_part(const FakeCall& call, const std::string& body) {
  FakeObject& part =
      uploads[call.query.at("uploadId")].parts[atoi(value_of(call.query, "partNumber").c_str())];
  part = {body, hex_of(md5(body))};
  return {200, {{"etag", told(part.etag)}, {"x-amz-request-id", "tx1"}}};
}

FakeAnswer FakeS3::complete(const FakeCall& call, const std::string& body, Objects& objects) {
  if (auto refused = condition(complete_once, call, objects.count(call.key) != 0)) return *refused;
  FakeUpload& upload = uploads[call.query.at("uploadId")];
  const auto numbers = all_of_tag(body, "PartNumber"), etags = all_of_tag(body, "ETag");
  if (numbers.empty() || numbers.size() != etags.size()) return s3_error(400, "MalformedXML");
  FakeObject object{.bytes = "", .etag = "", .headers = upload.headers};
  std::string digests;
  int previous = 0;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const int number = atoi(numbers[i].c_str());
    const auto part = upload.parts.find(number);
    if (part == upload.parts.end() || told(part->second.etag) != told(unquote(etags[i]))) {
      return s3_error(400, "InvalidPart", "part " + numbers[i]);
    }
    if (number <= previous) return s3_error(400, "InvalidPartOrder");
    if (i + 1 < numbers.size() && part->second.bytes.size() < min_part_bytes) {
      return s3_error(400, "EntityTooSmall");
    }
    object.bytes += part->second.bytes;
    digests += from_hex(part->second.etag);
    previous = number;
  }
  object.etag = hex_of(md5(digests)) + "-" + std::to_string(numbers.size());
  if (makes_etag) {
    std::string joined;
    for (const std::string& etag : etags) joined += (joined.empty() ? "" : ",") + unquote(etag);
    object.etag = makes_etag(joined);
  }
  const std::string etag = empty_etag ? "" : escape(told(object.etag));
  objects[call.key] = std::move(object);
  uploads.erase(call.query.at("uploadId"));
  return xml("CompleteMultipartUploadResult",
             tag("Bucket", call.bucket) + tag("Key", escape(call.key)) + tag("ETag", etag));
}

FakeAnswer FakeS3::get(const FakeCall& call, const Objects& objects) const {
  const auto found = objects.find(call.key);
  if (found == objects.end()) return s3_error(404, "NoSuchKey", "The key does not exist");
  const std::string& bytes = found->second.bytes;
  FakeAnswer answer;
  for (const auto& [name, value] : found->second.headers) answer.headers[name] = value;
  answer.headers["etag"] = told(found->second.etag);
  answer.headers["x-amz-request-id"] = "tx1";
  answer.body = bytes;
  if (call.operation == "HeadObject" && !head_tells_size) answer.headers["content-length"] = "";
  const std::string range = call.header("range");
  size_t first = 0, last = 0;
  if (ignores_range || sscanf(range.c_str(), "bytes=%zu-%zu", &first, &last) != 2) return answer;
  if (first >= bytes.size()) return s3_error(416, "InvalidRange", "The range cannot be satisfied");
  last = std::min(last, bytes.size() - 1);
  answer.status = 206;
  answer.headers["content-range"] = "bytes " + std::to_string(first) + "-" + std::to_string(last) +
                                    "/" + std::to_string(bytes.size());
  answer.body = bytes.substr(first, last - first + 1);
  return answer;
}

FakeAnswer FakeS3::list(const FakeCall& call, const Objects& objects) const {
  const std::string prefix = value_of(call.query, "prefix");
  std::string token = value_of(call.query, "continuation-token");
  if (!token.empty() && !token.starts_with("1/"))
    return s3_error(400, "InvalidArgument", "no such token");
  if (!token.empty()) token.erase(0, 2);  // the key before
  const bool encode = value_of(call.query, "encoding-type") == "url";
  const std::string delimiter = value_of(call.query, "delimiter");
  std::string folder;  // the last one that was rolled up
  const std::string asked = value_of(call.query, "max-keys");
  const int limit = std::min(asked.empty() ? 1000 : atoi(asked.c_str()), page_size);
  std::string content, last;
  int found = 0;
  bool truncated = false;
  for (auto at = objects.lower_bound(std::max(prefix, token)); at != objects.end(); ++at) {
    const auto& [key, object] = *at;
    if (!key.starts_with(prefix)) break;
    if (key == token) continue;
    const size_t deeper = delimiter.empty() ? key.npos : key.find(delimiter, prefix.size());
    const std::string rolled = deeper == key.npos ? "" : key.substr(0, deeper + delimiter.size());
    if (!rolled.empty() && (rolled == folder || token.starts_with(rolled))) continue;
    truncated = found == limit;
    if (truncated) break;
    ++found;
    last = key;
    if (!rolled.empty()) {
      folder = rolled;
      content += tag("CommonPrefixes", tag("Prefix", escape(rolled)));
      continue;
    }
    content += tag("Contents", tag("Key", encode ? percent_encode(key, true) : escape(key)) +
                                   tag("LastModified", "2018-05-04T18:40:16.000Z") +
                                   tag("ETag", escape(told(object.etag))) +
                                   tag("Size", std::to_string(object.bytes.size())) +
                                   tag("StorageClass", "STANDARD"));
  }
  std::string head = tag("Name", call.bucket) + tag("Prefix", escape(prefix)) +
                     tag("KeyCount", std::to_string(found)) +
                     tag("MaxKeys", std::to_string(limit)) +
                     tag("IsTruncated", truncated ? "true" : "false");
  if (encode) head += tag("EncodingType", "url");
  if (truncated) head += tag("NextContinuationToken", escape("1/" + last));
  return xml("ListBucketResult", head + content);
}

FakeAnswer FakeS3::list_uploads(const FakeCall& call) const {
  const std::string prefix = value_of(call.query, "prefix");
  const std::pair marker(value_of(call.query, "key-marker"),
                         value_of(call.query, "upload-id-marker"));
  std::map<std::pair<std::string, std::string>, const FakeUpload*> sorted;
  for (const auto& [id, upload] : uploads) sorted[{upload.key, id}] = &upload;
  std::string content, next;
  int found = 0;
  bool truncated = false;
  for (auto at = sorted.upper_bound(marker); at != sorted.end(); ++at) {
    const auto& [key, id] = at->first;
    if (!key.starts_with(prefix)) continue;
    truncated = found == page_size;
    if (truncated) break;
    ++found;
    content += tag("Upload", tag("Key", escape(key)) + tag("UploadId", id) +
                                 tag("Initiated", at->second->initiated));
    next = tag("NextKeyMarker", escape(key)) + tag("NextUploadIdMarker", id);
  }
  return xml("ListMultipartUploadsResult",
             tag("IsTruncated", truncated ? "true" : "false") + (truncated ? next : "") + content);
}

FakeAnswer FakeS3::remove_one(const FakeCall& call, Objects& objects) const {
  if (locked.count(call.key)) {
    return s3_error(403, "AccessDenied", "Access Denied because object protected by object lock.");
  }
  objects.erase(call.key);
  return {204};
}

FakeAnswer FakeS3::remove(const FakeCall& call, const std::string& body, Objects& objects) const {
  const auto keys = all_of_tag(body, "Key");
  if (keys.empty() || keys.size() > 1000) return s3_error(400, "MalformedXML");
  if (call.header("content-md5").empty() && call.header("x-amz-checksum-sha256").empty()) {
    return s3_error(400, "InvalidRequest", "Missing required header: Content-MD5");
  }
  const bool quiet = body.find("<Quiet>true</Quiet>") != body.npos;
  std::string content;
  for (const std::string& key : keys) {
    if (locked.count(key)) {
      content += tag("Error", tag("Key", escape(key)) + tag("Code", "AccessDenied") +
                                  tag("Message",
                                      "Access Denied because object protected by "
                                      "object lock."));
      continue;
    }
    objects.erase(key);
    if (!quiet) content += tag("Deleted", tag("Key", escape(key)));
  }
  return xml("DeleteResult", content);
}

}  // namespace etcd_snapshot
