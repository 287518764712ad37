#include "engine/llama/json_schema_grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "api/json_print.h"
#include "engine/llama/gbnf_literal.h"
#include "engine/llama/json_types.h"

namespace perigee::llama {
namespace {

namespace json = boost::json;

constexpr std::size_t kRulesMax = 2000;
constexpr std::size_t kLiteralsMax = 1000;
constexpr std::int64_t kRangeMax = 256;
constexpr std::uint32_t kTypeStepsMax = 10'000;  // schemas looked at to check a `type`
constexpr std::uint64_t kLengthMax = 2000;       // repetitions that llama.cpp takes

constexpr std::string_view kCommonRules = R"GBNF(ws ::= | " " | "\n" [ \t]{0,20}
value ::= object | array | string | number | boolean | null
object ::= "{" ws ( string ":" ws value ( ws "," ws string ":" ws value )* )? ws "}"
array ::= "[" ws ( value ( ws "," ws value )* )? ws "]"
string ::= "\"" char* "\""
char ::= [^"\\\x00-\x1f\x7f] | "\\" ( ["\\/bfnrt] | "u" unit )
unit ::= [0-9a-cefA-CEF] hex hex hex | [dD] [0-7] hex hex
hex ::= [0-9a-fA-F]
integer ::= "-"? natural
natural ::= "0" | [1-9] [0-9]{0,15}
fraction ::= ( "." [0-9]{1,15} )? ( [eE] [-+]? [0-9]{1,2} )?
number ::= "-"? natural fraction
boolean ::= "true" | "false"
null ::= "null"
date ::= [0-9]{4} "-" ( "0" [1-9] | "1" [0-2] ) "-" ( "0" [1-9] | "1" [0-9] | "2" [0-8] )
time ::= ( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] ":" [0-5] [0-9] ( "." [0-9]{1,6} )? "Z"
uuid ::= hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}
)GBNF";

constexpr std::array<std::string_view, 16> kAnnotations = {
    "title",    "description", "default",  "examples",        "$schema", "$id",
    "$comment", "deprecated",  "readOnly", "writeOnly",       "$defs",   "definitions",
    "strict",   "name",        "$anchor",  "contentMediaType"};

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

class Writer {
 public:
  explicit Writer(const json::value& document) : document_(document) {}

  Result<std::string> write(std::string_view path) {
    references_.emplace("#", "schema");
    PERIGEE_TRY(root, value(document_, std::string{path}, 0));
    PERIGEE_CHECK(define("schema", root));
    std::string grammar = "root ::= schema\n";
    for (const auto& [name, body] : rules_) grammar += name + " ::= " + body + "\n";
    return grammar + std::string{kCommonRules};
  }

 private:
  using Expression = Result<std::string>;

  static Error refuse(std::string message, const std::string& path) {
    return Error{Code::InvalidArgument, std::move(message), path};
  }

  Result<> define(const std::string& name, std::string body) {
    if (rules_.size() >= kRulesMax) {
      return Error{Code::InvalidArgument, "the schema is too large: simplify it"};
    }
    rules_[name] = std::move(body);
    return {};
  }
  std::string fresh(std::string_view kind) { return fmt::format("{}-{}", kind, ++names_); }

  Expression value(const json::value& schema, const std::string& path, int depth) {
    if (depth > kSchemaDepthMax) {
      return refuse(fmt::format("the schema is nested deeper than {}", kSchemaDepthMax), path);
    }
    if (const bool* any = schema.if_bool()) {
      if (*any) return "value";
      return refuse("a schema 'false' allows nothing", path);
    }
    const json::object* object = schema.if_object();
    if (object == nullptr) return refuse("a schema must be an object or a boolean", path);
    for (const std::string_view keyword : {"$ref", "const", "enum", "anyOf", "oneOf", "allOf"}) {
      if (const json::value* found = object->if_contains(keyword)) {
        return combined(*object, keyword, *found, path, depth);
      }
    }
    PERIGEE_TRY(types, types_of(*object, path));
    PERIGEE_CHECK(check_keywords(*object, types, path));
    std::vector<std::string> alternatives;
    for (const std::string& type : types) {
      PERIGEE_TRY(one, typed(type, *object, path, depth));
      alternatives.push_back(one);
    }
    return alternatives.size() == 1 ? alternatives.front()
                                    : "( " + join(alternatives, " | ") + " )";
  }

