// The MESSAGE_ID= of every log record that an operator may act upon; `journalctl MESSAGE_ID=...`
// finds them, `journalctl -x` explains them with units/etcd-snapshot.catalog. An id is never
// reused: a message that comes to mean something else gets a new one (`systemd-id128 new`).
//
// "Fields" are those that the catalog's text refers to: a record with that id must carry them.
#pragma once

namespace etcd_snapshot {

// First activation after boot, or creation or retention changed. Fields: creation, retention.
inline constexpr char kInitializing[] = "1672009d2fa64b279ebc789cec209405";
// A snapshot is proven and in place. Fields: name.
inline constexpr char kCreated[] = "baaff2badd5f4defaaf6762195792406";
// A file of the configuration cannot be used; the last good one stands in for it. Fields: error.
inline constexpr char kLastGoodUsed[] = "39a8b16454c049a0bfe40651a06e9233";
// Pruned, or deleted by hand. Fields: name.
inline constexpr char kDeletedLocal[] = "08ea8c6cf41b424aaef4f5826c9527a4";
// A proven snapshot is in the bucket, compared. Fields: name.
inline constexpr char kUploaded[] = "e9dc21e7cb1d4165a3446a5fac454b03";
// The certificate bundle replaced the one in the bucket. Fields: name.
inline constexpr char kBundleUploaded[] = "d4b000d0dcfa4a3d9fba084a227b7124";
// The same as kUploaded for one that an earlier cycle could not upload. Fields: name.
inline constexpr char kCaughtUp[] = "3e1efd57a21048ac9d9d791158331c4d";
// Other content has the name in the bucket; ours goes beside it. Fields: name, object, reason.
inline constexpr char kNameTaken[] = "bf8e1105ecd641f78597b8af5ca8af4a";
// Pruned in the bucket, or deleted there by hand. Fields: name.
inline constexpr char kDeletedRemote[] = "3bd0ca7b463b4217a9c9a2ad50006ac9";
// The bucket refused to delete what has expired. Fields: error.
inline constexpr char kRemoteDeleteFailed[] = "0bb3d314c8b54ccba06ebf4c7ecf0fb9";
// The newest backup is there, or there is none, but the bucket is not in order. Fields: error.
inline constexpr char kBucketBehind[] = "b628953297c0459b94c8294a40334d2c";
// The bucket keeps expired backups under a lock. Fields: count, name.
inline constexpr char kRemoteLocked[] = "5e96d8cef8e7491ab784f1ccc27bcc01";
// One attempt failed; the cycle tries again. Fields: attempt, error.
inline constexpr char kAttemptFailed[] = "a5b3eab35a31420399a969d1d3ca8608";
// An endpoint of etcd was not the best, or did not answer or refused. Fields: error.
inline constexpr char kEndpointPassedOver[] = "c14c74aa741a4ccd8acbc45f301c38cd";
// The cycle gave up without a snapshot. Fields: error.
inline constexpr char kBackupFailed[] = "c8b46d469b1d4706a235e01abaecbc46";
// What etcd sent failed verification. Fields: error.
inline constexpr char kUnverified[] = "a7b83b03405d4cc282d593da8525be8a";
// The cluster did not answer a linearizable read. Fields: error.
inline constexpr char kUnhealthy[] = "75eb8767ff694248ba4826a93d7cec3f";
// The snapshot came from a learner. Fields: hint.
inline constexpr char kLearner[] = "6f1f0c7a3be94d0d8f6cf3f0e2a75c19";
// etcd has raised NOSPACE or CORRUPT. Fields: alarm.
inline constexpr char kAlarm[] = "799292873d7b49fc9d2ea9a7ec86f504";
// The history guard holds back all pruning. Fields: reason.
inline constexpr char kFrozen[] = "5ad6d941edfa4744893fcf7e8bf41fe6";
// The file system has little room. Fields: directory.
inline constexpr char kSpaceShort[] = "a0d2b9d7186a4377956ccbff3908bc28";
// The snapshot directory failed. Fields: error.
inline constexpr char kStorageFailed[] = "8b6157cbe3b145638384cb4b169c0e8d";
// A leftover of a run that was killed is gone. Fields: name.
inline constexpr char kSwept[] = "346a465bae6c4416bebd38520db86525";
// The certificate bundle was written. Fields: name.
inline constexpr char kBundleUpdated[] = "f3eb7e4f69784355abc9e5642e183619";
// The certificate bundle could not be written. Fields: error.
inline constexpr char kBundleFailed[] = "f794d452f5244c31a924b651a4554dac";
// cluster.yml turns recurring snapshots off. Fields: reason.
inline constexpr char kRecurringOff[] = "a2d6cd0754ff4af09861873a97e02a67";
// Another run holds the lock. Fields: error.
inline constexpr char kBusy[] = "1e03710786a74674ba0371d562940c37";
// A file or a value of the configuration is wrong. Fields: error.
inline constexpr char kConfigError[] = "b2d5c319e103437bb893c5789c499639";
// The configuration may not be what was meant: nothing is deleted. Fields: error.
inline constexpr char kConfigDoubt[] = "a1a36bb3f7c54b6fa9ef1b23cf265527";
// The configuration works but deserves a look. Fields: warning.
inline constexpr char kConfigWarning[] = "3e1fec8a855a4370b371d91de4e9798c";
// The snapshot is safe here, but not in the bucket. Fields: error.
inline constexpr char kRemoteUnavailable[] = "282e401273cf4c7d9dc1ba360c0413b5";
// Nothing was pruned in this cycle. Fields: reason.
inline constexpr char kPruneSkipped[] = "0679178bbeb146d88d8a2e813d788584";
// Something that deletion rests on could not be read, and nothing is deleted for it. Fields: error.
inline constexpr char kUnread[] = "f63455f8c0b240c89204af4ba543ec97";
// The textfile of the metrics could not be written. Fields: error.
inline constexpr char kMetricsFailed[] = "4953b13bfc2f4fd788a19f29c37a1f6b";
// Asked to stop in the middle of a cycle. Fields: none.
inline constexpr char kStopped[] = "f1e1315f50da4aa78a985834bb95e37f";

}  // namespace etcd_snapshot
