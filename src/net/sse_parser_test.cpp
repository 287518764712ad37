#include "net/sse_parser.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace perigee::net {
namespace {

// All that comes out of `text` when it is fed `step` bytes at a time, as one line.
std::string parse(std::string_view text, std::size_t step = 100'000, std::size_t bytes_max = 200) {
  SseParser parser{bytes_max};
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += step) {
    const std::string fed{text.substr(at, step)};
    std::string_view input = fed;
    for (bool more = true; more;) {
      SseEvent event;
      switch (parser.next(input, event)) {
        case SseParser::Result::Event:
          out += "[" + std::string{event.data} + "]";
          if (!event.perigee.empty()) out += "p=" + std::string{event.perigee} + ";";
          if (!event.event.empty()) out += "e=" + std::string{event.event} + ";";
          if (!event.id.empty()) out += "i=" + std::string{event.id} + ";";
          break;
        case SseParser::Result::Comment: out += "(comment)"; break;
        case SseParser::Result::NeedMore: more = false; break;
        case SseParser::Result::Failed: return out + "failed";
      }
    }
  }
  return out + (parser.partial() ? "..." : "");
}

TEST(SseParser, GivesEventsAndFields) {
  EXPECT_EQ(parse("data: {\"a\":1}\n\ndata: [DONE]\n\n"), "[{\"a\":1}][[DONE]]");
  EXPECT_EQ(parse("perigee: ids=1,2\ndata: x\n\n"), "[x]p=ids=1,2;");
  EXPECT_EQ(parse("event: e\nid: 7\nretry: 10\nunknown: z\ndata:x\n\n"), "[x]e=e;i=7;");
  EXPECT_EQ(parse("data: a\ndata: b\ndata\ndata:  c\n\n"), "[a\nb\n\n c]");
  EXPECT_EQ(parse("data\n\n"), "[]");
  EXPECT_EQ(parse("\xEF\xBB\xBF"
                  "data: x\n\n"),
            "[x]");
}

TEST(SseParser, TakesEveryLineEnding) {
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    EXPECT_EQ(parse("data: a" + end + "perigee: p" + end + end + ":c" + end + end + "data: b" +
                    end + end),
              "[a]p=p;(comment)[b]");
  }
}

TEST(SseParser, TellsHeartbeatsAndSkipsBlocksWithoutData) {
  EXPECT_EQ(parse(": keep-alive\n\n"), "(comment)");
  EXPECT_EQ(parse("id: 1\n\n\n\n\n"), "");
  EXPECT_EQ(parse(": hello\ndata: x\n\n"), "[x]");
}

TEST(SseParser, KnowsThatAStreamWasCut) {
  EXPECT_EQ(parse("data: a\n\ndata: b\n"), "[a]...");
  EXPECT_EQ(parse("data: a\n\nd"), "[a]...");
  EXPECT_EQ(parse("data: a\r\n\r\n"), "[a]");
}

TEST(SseParser, RefusesEndlessEvents) {
  EXPECT_EQ(parse("data: " + std::string(194, 'x')), "...");
  EXPECT_EQ(parse("data: " + std::string(200, 'x')), "failed");
  EXPECT_EQ(parse("data: " + std::string(200, 'x') + "\n\n"), "failed");
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "data:\n";
  EXPECT_EQ(parse(lines), "failed");
}

TEST(SseParser, GivesViewsIntoTheInputWhenItCan) {
  const std::string text = "perigee: p\ndata: whole\n\n";
  SseParser parser;
  std::string_view input = text;
  SseEvent event;
  ASSERT_EQ(parser.next(input, event), SseParser::Result::Event);
  EXPECT_EQ(event.data.data(), text.data() + 17);
}

TEST(SseParser, GivesTheSameHoweverTheBytesAreCut) {
  Random random{3};
  const std::string pieces[] = {"data: x",
                                "data",
                                ": c",
                                "\n",
                                "\n",
                                "\r\n",
                                "\r",
                                "\r",
                                "\n\n",
                                "perigee: y",
                                "data: long enough for words",
                                "id: 1",
                                ":",
                                "\xEF\xBB\xBF",
                                std::string(70, 'z')};
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (std::uint64_t n = random.below(14); n > 0; --n)
      text += pieces[random.below(std::size(pieces))];
    const std::string whole = parse(text);
    for (const std::size_t step : {1U, 2U, 3U, 7U}) EXPECT_EQ(parse(text, step), whole) << text;
  }
}

TEST(SseParser, GivesTheSameForAStreamOfChunksHoweverItIsCut) {
  Random random{29};
  const std::string events[] = {"data: {\"a\":1}\n\n",
                                "perigee: ids=1,2\ndata: {}\n\n",
                                "data: [DONE]\n\n",
                                ": keep-alive\n\n",
                                "data: one\ndata: two\n\n",
                                "data: a\r\n\r\n",
                                "data: a\rdata: b\n\n",
                                "\r\n",
                                "id: 4\n\n",
                                "data: " + std::string(193, 'x') + "\n\n",
                                "data: " + std::string(60, 'y') + "\n\n"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::uint64_t n = 1 + random.below(12); n > 0; --n) {
      text += events[random.below(std::size(events))];
    }
    if (random.below(8) == 0) text += "data: " + std::string(194 + random.below(3), 'z') + "\n\n";
    const std::string slow = parse(text, 1);  // no block is ever whole in its input
    EXPECT_EQ(parse(text), slow) << text;
    EXPECT_EQ(parse(text, 1 + random.below(300)), slow) << text;
  }
}

}  // namespace
}  // namespace perigee::net
