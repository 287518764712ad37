#include "engine/llama/json_schema_grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "engine/llama/grammar.h"
#include "engine/llama/test_batcher.h"

namespace perigee::llama {
namespace {

std::string grammar_for(const char* schema) {
  const auto written = grammar_of_schema(boost::json::parse(schema), "schema");
  if (!written) ADD_FAILURE() << written.error().param << ": " << written.error().message;
  return written ? *written : std::string{};
}

// Whether the grammar takes the whole text, fed byte token by byte token, and may end there.
bool takes(const std::string& gbnf, const std::string& text) {
  auto grammar = Grammar::parse(demo_model(), gbnf, "grammar");
  if (!grammar) {
    ADD_FAILURE() << grammar.error().message << "\n" << gbnf;
    return false;
  }
  for (const Token token : demo_model().tokenize(text, false, false)) {
    if (!grammar->allows(token) || !grammar->accept(token)) return false;
  }
  return grammar->allows(demo_model().tokenize("<|im_end|>", false, true).at(0));
}

std::string refused_at(const char* schema) {
  const auto written = grammar_of_schema(boost::json::parse(schema), "schema");
  if (written) return "accepted";
  EXPECT_EQ(written.error().code, Code::InvalidArgument);
  EXPECT_FALSE(written.error().message.empty());
  return written.error().param;
}

TEST(JsonSchemaGrammar, ClosedObjectInDeclaredOrder) {
  const std::string g = grammar_for(R"({"type":"object","additionalProperties":false,
    "required":["a","c"],"properties":{"a":{"type":"string"},"b":{"type":"integer"},
    "c":{"type":"boolean"}}})");
  EXPECT_TRUE(takes(g, R"({"a":"x","b":-12,"c":true})"));
  EXPECT_TRUE(takes(g, R"({ "a": "x", "c": false })"));
  EXPECT_FALSE(takes(g, R"({"a":"x"})"));
  EXPECT_FALSE(takes(g, R"({"a":"x","c":true,"d":1})"));
  EXPECT_FALSE(takes(g, R"({"a":"x","b":1.5,"c":true})"));
  EXPECT_FALSE(takes(g, R"({"c":true,"a":"x"})"));
}

TEST(JsonSchemaGrammar, OptionalPropertiesInAnyCombination) {
  const std::string g =
      grammar_for(R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"}}})");
  EXPECT_TRUE(takes(g, "{}"));
  EXPECT_TRUE(takes(g, R"({"a":null})"));
  EXPECT_TRUE(takes(g, R"({"b":null})"));
  EXPECT_TRUE(takes(g, R"({"a":null,"b":null})"));
  EXPECT_FALSE(takes(g, R"({"a":null,})"));
  EXPECT_FALSE(takes(g, R"({,"a":null})"));
}

TEST(JsonSchemaGrammar, ArraysWithBounds) {
  const std::string g =
      grammar_for(R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})");
  EXPECT_FALSE(takes(g, "[]"));
  EXPECT_TRUE(takes(g, "[1]"));
  EXPECT_TRUE(takes(g, "[1, 2,3]"));
  EXPECT_FALSE(takes(g, "[1,2,3,4]"));
  EXPECT_TRUE(takes(grammar_for(R"({"type":"array","maxItems":0})"), "[]"));
  const std::string open = grammar_for(R"({"items":{"type":"number"}})");
  EXPECT_TRUE(takes(open, "[]"));
  EXPECT_TRUE(takes(open, "[1.5,-2e3,0]"));
  EXPECT_FALSE(takes(open, "[01]"));
}

TEST(JsonSchemaGrammar, StringsEnumsConstsAndFormats) {
  const std::string g = grammar_for(R"({"type":"string","minLength":2,"maxLength":3})");
  EXPECT_FALSE(takes(g, R"("a")"));
  EXPECT_TRUE(takes(g, R"("ab")"));
  EXPECT_TRUE(takes(g, "\"\xC3\xA9\\n\\u00e9\""));
  EXPECT_FALSE(takes(g, R"("abcd")"));
  EXPECT_FALSE(takes(grammar_for(R"({"type":"string"})"), R"("\ud800")"));
  const std::string e = grammar_for(R"({"enum":["a\"b\n",7,null,{"k":[1]}]})");
  EXPECT_TRUE(takes(e, R"("a\"b\n")"));
  EXPECT_TRUE(takes(e, "7"));
  EXPECT_TRUE(takes(e, "null"));
  EXPECT_TRUE(takes(e, R"({"k":[1]})"));
  EXPECT_FALSE(takes(e, "8"));
  const std::string halves = grammar_for(R"({"enum":[0.5,[1.25,-3e2]]})");
  EXPECT_TRUE(takes(halves, "0.5"));
  EXPECT_TRUE(takes(halves, "[1.25,-300]"));
  EXPECT_TRUE(takes(grammar_for(R"({"const":"only"})"), R"("only")"));
  const std::string date = grammar_for(R"({"type":"string","format":"date-time"})");
  EXPECT_TRUE(takes(date, R"("2026-11-22T10:15:00Z")"));
  EXPECT_FALSE(takes(date, R"("2026-13-22T10:15:00Z")"));
}

