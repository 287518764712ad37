#include "answer_checker.h"

#include <charconv>

namespace perigee::load {

using net::http1::ChunkedDecoder;
using net::http1::Progress;

void AnswerChecker::reset() {
  head_bytes_.clear();
  body_.clear();
  decoder_ = {};
  events_ = net::SseParser{};
  left_ = 0;
  chunks_ = 0;
  in_body_ = done_ = wrong_ = false;
}

Verdict AnswerChecker::feed(std::string_view bytes) {
  if (in_body_) return feed_body(bytes);
  const bool continued = !head_bytes_.empty();
  if (continued) head_bytes_.append(bytes);
  const std::string_view all = continued ? std::string_view{head_bytes_} : bytes;
  const Progress progress = net::http1::parse_response_head(all, {}, head_);
  if (progress == Progress::Failed) {
    complaint_ = head_.refusal.reason;
    return Verdict::Broken;
  }
  if (progress == Progress::NeedMore) {
    if (!continued) head_bytes_.assign(bytes);
    return Verdict::More;
  }
  in_body_ = true;
  left_ = head_.content_length;
  const std::string rest{all.substr(head_.size)};
  if (head_.has_length && left_ == 0) return judge();
  return rest.empty() ? Verdict::More : feed_body(rest);
}

Verdict AnswerChecker::feed_body(std::string_view bytes) {
  if (!head_.chunked) {
    take(bytes);
    if (!head_.has_length) return Verdict::More;
    if (bytes.size() > left_) {
      complaint_ = "more bytes than Content-Length says";
      return Verdict::Broken;
    }
    left_ -= bytes.size();
    return left_ == 0 ? judge() : Verdict::More;
  }
  for (;;) {
    std::string_view data;
    switch (decoder_.next(bytes, data)) {
      case ChunkedDecoder::Event::Data: take(data); break;
      case ChunkedDecoder::Event::NeedMore: return Verdict::More;
      case ChunkedDecoder::Event::Failed: complaint_ = decoder_.failure(); return Verdict::Broken;
      case ChunkedDecoder::Event::End: return judge();
    }
  }
}

void AnswerChecker::take(std::string_view data) {
  if (!stream_ || head_.status >= 400) {
    body_.append(data);
    return;
  }
  for (;;) {
    net::SseEvent event;
    switch (events_.next(data, event)) {
      case net::SseParser::Result::Event: take_event(event.data); break;
      case net::SseParser::Result::Comment: break;
      case net::SseParser::Result::NeedMore: return;
      case net::SseParser::Result::Failed: wrong_ = true; return;
    }
  }
}

// The stub's chunks carry their number: "content":" t17".
void AnswerChecker::take_event(std::string_view data) {
  if (done_) wrong_ = true;  // nothing may follow [DONE]
  if (data == "[DONE]") {
    done_ = true;
    return;
  }
  constexpr std::string_view chat = "\"content\":\" t";
  constexpr std::string_view text = "\"text\":\" t";
  std::size_t at = data.find(chat);
  std::size_t size = chat.size();
  if (at == std::string_view::npos) {
    at = data.find(text);
    size = text.size();
  }
  if (at == std::string_view::npos) return;
  std::uint32_t number = 0;
  const char* begin = data.data() + at + size;
  const auto [end, error] = std::from_chars(begin, data.data() + data.size(), number);
  if (error != std::errc{} || number != chunks_) {
    if (!wrong_) complaint_ = "chunk " + std::to_string(chunks_) + " is missing or out of order";
    wrong_ = true;
  }
  ++chunks_;
}

Verdict AnswerChecker::judge() {
  if (head_.status >= 400) {
    complaint_ = "status " + std::to_string(head_.status) + ": " + body_.substr(0, 200);
    return Verdict::Refused;
  }
  if (stream_) {
    if (!wrong_ && done_ && (chunks_expected_ == 0 || chunks_ == chunks_expected_))
      return Verdict::Good;
    if (complaint_.empty() || !wrong_) {
      complaint_ = "the stream ended with " + std::to_string(chunks_) + " chunks, " +
                   (done_ ? "with" : "without") + " [DONE]";
    }
    return Verdict::Incomplete;
  }
  const bool whole = body_.find("\"usage\"") != std::string::npos && body_.ends_with('}');
  if (!whole) complaint_ = "the answer's JSON is not whole";
  return whole ? Verdict::Good : Verdict::Incomplete;
}

Verdict AnswerChecker::close() {
  if (in_body_ && !head_.chunked && !head_.has_length) return judge();
  complaint_ = started() ? "the connection closed in the middle of an answer"
                         : "the connection closed before an answer";
  return in_body_ && stream_ ? Verdict::Incomplete : Verdict::Broken;
}

}  // namespace perigee::load
