// JSON in and out, for everybody but the manifest, whose members keep an order. The library's
// reader and writer are large templates: they are compiled here, once, and not in every file that
// has a little JSON. Throws nothing.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace etcd_snapshot {

// The whole text; where it is no JSON, a value that is neither object nor array nor anything else.
nlohmann::json parse_json(std::string_view text);

// On one line, or with `indent` blanks a level. Bytes that are no UTF-8 are replaced.
std::string json_text(const nlohmann::json& value, int indent = -1);

}  // namespace etcd_snapshot