  // Keywords that stand for the whole schema. A `type` beside them picks from listed values; beside
  // other schemas it must say no more than they do.
  Expression combined(const json::object& schema, std::string_view keyword,
                      const json::value& found, const std::string& path, int depth) {
    for (const auto& member : schema) {
      if (member.key() != keyword && member.key() != "type" && !annotation(member.key())) {
        return refuse(fmt::format("'{}' beside '{}' is not supported",
                                  std::string_view{member.key()}, keyword),
                      child(path, member.key()));
      }
    }
    const std::string at = child(path, keyword);
    const bool has_type_beside = schema.contains("type");
    Types types;
    if (has_type_beside) {
      PERIGEE_TRY(read, types_of(schema, path));
      types = read;
    }
    if (keyword == "const") {
      if (has_type_beside && !has_type(found, types)) return refuse("it is not of the 'type'", at);
      return listed(found, at);
    }
    if (has_type_beside && keyword != "enum") {
      std::set<std::string, std::less<>> followed;
      if (!implies(schema, types, followed)) {
        return refuse(fmt::format("beside '{}' it must be the type that stands there", keyword),
                      child(path, "type"));
      }
    }
    if (keyword == "$ref") return reference(found, at, depth);
    const json::array* list = found.if_array();
    if (list == nullptr || list->empty())
      return refuse("a list with something in it is expected", at);
    if (keyword == "enum") return enumeration(*list, has_type_beside ? &types : nullptr, at);
    if (keyword == "allOf" && list->size() > 1) {
      return refuse("allOf of more than one schema is not supported", at);
    }
    std::vector<std::string> alternatives;
    for (std::size_t i = 0; i < list->size(); ++i) {
      PERIGEE_TRY(one, value((*list)[i], fmt::format("{}[{}]", at, i), depth + 1));
      alternatives.push_back(one);
    }
    return "( " + join(alternatives, " | ") + " )";
  }

  // A value as the model is to write it: 0.5, not 5E-1.
  Expression listed(const json::value& value, const std::string& at) {
    // Boost.JSON reads 0e400 as not-a-number, which JSON can't say.
    if (value != value) return refuse("write 0 for a number that is 0", at);
    return gbnf_literal(api::print_json(value));
  }

  // Of `types` only, where there are some.
  Expression enumeration(const json::array& list, const Types* types, const std::string& at) {
    if (list.size() > kLiteralsMax) {
      return refuse(fmt::format("more than {} values", kLiteralsMax), at);
    }
    std::vector<std::string> alternatives;
    for (const json::value& one : list) {
      if (types != nullptr && !has_type(one, *types)) continue;
      PERIGEE_TRY(written, listed(one, at));
      alternatives.push_back(std::move(written));
    }
    if (alternatives.empty()) return refuse("no value is of the 'type'", at);
    const std::string name = fresh("enum");
    PERIGEE_CHECK(define(name, join(alternatives, " | ")));
    return name;
  }

  Expression reference(const json::value& found, const std::string& at, int depth) {
    const json::string* pointer = found.if_string();
    if (pointer == nullptr || !pointer->starts_with('#')) {
      return refuse("only references within the schema ('#/$defs/NAME') are supported", at);
    }
    const auto known = references_.find(std::string_view{*pointer});
    if (known != references_.end()) return known->second;
    boost::system::error_code error;
    const json::value* target = document_.find_pointer(std::string_view{*pointer}.substr(1), error);
    if (target == nullptr) {
      return refuse(fmt::format("'{}' is not in the schema", std::string_view{*pointer}), at);
    }
    const std::string name = fresh("ref");
    references_.emplace(std::string{*pointer}, name);
    PERIGEE_TRY(body, value(*target, at, depth + 1));
    PERIGEE_CHECK(define(name, body));
    return name;
  }

  // Whether all that `schema` allows is of one of `types`. `followed` are references seen already,
  // which allow nothing more. What is no schema is left to others to refuse.
  bool implies(const json::value& schema, const Types& types,
               std::set<std::string, std::less<>>& followed) {
    const json::object* object = schema.if_object();
    return object != nullptr ? implies(*object, types, followed) : !schema.is_bool();
  }

