// The chunked transfer coding: what is written is read back, and what is read does not depend on
// how it was cut.
#include <string>

#include "fuzz/fuzz.h"
#include "net/chunked_decoder.h"

namespace perigee::fuzz {
namespace {

using net::http1::ChunkedDecoder;

// The body, then how it ended, then what was left behind its end.
std::string read(const Pieces& pieces) {
  ChunkedDecoder decoder;
  std::string body;
  std::string behind;
  bool ended = false;
  for (const Piece& piece : pieces) {
    std::string_view input = piece.view();
    for (bool more = !ended; more;) {
      const std::size_t before = input.size();
      std::string_view data;
      switch (decoder.next(input, data)) {
        case ChunkedDecoder::Event::Data:
          PERIGEE_PROPERTY(!data.empty() && input.size() < before);
          body += data;
          break;
        case ChunkedDecoder::Event::NeedMore:
          PERIGEE_PROPERTY(input.empty());
          more = false;
          break;
        case ChunkedDecoder::Event::End:
          more = false;
          ended = true;
          break;
        case ChunkedDecoder::Event::Failed: {
          PERIGEE_PROPERTY(!decoder.failure().empty());
          PERIGEE_PROPERTY(decoder.next(input, data) == ChunkedDecoder::Event::Failed);
          return body + "\nfailed: " + std::string{decoder.failure()};
        }
      }
    }
    if (ended) behind += input;
  }
  return body + (ended ? "\nend\n" : "\nmore\n") + behind;
}

}  // namespace

void take_input(std::string_view text) {
  const auto ways = cuts(text);
  const std::string whole = read(ways.front());
  for (const Pieces& pieces : ways) PERIGEE_PROPERTY(read(pieces) == whole);

  std::string coded;
  for (const Piece& piece : ways.back()) {
    char line[net::http1::kChunkHeaderBytesMax];
    coded.append(line, net::http1::write_chunk_header(line, piece.view().size()));
    coded.append(piece.view()).append("\r\n");
  }
  coded += net::http1::kLastChunk;
  for (const Pieces& pieces : cuts(coded)) {
    PERIGEE_PROPERTY(read(pieces) == std::string{text} + "\nend\n");
  }
}

}  // namespace perigee::fuzz
