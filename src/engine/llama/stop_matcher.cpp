#include "engine/llama/stop_matcher.h"

#include <algorithm>
#include <cstdint>

namespace perigee::llama {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::uint8_t byte_at(std::string_view bytes, std::size_t i) {
  return static_cast<std::uint8_t>(bytes[i]);
}

std::size_t sequence_size(std::uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

bool second_fits(std::uint8_t lead, std::uint8_t second) {
  switch (lead) {
    case 0xE0: return second >= 0xA0 && second <= 0xBF;
    case 0xED: return second >= 0x80 && second <= 0x9F;
    case 0xF0: return second >= 0x90 && second <= 0xBF;
    case 0xF4: return second >= 0x80 && second <= 0x8F;
    default: return second >= 0x80 && second <= 0xBF;
  }
}

// How many bytes at `i`, up to a whole sequence, are well-formed.
std::size_t well_formed(std::string_view bytes, std::size_t i) {
  const std::size_t size = sequence_size(byte_at(bytes, i));
  std::size_t good = size == 0 ? 0 : 1;
  while (good > 0 && good < size && i + good < bytes.size()) {
    const std::uint8_t next = byte_at(bytes, i + good);
    const bool fits = good == 1 ? second_fits(byte_at(bytes, i), next) : (next & 0xC0) == 0x80;
    if (!fits) break;
    ++good;
  }
  return good;
}

}  // namespace

std::string valid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t good = well_formed(bytes, i);
    if (good > 0 && good == sequence_size(byte_at(bytes, i))) {
      text.append(bytes.substr(i, good));
    } else {
      text.append(kReplacement);
    }
    i += std::max<std::size_t>(good, 1);
  }
  return text;
}

std::size_t characters(std::string_view bytes) {
  return static_cast<std::size_t>(std::ranges::count_if(
      bytes, [](char c) { return (static_cast<std::uint8_t>(c) & 0xC0) != 0x80; }));
}

std::size_t unfinished_utf8(std::string_view bytes) {
  const std::size_t reach = std::min<std::size_t>(bytes.size(), 3);
  for (std::size_t back = 1; back <= reach; ++back) {
    const std::size_t i = bytes.size() - back;
    const std::size_t size = sequence_size(byte_at(bytes, i));
    if (size > back && well_formed(bytes, i) == back) return back;
  }
  return 0;
}

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::size_t StopMatcher::held_back() const {
  std::size_t held = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t size = std::min(stop.size() - 1, pending_.size()); size > held; --size) {
      if (std::string_view{pending_}.substr(pending_.size() - size) ==
          std::string_view{stop}.substr(0, size)) {
        held = size;
      }
    }
  }
  return held + unfinished_utf8(std::string_view{pending_}.substr(0, pending_.size() - held));
}

std::string StopMatcher::push(std::string_view bytes) {
  if (stopped_) return {};
  pending_.append(bytes);
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, pending_.find(stop));
  if (first != std::string::npos) {
    stopped_ = true;
    std::string text = valid_utf8(std::string_view{pending_}.substr(0, first));
    pending_.clear();
    return text;
  }
  const std::size_t certain = pending_.size() - held_back();
  std::string text = valid_utf8(std::string_view{pending_}.substr(0, certain));
  pending_.erase(0, certain);
  return text;
}

std::string StopMatcher::flush() {
  std::string text = valid_utf8(pending_);
  pending_.clear();
  return text;
}

}  // namespace perigee::llama
