// What S3's codes and HTTP's statuses mean to whoever has to do something about them: tables, for
// s3/explain.cc alone.
#pragma once

#include "s3/answers.h"

namespace etcd_snapshot {

enum class Again { kByStatus, kYes, kNo };

// One row for what a server may say. A row with `text` holds only where the message has it, in any
// case; the first that fits counts. In hints, {source} ("the keys from cluster.yml"), {bucket},
// {region} (that it was signed with), {elsewhere} (where the server says the bucket is, and what to
// set), {or_path} (of dns style: what else to set), {action} and {skew} are filled in.
struct CodeMeaning {
  const char* code;
  const char* text;
  const char* hint;
  Again again = Again::kByStatus;
};

// The same for an answer whose body says nothing that S3 would say: HEAD has none, and proxies
// write pages.
struct StatusMeaning {
  long status;
  const char* text;
  const char* hint;
  Again again;
};

// Of codes that are about time, and of any refusal where the clocks are far apart.
inline constexpr char kClockHint[] =
    "{skew}: set it (timedatectl tells whether it is synchronised)";

// The first row that fits, or null.
const CodeMeaning* meaning_of(const S3Fault& fault);
const StatusMeaning* meaning_of(long status);

}  // namespace etcd_snapshot
