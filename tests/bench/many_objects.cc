// many_objects COUNT [--fresh N]
// An S3 server on loopback with so many snapshots in its one bucket that nothing but their number
// is stored: names are counted, the content is that of the newest upload. Prints "port N" and
// serves until it is ended. GET /counts tells in JSON what was called.
//
// Snapshot number i lies 5 minutes after number i-1. All have expired long since, but the last N of
// them (10), which are of the last minutes; and number 500 of each thousand is no snapshot at all.
// What a client deletes of those counts as "wrong".
//
// Signatures are not looked at: what is measured is the client. Any bucket, one prefix, path style.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "http_request.h"

namespace etcd_snapshot::bench {
namespace {

constexpr time_t kBegin = 1577836800;  // 2020-01-01T00:00:00Z
constexpr time_t kApart_s = 300, kFreshApart_s = 60;
constexpr size_t kPage = 1000;  // S3 API Reference, ListObjectsV2 and DeleteObjects
constexpr char kExtension[] = "_etcd.zip";
constexpr size_t kStampBytes = 20;
constexpr size_t kFirstSize = 1000000;  // before anything was uploaded

std::string stamp(time_t time) {
  tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  return {text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

class Store {
 public:
  Store(size_t count, size_t fresh)
      : count_(count), old_(count - fresh), newest_(time(nullptr)), deleted_(count) {}

  Response answer(const Request& request) {
    const std::lock_guard lock(mutex_);
    const auto& query = request.query;
    if (request.path == "/counts") return Response{.body = counts()};
    const size_t slash = request.path.find('/', 1);
    const std::string key = slash == std::string::npos ? "" : request.path.substr(slash + 1);
    if (key.empty()) {
      if (request.method == "POST" && query.contains("delete")) return remove(request.body);
      if (request.method != "GET") return no("MethodNotAllowed", 405);
      if (query.contains("uploads")) return list_uploads();
      if (query.contains("list-type")) return list(query);
      return no("MethodNotAllowed", 405);
    }
    if (request.method == "HEAD") return head(key);
    if (request.method == "GET") return get(key, request);
    if (query.contains("uploads") || query.contains("uploadId")) return multipart(key, request);
    if (request.method == "PUT") return put(key, request.body, to_hex(md5_of(request.body)));
    return no("MethodNotAllowed", 405);
  }

 private:
  struct Upload {
    std::map<int, std::string> parts;
  };

  static Response no(const std::string& code, int status) {
    return {.status = status, .body = "<Error><Code>" + code + "</Code></Error>"};
  }

  static bool is_snapshot(size_t index) { return index % kPage != kPage / 2; }

  std::string name(size_t index) const {
    const time_t fresh_s = static_cast<time_t>(count_ - index) * kFreshApart_s;
    const time_t time =
        index < old_ ? kBegin + static_cast<time_t>(index) * kApart_s : newest_ - fresh_s;
    return stamp(time) + kExtension + (is_snapshot(index) ? "" : ".notes");
  }

  // The number of the counted object, whatever its prefix.
  std::optional<size_t> index_of(const std::string& key) const {
    const std::string file = key.substr(key.rfind('/') + 1);
    tm parts{};
    const char* const rest = strptime(file.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    if (rest != file.c_str() + kStampBytes) return std::nullopt;
    const time_t time = timegm(&parts);
    const auto old = static_cast<size_t>((time - kBegin) / kApart_s);
    const auto back = static_cast<size_t>((newest_ - time) / kFreshApart_s);
    for (const size_t index : {old, count_ - std::min(back, count_)}) {
      if (index < count_ && name(index) == file) return index;
    }
    return std::nullopt;
  }

  std::string entry(const std::string& key, const std::string& time, size_t size,
                    const std::string& etag) const {
    return "<Contents><Key>" + percent_encode(key) + "</Key><LastModified>" + time +
           "</LastModified><ETag>&quot;" + etag + "&quot;</ETag><Size>" + std::to_string(size) +
           "</Size><StorageClass>STANDARD</StorageClass></Contents>";
  }

  Response list(const std::map<std::string, std::string>& query) {
    ++lists_;
    const auto value = [&](const char* key) {
      const auto found = query.find(key);
      return found == query.end() ? std::string() : found->second;
    };
    const std::string prefix = value("prefix");
    size_t at = strtoull(value("continuation-token").c_str(), nullptr, 10), found = 0;
    std::string body = "<ListBucketResult><EncodingType>url</EncodingType>";
    for (; at < count_ && found < kPage; ++at) {
      if (deleted_[at]) continue;
      const std::string file = name(at);
      body += entry(prefix + file, file.substr(0, kStampBytes), content_size(), content_etag());
      ++found;
    }
    auto object = uploaded_.begin();
    if (at >= count_) {
      std::advance(object, std::min(at - count_, uploaded_.size()));
      for (; object != uploaded_.end() && found < kPage; ++object, ++at, ++found) {
        body += entry(object->first, stamp(newest_), object->second.size(), etags_[object->first]);
      }
    }
    listed_ += found;
    const bool more = at < count_ + uploaded_.size();
    body += std::string("<IsTruncated>") + (more ? "true" : "false") + "</IsTruncated>";
    if (more) body += "<NextContinuationToken>" + std::to_string(at) + "</NextContinuationToken>";
    return Response{.body = body + "</ListBucketResult>"};
  }

  Response remove(const std::string& body) {
    ++deletes_;
    size_t keys = 0;
    for (size_t at = 0; (at = body.find("<Key>", at)) != std::string::npos;) {
      at += strlen("<Key>");
      const std::string key = body.substr(at, body.find("</Key>", at) - at);
      ++keys;
      const auto index = index_of(key);
      if (index && *index < old_ && is_snapshot(*index) && !deleted_[*index]) {
        deleted_[*index] = true;
        ++removed_;
      } else {
        ++wrong_;
      }
    }
    if (keys > kPage) return no("MalformedXML", 400);
    return Response{.body = "<DeleteResult></DeleteResult>"};
  }

  Response list_uploads() {
    ++others_;
    return Response{.body =
                        "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
                        "</ListMultipartUploadsResult>"};
  }

  size_t content_size() const {
    return (newest_upload_.empty() ? first_content_ : uploaded_.at(newest_upload_)).size();
  }
  std::string content_etag() const {
    return newest_upload_.empty() ? std::string(32, '0') : etags_.at(newest_upload_);
  }

  // What lies under the key: the newest upload under all that is counted. nullptr: nothing.
  const std::string* content(const std::string& key) const {
    if (const auto own = uploaded_.find(key); own != uploaded_.end()) return &own->second;
    const auto index = index_of(key);
    if (!index || deleted_[*index]) return nullptr;
    return newest_upload_.empty() ? &first_content_ : &uploaded_.at(newest_upload_);
  }

  Response head(const std::string& key) {
    ++heads_;
    const std::string* const found = content(key);
    if (found == nullptr) return {.status = 404};
    const auto own = etags_.find(key);
    return {.headers = "ETag: \"" + (own == etags_.end() ? content_etag() : own->second) + "\"\r\n",
            .length = found->size()};
  }

  Response get(const std::string& key, const Request& request) {
    ++gets_;
    const std::string* const found = content(key);
    if (found == nullptr) return no("NoSuchKey", 404);
    size_t first = 0, last = 0;
    if (sscanf(request.header("range").c_str(), "bytes=%zu-%zu", &first, &last) != 2 ||
        first > last || last >= found->size()) {
      return no("InvalidRange", 416);
    }
    return {.status = 206,
            .headers = "Content-Range: bytes " + std::to_string(first) + "-" +
                       std::to_string(last) + "/" + std::to_string(found->size()) + "\r\n",
            .body = found->substr(first, last - first + 1)};
  }

  Response put(const std::string& key, std::string body, const std::string& etag) {
    ++puts_;
    uploaded_[key] = std::move(body);
    etags_[key] = etag;
    newest_upload_ = key;
    return {.headers = "ETag: \"" + etag + "\"\r\n"};
  }

  Response multipart(const std::string& key, const Request& request) {
    const auto& query = request.query;
    if (query.contains("uploads")) {
      ++others_;
      const std::string id = std::to_string(++uploads_begun_);
      uploads_[id];
      return Response{.body = "<InitiateMultipartUploadResult><UploadId>" + id +
                              "</UploadId></InitiateMultipartUploadResult>"};
    }
    const auto upload = uploads_.find(query.at("uploadId"));
    if (upload == uploads_.end()) return no("NoSuchUpload", 404);
    if (request.method == "PUT") {
      ++puts_;
      const auto number = query.find("partNumber");
      if (number == query.end()) return no("InvalidArgument", 400);
      const int part = atoi(number->second.c_str());
      upload->second.parts[part] = request.body;
      return {.headers = "ETag: \"" + to_hex(md5_of(request.body)) + "\"\r\n"};
    }
    ++others_;
    std::string whole, digests;
    for (const auto& [number, part] : upload->second.parts) {
      whole += part;
      digests += md5_of(part);
    }
    const std::string etag =
        to_hex(md5_of(digests)) + "-" + std::to_string(upload->second.parts.size());
    uploads_.erase(upload);
    if (request.method == "DELETE") return {.status = 204};
    put(key, std::move(whole), etag);
    return Response{.body = "<CompleteMultipartUploadResult><ETag>&quot;" + etag +
                            "&quot;</ETag></CompleteMultipartUploadResult>"};
  }

  std::string counts() const {
    std::string text = "{";
    const std::pair<const char*, size_t> all[] = {
        {"objects", count_},   {"list", lists_}, {"delete", deletes_}, {"head", heads_},
        {"get", gets_},        {"put", puts_},   {"other", others_},   {"listed", listed_},
        {"removed", removed_}, {"wrong", wrong_}};
    for (const auto& [what, number] : all) {
      text +=
          std::string(text.size() > 1 ? ", " : "") + "\"" + what + "\": " + std::to_string(number);
    }
    return text + "}\n";
  }

  std::mutex mutex_;
  const size_t count_, old_;  // of them expired
  const time_t newest_;
  std::vector<bool> deleted_;
  const std::string first_content_ = std::string(kFirstSize, '\0');
  std::map<std::string, std::string> uploaded_, etags_;  // by key
  std::string newest_upload_;                            // its key
  std::map<std::string, Upload> uploads_;
  size_t uploads_begun_ = 0, lists_ = 0, deletes_ = 0, heads_ = 0, gets_ = 0, puts_ = 0;
  size_t others_ = 0, listed_ = 0, removed_ = 0, wrong_ = 0;
};

void serve(int fd, Store& store) {
  HttpConnection connection(fd);
  while (const auto request = connection.read()) {
    if (!connection.write(*request, store.answer(*request))) return;
  }
}

size_t number_of(const char* text, const char* what) {
  size_t number = 0;
  const char* const end = text + strlen(text);
  const auto [rest, problem] = std::from_chars(text, end, number);
  if (problem != std::errc() || rest != end) {
    fprintf(stderr, "many_objects: %s '%s' is not a number\n", what, text);
    exit(64);
  }
  return number;
}

int run(int argc, char** argv) {
  const bool with_fresh = argc == 4 && strcmp(argv[2], "--fresh") == 0;
  if (argc != 2 && !with_fresh) {
    fprintf(stderr, "usage: many_objects COUNT [--fresh N]\n");
    return 64;
  }
  const size_t count = number_of(argv[1], "COUNT");
  const size_t fresh = with_fresh ? number_of(argv[3], "--fresh") : 10;
  if (fresh > count) {
    fprintf(stderr, "many_objects: %zu fresh ones of %zu\n", fresh, count);
    return 64;
  }
  Store store(count, fresh);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || bind(listener, any, length) != 0 || listen(listener, 64) != 0 ||
      getsockname(listener, any, &length) != 0) {
    fprintf(stderr, "many_objects: cannot listen: %s\n", strerror(errno));
    return 1;
  }
  printf("port %d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) std::thread(serve, fd, std::ref(store)).detach();
    if (fd < 0 && errno != EINTR && errno != ECONNABORTED) {
      fprintf(stderr, "many_objects: accept: %s\n", strerror(errno));
      return 1;
    }
  }
}

}  // namespace
}  // namespace etcd_snapshot::bench

int main(int argc, char** argv) {
  return etcd_snapshot::bench::run(argc, argv);
}
