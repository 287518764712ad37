#include "checks.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace perigee::tidy {
namespace {

const char* const kLayers =
    "base | |\n"
    "core | base |\n"
    "api | base core/inference.h | cpp:simdjson\n"
    "engine | base |\n"
    "engine/llama | engine base | llama.h\n"
    "tests | engine | gtest\n";

Findings includes_of(const std::string& path, const std::string& text) {
  Findings findings;
  check_includes(path, read_source(text), parse_layers(kLayers), findings);
  return findings;
}
Findings sizes_of(const std::string& path, const std::string& text) {
  Findings findings;
  check_sizes(path, read_source(text), findings);
  return findings;
}
Findings bans_of(const std::string& path, const std::string& text, const std::string& bans) {
  Findings findings;
  check_bans(path, read_source(text), parse_bans(bans), findings);
  return findings;
}
std::string repeated(const std::string& line, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += line;
  return text;
}

TEST(Includes, LetsAFolderIncludeItselfTheLayersBelowAndTheStandardLibrary) {
  EXPECT_TRUE(includes_of("src/core/a.h",
                          "#include <vector>\n#include \"core/b.h\"\n#include \"base/result.h\"\n")
                  .empty());
}

TEST(Includes, NamesFileLineAndRemedyOfAnUpwardInclude) {
  const Findings findings = includes_of("src/core/a.cpp", "\n#include \"engine/engine.h\"\n");
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(to_string(findings[0]),
            "src/core/a.cpp:2: core must not include engine: move the code, or argue the row in "
            "test/tidy/layers.txt");
}

TEST(Includes, LetsOneHeaderOfAFolderInWithoutTheOthers) {
  EXPECT_TRUE(includes_of("src/api/a.h", "#include \"core/inference.h\"\n").empty());
  EXPECT_EQ(includes_of("src/api/a.h", "#include \"core/router.h\"\n").size(), 1U);
}

TEST(Includes, TellsAnAdapterFromItsPort) {
  EXPECT_TRUE(includes_of("src/engine/llama/a.cpp", "#include \"engine/engine.h\"\n").empty());
  EXPECT_EQ(includes_of("src/engine/engine.h", "#include \"engine/llama/a.h\"\n").size(), 1U);
}

TEST(Includes, KeepsALibraryOutOfHeadersWhenTheRowSaysSo) {
  EXPECT_TRUE(includes_of("src/api/a.cpp", "#include <simdjson.h>\n").empty());
  EXPECT_EQ(includes_of("src/api/a.h", "#include <simdjson.h>\n").size(), 1U);
}

TEST(Includes, TakesALibrarysHeaderInQuotesToo) {
  EXPECT_TRUE(includes_of("src/engine/llama/a.cpp", "#include \"llama.h\"\n").empty());
  EXPECT_EQ(includes_of("src/engine/a.cpp", "#include \"llama.h\"\n").size(), 1U);
}

TEST(Includes, RefusesALibraryThatTheRowDoesNotName) {
  EXPECT_EQ(includes_of("src/base/a.cpp", "#include <boost/asio/post.hpp>\n").size(), 1U);
}

TEST(Includes, KeepsTheOperatingSystemOutOfCore) {
  EXPECT_EQ(includes_of("src/core/a.cpp", "#include <sys/socket.h>\n").size(), 1U);
  EXPECT_TRUE(includes_of("src/base/a.cpp", "#include <sys/socket.h>\n").empty());
}

TEST(Includes, AllowsUnitTestsTheFoldersOfTheTestsRow) {
  EXPECT_TRUE(
      includes_of("src/core/a_test.cpp", "#include <gtest/gtest.h>\n#include \"engine/engine.h\"\n")
          .empty());
  EXPECT_EQ(includes_of("src/core/a.cpp", "#include <gtest/gtest.h>\n").size(), 1U);
}

TEST(Includes, RefusesAPathThatIsNotFromSrc) {
  EXPECT_EQ(includes_of("src/core/a.cpp", "#include \"a.h\"\n").size(), 1U);
  EXPECT_EQ(includes_of("src/unknown/a.cpp", "").size(), 1U);
}

TEST(Sizes, CountsColumnsAsCharactersNotBytes) {
  EXPECT_TRUE(sizes_of("a.cpp", repeated("\xC3\xA9", 100) + "\n").empty());
  EXPECT_EQ(sizes_of("a.cpp", repeated("x", 101) + "\n").size(), 1U);
}

TEST(Sizes, RefusesLongFilesLongMainsAndHeadersWithoutPragmaOnce) {
  EXPECT_TRUE(sizes_of("a.cpp", repeated("\n", 500)).empty());
  EXPECT_EQ(sizes_of("a.cpp", repeated("\n", 501)).size(), 1U);
  EXPECT_EQ(sizes_of("apps/x/main.cpp", repeated("\n", 61)).size(), 1U);
  EXPECT_EQ(sizes_of("a.h", "int x;\n").size(), 1U);
  EXPECT_TRUE(sizes_of("a.h", "#pragma once\nint x;\n").empty());
}

TEST(Sizes, RefusesAFunctionOfMoreThanSeventyLines) {
  const std::string fits = "int f() {\n" + repeated("  g();\n", 68) + "}\n";
  const std::string too_long = "int f() {\n" + repeated("  g();\n", 69) + "}\n";
  EXPECT_TRUE(sizes_of("a.cpp", fits).empty());
  const Findings findings = sizes_of("a.cpp", "\n" + too_long);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].line, 2);
}

