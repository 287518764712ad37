#include "net/chunked_decoder.h"

#include <algorithm>

#include "net/http1_parser.h"

namespace perigee::net::http1 {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool ChunkedDecoder::fail(std::string_view why) {
  failure_ = why;
  state_ = State::Failed;
  return false;
}

ChunkedDecoder::Event ChunkedDecoder::next(std::string_view& input, std::string_view& data) {
  for (;;) {
    if (state_ == State::End) return Event::End;
    if (state_ == State::Failed) return Event::Failed;
    if (input.empty()) return Event::NeedMore;
    if (state_ == State::Data) {
      const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
      data = input.substr(0, n);
      input.remove_prefix(n);
      left_ -= n;
      if (left_ == 0) state_ = State::DataCr;
      return Event::Data;
    }
    const char c = input.front();
    input.remove_prefix(1);
    if (!take_control_byte(c)) return Event::Failed;
  }
}

bool ChunkedDecoder::take_control_byte(char c) {
  switch (state_) {
    case State::Size:
    case State::Extension:
    case State::SizeLf: return take_size_byte(c);
    case State::DataCr:
      if (c != '\r') return fail("a chunk is longer than its size says");
      state_ = State::DataLf;
      return true;
    case State::DataLf:
      if (c != '\n') return fail("a chunk does not end in CRLF");
      state_ = State::Size;
      digits_ = 0;
      return true;
    default: return take_trailer_byte(c);
  }
}

bool ChunkedDecoder::take_size_byte(char c) {
  if (state_ == State::SizeLf) {
    if (c != '\n') return fail("a chunk's size line does not end in CRLF");
    state_ = left_ > 0 ? State::Data : State::TrailerStart;
    extra_ = 0;
    return true;
  }
  if (state_ == State::Extension) {
    if (c == '\r') {
      state_ = State::SizeLf;
      return true;
    }
    if (!is_field_value({&c, 1})) return fail("a chunk extension has a control character");
    if (++extra_ > kChunkExtensionBytesMax) return fail("a chunk extension is too long");
    return true;
  }
  if (const int value = hex_value(c); value >= 0) {
    if (digits_ == 0) left_ = 0;
    if (++digits_ > 15) return fail("a chunk's size is too large");
    left_ = left_ * 16 + static_cast<std::uint64_t>(value);
    return true;
  }
  if (digits_ == 0) return fail("a chunk's size is not a hexadecimal number");
  if (c == '\r') {
    state_ = State::SizeLf;
  } else if (c == ';') {
    state_ = State::Extension;
    extra_ = 0;
  } else {
    return fail("a chunk's size is not a hexadecimal number");
  }
  return true;
}

bool ChunkedDecoder::take_trailer_byte(char c) {
  if (++extra_ > kTrailerBytesMax) return fail("the trailer is too large");
  switch (state_) {
    case State::TrailerStart:
      if (c == '\r') {
        state_ = State::LastLf;
        return true;
      }
      if (!is_token({&c, 1})) return fail("a trailer field is malformed");
      colon_seen_ = false;
      state_ = State::Trailer;
      return true;
    case State::Trailer:
      if (c == '\r') {
        if (!colon_seen_) return fail("a trailer field is malformed");
        state_ = State::TrailerLf;
        return true;
      }
      if (!colon_seen_ && c == ':') {
        colon_seen_ = true;
      } else if (colon_seen_ ? !is_field_value({&c, 1}) : !is_token({&c, 1})) {
        return fail("a trailer field is malformed");
      }
      return true;
    case State::TrailerLf:
      if (c != '\n') return fail("a trailer field does not end in CRLF");
      state_ = State::TrailerStart;
      return true;
    default:
      if (c != '\n') return fail("the body does not end in CRLF");
      state_ = State::End;
      return true;
  }
}

std::size_t write_chunk_header(char* out, std::size_t size) {
  char reversed[16];
  std::size_t n = 0;
  do {
    reversed[n++] = "0123456789abcdef"[size & 15];
    size >>= 4;
  } while (size != 0);
  for (std::size_t i = 0; i < n; ++i) out[i] = reversed[n - 1 - i];
  out[n] = '\r';
  out[n + 1] = '\n';
  return n + 2;
}

}  // namespace perigee::net::http1
