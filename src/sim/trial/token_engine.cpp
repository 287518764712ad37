#include "sim/trial/token_engine.h"

#include <algorithm>

namespace perigee::sim {

bool TokenEngine::submit(const Sequence& sequence) {
  if (running_.size() < profile_.batch_max && waiting_.empty() && !busy_) {
    running_.push_back(sequence);
    return true;
  }
  // What came while an iteration is under way joins the batch at its end.
  if (running_.size() + waiting_.size() >= profile_.batch_max + profile_.queue_max) return false;
  waiting_.push_back(sequence);
  return true;
}

bool TokenEngine::withdraw(std::uint32_t attempt) {
  return std::erase_if(running_, [&](const Sequence& s) { return s.attempt == attempt; }) +
             std::erase_if(waiting_, [&](const Sequence& s) { return s.attempt == attempt; }) >
         0;
}

std::vector<std::uint32_t> TokenEngine::fail() {
  std::vector<std::uint32_t> attempts;
  for (const Sequence& s : running_) attempts.push_back(s.attempt);
  for (const Sequence& s : waiting_) attempts.push_back(s.attempt);
  running_.clear();
  waiting_.clear();
  busy_ = false;
  return attempts;
}

Nanos TokenEngine::begin() {
  while (!waiting_.empty() && running_.size() < profile_.batch_max) {
    running_.push_back(waiting_.front());
    waiting_.pop_front();
  }
  busy_ = true;
  const auto decoding = std::ranges::count(running_, 0U, &Sequence::prompt_left);
  auto room = static_cast<std::uint32_t>(
      std::max<std::int64_t>(1, std::int64_t{profile_.batch_tokens_max} - decoding));
  double prefill_ms = 0;
  for (Sequence& s : running_) {
    s.chunk = std::min(s.prompt_left, room);
    room -= s.chunk;
    prefill_ms += profile_.prefill_ms_per_1k * s.chunk / 1000;
  }
  const double base_ms = decoding > 0 ? profile_.decode_base_ms + profile_.decode_ms_per_sequence *
                                                                      static_cast<double>(decoding)
                                      : profile_.prefill_base_ms;
  return nanos_from_ms(base_ms + prefill_ms);
}

void TokenEngine::end(std::vector<Made>& made) {
  busy_ = false;
  for (Sequence& s : running_) {
    if (s.prompt_left > 0) {
      s.prompt_left -= s.chunk;
      if (s.prompt_left > 0 || s.chunk == 0) continue;
    }
    made.push_back({.attempt = s.attempt, .position = s.position, .last = s.position + 1 == s.end});
    ++s.position;
  }
  std::erase_if(running_, [](const Sequence& s) { return s.position == s.end; });
}

EngineLoad TokenEngine::load() const {
  EngineLoad load;
  load.slots = profile_.batch_max;
  load.slots_busy = running();
  load.queued_requests = waiting();
  for (const Sequence& s : running_) load.queued_tokens += s.prompt_left;
  for (const Sequence& s : waiting_) load.queued_tokens += s.prompt_left;
  load.prefill_tokens_per_s = prefill_tokens_per_s(profile_);
  load.decode_ms = decode_ms(profile_, std::max(1U, running()), 0);
  return load;
}

}  // namespace perigee::sim
