#include "engine/llama/stream_table.h"

#include <algorithm>

#include "base/assert.h"

namespace perigee::llama {

StreamTable::StreamTable(std::uint32_t streams) : streams_(streams) {}

StreamTable::Match StreamTable::best_match(std::string_view salt,
                                           std::span<const Token> prompt) const {
  Match best;
  if (salt.empty() || prompt.empty()) return best;
  const std::span<const Token> usable = prompt.first(prompt.size() - 1);
  for (std::uint32_t i = 0; i < streams_.size(); ++i) {
    const Stream& stream = streams_[i];
    if (stream.state == State::Free || stream.salt != salt) continue;
    const auto [a, b] =
        std::mismatch(usable.begin(), usable.end(), stream.tokens.begin(), stream.tokens.end());
    const auto length = static_cast<std::uint32_t>(a - usable.begin());
    const bool better = length > best.length ||
                        (length == best.length && length > 0 && stream.state == State::Cached &&
                         streams_[best.stream].state == State::Running);
    if (better) best = {i, length};
  }
  return best;
}

// A free stream, next to a running one if there is such (neighbours are computed together), else
// the cached one that was not used for longest.
std::optional<std::uint32_t> StreamTable::spare(std::optional<std::uint32_t> except) const {
  std::optional<std::uint32_t> found;
  const auto rank = [this](std::uint32_t i) -> std::uint64_t {
    if (streams_[i].state == State::Cached) return 2 + streams_[i].used_at;
    const bool neighbour = i > 0 && streams_[i - 1].state == State::Running;
    return neighbour ? 0 : 1;
  };
  for (std::uint32_t i = 0; i < streams_.size(); ++i) {
    if (streams_[i].state == State::Running || i == except) continue;
    if (!found || rank(i) < rank(*found)) found = i;
  }
  return found;
}

std::optional<StreamTable::Placement> StreamTable::place(std::string_view salt,
                                                         std::span<const Token> prompt) {
  Match match = best_match(salt, prompt);
  if (match.length < kReuseMin) match.length = 0;
  Placement placement;
  placement.reused = match.length;
  const Stream& source = streams_[match.stream];
  // A cached prefix is taken over in place if little of it is lost by that; else it is copied.
  const bool take_over =
      match.length > 0 && source.state == State::Cached && match.length * 2 >= source.tokens.size();
  std::optional<std::uint32_t> stream;
  if (take_over) {
    stream = match.stream;
  } else if (match.length > 0) {
    stream = spare(match.stream);
    if (stream) placement.copy_from = match.stream;
    if (!stream && source.state == State::Cached) stream = match.stream;
  } else {
    stream = spare(std::nullopt);
  }
  if (!stream) return std::nullopt;
  placement.stream = *stream;
  Stream& taken = streams_[*stream];
  taken.state = State::Running;
  taken.salt = salt;
  taken.used_at = ++ticks_;
  taken.tokens.assign(prompt.begin(), prompt.begin() + placement.reused);
  if (placement.copy_from) streams_[*placement.copy_from].used_at = ++ticks_;
  return placement;
}

void StreamTable::append(std::uint32_t stream, Token token) {
  PERIGEE_ASSERT(streams_[stream].state == State::Running);
  streams_[stream].tokens.push_back(token);
}

bool StreamTable::release(std::uint32_t stream, bool keep) {
  Stream& released = streams_[stream];
  PERIGEE_ASSERT(released.state == State::Running);
  if (keep && !released.salt.empty() && released.tokens.size() >= kReuseMin) {
    released.state = State::Cached;
    released.used_at = ++ticks_;
    return true;
  }
  released = Stream{};
  return false;
}

std::uint64_t StreamTable::tokens_in(State state) const {
  std::uint64_t tokens = 0;
  for (const Stream& stream : streams_) {
    if (stream.state == state) tokens += stream.tokens.size();
  }
  return tokens;
}
std::uint64_t StreamTable::running_tokens() const { return tokens_in(State::Running); }
std::uint64_t StreamTable::cached_tokens() const { return tokens_in(State::Cached); }

}  // namespace perigee::llama
