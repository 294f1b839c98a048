// Drives one transfer of libcurl's from its first to its last byte: when it reads, and how much at
// a time. http.cc alone uses it.
#pragma once

#include <curl/curl.h>

#include "base/http_transfer.h"

namespace etcd_snapshot {

// curl_easy_perform(3), but with a say in when it reads, and how much. The handle belongs to no
// multi handle, before and after. `own_openssl`: libcurl's TLS is the OpenSSL that this program is
// linked with. A bulk_response leaves its connection reading ahead, of no use to others
// (CURLOPT_FORBID_REUSE). Of a stall the transfer's `failure` tells, of
// a poll(2) that failed its `errnum`.
CURLcode drive_transfer(CURLM* multi, CURL* handle, Transfer& transfer, bool own_openssl);

}  // namespace etcd_snapshot