  bool implies(const json::object& schema, const Types& types,
               std::set<std::string, std::less<>>& followed) {
    if (++type_steps_ > kTypeStepsMax) return false;
    if (const json::value* pointer = schema.if_contains("$ref")) {
      if (!pointer->is_string() || !pointer->get_string().starts_with('#')) return true;
      const std::string_view name{pointer->get_string()};
      if (!followed.emplace(name).second) return true;
      boost::system::error_code error;
      const json::value* target = document_.find_pointer(name.substr(1), error);
      return target == nullptr || implies(*target, types, followed);
    }
    if (const json::value* only = schema.if_contains("const")) return has_type(*only, types);
    for (const std::string_view keyword : {"enum", "anyOf", "oneOf", "allOf"}) {
      const json::value* found = schema.if_contains(keyword);
      if (found == nullptr) continue;
      if (!found->is_array()) return true;
      return std::ranges::all_of(found->get_array(), [&](const json::value& one) {
        return keyword == "enum" ? has_type(one, types) : implies(one, types, followed);
      });
    }
    const auto own = types_of(schema, "");
    return !own || std::ranges::all_of(*own, [&](const std::string& type) {
      return has(types, type) || (type == "integer" && has(types, "number"));
    });
  }

  Result<Types> types_of(const json::object& schema, const std::string& path) {
    const json::value* type = schema.if_contains("type");
    if (type == nullptr) {
      if (schema.contains("properties") || schema.contains("additionalProperties")) {
        return Types{"object"};
      }
      if (schema.contains("items")) return Types{"array"};
      return Types{"any"};
    }
    Types types;
    if (const json::string* one = type->if_string()) types.emplace_back(*one);
    if (const json::array* list = type->if_array()) {
      for (const json::value& one : *list) {
        if (!one.is_string()) return refuse("types must be names", child(path, "type"));
        types.emplace_back(one.get_string());
      }
    }
    static const std::set<std::string, std::less<>> kTypes = {
        "object", "array", "string", "integer", "number", "boolean", "null"};
    const bool known = !types.empty() && std::all_of(types.begin(), types.end(), [](auto& name) {
      return kTypes.contains(name);
    });
    if (!known) {
      return refuse("one of object, array, string, integer, number, boolean, null is expected",
                    child(path, "type"));
    }
    return types;
  }

  Result<> check_keywords(const json::object& schema, const std::vector<std::string>& types,
                          const std::string& path) {
    static const std::map<std::string, std::set<std::string, std::less<>>> kKeywords = {
        {"object", {"properties", "required", "additionalProperties"}},
        {"array", {"items", "minItems", "maxItems"}},
        {"string", {"minLength", "maxLength", "format"}},
        {"integer", {"minimum", "maximum"}}};
    for (const auto& member : schema) {
      const std::string_view key = member.key();
      if (key == "type" || annotation(key)) continue;
      const bool known = std::any_of(types.begin(), types.end(), [&](const std::string& type) {
        const auto found = kKeywords.find(type);
        return found != kKeywords.end() && found->second.contains(key);
      });
      if (!known) return refuse(fmt::format("'{}' is not supported here", key), child(path, key));
    }
    return {};
  }

  Expression typed(const std::string& type, const json::object& schema, const std::string& path,
                   int depth) {
    if (type == "object") return object(schema, path, depth);
    if (type == "array") return array(schema, path, depth);
    if (type == "string") return string(schema, path);
    if (type == "integer") return integer(schema, path);
    return type == "any" ? "value" : type;  // number, boolean, null: common rules
  }

  Expression object(const json::object& schema, const std::string& path, int depth) {
    const json::value* properties = schema.if_contains("properties");
    if (properties != nullptr && !properties->is_object()) {
      return refuse("an object is expected", child(path, "properties"));
    }
    PERIGEE_TRY(required, required_of(schema, path));
    std::vector<Property> list;
    if (properties != nullptr) {
      for (const auto& member : properties->get_object()) {
        const std::string at = child(child(path, "properties"), member.key());
        PERIGEE_TRY(expression, value(member.value(), at, depth + 1));
        const bool needed = required.erase(std::string{member.key()}) > 0;
        list.push_back({std::string{member.key()}, expression, needed});
      }
    }
    PERIGEE_TRY(unnamed, unnamed_of(schema, required, path, depth));
    for (const std::string& name : required) list.push_back({name, unnamed, true});
    if (list.empty()) return open_object(schema, path, depth);
    return closed_object(list);
  }

