// SseParser: server-sent events (HTML Living Standard, 9.2) from bytes, incrementally. An event
// that lies within one input is given as views into it; only one that is cut is copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace perigee::net {

inline constexpr std::size_t kSseEventBytesMax = 1024 * 1024;

// All views are valid until the next call of SseParser::next() and while its input lives.
struct SseEvent {
  std::string_view data;     // several data lines are joined by LF
  std::string_view perigee;  // the last `perigee` field: what sites and engines say beside the data
  std::string_view event;
  std::string_view id;
  bool has_data = false;  // an empty data line is data too
};

class SseParser {
 public:
  enum class Result : std::uint8_t {
    Event,     // `event` is filled
    Comment,   // a block of comments only: a heartbeat
    NeedMore,  // the input is used up
    Failed,    // an event is larger than the bound: see failure(); it stays so
  };
  explicit SseParser(std::size_t event_bytes_max = kSseEventBytesMax)
      : event_bytes_max_(event_bytes_max) {}

  // Takes bytes off the front of `input`. The result does not depend on how the bytes were cut.
  Result next(std::string_view& input, SseEvent& event);
  // Bytes of an unfinished event are held: at the stream's end, it was cut off.
  bool partial() const { return !held_.empty() && !release_held_; }
  const char* failure() const { return failed_ ? "an event of the stream is too large" : ""; }

 private:
  // The common case in one pass: a block that lies whole at the front of `input` and ends its lines
  // by LF alone. False, and nothing taken, when it does not.
  bool read_whole_block(std::string_view& input, SseEvent& event);
  void begin_event(SseEvent& event);
  Result what_is(const SseEvent& event) const;  // NeedMore: a block that says nothing
  // Finds the end of the block that `held_` began, in `input`. npos: not there.
  std::size_t find_block_end(std::string_view input);
  Result read_block(std::string_view block, SseEvent& event);
  void read_field(std::string_view line, SseEvent& event);

  std::size_t event_bytes_max_;
  std::string held_;       // the unfinished event
  std::string joined_;     // data of several lines
  bool in_line_ = false;   // the line at the end of what was seen has begun
  bool after_cr_ = false;  // the last byte seen was a line's CR: an LF that follows belongs to it
  bool release_held_ = false;
  bool started_ = false;  // the byte order mark was looked for
  bool commented_ = false;
  bool failed_ = false;
};

}  // namespace perigee::net