TEST(JsonSchemaGrammar, UnionsTypesListsAndRanges) {
  const std::string g =
      grammar_for(R"({"anyOf":[{"type":"integer","minimum":8,"maximum":11},{"type":"null"}]})");
  EXPECT_TRUE(takes(g, "10"));
  EXPECT_TRUE(takes(g, "null"));
  EXPECT_FALSE(takes(g, "12"));
  const std::string t = grammar_for(R"({"type":["string","null"]})");
  EXPECT_TRUE(takes(t, "null"));
  EXPECT_TRUE(takes(t, R"("x")"));
  EXPECT_FALSE(takes(t, "1"));
}

TEST(JsonSchemaGrammar, ReferencesMayRecurse) {
  const std::string g = grammar_for(R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object",
    "required":["v"],"additionalProperties":false,"properties":{"v":{"type":"integer"},
    "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}}}}})");
  EXPECT_TRUE(takes(g, R"({"v":1,"next":{"v":2,"next":null}})"));
  EXPECT_FALSE(takes(g, R"({"v":1,"next":{"w":2}})"));
  const std::string self = grammar_for(
      R"({"type":"object","properties":{"kids":{"type":"array","items":{"$ref":"#"}}}})");
  EXPECT_TRUE(takes(self, R"({"kids":[{},{"kids":[]}]})"));
}

TEST(JsonSchemaGrammar, MapsAndAnything) {
  const std::string g =
      grammar_for(R"({"type":"object","additionalProperties":{"type":"boolean"}})");
  EXPECT_TRUE(takes(g, R"({"x":true,"y":false})"));
  EXPECT_FALSE(takes(g, R"({"x":1})"));
  EXPECT_TRUE(takes(grammar_for("{}"), R"([1,{"a":"b"},null])"));
  EXPECT_TRUE(takes(grammar_of_any_object(), R"({"a":{"b":[1,2]}})"));
  EXPECT_FALSE(takes(grammar_of_any_object(), "[1]"));
  EXPECT_FALSE(
      takes(grammar_for(R"({"type":"object","additionalProperties":false})"), R"({"a":1})"));
}

TEST(JsonSchemaGrammar, RequiredNamesWithoutASchemaOfTheirOwnUseAdditionalProperties) {
  const std::string g = grammar_for(R"({"type":"object","properties":{"a":{"type":"null"}},
      "required":["b","c"],"additionalProperties":{"type":"integer"}})");
  EXPECT_TRUE(takes(g, R"({"a":null,"b":1,"c":2})"));
  EXPECT_FALSE(takes(g, R"({"b":"x","c":2})"));
  EXPECT_TRUE(takes(grammar_for(R"({"type":"object","required":["b"]})"), R"({"b":"x"})"));
  EXPECT_EQ(refused_at(R"({"type":"object","properties":{"a":{"type":"null"}},
      "required":["b"],"additionalProperties":false})"),
            "schema.required");
}

TEST(JsonSchemaGrammar, ATypePicksFromTheValuesBesideIt) {
  const std::string g = grammar_for(R"({"type":"string","enum":["a",1,null]})");
  EXPECT_TRUE(takes(g, R"("a")"));
  EXPECT_FALSE(takes(g, "1"));
  EXPECT_FALSE(takes(g, "null"));
  const std::string nullable =
      grammar_for(R"({"type":["integer","null"],"enum":["a",1,1.5,null]})");
  EXPECT_TRUE(takes(nullable, "1"));
  EXPECT_TRUE(takes(nullable, "null"));
  EXPECT_FALSE(takes(nullable, R"("a")"));
  EXPECT_EQ(refused_at(R"({"type":"boolean","enum":["a",1]})"), "schema.enum");
  EXPECT_EQ(refused_at(R"({"type":"string","const":5})"), "schema.const");
  EXPECT_EQ(refused_at(R"({"const":{"a":0e400}})"), "schema.const");  // which is 0, said oddly
  EXPECT_TRUE(takes(grammar_for(R"({"type":"number","const":5})"), "5"));
}

