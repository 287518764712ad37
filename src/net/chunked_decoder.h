// ChunkedDecoder: the chunked transfer coding (RFC 9112, section 7.1), strictly and without
// copying. The result does not depend on how the bytes were cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace perigee::net::http1 {

inline constexpr std::size_t kChunkExtensionBytesMax = 256;  // of one chunk; read and ignored
inline constexpr std::size_t kTrailerBytesMax = 8 * 1024;    // of all trailer fields; ignored
inline constexpr std::size_t kChunkHeaderBytesMax = 18;      // 16 digits and CRLF

class ChunkedDecoder {
 public:
  enum class Event : std::uint8_t {
    Data,      // `data` is the next piece of the body, a view into the input
    NeedMore,  // the input is used up
    End,       // the body is complete; what is left of the input is not part of it
    Failed,    // see failure(); the connection can't be used any more
  };
  // Takes bytes off the front of `input`. After End or Failed it gives the same again.
  Event next(std::string_view& input, std::string_view& data);
  std::string_view failure() const { return failure_; }

 private:
  enum class State : std::uint8_t {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    End,
    Failed
  };
  bool fail(std::string_view why);  // always false
  bool take_control_byte(char c);   // false: failed
  bool take_size_byte(char c);
  bool take_trailer_byte(char c);

  std::uint64_t left_ = 0;  // of the current chunk
  std::uint32_t digits_ = 0;
  std::uint32_t extra_ = 0;  // bytes of extension or trailers so far
  State state_ = State::Size;
  bool colon_seen_ = false;   // in this trailer line
  std::string_view failure_;  // static text
};

// Writes a chunk's size line into `out` (kChunkHeaderBytesMax bytes); returns its length.
std::size_t write_chunk_header(char* out, std::size_t size);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace perigee::net::http1