  // What the names in `required` hold that are not in `properties`.
  Expression unnamed_of(const json::object& schema, const std::set<std::string>& required,
                        const std::string& path, int depth) {
    const json::value* extra = schema.if_contains("additionalProperties");
    if (required.empty() || extra == nullptr) return "value";
    if (extra->is_bool() && !extra->get_bool()) {
      return refuse(fmt::format("'{}' is not in 'properties', and 'additionalProperties' is false: "
                                "nothing satisfies this",
                                *required.begin()),
                    child(path, "required"));
    }
    PERIGEE_TRY(expression, value(*extra, child(path, "additionalProperties"), depth + 1));
    const std::string name = fresh("extra");
    PERIGEE_CHECK(define(name, expression));
    return name;
  }

  struct Property {
    std::string name;
    std::string expression;
    bool required;
  };

  Result<std::set<std::string>> required_of(const json::object& schema, const std::string& path) {
    std::set<std::string> names;
    const json::value* required = schema.if_contains("required");
    if (required == nullptr) return names;
    const json::array* list = required->if_array();
    if (list == nullptr) return refuse("a list of names is expected", child(path, "required"));
    for (const json::value& name : *list) {
      if (!name.is_string()) return refuse("names are expected", child(path, "required"));
      names.emplace(name.get_string());
    }
    return names;
  }

  // No property is named: a map, or nothing.
  Expression open_object(const json::object& schema, const std::string& path, int depth) {
    const json::value* extra = schema.if_contains("additionalProperties");
    if (extra == nullptr) return "object";
    if (extra->is_bool() && !extra->get_bool()) return R"("{" ws "}")";
    PERIGEE_TRY(expression, value(*extra, child(path, "additionalProperties"), depth + 1));
    return fmt::format(R"("{{" ws ( string ":" ws {0} ( ws "," ws string ":" ws {0} )* )? ws "}}")",
                       expression);
  }

