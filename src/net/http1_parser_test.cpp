#include "net/http1_parser.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "net/chunked_decoder.h"

namespace perigee::net::http1 {
namespace {

Progress parse(std::string_view bytes, RequestHead& out) {
  return parse_request_head(bytes, HeadLimits{}, out);
}

TEST(RequestParser, GivesTheParts) {
  const std::string text =
      "POST /v1/chat?x=1 HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 12\r\nX-A:  spaced\tvalue "
      "\t\r\n\r\nbody";
  RequestHead head;
  ASSERT_EQ(parse(text, head), Progress::Done);
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.path, "/v1/chat");
  EXPECT_EQ(head.query, "x=1");
  EXPECT_EQ(head.content_length, 12U);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(head.size, text.size() - 4);
  ASSERT_EQ(head.headers.size(), 3U);
  EXPECT_EQ(head.headers[2].value, "spaced\tvalue");
  EXPECT_EQ(find_header(head.headers, "CONTENT-length"), "12");
}

TEST(RequestParser, RebasesItsViews) {
  const std::string text = "GET /a?b HTTP/1.1\r\nHost: h\r\nEmpty:\r\n\r\n";
  RequestHead head;
  ASSERT_EQ(parse(text, head), Progress::Done);
  const std::string copy = text;
  head.rebase(text.data(), copy.data());
  EXPECT_EQ(head.path.data(), copy.data() + 4);
  EXPECT_EQ(head.headers[0].value.data(), copy.data() + 25);
  EXPECT_EQ(head.query, "b");
}

TEST(RequestParser, RebasesTheRootPathWhereItIsInTheBytes) {
  for (const std::string text :
       {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /?a=1 HTTP/1.1\r\nHost: h\r\n\r\n"}) {
    RequestHead head;
    ASSERT_EQ(parse(text, head), Progress::Done);
    const std::string copy = text;
    head.rebase(text.data(), copy.data());
    EXPECT_EQ(head.path.data(), copy.data() + 4) << text;
    EXPECT_EQ(head.path, "/");
  }
}

TEST(RequestParser, LeavesTheRootPathThatTheTargetDoesNotWrite) {
  const std::string text = "GET http://h?a=1 HTTP/1.1\r\nHost: h\r\n\r\n";
  RequestHead head;
  ASSERT_EQ(parse(text, head), Progress::Done);
  const char* const path = head.path.data();
  const std::string copy = text;
  head.rebase(text.data(), copy.data());
  EXPECT_EQ(head.path.data(), path);
  EXPECT_EQ(head.path, "/");
  EXPECT_EQ(head.query.data(), copy.data() + 13);
}

TEST(RequestParser, RefusesACompressedBodyAndSaysWhatToSend) {
  const auto post = [](std::string_view coding) {
    return "POST / HTTP/1.1\r\nHost: h\r\nContent-encoding: " + std::string{coding} +
           "\r\nContent-Length: 1\r\n\r\nx";
  };
  RequestHead head;
  for (const char* coding : {"gzip", "br", "identity, gzip", "zstd"}) {
    EXPECT_EQ(parse(post(coding), head), Progress::Failed) << coding;
    EXPECT_EQ(head.refusal.status, 415);
    EXPECT_NE(head.refusal.reason.find("send the body uncompressed"), std::string_view::npos);
  }
  EXPECT_EQ(parse(post("Identity"), head), Progress::Done);
  ResponseHead answer;
  const std::string_view coded = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";
  EXPECT_EQ(parse_response_head(coded, HeadLimits{}, answer), Progress::Done);
}

struct Flags {
  const char* text;
  bool keep_alive, chunked, http_1_0, expects;
};

TEST(RequestParser, ReadsWhatTheFieldsMean) {
  for (const Flags& each : {
           Flags{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, false, false, false},
           Flags{"GET / HTTP/1.1\r\nHost:\r\nConnection: Close\r\n\r\n", false, false, false,
                 false},
           Flags{"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close ,y\r\n\r\n", false, false,
                 false, false},
           Flags{"GET / HTTP/1.1\r\nHost: a\r\nConnection: closet\r\n\r\n", true, false, false,
                 false},
           Flags{"GET / HTTP/1.0\r\n\r\n", false, false, true, false},
           Flags{"\r\nPOST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n", true, true,
                 false, false},
           Flags{"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n", true, false, false,
                 true},
       }) {
    RequestHead head;
    ASSERT_EQ(parse(each.text, head), Progress::Done) << each.text << head.refusal.reason;
    EXPECT_EQ(head.keep_alive, each.keep_alive) << each.text;
    EXPECT_EQ(head.chunked, each.chunked) << each.text;
    EXPECT_EQ(head.http_1_0, each.http_1_0) << each.text;
    EXPECT_EQ(head.expect_continue, each.expects) << each.text;
  }
}

TEST(RequestParser, RefusesMoreThanTheLimits) {
  RequestHead head;
  const std::string line = "GET / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(parse_request_head(line + "\r\n", {line.size() + 2, 1}, head), Progress::Done);
  EXPECT_EQ(parse_request_head(line + "\r\n", {line.size() + 1, 1}, head), Progress::Failed);
  EXPECT_EQ(head.refusal.status, 431);
  EXPECT_EQ(parse_request_head(line + "A: b\r\n\r\n", {1000, 1}, head), Progress::Failed);
  EXPECT_EQ(head.refusal.status, 431);
}

TEST(ResponseParser, GivesTheParts) {
  ResponseHead head;
  const std::string text = "HTTP/1.1 200\r\nA: b\r\nContent-Length: 7\r\n\r\n";
  ASSERT_EQ(parse_response_head(text, {}, head), Progress::Done);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.content_length, 7U);
  EXPECT_EQ(find_in_head(text, "content-LENGTH"), "7");
  EXPECT_EQ(find_in_head(text, "a"), "b");
  EXPECT_EQ(find_in_head(text, "c"), "");
}

TEST(FieldValue, AllowsTextAndTabsButNoControls) {
  EXPECT_TRUE(is_field_value("plain text, more than eight\tbytes \xC3\xA9"));
  for (int c = 0; c < 256; ++c) {
    for (std::size_t at = 0; at < 20; ++at) {
      std::string text(20, 'x');
      text[at] = static_cast<char>(c);
      EXPECT_EQ(is_field_value(text), c == '\t' || (c >= 0x20 && c != 0x7f)) << c << " at " << at;
    }
  }
}

// How a connection reads: bytes pile up until a parse is conclusive.
std::string outcome(std::string_view text, const std::vector<std::size_t>& cuts) {
  RequestHead head;
  std::string seen;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t end = i < cuts.size() ? cuts[i] : text.size();
    seen = text.substr(0, end);
    const Progress progress = parse_request_head(seen, {200, 5}, head);
    if (progress == Progress::Done) {
      std::string out = "done " + std::to_string(head.size);
      for (const Header& each : head.headers) out.append(each.name).append("=").append(each.value);
      return out;
    }
    if (progress == Progress::Failed) return "failed " + std::string{head.refusal.reason};
  }
  return "more";
}

