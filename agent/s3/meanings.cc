#include "s3/meanings.h"

#include "s3/wire_text.h"

namespace etcd_snapshot {
namespace {

constexpr char kKmsHint[] =
    "the KMS key (of [s3] sse_kms_key_id or of the bucket's default encryption) must exist, be "
    "enabled, lie in the bucket's region, and {source} must be allowed kms:GenerateDataKey and "
    "kms:Decrypt";
constexpr char kLockedHint[] =
    "the object is locked (object lock, legal hold): it stays until its retention has passed";
constexpr char kRegionHint[] = "{elsewhere}";
constexpr char kExpiredHint[] =
    "{source} have expired: renew them, or check what should; a wrong clock of this host "
    "(timedatectl) looks the same";
constexpr char kTokenHint[] =
    "the session token of {source} is malformed or belongs to another key: set all three anew; "
    "keys without a session token need none";
constexpr char kBusyHint[] = "the server is busy (throttling); if it lasts, lower [s3] concurrency";
constexpr char kUnavailableHint[] =
    "the server is overloaded, or a load balancer has no server behind it: look whether it is up; "
    "if it is only busy, lower [s3] concurrency";
constexpr char kServerHint[] =
    "the server's own trouble, which often passes; should it last, ask whoever runs it";
constexpr char kFullHint[] =
    "the bucket or the server is full: raise its quota, or free room there with `etcd-snapshot "
    "prune` (a cycle whose upload fails deletes nothing there) and keep fewer snapshots";
constexpr char kDamagedHint[] =
    "the data changed on the way: a proxy between that rewrites requests, or faulty memory";
constexpr char kEndpointHint[] =
    "check endpoint in cluster.yml: it must be the S3 port, not a console or web page, and no "
    "proxy may answer in its place";

constexpr CodeMeaning kCodes[] = {
    // Whose request it is.
    // Ceph's gateway, of a KMS key that it cannot fetch: "Failed to retrieve the actual key,
    // kms-keyid: ..." (rgw_kms.cc).
    {"InvalidAccessKeyId", "kms", kKmsHint, Again::kNo},
    {"InvalidAccessKeyId", "",
     "the server does not know the access key of {source}: is it of this server, and was it "
     "deleted or disabled?",
     Again::kNo},
    {"SignatureDoesNotMatch", "",
     "the secret key of {source} does not belong to the access key (cut off? a space in it?), or "
     "a proxy changes the request on its way",
     Again::kNo},
    {"RequestTimeTooSkewed", "", kClockHint, Again::kNo},
    {"RequestExpired", "", kClockHint, Again::kNo},
    {"ExpiredToken", "", kExpiredHint, Again::kNo},
    {"ExpiredTokenException", "", kExpiredHint, Again::kNo},
    {"TokenRefreshRequired", "", kExpiredHint, Again::kNo},
    {"InvalidToken", "", kTokenHint, Again::kNo},
    {"InvalidClientTokenId", "", kTokenHint, Again::kNo},
    {"NotSignedUp", "", "the account of {source} has no S3: ask whoever runs it", Again::kNo},
    {"AccountProblem", "", "the account of {source} is blocked: ask whoever runs it", Again::kNo},
    {"AllAccessDisabled", "", "the bucket is blocked: ask whoever runs the server", Again::kNo},
    // What it may do.
    {"AccessDenied", "object lock", kLockedHint, Again::kNo},
    {"AccessDenied", "worm protected", kLockedHint, Again::kNo},
    {"AccessDenied", "kms:", kKmsHint, Again::kNo},
    {"AccessDenied", "explicit deny",
     "a policy (of the bucket, of the user or role of {source}, or of the organisation) denies it "
     "in so many words; it needs {action}",
     Again::kNo},
    {"AccessDenied", "", "allow {action} to {source}", Again::kNo},
    {"AllAccessDenied", "", "allow {action} to {source}", Again::kNo},
    {"ObjectLocked", "", kLockedHint, Again::kNo},
    {"InvalidRequest", "worm protected", kLockedHint, Again::kNo},
    {"InvalidRequest", "object lock", kLockedHint, Again::kNo},
    {"InvalidObjectState", "",
     "the object lies in an archive class (Glacier): restore it first; [s3] storage_class should "
     "be one that can be read at once",
     Again::kNo},
    // Where it goes.
    {"NoSuchBucket", "",
     "create the bucket {bucket}, or correct bucket_name or endpoint in cluster.yml{or_path}",
     Again::kNo},
    {"InvalidBucketName", "", "correct bucket_name in cluster.yml", Again::kNo},
    {"NoSuchKey", "", "the object is not there, or not any more", Again::kNo},
    {"NoSuchUpload", "",
     "the multipart upload was completed or aborted meanwhile, for example by a lifecycle rule",
     Again::kNo},
    {"PermanentRedirect", "", kRegionHint, Again::kNo},
    {"TemporaryRedirect", "", kRegionHint, Again::kNo},
    {"Redirect", "", kRegionHint, Again::kNo},
    {"AuthorizationHeaderMalformed", "", kRegionHint, Again::kNo},
    {"IllegalLocationConstraintException", "", kRegionHint, Again::kNo},
    // What is sent.
    {"EntityTooLarge", "", "larger than the server takes in one request: lower [s3] part_size_mib",
     Again::kNo},
    {"MaxMessageLengthExceeded", "",
     "larger than the server takes in one request: lower [s3] part_size_mib", Again::kNo},
    {"EntityTooSmall", "",
     "smaller parts than the server takes: raise [s3] part_size_mib (the last part may be small)",
     Again::kNo},
    {"InvalidPart", "", "a part of the upload is gone or was replaced: another run may be at it",
     Again::kNo},
    {"InvalidStorageClass", "", "the server does not have that class: check [s3] storage_class",
     Again::kNo},
    {"InvalidEncryptionAlgorithmError", "", "the server does not encrypt so: check [s3] sse",
     Again::kNo},
    {"ServerSideEncryptionConfigurationNotFoundError", "",
     "the server is not set up to encrypt: remove [s3] sse", Again::kNo},
    {"BadDigest", "", kDamagedHint, Again::kYes},
    {"XAmzContentSHA256Mismatch", "", kDamagedHint, Again::kYes},
    {"IncompleteBody", "", kDamagedHint, Again::kYes},
    {"MalformedXML", "",
     "the server does not understand the request: is endpoint S3 at all, and does no proxy change "
     "it?",
     Again::kNo},
    {"MethodNotAllowed", "", kEndpointHint, Again::kNo},
    {"NotImplemented", "",
     "the server does not know this call or one of its headers: check [s3] storage_class and sse",
     Again::kNo},
    {"InvalidRequest", "",
     "the server refuses how it was asked: check [s3] sse, sse_kms_key_id and storage_class",
     Again::kNo},
    {"InvalidArgument", "kms", kKmsHint, Again::kNo},
    {"KMS.ThrottlingException", "", kBusyHint, Again::kYes},
    {"KMSNotConfigured", "", "the server has no key service: remove [s3] sse", Again::kNo},
    {"PreconditionFailed", "", "an object of that name is there already, and is kept", Again::kNo},
    {"ConditionalRequestConflict", "", "somebody else writes the same name just now", Again::kYes},
    {"OperationAborted", "", "somebody else works at the same just now", Again::kYes},
    // How the server is.
    {"QuotaExceeded", "", kFullHint, Again::kNo},
    {"XMinioStorageFull", "", kFullHint, Again::kNo},
    // MinIO on Windows takes none of "<>:|?* (minio/minio#9798, #3711).
    {"XMinioInvalidObjectName", "",
     "the server stores objects as files and takes no colon in a name (MinIO on Windows): set "
     "safe_timestamp: true in cluster.yml, and keep colons out of `folder`",
     Again::kNo},
    {"XMinioAdminBucketQuotaExceeded", "", kFullHint, Again::kNo},
    {"SlowDown", "", kBusyHint, Again::kYes},
    {"SlowDownRead", "", kBusyHint, Again::kYes},
    {"SlowDownWrite", "", kBusyHint, Again::kYes},
    {"Throttling", "", kBusyHint, Again::kYes},
    {"ThrottlingException", "", kBusyHint, Again::kYes},
    {"RequestLimitExceeded", "", kBusyHint, Again::kYes},
    {"RequestThrottled", "", kBusyHint, Again::kYes},
    {"TooManyRequests", "", kBusyHint, Again::kYes},
    {"BandwidthLimitExceeded", "", kBusyHint, Again::kYes},
    {"ServiceUnavailable", "", kUnavailableHint, Again::kYes},
    {"InternalError", "", kServerHint, Again::kYes},
    {"XMinioServerNotInitialized", "", kServerHint, Again::kYes},
    {"RequestTimeout", "",
     "the data came too slowly for the server: a slow line or a busy host; lower [s3] concurrency",
     Again::kYes},
};

constexpr StatusMeaning kStatuses[] = {
    {301, "Moved Permanently", kRegionHint, Again::kNo},
    {302, "Found", kEndpointHint, Again::kNo},
    {307, "Temporary Redirect", kRegionHint, Again::kNo},
    {308, "Permanent Redirect", kRegionHint, Again::kNo},
    {400, "Bad Request",
     "where the answer has no text, the region ({region}), an expired token of {source}, or "
     "http:// to a TLS port are the usual causes",
     Again::kNo},
    {401, "Unauthorized", "whoever answers wants other credentials: is endpoint S3 itself?",
     Again::kNo},
    {403, "Forbidden", "allow {action} to {source}, and check that these are the right keys",
     Again::kNo},
    {404, "Not Found", "check bucket_name and endpoint in cluster.yml, and [s3] lookup",
     Again::kNo},
    {405, "Method Not Allowed", kEndpointHint, Again::kNo},
    {407, "Proxy Authentication Required",
     "the proxy wants credentials: set [s3] proxy = http://user:password@host:port", Again::kNo},
    {408, "Request Timeout", "the data came too slowly; lower [s3] concurrency", Again::kYes},
    {409, "Conflict",
     "another call on the same object was under way; the next cycle sends it again", Again::kNo},
    {411, "Length Required", "a proxy between takes the length away: go around it", Again::kNo},
    {412, "Precondition Failed", "an object of that name is there already, and is kept",
     Again::kNo},
    {413, "Content Too Large",
     "the server or a proxy before it takes no body of that size: raise its limit (nginx: "
     "client_max_body_size), or lower [s3] part_size_mib",
     Again::kNo},
    {416, "Range Not Satisfiable", "the object is shorter than it should be", Again::kNo},
    {417, "Expectation Failed",
     "a proxy between takes no Expect header: go around it, or set no_proxy", Again::kNo},
    {421, "Misdirected Request", kEndpointHint, Again::kNo},
    {429, "Too Many Requests", kBusyHint, Again::kYes},
    {500, "Internal Server Error", kServerHint, Again::kYes},
    {501, "Not Implemented",
     "the server does not know this call or one of its headers: check [s3] storage_class and sse",
     Again::kNo},
    {502, "Bad Gateway", "a proxy or load balancer does not reach the server behind it",
     Again::kYes},
    {503, "Service Unavailable", kUnavailableHint, Again::kYes},
    {504, "Gateway Timeout", "a proxy or load balancer gets no answer from the server behind it",
     Again::kYes},
    {505, "HTTP Version Not Supported", kEndpointHint, Again::kNo},
    {507, "Insufficient Storage", kFullHint, Again::kNo},
};

constexpr CodeMeaning kKms = {"KMS", "", kKmsHint, Again::kByStatus};

}  // namespace

const CodeMeaning* meaning_of(const S3Fault& fault) {
  for (const CodeMeaning& row : kCodes) {
    if (fault.code == row.code && contains(fault.message, row.text)) return &row;
  }
  return fault.code.starts_with("KMS") ? &kKms : nullptr;
}

const StatusMeaning* meaning_of(long status) {
  for (const StatusMeaning& row : kStatuses) {
    if (row.status == status) return &row;
  }
  return nullptr;
}

}  // namespace etcd_snapshot