  // One rule per place in the list and per "something stands before it already".
  Expression closed_object(const std::vector<Property>& list) {
    const std::string name = fresh("object");
    const auto rest = [&](std::size_t i, bool some) {
      return i == list.size() ? std::string{} : fmt::format(" {}-{}{}", name, i, some ? "c" : "f");
    };
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Property& property = list[i];
      const std::string pair =
          gbnf_literal(json::serialize(json::string_view{property.name}) + ":") + " ws " +
          property.expression;
      for (const bool some : {false, true}) {
        std::string body = (some ? R"(ws "," ws )" : "") + pair + rest(i + 1, true);
        if (!property.required) {
          const std::string without = rest(i + 1, some);
          body += " |" + (without.empty() ? R"( "")" : without);
        }
        PERIGEE_CHECK(define(rest(i, some).substr(1), std::move(body)));
      }
    }
    return R"("{" ws)" + rest(0, false) + R"( ws "}")";
  }

  Expression array(const json::object& schema, const std::string& path, int depth) {
    PERIGEE_TRY(bounds, bounds_of(schema, "minItems", "maxItems", path));
    std::string item = "value";
    if (const json::value* items = schema.if_contains("items")) {
      PERIGEE_TRY(expression, value(*items, child(path, "items"), depth + 1));
      const std::string name = fresh("item");
      PERIGEE_CHECK(define(name, expression));
      item = name;
    }
    if (bounds.most == 0u) return R"("[" ws "]")";
    const std::uint64_t least = bounds.least > 0 ? bounds.least - 1 : 0;
    const std::string repeat = bounds.most ? fmt::format("{{{},{}}}", least, *bounds.most - 1)
                                           : fmt::format("{{{},}}", least);
    const std::string items = fmt::format(R"({0} ( ws "," ws {0} ){1})", item, repeat);
    return bounds.least > 0 ? fmt::format(R"("[" ws {} ws "]")", items)
                            : fmt::format(R"("[" ws ( {} )? ws "]")", items);
  }

  Expression string(const json::object& schema, const std::string& path) {
    PERIGEE_TRY(bounds, bounds_of(schema, "minLength", "maxLength", path));
    if (const json::value* format = schema.if_contains("format")) {
      static const std::map<std::string, std::string, std::less<>> kFormats = {
          {"date", R"("\"" date "\"")"},
          {"time", R"("\"" time "\"")"},
          {"date-time", R"("\"" date "T" time "\"")"},
          {"uuid", R"("\"" uuid "\"")"}};
      const auto found = format->is_string() ? kFormats.find(std::string_view{format->get_string()})
                                             : kFormats.end();
      if (found != kFormats.end()) return found->second;
      return refuse("one of date, time, date-time, uuid is expected", child(path, "format"));
    }
    if (bounds.least == 0 && !bounds.most) return "string";
    return bounds.most ? fmt::format(R"("\"" char{{{},{}}} "\"")", bounds.least, *bounds.most)
                       : fmt::format(R"("\"" char{{{},}} "\"")", bounds.least);
  }

  struct Bounds {
    std::uint64_t least = 0;
    std::optional<std::uint64_t> most;
  };

  Result<Bounds> bounds_of(const json::object& schema, std::string_view least_key,
                           std::string_view most_key, const std::string& path) {
    Bounds bounds;
    for (const std::string_view key : {least_key, most_key}) {
      const json::value* found = schema.if_contains(key);
      if (found == nullptr) continue;
      boost::system::error_code error;
      const auto number = found->to_number<std::uint64_t>(error);
      if (error || number > kLengthMax) {
        return refuse(fmt::format("a whole number up to {} is expected", kLengthMax),
                      child(path, key));
      }
      if (key == least_key) {
        bounds.least = number;
      } else {
        bounds.most = number;
      }
    }
    if (bounds.most && *bounds.most < bounds.least) {
      return refuse(fmt::format("it is below {}", least_key), child(path, most_key));
    }
    return bounds;
  }

  Expression integer(const json::object& schema, const std::string& path) {
    const json::value* least = schema.if_contains("minimum");
    const json::value* most = schema.if_contains("maximum");
    if (least == nullptr && most == nullptr) return "integer";
    boost::system::error_code error;
    const std::int64_t from = least != nullptr ? least->to_number<std::int64_t>(error) : 0;
    if (error) return refuse("a whole number is expected", child(path, "minimum"));
    if (most == nullptr) {
      if (from == 0) return "natural";
      return refuse("without 'maximum' only 0 is supported", child(path, "minimum"));
    }
    const std::int64_t to = most->to_number<std::int64_t>(error);
    if (error) return refuse("a whole number is expected", child(path, "maximum"));
    if (least == nullptr) return refuse("'maximum' needs 'minimum'", child(path, "maximum"));
    constexpr std::int64_t kFar = std::int64_t{1} << 53;
    if (from < -kFar || to > kFar || to < from || to - from >= kRangeMax) {
      return refuse(fmt::format("it must be at least 'minimum', by less than {}", kRangeMax),
                    child(path, "maximum"));
    }
    std::vector<std::string> alternatives;
    for (std::int64_t i = from; i <= to; ++i)
      alternatives.push_back(gbnf_literal(std::to_string(i)));
    const std::string name = fresh("range");
    PERIGEE_CHECK(define(name, join(alternatives, " | ")));
    return name;
  }

  static bool annotation(std::string_view key) {
    return std::find(kAnnotations.begin(), kAnnotations.end(), key) != kAnnotations.end();
  }
  static std::string child(const std::string& path, std::string_view key) {
    return fmt::format("{}.{}", path, key);
  }

  const json::value& document_;
  std::map<std::string, std::string, std::less<>> references_;
  std::map<std::string, std::string> rules_;
  int names_ = 0;
  std::uint32_t type_steps_ = 0;
};

}  // namespace

Result<std::string> grammar_of_schema(const boost::json::value& schema, std::string_view path) {
  return Writer{schema}.write(path);
}

std::string grammar_of_any_object() { return "root ::= object\n" + std::string{kCommonRules}; }

}  // namespace perigee::llama
