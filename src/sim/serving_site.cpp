#include "sim/serving_site.h"

#include <algorithm>

namespace perigee::sim {

ServingSite::ServingSite(std::uint32_t block_tokens, Nanos digest_interval, Nanos digest_phase,
                         std::uint32_t digests_kept)
    : block_tokens_(block_tokens),
      interval_(digest_interval),
      phase_(digest_phase),
      next_digest_(digest_phase),
      digests_(digests_kept) {}

bool ServingSite::ready() const {
  return engine_down.empty() ? !engines_.empty()
                             : std::ranges::find(engine_down, false) != engine_down.end();
}

ServingSite::Queue ServingSite::queue(Nanos now) const {
  Queue waiting{static_cast<std::uint32_t>(pool.size()), pool_tokens};
  if (admission != nullptr) {
    const AdmissionStats stats = admission->stats(Instant{Duration{now}});
    waiting.requests += stats.requests;
    waiting.tokens += stats.tokens;
    if (stats.slots > 0) waiting.slots = stats.slots;
  }
  return waiting;
}

EngineLoad ServingSite::engine_load(std::size_t i, Nanos now) const {
  EngineLoad load = engines_[i].load(now);
  const auto up = static_cast<std::uint32_t>(std::ranges::count(engine_down, false));
  if (up == 0) return load;
  const Queue waiting = queue(now);
  load.queued_requests += (waiting.requests + up - 1) / up;
  load.queued_tokens += waiting.tokens / up;
  load.slots = std::min(load.slots, std::max(1U, waiting.slots / up));
  return load;
}

EngineLoad ServingSite::engines_load(Nanos now) const {
  EngineLoad sum;
  double capacity = 0;
  double up = 0;
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    if (!engine_down.empty() && engine_down[i]) continue;
    const EngineLoad load = engines_[i].load(now);
    const auto kv = static_cast<double>(engines_[i].profile().kv_tokens);
    sum.slots += load.slots;
    sum.slots_busy += load.slots_busy;
    sum.queued_requests += load.queued_requests;
    sum.queued_tokens += load.queued_tokens;
    sum.kv_used += load.kv_used * kv;
    sum.prefill_tokens_per_s += load.prefill_tokens_per_s;
    sum.decode_ms += load.decode_ms;
    capacity += kv;
    up += 1;
  }
  if (up > 0) {
    sum.kv_used /= capacity;
    sum.decode_ms /= up;
  }
  return sum;
}

EngineLoad ServingSite::load(Nanos now) const {
  EngineLoad sum = engines_load(now);
  const Queue waiting = queue(now);
  sum.queued_requests += waiting.requests;
  sum.queued_tokens += waiting.tokens;
  sum.slots = std::min(sum.slots, waiting.slots);
  return sum;
}

void ServingSite::write_digests(Nanos now) {
  const std::int64_t newest = digest_tick(now);
  const auto kept = static_cast<std::int64_t>(digests_.size());
  std::int64_t tick = digest_tick(next_digest_);
  for (tick = std::max(tick, newest - kept + 1); tick <= newest; ++tick) {
    digests_[static_cast<std::size_t>(tick) % digests_.size()] = {load(digest_time(tick)), ready()};
  }
  next_digest_ = digest_time(newest + 1);
}

}  // namespace perigee::sim