TEST(JsonSchemaGrammar, ATypeBesideOtherSchemasMustBeTheirs) {
  const std::string list = R"("$defs":{"a":{"type":"integer"},"b":{"anyOf":[{"$ref":"#/$defs/b"},
      {"$ref":"#/$defs/a"}]}}})";
  EXPECT_TRUE(takes(grammar_for((R"({"type":"integer","$ref":"#/$defs/a",)" + list).c_str()), "1"));
  EXPECT_EQ(refused_at((R"({"type":"string","$ref":"#/$defs/a",)" + list).c_str()), "schema.type");
  EXPECT_EQ(refused_at((R"({"type":"string","$ref":"#/$defs/b",)" + list).c_str()), "schema.type");
  EXPECT_TRUE(takes(grammar_for(R"({"type":["string","null"],"anyOf":[{"type":"string"},
      {"enum":[null]}]})"),
                    "null"));
  EXPECT_EQ(refused_at(R"({"type":"string","anyOf":[{"type":"string"},{"type":"null"}]})"),
            "schema.type");
  EXPECT_EQ(refused_at(R"({"type":"object","allOf":[{}]})"), "schema.type");
  EXPECT_EQ(refused_at(R"({"type":"thing","oneOf":[{}]})"), "schema.type");
}

TEST(JsonSchemaGrammar, UnsupportedKeywordsNameTheirPlace) {
  EXPECT_EQ(refused_at(R"({"type":"object","properties":{"a":{"type":"string","pattern":"x"}}})"),
            "schema.properties.a.pattern");
  EXPECT_EQ(refused_at(R"({"type":"array","items":{"type":"number","multipleOf":2}})"),
            "schema.items.multipleOf");
  EXPECT_EQ(refused_at(R"({"anyOf":[{"type":"null"},{"not":{}}]})"), "schema.anyOf[1].not");
  EXPECT_EQ(refused_at(R"({"type":"thing"})"), "schema.type");
  EXPECT_EQ(refused_at(R"({"$ref":"#/nowhere"})"), "schema.$ref");
  EXPECT_EQ(refused_at(R"({"$ref":"http://else"})"), "schema.$ref");
  EXPECT_EQ(refused_at(R"({"type":"string","minLength":-1})"), "schema.minLength");
  EXPECT_EQ(refused_at(R"({"type":"string","minLength":3,"maxLength":2})"), "schema.maxLength");
  EXPECT_EQ(refused_at("5"), "schema");
  EXPECT_EQ(refused_at(R"({"type":"object","required":"a"})"), "schema.required");
}

TEST(JsonSchemaGrammar, RefusesTooDeepASchema) {
  boost::json::value schema = {{"type", "string"}};
  const auto nest = [&schema] { schema = {{"type", "array"}, {"items", std::move(schema)}}; };
  for (int i = 0; i < kSchemaDepthMax; ++i) nest();
  EXPECT_TRUE(grammar_of_schema(schema, "schema"));
  nest();
  const auto refused = grammar_of_schema(schema, "schema");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::InvalidArgument);
}

TEST(JsonSchemaGrammar, AReferenceToItselfIsRefusedNotFollowedForever) {
  const auto written = grammar_of_schema(
      boost::json::parse(R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}})"), "schema");
  if (written) {
    EXPECT_FALSE(Grammar::parse(demo_model(), *written, "schema"));
  }
}

TEST(Gbnf, SyntaxErrorsNameTheLine) {
  const auto check = [](const char* text) {
    const auto checked = check_gbnf(text, "grammar");
    return checked ? std::string{} : checked.error().message;
  };
  EXPECT_EQ(check("root ::= \"a\" [b-c]* ( x | \"d\"{2,3} )? # note\nx ::= .\n"), "");
  EXPECT_THAT(check("root ::= \"a\"\nx = 1"), testing::HasSubstr("line 2"));
  EXPECT_NE(check("root ::= (\"a\""), "");
  EXPECT_NE(check("root ::= *"), "");
  EXPECT_NE(check("root ::= \"a\"{3,2}"), "");
  EXPECT_NE(check("root ::= \"a\"{999999}"), "");
  EXPECT_NE(check("root ::= \"\\q\""), "");
  EXPECT_NE(check(("root ::= " + std::string(500, '(')).c_str()), "");
}

}  // namespace
}  // namespace perigee::llama