TEST(Sizes, SeesFunctionsInClassesAndAfterMemberInitializers) {
  const std::string body = " {\n" + repeated("  g();\n", 80) + "}\n";
  EXPECT_EQ(sizes_of("a.cpp", "class A {\n  A() : a_{1}, b_(2)" + body + "};\n").size(), 1U);
  EXPECT_EQ(sizes_of("a.cpp", "namespace n {\nauto f() const -> int" + body + "}\n").size(), 1U);
  EXPECT_EQ(sizes_of("a.cpp", "TEST(A, B)" + body).size(), 1U);
}

TEST(Sizes, TakesNoClassNamespaceOrTableForAFunction) {
  const std::string body = " {\n" + repeated("  1,\n", 80) + "}";
  EXPECT_TRUE(sizes_of("a.cpp", "namespace a::b" + body + "\n").empty());
  EXPECT_TRUE(sizes_of("a.cpp", "class A final : public B" + body + ";\n").empty());
  EXPECT_TRUE(sizes_of("a.cpp", "const int table[] =" + body + ";\n").empty());
}

TEST(Sizes, IsNotLedAstrayByBracesInCommentsAndLiterals) {
  const std::string odd =
      "  // {\n  /* { */ char c = '{'; auto s = \"\\\"{\"; auto r = R\"x({)x\";\n";
  const std::string text =
      "void f() {\n" + odd + "}\nvoid g() {\n" + repeated("  h();\n", 60) + "}\n";
  EXPECT_TRUE(sizes_of("a.cpp", text).empty());
  EXPECT_EQ(find_functions(read_source(text)).size(), 2U);
}

TEST(Sizes, ReadsDigitSeparatorsAsNumbers) {
  EXPECT_EQ(
      find_functions(read_source("int f() { return 1'000; }\nint g() { return 2; }\n")).size(), 2U);
}

TEST(Bans, LooksAtCodeNotAtCommentsOrStrings) {
  const std::string ban = "abort( | src | src/base/a.cpp | assert\n";
  EXPECT_EQ(bans_of("src/core/a.cpp", "void f() { abort(); }\n", ban).size(), 1U);
  EXPECT_TRUE(bans_of("src/core/a.cpp", "// abort()\nauto s = \"abort()\";\n", ban).empty());
  EXPECT_TRUE(bans_of("src/base/a.cpp", "void f() { abort(); }\n", ban).empty());
  EXPECT_TRUE(bans_of("test/a.cpp", "void f() { abort(); }\n", ban).empty());
}

TEST(Bans, LooksEverywhereWhenAsked) {
  EXPECT_EQ(bans_of("docs/a.md", "// fix later\n", "any:fix later | . | | fix it now\n").size(),
            1U);
}

TEST(Whitespace, RefusesTabsSpacesAtTheEndAndAMissingNewline) {
  Findings findings;
  check_whitespace("a.md", "a\tb\nc \nd", findings);
  ASSERT_EQ(findings.size(), 3U);
  EXPECT_EQ(findings[0].line, 1);
  EXPECT_EQ(findings[1].line, 2);
  EXPECT_EQ(findings[2].line, 3);
}

TEST(Folders, NeedARowInTheReadmeAndALayer) {
  Findings findings;
  const Layers layers = parse_layers(kLayers);
  check_folders({"core", "engine/llama"}, "| `core` | a |\n| `engine/llama` | b |\n", layers,
                findings);
  EXPECT_TRUE(findings.empty());
  check_folders({"core", "mqtt"}, "| `engine/llama` | b |\n", layers, findings);
  EXPECT_EQ(findings.size(), 3U);
}

TEST(Data, RefusesRowsItCannotRead) {
  EXPECT_THROW(parse_layers("core base\n"), std::runtime_error);
  EXPECT_THROW(parse_layers("core | |\ncore | |\n"), std::runtime_error);
  EXPECT_THROW(parse_bans("a | b | c\n"), std::runtime_error);
}

}  // namespace
}  // namespace perigee::tidy
