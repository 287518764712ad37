// The client's side of HTTP/1.1: heads, interim ones too, then a body.
#include <algorithm>
#include <string>

#include "fuzz/fuzz.h"
#include "net/chunked_decoder.h"
#include "net/http1_parser.h"

namespace perigee::fuzz {
namespace {

using namespace net;
constexpr http1::HeadLimits kLimits{1024, 16};

std::string describe(const http1::ResponseHead& head, std::string_view bytes) {
  std::string out = std::to_string(head.status) + "|" + std::to_string(head.content_length);
  for (const bool flag : {head.has_length, head.chunked, head.keep_alive}) out += flag ? '1' : '0';
  for (const char* name : {"content-type", "retry-after", "perigee-load", "x"}) {
    const Piece copy{bytes.substr(0, head.size)};
    const std::string_view value = http1::find_in_head(copy.view(), name);
    PERIGEE_PROPERTY(http1::is_field_value(value));
    out += "|" + std::string{value};
  }
  return out;
}

std::string read(const Pieces& pieces) {
  std::string out;
  std::string bytes;
  http1::ResponseHead head;
  http1::ChunkedDecoder decoder;
  bool has_head = false;
  for (const Piece& piece : pieces) {
    std::string_view input = piece.view();
    std::string rest;
    if (!has_head) {
      bytes.append(input);
      const Piece received{bytes};
      const auto progress = http1::parse_response_head(received.view(), kLimits, head);
      if (progress == http1::Progress::NeedMore) continue;
      if (progress == http1::Progress::Failed) return "refused " + std::string{head.refusal.reason};
      PERIGEE_PROPERTY(head.size <= bytes.size() && head.size <= kLimits.bytes_max);
      PERIGEE_PROPERTY(head.status >= 100 && head.status <= 599);
      PERIGEE_PROPERTY(!(head.chunked && head.has_length));
      out = describe(head, bytes) + "\n";
      has_head = true;
      rest = bytes.substr(head.size);
      input = rest;
    }
    if (!head.chunked) {
      out += input;
      continue;
    }
    for (bool more = true; more;) {
      std::string_view data;
      switch (decoder.next(input, data)) {
        case http1::ChunkedDecoder::Event::Data: out += data; break;
        case http1::ChunkedDecoder::Event::NeedMore: more = false; break;
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
