#include "net/sse_parser.h"

#include <cstring>

namespace perigee::net {
namespace {

// The first CR or LF, eight bytes at a time.
std::size_t find_line_end(std::string_view text, std::size_t from) {
  constexpr std::uint64_t ones = 0x0101010101010101;
  constexpr std::uint64_t highs = 0x8080808080808080;
  std::size_t at = from;
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, sizeof word);
    const std::uint64_t lf = word ^ (ones * '\n');
    const std::uint64_t cr = word ^ (ones * '\r');
    if (((((lf - ones) & ~lf) | ((cr - ones) & ~cr)) & highs) != 0) break;
  }
  for (; at < text.size(); ++at) {
    if (text[at] == '\n' || text[at] == '\r') return at;
  }
  return std::string_view::npos;
}

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

SseParser::Result SseParser::next(std::string_view& input, SseEvent& event) {
  if (release_held_) {
    held_.clear();
    release_held_ = false;
  }
  for (;;) {
    if (failed_) return Result::Failed;
    if (after_cr_ && held_.empty() && !input.empty()) {
      after_cr_ = false;
      if (input.front() == '\n') input.remove_prefix(1);
    }
    if (input.empty()) return Result::NeedMore;
    if (started_ && held_.empty() && !in_line_ && read_whole_block(input, event)) {
      const Result result = what_is(event);
      if (result != Result::NeedMore) return result;
      continue;
    }
    const std::size_t end = find_block_end(input);
    const std::size_t taken = end == std::string_view::npos ? input.size() : end;
    if (held_.size() + taken > event_bytes_max_) {
      failed_ = true;
      held_ = {};
      return Result::Failed;
    }
    if (end == std::string_view::npos) {
      held_.append(input);
      input = {};
      return Result::NeedMore;
    }
    std::string_view block = input.substr(0, end);
    input.remove_prefix(end);
    if (!held_.empty()) {
      held_.append(block);
      block = held_;
      release_held_ = true;
    }
    const Result result = read_block(block, event);
    if (result != Result::NeedMore) return result;
    held_.clear();
    release_held_ = false;
  }
}

std::size_t SseParser::find_block_end(std::string_view input) {
  std::size_t at = 0;
  while (at < input.size()) {
    if (after_cr_) {
      after_cr_ = false;
      if (input[at] == '\n') {
        ++at;
        continue;
      }
    }
    const std::size_t end = find_line_end(input, at);
    if (end == std::string_view::npos) {
      in_line_ = true;
      return end;
    }
    const bool blank = end == at && !in_line_;
    in_line_ = false;
    after_cr_ = input[end] == '\r';
    at = end + 1;
    if (blank) return at;
  }
  return std::string_view::npos;
}

bool SseParser::read_whole_block(std::string_view& input, SseEvent& event) {
  begin_event(event);
  std::size_t at = 0;
  for (;;) {
    const std::size_t end = input.find('\n', at);
    if (end == std::string_view::npos || end >= event_bytes_max_) return false;
    const std::string_view line = input.substr(at, end - at);
    at = end + 1;
    if (line.empty()) break;
    if (line.find('\r') != std::string_view::npos) return false;
    read_field(line, event);
  }
  input.remove_prefix(at);
  return true;
}

void SseParser::begin_event(SseEvent& event) {
  event = {};
  joined_.clear();
  commented_ = false;
}

SseParser::Result SseParser::what_is(const SseEvent& event) const {
  if (event.has_data || !event.perigee.empty()) return Result::Event;
  return commented_ ? Result::Comment : Result::NeedMore;
}

SseParser::Result SseParser::read_block(std::string_view block, SseEvent& event) {
  begin_event(event);
  if (!started_) {
    started_ = true;
    if (block.starts_with(kByteOrderMark)) block.remove_prefix(kByteOrderMark.size());
  }
  std::size_t at = 0;
  while (at < block.size()) {
    const std::size_t end = find_line_end(block, at);
    if (end == std::string_view::npos) break;
    read_field(block.substr(at, end - at), event);
    at = end + 1;
  }
  return what_is(event);
}

void SseParser::read_field(std::string_view line, SseEvent& event) {
  if (line.empty()) return;
  const std::size_t colon = line.find(':');
  if (colon == 0) {
    commented_ = true;
    return;
  }
  const std::string_view name = line.substr(0, colon);
  std::string_view value =
      colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    if (!event.has_data) {
      event.data = value;
      event.has_data = true;
      return;
    }
    if (joined_.empty()) joined_.assign(event.data);
    joined_.append("\n").append(value);
    event.data = joined_;
  } else if (name == "perigee") {
    event.perigee = value;
  } else if (name == "event") {
    event.event = value;
  } else if (name == "id") {
    event.id = value;
  }
}

}  // namespace perigee::net
