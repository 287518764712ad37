#include "api/json_print.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cmath>

#include "api/json_text.h"

namespace perigee::api {
namespace {

namespace json = boost::json;

void print(std::string& out, const json::value& value);

void print(std::string& out, double number) {
  if (!std::isfinite(number))
    out += "null";
  else
    fmt::format_to(std::back_inserter(out), "{}", number);
}

void print(std::string& out, const json::object& object) {
  out += '{';
  bool first = true;
  for (const json::key_value_pair& member : object) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, std::string_view{member.key().data(), member.key().size()});
    out += ':';
    print(out, member.value());
  }
  out += '}';
}

void print(std::string& out, const json::array& array) {
  out += '[';
  bool first = true;
  for (const json::value& element : array) {
    if (!first) out += ',';
    first = false;
    print(out, element);
  }
  out += ']';
}

// Values come from us or went through a parser that bounds their depth.
void print(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::object: return print(out, value.get_object());
    case json::kind::array: return print(out, value.get_array());
    case json::kind::double_: return print(out, value.get_double());
    default: out += json::serialize(value);
  }
}

}  // namespace

std::string print_json(const json::value& value) {
  std::string out;
  print(out, value);
  return out;
}

}  // namespace perigee::api
