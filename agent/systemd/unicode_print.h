// What Go's strconv.IsPrint takes as printable. Does not depend on the locale.
#pragma once

namespace etcd_snapshot {

// Letters, marks, numbers, punctuation, symbols and the ASCII space, by Unicode 13.0.
bool is_print(char32_t code);

}  // namespace etcd_snapshot
