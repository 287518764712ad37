#include "sim/engine_model.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace perigee::sim {
namespace {

double squared(double x) { return x * x; }

template <class F>
bool later(const F& x, const F& y) {
  return x.tick != y.tick ? x.tick > y.tick : x.admitted > y.admitted;
}

}  // namespace

EngineModel::EngineModel(const EngineProfile& profile, std::uint32_t block_tokens)
    : profile_(profile), block_tokens_(block_tokens) {}

Nanos EngineModel::segment_time(std::uint64_t k) const {
  const auto n = static_cast<double>(k);
  return static_cast<Nanos>((n * first_ms_ + growth_ms_ * n * (n - 1) * 0.5) * 1e6 + 0.5);
}

std::uint64_t EngineModel::whole_iterations(Nanos elapsed) const {
  if (elapsed <= 0) return 0;
  const double ms = ms_from_nanos(elapsed);
  double guess = ms / first_ms_;
  if (growth_ms_ > 0) {
    const double half = first_ms_ - growth_ms_ * 0.5;
    guess = (std::sqrt(half * half + 2 * growth_ms_ * ms) - half) / growth_ms_;
  }
  auto k = std::min(static_cast<std::uint64_t>(guess), segment_);
  while (k > 0 && segment_time(k) > elapsed) --k;
  while (k < segment_ && segment_time(k + 1) <= elapsed) ++k;
  return k;
}

std::uint64_t EngineModel::iterations_by(Nanos elapsed) const {
  const std::uint64_t whole = whole_iterations(elapsed);
  return segment_time(whole) >= elapsed && whole > 0 ? whole : std::min(whole + 1, segment_);
}

