// The sending half of ServerConnection.
#include "net/server_connection.h"

namespace perigee::net {
namespace {

// A client must take so much, or what is left, in every `write_timeout`: one that takes a byte now
// and then would keep an engine waiting for ever.
constexpr std::size_t kProgressBytes = 16 * 1024;
constexpr std::size_t kGatherBytesMax = 16 * 1024;  // smaller bodies are copied beside their head

bool has_no_body(int status) { return status == 204 || status == 304 || status < 200; }

bool is_servers_own(std::string_view name) {
  switch (name.size()) {
    case 4: return equal_ignoring_case(name, "date");
    case 10: return equal_ignoring_case(name, "connection");
    case 14: return equal_ignoring_case(name, "content-length");
    case 17: return equal_ignoring_case(name, "transfer-encoding");
    default: return false;
  }
}

void append_number(std::string& out, std::size_t number) {
  char digits[20];
  std::size_t n = 0;
  do {
    digits[n++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  while (n > 0) out.push_back(digits[--n]);
}

}  // namespace

// Writes the head into core_->output.
Result<> ServerConnection::compose_head(int status, std::span<const Header> headers, bool stream,
                                        std::size_t body_bytes) {
  if (answer_ != Answer::None) {
    return Error{Code::FailedPrecondition, "the response has begun already"};
  }
  std::string& out = core_->output;
  out.assign("HTTP/1.1 ");
  append_number(out, static_cast<std::size_t>(status));
  out.append(" ").append(http1::reason_phrase(status)).append("\r\n");
  out.append(core_->date_line());
  for (const Header& header : headers) {
    if (!http1::is_token(header.name) || !http1::is_field_value(header.value)) {
      return Error{Code::InvalidArgument, "a response header has an invalid character"};
    }
    if (!is_servers_own(header.name)) http1::append_header(out, header.name, header.value);
  }
  if (http_1_0_ || core_->draining()) keep_alive_ = false;
  if (stream) {
    if (!http_1_0_) out.append("Transfer-Encoding: chunked\r\n");
  } else if (!has_no_body(status)) {
    out.append("Content-Length: ");
    append_number(out, body_bytes);
    out.append("\r\n");
  }
  out.append(keep_alive_ ? "\r\n" : "Connection: close\r\n\r\n");
  return {};
}

Task<Result<>> ServerConnection::respond(int status, std::span<const Header> headers,
                                         std::string_view body) {
  PERIGEE_CO_CHECK(compose_head(status, headers, false, body.size()));
  answer_ = Answer::Streaming;
  if (head_only_ || has_no_body(status)) body = {};
  std::string& out = core_->output;
  if (body.size() <= kGatherBytesMax) {
    out.append(body);
    body = {};
  }
  iovec parts[2] = {part_of(out), part_of(body)};
  std::span<iovec> left{parts, body.empty() ? 1U : 2U};
  if (socket_.try_write(left).kind != IoResult::Kind::Done) {
    if (left.size() == 2 || body.empty()) {
      std::string before{static_cast<const char*>(left[0].iov_base), left[0].iov_len};
      auto drained = co_await drain(std::move(before), body, {});
      PERIGEE_CO_CHECK(std::move(drained));
    } else {
      std::string_view rest{static_cast<const char*>(left[0].iov_base), left[0].iov_len};
      auto drained = co_await drain({}, rest, {});
      PERIGEE_CO_CHECK(std::move(drained));
    }
  }
  answer_ = Answer::Done;
  co_return Result<>{};
}

Task<Result<>> ServerConnection::begin(int status, std::span<const Header> headers) {
  PERIGEE_CO_CHECK(compose_head(status, headers, true, 0));
  answer_ = Answer::Streaming;
  iovec part = part_of(core_->output);
  std::span<iovec> left{&part, 1};
  if (socket_.try_write(left).kind != IoResult::Kind::Done) {
    std::string before{static_cast<const char*>(left[0].iov_base), left[0].iov_len};
    auto drained = co_await drain(std::move(before), {}, {});
    PERIGEE_CO_CHECK(std::move(drained));
  }
  co_return Result<>{};
}

Task<Result<>> ServerConnection::write(std::string_view bytes) {
  if (answer_ != Answer::Streaming) co_return broken();
  if (bytes.empty() || head_only_) co_return Result<>{};
  char size_line[http1::kChunkHeaderBytesMax];
  const std::string_view size{size_line, http1::write_chunk_header(size_line, bytes.size())};
  constexpr std::string_view kEnd = "\r\n";
  iovec parts[3] = {part_of(size), part_of(bytes), part_of(kEnd)};
  std::span<iovec> left{parts};
  if (http_1_0_) {
    left = left.subspan(1, 1);
  } else if (bytes.size() <= kGatherBytesMax) {
    std::string& out = core_->output;
    out.assign(size).append(bytes).append(kEnd);
    parts[0] = part_of(out);
    left = left.first(1);
  }
  if (socket_.try_write(left).kind != IoResult::Kind::Done) {
    std::string before;
    if (left.data() == parts)
      before.assign(static_cast<const char*>(left[0].iov_base), left[0].iov_len);
    const auto rest = [&](const iovec& part, bool there) {
      return there ? std::string_view{static_cast<const char*>(part.iov_base), part.iov_len}
                   : std::string_view{};
    };
    const iovec* const end = left.data() + left.size();
    const std::string_view body = rest(parts[1], left.data() <= parts + 1 && parts + 1 < end);
    const std::string_view after = rest(parts[2], parts + 2 < end);
    auto drained = co_await drain(std::move(before), body, after);
    PERIGEE_CO_CHECK(std::move(drained));
  }
  co_return Result<>{};
}

Task<Result<>> ServerConnection::finish() {
  if (answer_ != Answer::Streaming) co_return broken();
  if (!http_1_0_ && !head_only_) {
    iovec part = part_of(http1::kLastChunk);
    std::span<iovec> left{&part, 1};
    if (socket_.try_write(left).kind != IoResult::Kind::Done) {
      const std::string_view rest{static_cast<const char*>(left[0].iov_base), left[0].iov_len};
      auto drained = co_await drain({}, {}, rest);
      PERIGEE_CO_CHECK(std::move(drained));
    }
  }
  answer_ = Answer::Done;
  co_return Result<>{};
}

// Sends what the socket had no room for, as the client takes it.
Task<Result<>> ServerConnection::drain(std::string before, std::string_view body,
                                       std::string_view after) {
  iovec parts[3] = {part_of(before), part_of(body), part_of(after)};
  std::span<iovec> left{parts};
  timed_out_ = false;
  deadline_.expire_after(core_->limits.write_timeout);
  std::size_t taken = 0;  // since the deadline was set
  for (;;) {
    const IoResult put = socket_.try_write(left);
    if (put.kind == IoResult::Kind::Done) break;
    if (put.kind == IoResult::Kind::Failed || timed_out_) {
      const bool slow = std::exchange(timed_out_, false);
      answer_ = Answer::Broken;
      socket_.close();
      deadline_.never();
      if (!slow) co_return broken();
      co_return Error{Code::DeadlineExceeded, "the client did not take the response in time"};
    }
    taken += put.bytes;
    if (taken >= kProgressBytes) {
      taken = 0;
      deadline_.expire_after(core_->limits.write_timeout);
    }
    co_await socket_.wait_writable();
  }
  deadline_.never();
  co_return Result<>{};
}

Result<> ServerConnection::broken() {
  if (answer_ == Answer::None || answer_ == Answer::Done) {
    return Error{Code::FailedPrecondition, "no response is being streamed"};
  }
  return Error{Code::Cancelled, "the client left"};
}

}  // namespace perigee::net
