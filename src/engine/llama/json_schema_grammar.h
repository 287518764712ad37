// Writes the GBNF grammar of the JSON texts that a JSON schema allows.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace perigee::llama {

// Understood: type (also a list of types), enum, const, anyOf, oneOf (taken as anyOf), allOf of
// one, $ref within the document (recursive too), properties, required, additionalProperties, items,
// minItems, maxItems, minLength, maxLength, format (date, time, date-time, uuid), minimum and
// maximum of integers (both, at most 256 values apart, or minimum 0); true and {} mean any value.
// Descriptions, titles, defaults and the like are skipped. Properties come in the order they are
// declared. Where `additionalProperties` is not false, an object with `properties` still gets only
// those and what else is `required`, as `additionalProperties` says: a valid subset. `type` beside
// enum or const picks the values of that type; beside $ref, anyOf, oneOf or allOf it must hold for
// all that those allow.
//
// Everything else, and anything nested deeper than kSchemaDepthMax, is an InvalidArgument whose
// `param` is `path` with the place in the schema appended
// ("response_format...properties.a.pattern").
Result<std::string> grammar_of_schema(const boost::json::value& schema, std::string_view path);
inline constexpr int kSchemaDepthMax = 32;

// Any JSON object.
std::string grammar_of_any_object();

}  // namespace perigee::llama