std::uint32_t EngineModel::take() {
  if (free_.empty()) {
    sequences_.emplace_back();
    return static_cast<std::uint32_t>(sequences_.size() - 1);
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  sequences_[index] = Sequence{};
  return index;
}

std::uint32_t EngineModel::free_slots() const {
  const std::uint32_t taken = running_ + waiting();
  return taken < profile_.batch_max ? profile_.batch_max - taken : 0;
}

std::uint32_t EngineModel::cached_tokens(const SequenceSpec& spec) const {
  const std::uint32_t blocks = cache_.match({spec.blocks, spec.prompt_blocks});
  return std::min(blocks * block_tokens_, spec.prompt_tokens - 1);
}

bool EngineModel::submit(const SequenceSpec& spec, Nanos now) {
  if (waiting() >= profile_.queue_max) return false;
  // What can never fit would block the queue for ever.
  if (std::uint64_t{spec.prompt_tokens} + spec.output_tokens > profile_.kv_tokens) return false;
  const std::uint32_t index = take();
  Sequence& fresh = sequences_[index];
  fresh.spec = spec;
  fresh.to_prefill = spec.prompt_tokens;
  queued_tokens_ += spec.prompt_tokens;
  if (const Nanos overhead = nanos_from_ms(profile_.overhead_ms); overhead > 0) {
    preparing_.push_back({now + overhead, index});
    preparing_tokens_ += spec.prompt_tokens;
  } else {
    waiting_.push_back(index);
    join(now);
  }
  return true;
}

// Somebody waits who did not before: an idle engine starts, and one that decodes stops at the next
// iteration to let it in.
void EngineModel::join(Nanos now) {
  if (boundary_ == kNever) {
    plan(now);
  } else if (segment_ > 1 && chunks_.empty() && running_ < profile_.batch_max &&
             fits(sequences_[waiting_.front()])) {
    const std::uint64_t k = iterations_by(now - start_);
    segment_ = std::max<std::uint64_t>(k, 1);
    boundary_ = start_ + segment_time(segment_);
  }
}

std::uint64_t EngineModel::room() const {
  const std::uint64_t held = private_tokens_ + (cache_.size() - cache_.evictable()) * block_tokens_;
  return held < profile_.kv_tokens ? profile_.kv_tokens - held : 0;
}

void EngineModel::evict_for(std::uint64_t tokens) {
  while (private_tokens_ + cache_.size() * block_tokens_ + tokens > profile_.kv_tokens) {
    if (!cache_.evict()) break;
  }
}

// Room for all its tokens, and for one more of each that decodes.
bool EngineModel::fits(const Sequence& sequence) const {
  return std::uint64_t{sequence.to_prefill} + running_ + 1 <= room();
}

void EngineModel::let_go(Sequence& sequence) {
  if (sequence.held_blocks > 0) {
    cache_.release(chain(sequence, sequence.held_blocks), sequence.held_blocks);
    sequence.held_blocks = 0;
  }
}

// Out of the batch, with all that it holds.
void EngineModel::withdraw(std::uint32_t index) {
  Sequence& s = sequences_[index];
  if (s.decoding) {
    const auto done = static_cast<std::uint32_t>(tick_ - s.joined_tick);
    s.generated += done;
    context_tokens_ -= s.context + done;
    private_tokens_ -= s.private_tokens + done;
    std::erase_if(finishes_, [&](const Finish& f) { return f.sequence == index; });
    std::ranges::make_heap(finishes_, later<Finish>);
    --decoding_;
  } else {
    private_tokens_ -= s.private_tokens;
    queued_tokens_ -= s.to_prefill;
    std::erase(prefilling_, index);
  }
  let_go(s);
  s.decoding = false;
  --running_;
}

void EngineModel::abort(std::uint32_t request) {
  const auto is_it = [&](std::uint32_t index) { return sequences_[index].spec.request == request; };
  if (const auto found = std::ranges::find_if(waiting_, is_it); found != waiting_.end()) {
    queued_tokens_ -= sequences_[*found].to_prefill;
    free_.push_back(*found);
    waiting_.erase(found);
    return;
  }
  for (auto p = preparing_.begin(); p != preparing_.end(); ++p) {
    if (!is_it(p->sequence)) continue;
    queued_tokens_ -= sequences_[p->sequence].to_prefill;
    preparing_tokens_ -= sequences_[p->sequence].to_prefill;
    free_.push_back(p->sequence);
    preparing_.erase(p);
    return;
  }
  std::uint32_t index = 0;
  bool here = false;
  for (const std::uint32_t i : prefilling_) {
    if (is_it(i)) index = i, here = true;
  }
  for (const Finish& f : finishes_) {
    if (is_it(f.sequence)) index = f.sequence, here = true;
  }
  if (!here) return;
  std::erase_if(chunks_, [&](const Chunk& chunk) { return chunk.sequence == index; });
  withdraw(index);
  free_.push_back(index);
}

// The one that was admitted last starts again from the head of the queue.
void EngineModel::preempt() {
  std::uint32_t victim = 0;
  bool found = false;
  const auto consider = [&](std::uint32_t index) {
    if (!found || sequences_[index].admitted > sequences_[victim].admitted) victim = index;
    found = true;
  };
  for (const Finish& f : finishes_) consider(f.sequence);
  for (const std::uint32_t index : prefilling_) consider(index);
  PERIGEE_ASSERT(found);
  withdraw(victim);
  Sequence& s = sequences_[victim];
  s.context = 0;
  s.private_tokens = 0;
  s.to_prefill = s.spec.prompt_tokens + s.generated;
  queued_tokens_ += s.to_prefill;
  ++preemptions_;
  waiting_.push_front(victim);
}

// Every decoding sequence gets one more token.
void EngineModel::reserve_next_iteration() {
  while (room() < decoding_ && running_ > 1) preempt();
  evict_for(decoding_);
}

void EngineModel::admit() {
  while (!waiting_.empty() && running_ < profile_.batch_max) {
    const std::uint32_t index = waiting_.front();
    Sequence& s = sequences_[index];
    const std::uint32_t blocks = cache_.match({s.spec.blocks, s.spec.prompt_blocks});
    cache_.hold({s.spec.blocks, blocks}, blocks);
    s.held_blocks = blocks;
    // The last token is always computed: its result is the first token of the answer.
    const std::uint32_t cached = std::min(blocks * block_tokens_, s.to_prefill - 1);
    const std::uint32_t rest = s.to_prefill - cached;
    if (running_ > 0 && std::uint64_t{rest} + running_ + 1 > room()) {
      let_go(s);
      return;
    }
    waiting_.pop_front();
    evict_for(rest);
    if (s.generated == 0) s.cached_tokens = cached;
    s.context = cached;
    s.to_prefill = rest;
    s.private_tokens = rest;
    private_tokens_ += rest;
    queued_tokens_ -= cached;
    s.admitted = admissions_++;
    ++running_;
    prefilling_.push_back(index);
  }
}

void EngineModel::plan(Nanos now) {
  start_ = now;
  boundary_ = kNever;
  segment_ = 0;
  chunks_.clear();
  if (decoding_ > 0) reserve_next_iteration();
  admit();
  if (running_ == 0) return;
  const auto decoding = static_cast<double>(decoding_);
  double ms = profile_.prefill_base_ms;
  if (decoding_ > 0) {
    ms = profile_.decode_base_ms + profile_.decode_ms_per_sequence * decoding +
         profile_.decode_ms_per_1k_kv * static_cast<double>(context_tokens_) * 1e-3;
  }
  if (!prefilling_.empty()) {
    std::uint32_t budget =
        profile_.batch_tokens_max > decoding_ ? profile_.batch_tokens_max - decoding_ : 1;
    for (const std::uint32_t index : prefilling_) {
      if (budget == 0) break;
      const Sequence& s = sequences_[index];
      const std::uint32_t tokens = std::min(budget, s.to_prefill);
      budget -= tokens;
      chunks_.push_back({index, tokens});
      const double before = s.context * 1e-3;
      const double after = (s.context + tokens) * 1e-3;
      ms += profile_.prefill_ms_per_1k * tokens * 1e-3 +
            profile_.prefill_ms_per_1k_squared * (squared(after) - squared(before));
    }
    segment_ = 1;
    first_ms_ = ms;
    growth_ms_ = 0;
  } else {
    first_ms_ = ms;
    growth_ms_ = profile_.decode_ms_per_1k_kv * decoding * 1e-3;
    segment_ = finishes_.front().tick - tick_;
    segment_ = std::min(segment_, std::max<std::uint64_t>(1, room() / decoding_));
    PERIGEE_ASSERT(segment_ > 0);
  }
  boundary_ = start_ + std::max<Nanos>(1, segment_time(segment_));
}

void EngineModel::advance(std::uint64_t iterations) {
  if (decoding_ == 0) return;
  const std::uint64_t tokens = iterations * decoding_;
  tick_ += iterations;
  context_tokens_ += tokens;
  private_tokens_ += tokens;
}

void EngineModel::start_decoding(std::uint32_t index) {
  Sequence& s = sequences_[index];
  s.decoding = true;
  s.joined_tick = tick_;
  s.finish_tick = tick_ + (s.spec.output_tokens - s.generated);
  context_tokens_ += s.context;
  ++decoding_;
  finishes_.push_back({s.finish_tick, s.admitted, index});
  std::ranges::push_heap(finishes_, later<Finish>);
}

// Its prompt is in the cache from now on: others may use it.
void EngineModel::finish_prefill(std::uint32_t index, std::vector<EngineNotice>& notices) {
  Sequence& s = sequences_[index];
  const std::uint32_t before = s.held_blocks;
  if (s.spec.prompt_blocks > before) {
    cache_.extend(chain(s, s.spec.prompt_blocks), before);
    s.held_blocks = s.spec.prompt_blocks;
    const std::uint32_t moved =
        std::min((s.spec.prompt_blocks - before) * block_tokens_, s.private_tokens);
    s.private_tokens -= moved;
    private_tokens_ -= moved;
  }
  if (s.generated == 0) {
    s.generated = 1;
    notices.push_back({EngineNotice::What::FirstToken, s.spec.request, s.cached_tokens});
  }
  if (s.generated >= s.spec.output_tokens) {
    private_tokens_ -= s.private_tokens;
    finish(index, notices);
  } else {
    start_decoding(index);
  }
}

// `private_tokens_` no longer counts it.
void EngineModel::finish(std::uint32_t index, std::vector<EngineNotice>& notices) {
  Sequence& s = sequences_[index];
  if (s.spec.final_blocks > s.held_blocks) {
    cache_.extend(chain(s, s.spec.final_blocks), s.held_blocks);
    s.held_blocks = s.spec.final_blocks;
  }
  let_go(s);
  evict_for(0);
  --running_;
  notices.push_back({EngineNotice::What::Finished, s.spec.request, s.cached_tokens});
  free_.push_back(index);
}

void EngineModel::boundary(Nanos now, std::vector<EngineNotice>& notices) {
  PERIGEE_ASSERT(now == next_boundary());
  const bool ended = now == boundary_;
  if (ended) end_iteration(now, notices);
  bool joined = false;
  for (; !preparing_.empty() && preparing_.front().ready <= now; joined = true) {
    const std::uint32_t index = preparing_.front().sequence;
    preparing_tokens_ -= sequences_[index].to_prefill;
    waiting_.push_back(index);
    preparing_.pop_front();
  }
  if (ended) {
    plan(now);
  } else if (joined) {
    join(now);
  }
}

void EngineModel::end_iteration(Nanos now, std::vector<EngineNotice>& notices) {
  busy_ += now - start_;
  advance(segment_);
  while (!finishes_.empty() && finishes_.front().tick <= tick_) {
    const std::uint32_t index = finishes_.front().sequence;
    std::ranges::pop_heap(finishes_, later<Finish>);
    finishes_.pop_back();
    const Sequence& s = sequences_[index];
    const auto done = static_cast<std::uint32_t>(tick_ - s.joined_tick);
    context_tokens_ -= s.context + done;
    private_tokens_ -= s.private_tokens + done;
    --decoding_;
    finish(index, notices);
  }
  for (const Chunk& chunk : chunks_) {
    Sequence& s = sequences_[chunk.sequence];
    s.to_prefill -= chunk.tokens;
    s.context += chunk.tokens;
    queued_tokens_ -= chunk.tokens;
    if (s.to_prefill > 0) continue;
    std::erase(prefilling_, chunk.sequence);
    finish_prefill(chunk.sequence, notices);
  }
}

void EngineModel::fail(Nanos now, std::vector<std::uint32_t>& requests) {
  if (boundary_ != kNever) busy_ += now - start_;
  std::ranges::sort(finishes_, {}, &Finish::admitted);
  for (const Finish& f : finishes_) requests.push_back(sequences_[f.sequence].spec.request);
  for (const std::uint32_t index : prefilling_) requests.push_back(sequences_[index].spec.request);
  for (const std::uint32_t index : waiting_) requests.push_back(sequences_[index].spec.request);
  for (const Preparing& p : preparing_) requests.push_back(sequences_[p.sequence].spec.request);
  sequences_.clear();
  free_.clear();
  waiting_.clear();
  preparing_.clear();
  prefilling_.clear();
  finishes_.clear();
  chunks_.clear();
  cache_.clear();
  running_ = decoding_ = 0;
  context_tokens_ = private_tokens_ = queued_tokens_ = preparing_tokens_ = 0;
  boundary_ = kNever;
  segment_ = 0;
}

Nanos EngineModel::busy_until(Nanos now) const {
  return busy_ + (boundary_ == kNever ? 0 : std::min(now, boundary_) - start_);
}

EngineLoad EngineModel::load(Nanos now) const {
  std::uint64_t grown = 0;
  if (boundary_ != kNever && chunks_.empty()) {
    grown = whole_iterations(now - start_) * decoding_;
  }
  const std::uint64_t kv = profile_.kv_tokens - room() + grown;
  EngineLoad load;
  load.slots = profile_.batch_max;
  load.slots_busy = running_ + static_cast<std::uint32_t>(preparing_.size());
  load.queued_requests = static_cast<std::uint32_t>(waiting_.size());
  load.queued_tokens = queued_tokens_;
  load.kv_used = std::min(1.0, static_cast<double>(kv) / static_cast<double>(profile_.kv_tokens));
  load.prefill_tokens_per_s = prefill_tokens_per_s(profile_);
  load.decode_ms = decode_ms(profile_, std::max<std::uint32_t>(decoding_, 1),
                             static_cast<double>(context_tokens_ + grown));
  return load;
}

EngineModel::Forecast EngineModel::forecast(const SequenceSpec& spec, Nanos now) const {
  const double own = spec.prompt_tokens - cached_tokens(spec);
  const double iteration = decode_ms(profile_, decoding_, static_cast<double>(context_tokens_));
  const double tokens = (own + static_cast<double>(queued_tokens_)) * 1e-3;
  const double iterations = std::ceil(tokens * 1e3 / profile_.batch_tokens_max);
  double ttft = iterations * iteration + profile_.prefill_ms_per_1k * tokens +
                profile_.prefill_ms_per_1k_squared * squared(spec.prompt_tokens * 1e-3);
  ttft += profile_.overhead_ms;
  if (boundary_ != kNever) {
    ttft += chunks_.empty() ? 0.5 * iteration : ms_from_nanos(std::max<Nanos>(0, boundary_ - now));
  }
  const std::uint32_t ahead = running_ + waiting();
  if (ahead >= profile_.batch_max && !finishes_.empty()) {
    const std::size_t places = ahead - profile_.batch_max;
    // Those that finish first make room: half of the batch's mean rest per place, at least.
    ttft += static_cast<double>(finishes_.front().tick - tick_ + places) * iteration;
  }
  const double batch = static_cast<double>(ahead) + 1;
  const double context = static_cast<double>(context_tokens_ + queued_tokens_) + spec.prompt_tokens;
  return {.ttft_ms = ttft, .tpot_ms = decode_ms(profile_, batch, context)};
}

}  // namespace perigee::sim
