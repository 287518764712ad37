// Event streams, with the line that sites and engines add to them.
#include <string>

#include "api/stream_field.h"
#include "api/usage_scan.h"
#include "fuzz/fuzz.h"
#include "net/sse_parser.h"

namespace perigee::fuzz {
namespace {

using net::SseEvent;
using net::SseParser;

std::string read(const Pieces& pieces, std::size_t bytes_max) {
  SseParser parser{bytes_max};
  std::string out;
  for (const Piece& piece : pieces) {
    std::string_view input = piece.view();
    for (bool more = true; more;) {
      SseEvent event;
      switch (parser.next(input, event)) {
        case SseParser::Result::Event:
          PERIGEE_PROPERTY(event.data.size() <= bytes_max);
          out += "[" + std::string{event.data} + "|" + std::string{event.perigee} + "|" +
                 std::string{event.event} + "|" + std::string{event.id} +
                 (event.has_data ? "]" : "-]");
          if (const auto field = api::parse_stream_field(event.perigee)) {
            PERIGEE_PROPERTY(field->tokens <= api::kTokenIdsMax);
          }
          break;
        case SseParser::Result::Comment: out += "(comment)"; break;
        case SseParser::Result::NeedMore:
          PERIGEE_PROPERTY(input.empty());
          more = false;
          break;
        case SseParser::Result::Failed:
          PERIGEE_PROPERTY(parser.failure()[0] != '\0');
          return out + "failed";
      }
    }
  }
  return out + (parser.partial() ? "..." : "");
}

}  // namespace

void take_input(std::string_view text) {
  const auto ways = cuts(text);
  for (const std::size_t bytes_max : {std::size_t{64}, net::kSseEventBytesMax}) {
    const std::string whole = read(ways.front(), bytes_max);
    for (const Pieces& pieces : ways) PERIGEE_PROPERTY(read(pieces, bytes_max) == whole);
  }
  // Framed as the gateway frames it, a text of one line comes back as it was.
  if (text.find_first_of("\r\n") != std::string_view::npos || text.starts_with("\xEF\xBB\xBF"))
    return;
  const std::string framed = "data: " + std::string{text} + "\n\n";
  for (const Pieces& pieces : cuts(framed)) {
    PERIGEE_PROPERTY(read(pieces, net::kSseEventBytesMax) == "[" + std::string{text} + "|||]");
  }
}

}  // namespace perigee::fuzz
