// Whether a text looks like PEM certificates, without OpenSSL: the generator must not link it. What
// the certificates say is looked at by whoever uses them.
#pragma once

#include <string>
#include <string_view>

namespace etcd_snapshot {

// What is wrong with `text` as one or several PEM CERTIFICATE blocks (RFC 7468); empty if nothing.
// Text between the blocks is passed over, as OpenSSL does. Never repeats the text.
std::string pem_certificates_fault(std::string_view text);

// `text` as well-formed PEM, from what YAML and copying make of it: folded lines, `\n` written out,
// base64 of the whole file (Rancher's form), CR LF, indented lines, blanks at their ends. What no
// certificate can be made of is left for pem_certificates_fault() to name.
std::string mend_pem(std::string_view text);

// Whether `text` is RKE's documentation: one block whose body is `$CERTIFICATE`.
bool is_placeholder_certificate(std::string_view text);

}  // namespace etcd_snapshot
