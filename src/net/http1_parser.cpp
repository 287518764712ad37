#include "net/http1_parser.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace perigee::net::http1 {
namespace {

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (const char c : std::string_view{"!#$%&'*+-.^_`|~"})
    table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr auto kTokenTable = make_token_table();

constexpr std::array<bool, 256> make_host_table() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (const char c : std::string_view{"-._~%!$&'()*+;=:[]"})
    table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr auto kHostTable = make_host_table();

template <std::size_t N>
bool all_in(const std::array<bool, N>& table, std::string_view text) {
  for (const char c : text) {
    if (!table[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

std::uint64_t load_word(const char* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// Whether any of eight bytes is below 0x20 or equals 0x7f.
bool has_control(std::uint64_t word) {
  constexpr std::uint64_t ones = 0x0101010101010101;
  constexpr std::uint64_t highs = 0x8080808080808080;
  const std::uint64_t below = (word - ones * 0x20) & ~word;
  const std::uint64_t x = word ^ (ones * 0x7f);
  const std::uint64_t deletes = (x - ones) & ~x;
  return ((below | deletes) & highs) != 0;
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

bool is_visible(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f) return false;
  }
  return true;
}

// One line of a head, taken off the front.
struct Lines {
  std::string_view bytes;
  std::size_t bytes_max;
  std::size_t at = 0;
  Refusal refusal{};

  Progress next(std::string_view& line) {
    const void* found =
        at < bytes.size() ? std::memchr(bytes.data() + at, '\n', bytes.size() - at) : nullptr;
    if (found == nullptr) {
      if (bytes.size() <= bytes_max) return Progress::NeedMore;
      refusal = {431, "the head is larger than this server accepts"};
      return Progress::Failed;
    }
    const auto end = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
    if (end + 1 > bytes_max) {
      refusal = {431, "the head is larger than this server accepts"};
      return Progress::Failed;
    }
    if (end == at || bytes[end - 1] != '\r') {
      refusal = {400, "a line of the head does not end in CRLF"};
      return Progress::Failed;
    }
    line = bytes.substr(at, end - 1 - at);
    at = end + 1;
    return Progress::Done;
  }
};

// What the fields say about the message as a whole.
struct Framing {
  std::uint64_t content_length = 0;
  bool has_length = false;
  bool chunked = false;
  bool close = false;
  bool keep_alive = false;
  bool expect_continue = false;
  bool has_host = false;
  bool coded = false;  // the body is compressed, or otherwise not what it means
};

bool parse_length(std::string_view text, std::uint64_t& out) {
  if (text.empty() || text.size() > 18) return false;
  out = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    out = out * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return true;
}

void read_connection(std::string_view value, Framing& framing) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    std::string_view option = value.substr(0, comma);
    while (!option.empty() && (option.front() == ' ' || option.front() == '\t'))
      option.remove_prefix(1);
    while (!option.empty() && (option.back() == ' ' || option.back() == '\t'))
      option.remove_suffix(1);
    if (equal_ignoring_case(option, "close")) framing.close = true;
    if (equal_ignoring_case(option, "keep-alive")) framing.keep_alive = true;
    value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
  }
}

Refusal read_meaning(const Header& header, Framing& framing) {
  switch (header.name.size()) {
    case 4:
      if (!equal_ignoring_case(header.name, "host")) break;
      if (framing.has_host) return {400, "more than one Host"};
      if (!all_in(kHostTable, header.value)) return {400, "Host has an invalid character"};
      framing.has_host = true;
      break;
    case 6:
      if (!equal_ignoring_case(header.name, "expect")) break;
      if (!equal_ignoring_case(header.value, "100-continue")) return {417, "unknown expectation"};
      framing.expect_continue = true;
      break;
    case 10:
      if (equal_ignoring_case(header.name, "connection")) read_connection(header.value, framing);
      break;
    case 14:
      if (!equal_ignoring_case(header.name, "content-length")) break;
      if (framing.has_length) return {400, "more than one Content-Length"};
      if (!parse_length(header.value, framing.content_length)) {
        return {400, "Content-Length is not one decimal number"};
      }
      framing.has_length = true;
      break;
    case 16:
      if (!equal_ignoring_case(header.name, "content-encoding")) break;
      framing.coded |= !header.value.empty() && !equal_ignoring_case(header.value, "identity");
      break;
    case 17:
      if (!equal_ignoring_case(header.name, "transfer-encoding")) break;
      if (framing.chunked) return {400, "more than one Transfer-Encoding"};
      if (!equal_ignoring_case(header.value, "chunked")) {
        return {501, "the only Transfer-Encoding understood is chunked"};
      }
      framing.chunked = true;
      break;
    default: break;
  }
  return {};
}

Refusal split_field(std::string_view line, Header& header) {
  if (line.front() == ' ' || line.front() == '\t') {
    return {400, "a header is folded over several lines, which is obsolete"};
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {400, "a header has no colon"};
  header.name = line.substr(0, colon);
  if (!is_token(header.name)) return {400, "a header's name has an invalid character"};
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  if (!is_field_value(value)) return {400, "a header's value has a control character"};
  header.value = value;
  return {};
}

// Reads fields to the blank line. `take` gets each.
template <class Take>
Progress read_fields(Lines& lines, std::size_t headers_max, Framing& framing, Take take) {
  for (std::size_t count = 0;; ++count) {
    std::string_view line;
    if (const Progress progress = lines.next(line); progress != Progress::Done) return progress;
    if (line.empty()) break;
    if (count == headers_max) {
      lines.refusal = {431, "more headers than this server accepts"};
      return Progress::Failed;
    }
    Header header;
    lines.refusal = split_field(line, header);
    if (lines.refusal.status == 0) lines.refusal = read_meaning(header, framing);
    if (lines.refusal.status != 0) return Progress::Failed;
    take(header);
  }
  if (framing.chunked && framing.has_length) {
    lines.refusal = {400, "Content-Length beside Transfer-Encoding"};
    return Progress::Failed;
  }
  return Progress::Done;
}

// "HTTP/1.0" or "HTTP/1.1" -> 0 or 1 in `minor`.
Refusal read_version(std::string_view text, int& minor) {
  const bool shaped = text.size() == 8 && text.starts_with("HTTP/") && text[6] == '.' &&
                      text[5] >= '0' && text[5] <= '9' && text[7] >= '0' && text[7] <= '9';
  if (!shaped) return {400, "the HTTP version is malformed"};
  if (text[5] != '1' || text[7] > '1') return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  minor = text[7] - '0';
  return {};
}

// The path of a target in absolute form that has none: the only view that is not into the bytes.
constexpr std::string_view kRootPath = "/";

Refusal read_target(std::string_view target, RequestHead& out, bool& absolute) {
  if (target.empty() || !is_visible(target) || target.find('#') != std::string_view::npos) {
    return {400, "the request target has an invalid character"};
  }
  constexpr std::string_view scheme = "http://";
  if (target.size() > scheme.size() &&
      equal_ignoring_case(target.substr(0, scheme.size()), scheme)) {
    target.remove_prefix(scheme.size());
    const std::size_t slash = target.find_first_of("/?");
    const std::string_view authority = target.substr(0, slash);
    if (authority.empty() || !all_in(kHostTable, authority)) {
      return {400, "the request target's authority is malformed"};
    }
    absolute = true;
    target.remove_prefix(slash == std::string_view::npos ? target.size() : slash);
    if (target.empty() || target.front() == '?') {
      out.path = kRootPath;
      out.query = target.empty() ? target : target.substr(1);
      return {};
    }
  } else if (target == "*" && out.method == "OPTIONS") {
    out.path = target;
    return {};
  }
  if (target.front() != '/') return {400, "the request target must begin with '/'"};
  const std::size_t mark = target.find('?');
  out.path = target.substr(0, mark);
  if (mark != std::string_view::npos) out.query = target.substr(mark + 1);
  return {};
}

Refusal read_request_line(std::string_view line, RequestHead& out, int& minor, bool& absolute) {
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos) return {400, "the request line is malformed"};
  const std::size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return {400, "the request line is malformed"};
  out.method = line.substr(0, first);
  if (!is_token(out.method)) return {400, "the method has an invalid character"};
  if (Refusal bad = read_version(line.substr(second + 1), minor); bad.status != 0) return bad;
  if (out.method == "CONNECT") return {501, "CONNECT is not served here"};
  return read_target(line.substr(first + 1, second - first - 1), out, absolute);
}

}  // namespace

bool is_token(std::string_view text) { return !text.empty() && all_in(kTokenTable, text); }

bool is_field_value(std::string_view text) {
  if (text.size() < 8) return std::ranges::none_of(text, is_control);
  const char* const last = text.data() + text.size() - 8;
  for (const char* at = text.data();; at = std::min(at + 8, last)) {  // the last two may overlap
    if (has_control(load_word(at)) && std::any_of(at, at + 8, is_control)) return false;
    if (at == last) return true;
  }
}

void RequestHead::rebase(const char* from, const char* to) {
  const auto move = [&](std::string_view& view) {
    if (!view.empty()) view = {to + (view.data() - from), view.size()};
  };
  move(method);
  if (path.data() != kRootPath.data()) move(path);  // its address, not its text: "GET /" is ours
  move(query);
  for (Header& header : headers) {
    move(header.name);
    move(header.value);
  }
}

Progress parse_request_head(std::string_view bytes, const HeadLimits& limits, RequestHead& out) {
  out.headers.clear();
  out.path = {};
  out.query = {};
  Lines lines{bytes, limits.bytes_max};
  const auto failed = [&](Refusal refusal) {
    out.refusal = refusal;
    return Progress::Failed;
  };
  std::string_view line;
  for (int tries = 0;; ++tries) {
    if (const Progress progress = lines.next(line); progress != Progress::Done) {
      out.refusal = lines.refusal;
      return progress;
    }
    if (!line.empty()) break;
    if (tries == 1) return failed({400, "the request line is missing"});
  }
  int minor = 0;
  bool absolute = false;
  if (const Refusal bad = read_request_line(line, out, minor, absolute); bad.status != 0) {
    return failed(bad);
  }
  Framing framing;
  const auto take = [&](const Header& header) { out.headers.push_back(header); };
  if (const Progress progress = read_fields(lines, limits.headers_max, framing, take);
      progress != Progress::Done) {
    out.refusal = lines.refusal;
    return progress;
  }
  if (minor == 1 && !framing.has_host) return failed({400, "Host is missing"});
  if (minor == 0 && framing.chunked) return failed({400, "HTTP/1.0 has no Transfer-Encoding"});
  if (framing.coded) return failed({415, "Content-Encoding: send the body uncompressed"});
  out.size = lines.at;
  out.content_length = framing.content_length;
  out.has_length = framing.has_length;
  out.chunked = framing.chunked;
  out.http_1_0 = minor == 0;
  out.keep_alive = minor == 1 && !framing.close;
  out.expect_continue = framing.expect_continue && minor == 1;
  return Progress::Done;
}

Progress parse_response_head(std::string_view bytes, const HeadLimits& limits, ResponseHead& out) {
  Lines lines{bytes, limits.bytes_max};
  const auto failed = [&](std::string_view reason) {
    out.refusal = {502, reason};
    return Progress::Failed;
  };
  std::string_view line;
  if (const Progress progress = lines.next(line); progress != Progress::Done) {
    out.refusal = lines.refusal;
    return progress;
  }
  int minor = 0;
  const bool shaped = line.size() >= 12 && line[8] == ' ' && (line.size() == 12 || line[12] == ' ');
  if (!shaped || read_version(line.substr(0, 8), minor).status != 0) {
    return failed("the status line is not HTTP/1.1's");
  }
  out.status = 0;
  for (const char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') return failed("the status is not a number");
    out.status = out.status * 10 + (c - '0');
  }
  if (out.status < 100 || out.status > 599) return failed("the status is out of range");
  if (!is_field_value(line.substr(12))) return failed("the reason phrase has a control character");
  Framing framing;
  if (const Progress progress =
          read_fields(lines, limits.headers_max, framing, [](const Header&) {});
      progress != Progress::Done) {
    out.refusal = lines.refusal;
    return progress;
  }
  if (minor == 0 && framing.chunked) return failed("HTTP/1.0 has no Transfer-Encoding");
  out.size = lines.at;
  out.content_length = framing.content_length;
  out.has_length = framing.has_length;
  out.chunked = framing.chunked;
  out.keep_alive = minor == 1 ? !framing.close : framing.keep_alive && !framing.close;
  return Progress::Done;
}

std::string_view find_in_head(std::string_view head, std::string_view name) {
  std::size_t at = head.find('\n');
  while (at != std::string_view::npos && at + 1 < head.size()) {
    const std::size_t start = at + 1;
    at = head.find('\n', start);
    if (at == std::string_view::npos) break;
    std::string_view line = head.substr(start, at - start);
    if (line.size() <= name.size() || line[name.size()] != ':') continue;
    if (!equal_ignoring_case(line.substr(0, name.size()), name)) continue;
    line.remove_prefix(name.size() + 1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    while (!line.empty() && (line.back() <= ' ' && line.back() >= 0)) line.remove_suffix(1);
    return line;
  }
  return {};
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 499: return "Client Closed Request";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return status < 300 ? "OK" : "Error";
  }
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace perigee::net::http1
