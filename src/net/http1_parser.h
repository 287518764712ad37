// HTTP/1.1 heads (RFC 9110, 9112), strictly: bytes to values, without IO. What two parties could
// read in two ways (request smuggling) is refused: bare LF, obsolete folding, space before a colon,
// control characters, more than one Content-Length, Content-Length beside Transfer-Encoding, any
// Transfer-Encoding but "chunked", an HTTP/1.1 request without exactly one Host.
//
// The result does not depend on how the bytes were cut: errors are reported at the first complete
// line at fault, and only complete lines are judged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/header.h"

namespace perigee::net::http1 {

struct HeadLimits {
  std::size_t bytes_max = 32 * 1024;  // the whole head; beyond: 431
  std::size_t headers_max = 100;      // beyond: 431
};

enum class Progress : std::uint8_t { NeedMore, Done, Failed };

// Why a message was refused: the HTTP status to answer with and a static sentence.
struct Refusal {
  int status = 0;
  std::string_view reason;
};

// All views are into the parsed bytes.
struct RequestHead {
  std::string_view method;
  std::string_view path;        // never empty; "*" for OPTIONS *
  std::string_view query;       // without '?'
  std::vector<Header> headers;  // capacity is kept between uses
  std::size_t size = 0;         // of the head, the blank line included
  std::uint64_t content_length = 0;
  bool has_length = false;
  bool chunked = false;
  bool keep_alive = false;
  bool http_1_0 = false;
  bool expect_continue = false;
  Refusal refusal;  // set by Failed

  // Moves all views from the bytes at `from` to the same bytes at `to`.
  void rebase(const char* from, const char* to);
};

// Reads a request's head from the front of `bytes`; one CRLF before it is skipped. A
// Content-Encoding other than identity is refused (415): nothing here decompresses. The target may
// be in origin form or, with scheme http, in absolute form (its authority then replaces Host).
Progress parse_request_head(std::string_view bytes, const HeadLimits& limits, RequestHead& out);

struct ResponseHead {
  int status = 0;
  std::size_t size = 0;
  std::uint64_t content_length = 0;
  bool has_length = false;
  bool chunked = false;
  bool keep_alive = false;
  Refusal refusal;  // `status` of it means nothing here
};

Progress parse_response_head(std::string_view bytes, const HeadLimits& limits, ResponseHead& out);

// Looks a field up in a head that a parser above accepted. Empty when absent.
std::string_view find_in_head(std::string_view head, std::string_view name);

bool is_token(std::string_view text);
// No control characters but tab: safe as a field's value.
bool is_field_value(std::string_view text);

std::string_view reason_phrase(int status);

// Appends "NAME: VALUE\r\n".
void append_header(std::string& out, std::string_view name, std::string_view value);

}  // namespace perigee::net::http1
