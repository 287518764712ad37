// Judges a JSON value by a JSON schema, written apart from the grammar that guides engines.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

namespace perigee::lab {

// What is wrong with `value`, "" when nothing is. Understood: type, enum, properties, required,
// additionalProperties (false), items, minItems, maxItems, maxLength (in code points), minimum,
// maximum. Any other keyword is itself reported: a check that skips what it can't judge is none.
std::string schema_violation(const boost::json::value& schema, const boost::json::value& value);
// The same for a text; also when it is no JSON at all.
std::string schema_violation(std::string_view schema, std::string_view text);

}  // namespace perigee::lab