const std::string kPieces[] = {"GET ",
                               "/ ",
                               "HTTP/1.1",
                               "\r\n",
                               "Host: a",
                               "\r\n",
                               "\n",
                               "\r",
                               " ",
                               ":",
                               "X: y",
                               "Content-Length: 3",
                               "Transfer-Encoding: chunked",
                               "\r\n\r\n",
                               std::string(1, '\0'),
                               "HTTP/1.0",
                               "/x?y",
                               "POST",
                               std::string(60, 'z')};

TEST(RequestParser, GivesTheSameHoweverTheBytesAreCut) {
  Random random{7};
  for (int round = 0; round < 3000; ++round) {
    std::string text = random.below(3) == 0 ? "" : "GET / HTTP/1.1\r\nHost: a\r\n";
    for (std::uint64_t n = random.below(8); n > 0; --n)
      text += kPieces[random.below(std::size(kPieces))];
    const std::string whole = outcome(text, {});
    std::vector<std::size_t> each;
    for (std::size_t at = 0; at < text.size(); ++at) each.push_back(at);
    EXPECT_EQ(outcome(text, each), whole) << text;
    const std::size_t cut = random.below(text.size() + 1);
    EXPECT_EQ(outcome(text, {cut}), whole) << text;
  }
}

// Decodes `text` cut at every multiple of `step`: "BODY|how it ended|what was left".
std::string decode(std::string_view text, std::size_t step) {
  ChunkedDecoder decoder;
  std::string body;
  for (std::size_t at = 0; at < text.size(); at += step) {
    std::string_view input = text.substr(at, step);
    for (;;) {
      std::string_view data;
      const ChunkedDecoder::Event event = decoder.next(input, data);
      if (event == ChunkedDecoder::Event::Data) {
        body += data;
        continue;
      }
      if (event == ChunkedDecoder::Event::NeedMore) break;
      if (event == ChunkedDecoder::Event::Failed) {
        return body + "|" + std::string{decoder.failure()} + "|";
      }
      return body + "|end|" +
             std::string{text.substr(at + std::min(step, text.size() - at) - input.size())};
    }
  }
  return body + "|more|";
}

