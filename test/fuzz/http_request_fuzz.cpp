// The server's side of HTTP/1.1: head, then a body by length or in chunks.
#include <algorithm>
#include <string>

#include "fuzz/fuzz.h"
#include "net/chunked_decoder.h"
#include "net/http1_parser.h"

namespace perigee::fuzz {
namespace {

using namespace net;
constexpr http1::HeadLimits kLimits{1024, 16};

bool inside(std::string_view view, std::string_view bytes) {
  return view.empty() || view == "/" ||
         (view.data() >= bytes.data() && view.data() + view.size() <= bytes.data() + bytes.size());
}

std::string describe(const http1::RequestHead& head) {
  std::string out = std::string{head.method} + "|" + std::string{head.path} + "|" +
                    std::string{head.query} + "|" + std::to_string(head.content_length);
  for (const bool flag :
       {head.has_length, head.chunked, head.keep_alive, head.http_1_0, head.expect_continue}) {
    out += flag ? '1' : '0';
  }
  for (const Header& header : head.headers) {
    out += "|" + std::string{header.name} + ":" + std::string{header.value};
  }
  return out;
}

void check(const http1::RequestHead& head, std::string_view bytes) {
  PERIGEE_PROPERTY(head.size <= bytes.size() && head.size <= kLimits.bytes_max);
  PERIGEE_PROPERTY(head.headers.size() <= kLimits.headers_max);
  PERIGEE_PROPERTY(!(head.chunked && head.has_length));
  PERIGEE_PROPERTY(!head.path.empty() && (head.path.front() == '/' || head.path == "*"));
  PERIGEE_PROPERTY(inside(head.method, bytes) && inside(head.path, bytes) &&
                   inside(head.query, bytes));
  for (const Header& header : head.headers) {
    PERIGEE_PROPERTY(http1::is_token(header.name) && http1::is_field_value(header.value));
    PERIGEE_PROPERTY(inside(header.name, bytes) && inside(header.value, bytes));
  }
  // The same bytes elsewhere have the same meaning there.
  const Piece copy{bytes};
  http1::RequestHead moved = head;
  moved.rebase(bytes.data(), copy.view().data());
  PERIGEE_PROPERTY(describe(moved) == describe(head));
  PERIGEE_PROPERTY(inside(moved.method, copy.view()));
  // Written again as a client would, it is the same request.
  std::string again = std::string{head.method} + " " + std::string{head.path};
  if (head.query.data() != nullptr) again += "?" + std::string{head.query};
  again += head.http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n";
  for (const Header& header : head.headers) http1::append_header(again, header.name, header.value);
  again += "\r\n";
  const Piece written{again};
  http1::RequestHead reread;
  PERIGEE_PROPERTY(http1::parse_request_head(written.view(), {again.size(), kLimits.headers_max},
                                             reread) == http1::Progress::Done);
  PERIGEE_PROPERTY(describe(reread) == describe(head));
}

// What the server would make of the bytes that come in these pieces.
std::string read(const Pieces& pieces) {
  std::string out;
  std::string bytes;
  http1::RequestHead head;
  http1::ChunkedDecoder decoder;
  bool has_head = false;
  std::uint64_t length_left = 0;
  for (const Piece& piece : pieces) {
    std::string_view input = piece.view();
    std::string rest;
    if (!has_head) {
      bytes.append(input);
      const Piece received{bytes};
      const auto progress = http1::parse_request_head(received.view(), kLimits, head);
      if (progress == http1::Progress::NeedMore) continue;
      if (progress == http1::Progress::Failed) {
        PERIGEE_PROPERTY(head.refusal.status >= 400 && !head.refusal.reason.empty());
        return "refused " + std::to_string(head.refusal.status) + std::string{head.refusal.reason};
      }
      check(head, received.view());
      out = describe(head) + "\n";
      has_head = true;
      length_left = head.content_length;
      rest = bytes.substr(head.size);
      input = rest;
    }
    if (!head.chunked) {
      const std::string_view taken = input.substr(
          0, static_cast<std::size_t>(std::min<std::uint64_t>(length_left, input.size())));
      length_left -= taken.size();
      out += taken;
      continue;
    }
    for (bool more = true; more;) {
      std::string_view data;
      switch (decoder.next(input, data)) {
        case http1::ChunkedDecoder::Event::Data: out += data; break;
        case http1::ChunkedDecoder::Event::NeedMore:
          PERIGEE_PROPERTY(input.empty());
          more = false;
          break;
        case http1::ChunkedDecoder::Event::End: return out + "\nend";
        case http1::ChunkedDecoder::Event::Failed:
          return out + "\n" + std::string{decoder.failure()};
      }
    }
  }
  return out;
}

}  // namespace

void take_input(std::string_view text) {
  const auto ways = cuts(text);
  const std::string whole = read(ways.front());
  for (const Pieces& pieces : ways) PERIGEE_PROPERTY(read(pieces) == whole);
}

}  // namespace perigee::fuzz
