// AnswerChecker: reads one answer of a stub engine, however it arrives, and judges whether all of
// it came: the whole JSON, or every chunk of the stream in order and [DONE].
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/chunked_decoder.h"
#include "net/http1_parser.h"
#include "net/sse_parser.h"

namespace perigee::load {

enum class Verdict : std::uint8_t {
  More,  // not complete yet
  Good,
  Refused,     // a status of 400 and above; the answer itself is complete
  Broken,      // broken HTTP
  Incomplete,  // complete HTTP, but something of the answer is missing
};

class AnswerChecker {
 public:
  AnswerChecker(bool stream, std::uint32_t chunks_expected)
      : stream_(stream), chunks_expected_(chunks_expected) {}

  // The next bytes. After a verdict other than More: reset().
  Verdict feed(std::string_view bytes);
  // The connection closed. Good only for an answer that ends so.
  Verdict close();
  void reset();

  bool keep_alive() const { return head_.keep_alive; }
  int status() const { return head_.status; }
  std::uint32_t chunks() const { return chunks_; }
  bool started() const { return in_body_ || !head_bytes_.empty(); }
  const std::string& complaint() const { return complaint_; }

 private:
  Verdict feed_body(std::string_view bytes);
  void take(std::string_view data);
  void take_event(std::string_view data);
  Verdict judge();

  bool stream_;
  std::uint32_t chunks_expected_;  // 0: any number
  std::string head_bytes_;
  net::http1::ResponseHead head_;
  net::http1::ChunkedDecoder decoder_;
  net::SseParser events_;
  std::string body_;
  std::uint64_t left_ = 0;
  std::uint32_t chunks_ = 0;
  bool in_body_ = false;
  bool done_ = false;  // [DONE] was seen
  bool wrong_ = false;
  std::string complaint_;
};

}  // namespace perigee::load