TEST(ChunkedDecoder, DecodesAndLeavesTheRest) {
  EXPECT_EQ(decode("3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n000\r\nT: u\r\n\r\nNEXT", 1000),
            "abc0123456789|end|NEXT");
  EXPECT_EQ(decode("0\r\n\r\n", 1000), "|end|");
  EXPECT_EQ(decode("5\r\nabc", 1000), "abc|more|");
}

TEST(ChunkedDecoder, RefusesMalformedFraming) {
  for (const std::string text :
       {"\r\n", "g\r\n", "-1\r\n", "0x3\r\nabc\r\n", "3 \r\nabc\r\n", "3\nabc\r\n", "3\r\nabcd\r\n",
        "3\r\nab\r\n", "3\r\nabc\n", "3\rXabc", ";x\r\n", "1000000000000000\r\n",
        "0\r\nbad\r\n\r\n", "0\r\n: x\r\n\r\n", "0\r\nA: \x01\r\n\r\n", "0\r\n x: y\r\n\r\n",
        "0\r\n\n", "3;\x01\r\nabc\r\n"}) {
    EXPECT_EQ(decode(text, 1000).find("|end|"), std::string::npos) << text;
    EXPECT_EQ(decode(text, 1000).find("|more|"), std::string::npos) << text;
  }
  EXPECT_NE(decode("3;" + std::string(300, 'x'), 1000).find("too long"), std::string::npos);
  EXPECT_NE(decode("0\r\nA: " + std::string(9000, 'x'), 100'000).find("too large"),
            std::string::npos);
}

TEST(ChunkedDecoder, GivesTheSameHoweverTheBytesAreCut) {
  Random random{11};
  const std::string pieces[] = {"3\r\nabc\r\n",
                                "1;e\r\nx\r\n",
                                "0\r\n\r\n",
                                "A: b\r\n",
                                "0\r\n",
                                "\r\n",
                                "\n",
                                "f",
                                "10\r\n0123456789abcdef\r\n",
                                "zz",
                                "\r"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::uint64_t n = random.below(8); n > 0; --n)
      text += pieces[random.below(std::size(pieces))];
    const std::string whole = decode(text, 1000);
    for (const std::size_t step : {1U, 2U, 3U, 5U}) EXPECT_EQ(decode(text, step), whole) << text;
  }
}

TEST(ChunkedDecoder, ReadsTheHeadersThatItsCounterpartWrites) {
  for (const std::size_t size : {1UL, 15UL, 16UL, 255UL, 65'536UL, ~0UL}) {
    char out[kChunkHeaderBytesMax];
    const std::string text{out, write_chunk_header(out, size)};
    EXPECT_EQ(std::stoull(text, nullptr, 16), size);
    EXPECT_TRUE(text.ends_with("\r\n"));
  }
}

}  // namespace
}  // namespace perigee::net::http1
