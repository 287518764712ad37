#include "cli/join_code.h"

#include <boost/json.hpp>

#include "base/base64url.h"
#include "directory/json_fields.h"
#include "identity/key_text.h"

namespace perigee::cli {
namespace {

constexpr std::size_t kFieldBytesMax = 512;

Error damaged() {
  return Error{Code::InvalidArgument,
               "the join token is cut or mistyped: copy it again whole, with what follows its dot"};
}

std::optional<double> degrees(JsonFields& fields, std::string_view name, double most) {
  if (!fields.has(name)) return std::nullopt;
  return fields.number(name, Need::Required, -most, most);
}

Result<> read_facts(std::string_view json, JoinCode& code) {
  PERIGEE_TRY(object, parse_json_object(json));
  JsonFields fields{object};
  const auto text = [&fields](std::string_view name) {
    return fields.text(name, Need::Optional, kFieldBytesMax);
  };
  code.control_url = text("control");
  code.ca_sha256 = text("ca_sha256");
  code.name = text("name");
  code.facts.url = text("url");
  code.facts.tier = text("tier");
  code.facts.jurisdiction = text("jurisdiction");
  code.facts.city = text("city");
  code.facts.latitude = degrees(fields, "latitude", 90);
  code.facts.longitude = degrees(fields, "longitude", 180);
  return fields.finish(UnknownFields::Ignore);
}

}  // namespace

std::string to_string(const JoinCode& code) {
  JsonObject facts = site_facts(code.facts);
  const auto add = [&facts](std::string_view name, const std::string& value) {
    if (!value.empty()) facts.add(name, value);
  };
  add("control", code.control_url);
  add("ca_sha256", code.ca_sha256);
  add("name", code.name);
  return code.token + "." + to_base64url(facts.take());
}

Result<JoinCode> parse_join_code(std::string_view text) {
  if (text.size() > kJoinCodeBytesMax) return damaged();
  const std::size_t dot = text.find('.');
  JoinCode code;
  code.token = text.substr(0, dot);
  if (kind_of_key(code.token) != KeyKind::JoinToken || !well_typed(code.token)) return damaged();
  if (dot == std::string_view::npos) return code;
  const auto facts = from_base64url(text.substr(dot + 1));
  if (!facts || !read_facts(*facts, code)) return damaged();
  return code;
}

}  // namespace perigee::cli
