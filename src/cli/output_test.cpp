#include "cli/output.h"

#include <gtest/gtest.h>

#include <cmath>

namespace perigee::cli {
namespace {

using Align = Table::Align;

TEST(Output, AlignsColumnsAndLeavesNoTrailingBlanks) {
  Table table{{{"SITE", Align::Left}, {"TTFT", Align::Right}, {"CITY", Align::Left}}};
  table.add({"cell-1", "9.5 ms", "Potsdam"});
  table.add({"regional-frankfurt", "112 ms", "Köln"});
  EXPECT_EQ(table.render(false),
            "SITE                  TTFT  CITY\n"
            "cell-1              9.5 ms  Potsdam\n"
            "regional-frankfurt  112 ms  Köln\n");
}

TEST(Output, FillsMissingCells) {
  Table table{{{"A"}, {"B"}}};
  table.add({"1"});
  EXPECT_EQ(table.render(false), "A  B\n1\n");
}

TEST(Output, KeepsWidthsUnderColour) {
  Table table{{{"STATE"}, {"NAME"}}};
  table.add({Cell{"up", Tone::Good}, "x"});
  EXPECT_EQ(table.render(true),
            "\x1b[1mSTATE\x1b[0m  \x1b[1mNAME\x1b[0m\n\x1b[32mup\x1b[0m     x\n");
}

TEST(Output, ShowsControlCharactersAsQuestionMarks) {
  EXPECT_EQ(printable("a\x1b[2Jb\n\x7f"), "a?[2Jb??");
  EXPECT_EQ(printable("a\nb\tc\x07", true), "a\nb\tc?");
  EXPECT_EQ(printable("x\xc2\x9b"
                      "2J"),
            "x?2J");
  EXPECT_EQ(printable("Köln"), "Köln");
}

TEST(Output, CountsCodePointsAsColumns) {
  EXPECT_EQ(display_width("Köln"), 4U);
  EXPECT_EQ(display_width(""), 0U);
}

TEST(Output, WritesTimesForPeople) {
  EXPECT_EQ(format_ms(1.234), "1.2 ms");
  EXPECT_EQ(format_ms(123.4), "123 ms");
  EXPECT_EQ(format_ms(12'345), "12.3 s");
  EXPECT_EQ(format_ms(std::nan("")), "-");  // of nothing
}

TEST(Output, NamesTheFieldOfAnErrorOnce) {
  EXPECT_EQ(sentence_of({Code::NotFound, "no such site"}), "no such site");
  EXPECT_EQ(sentence_of({Code::NotFound, "no such site", "site.name"}), "no such site (site.name)");
  EXPECT_EQ(
      sentence_of({Code::InvalidArgument, "s.toml:2: site.name: expected a string", "site.name"}),
      "s.toml:2: site.name: expected a string");
}

TEST(Output, PaintsOnlyWithColour) {
  EXPECT_EQ(paint("up", Tone::Good, false), "up");
  EXPECT_EQ(paint("up", Tone::Plain, true), "up");
  EXPECT_EQ(paint("up", Tone::Bad, true), "\x1b[31mup\x1b[0m");
}

}  // namespace
}  // namespace perigee::cli
