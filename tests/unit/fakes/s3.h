// An S3 behind the HTTP seam: keeps buckets in memory, answers as S3's API Reference says, and goes
// wrong as a test scripts it. Checks what S3 checks: digests, which headers are signed, the region;
// not the signature's value. Threads may share one; each has a client of its own from factory().
// Include before CppUTest's headers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/http.h"
#include "s3/session.h"

namespace etcd_snapshot {

inline std::string tag(const std::string& name, const std::string& text) {
  return "<" + name + ">" + text + "</" + name + ">";
}

inline std::string hex_of(Result<std::string> digest) {
  return digest ? to_hex(*digest) : "no digest";
}

struct FakeObject {
  std::string bytes;
  std::string etag;                              // without quotes
  std::map<std::string, std::string> headers{};  // x-amz-... and content-type it was made with
};

struct FakeUpload {
  std::string key;
  std::string initiated = "2018-05-04T18:40:16.000Z";
  std::map<std::string, std::string> headers{};
  std::map<int, FakeObject> parts{};
};

// A request, as it came.
struct FakeCall {
  HttpRequest request;    // without the body
  std::string operation;  // "PutObject", as S3 names it
  std::string bucket, key;
  std::map<std::string, std::string> query{};  // decoded
  int64_t body_bytes = 0;
  int number = 0;  // from 1, in the order of arrival

  std::string header(const std::string& name) const;  // empty: there is none
};

// What a call gets instead of S3's own answer.
struct FakeAnswer {
  long status = 200;
  std::map<std::string, std::string, std::less<>> headers{};
  std::string body{};
  std::optional<Error> network{};  // no answer at all
};

// An <Error> document; where `status` is 200 it comes inside a good answer.
FakeAnswer s3_error(long status, const std::string& code, const std::string& message = "no",
                    const std::string& more_xml = "");
// The connection breaks: what base/http makes of it.
FakeAnswer lost_connection();
// The time that the request has is over: the same.
FakeAnswer time_is_over();
// The object lies in an archive class: nobody can read it before it is restored.
FakeAnswer archived();

class FakeS3 final : public HttpClient {
 public:
  FakeS3() { buckets["backups"]; }

  Result<void> perform(const HttpRequest& request, HttpResponse& response, ByteSink& body) override;
  // Clients of this store, one per thread. The store must outlive them.
  HttpFactory factory();

  // --- what is there. With threads about: only while they rest.
  using Objects = std::map<std::string, FakeObject>;
  std::map<std::string, Objects> buckets;
  std::map<std::string, FakeUpload> uploads;                   // by upload id, of all buckets
  void put(const std::string& key, const std::string& bytes);  // into "backups"
  bool has(const std::string& key) const { return objects().count(key) != 0; }
  const Objects& objects() const { return buckets.at("backups"); }

  // --- what kind of server it is
  enum class WriteOnce { kKnown, kRefused, kBadRequest, kIgnored };
  WriteOnce put_once = WriteOnce::kKnown, complete_once = WriteOnce::kKnown;
  bool path_style_only =
      false;  // a host that begins with a bucket's name is the server's all the same
  enum class TellsRegion { kInBody, kInHeader, kByLocation, kNever };
  TellsRegion tells_region = TellsRegion::kInBody;
  std::string region;                  // set: requests signed for another are refused
  std::set<std::string> expired_keys;  // access keys that get ExpiredToken
  int page_size = 1000;
  size_t min_part_bytes = 0;  // of all parts but the last
  bool empty_etag = false;    // in the answer of CompleteMultipartUpload
  // What it makes of a multipart object's ETag, from those of its parts joined by ","; empty: S3's.
  std::function<std::string(const std::string&)> makes_etag;
  // How it writes an ETag in headers and documents; empty: in quotes.
  std::function<std::string(const std::string&)> tells_etag;
  bool head_tells_size = true;
  bool encrypts = true;                   // or ignores x-amz-server-side-encryption
  std::optional<FakeAnswer> md5_refusal;  // of a PUT without Content-MD5
  std::optional<FakeAnswer> no_batch;     // instead of DeleteObjects
  bool wants_condition = false;           // a policy that enforces If-None-Match or If-Match
  bool html_type = false;                 // calls its XML text/html
  bool ignores_range = false;             // sends the whole object with 200
  std::set<std::string> locked, denied;   // keys that cannot be deleted; operations (AccessDenied)

  // --- what goes wrong. One at a time, whatever the threads. nullopt: nothing.
  using Hook = std::function<std::optional<FakeAnswer>(const FakeCall&)>;
  Hook before;  // instead of doing anything
  Hook after;   // it was done, but this is the answer
  // Called before all that by each thread, several at a time.
  std::function<void(const FakeCall&)> latency;

  // --- what it was asked
  std::vector<FakeCall> calls;
  int count(const std::string& operation) const;
  const FakeCall& last() const { return calls.back(); }

 private:
  FakeAnswer answer(const FakeCall& call, const std::string& body);
  std::optional<FakeAnswer> refusal(const FakeCall& call, const std::string& body) const;
  FakeAnswer put_object(const FakeCall& call, const std::string& body, Objects& objects);
  FakeAnswer upload_part(const FakeCall& call, const std::string& body);
  FakeAnswer create_upload(const FakeCall& call);
  FakeAnswer complete(const FakeCall& call, const std::string& body, Objects& objects);
  FakeAnswer get(const FakeCall& call, const Objects& objects) const;
  FakeAnswer list(const FakeCall& call, const Objects& objects) const;
  FakeAnswer list_uploads(const FakeCall& call) const;
  FakeAnswer remove(const FakeCall& call, const std::string& body, Objects& objects) const;
  FakeAnswer remove_one(const FakeCall& call, Objects& objects) const;
  std::string told(const std::string& etag) const;

  std::mutex store_mutex_, hook_mutex_;
  int next_upload_ = 1;
};

}  // namespace etcd_snapshot
