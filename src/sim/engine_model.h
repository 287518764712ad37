// EngineModel: one GPU (or group of GPUs run as one) that serves one model with continuous
// batching and chunked prefill, as vLLM's scheduler does: at each iteration running sequences
// decode one token each, then prompts are prefilled in the order of arrival while new tokens per
// iteration, sequences and room for keys and values last. When that room is full, what nobody uses
// is evicted, then the sequence that was admitted last is sent back to the queue's head and
// computed again.
//
// Iterations are not stepped one by one: as long as the batch stays the same their times are a
// closed sum, and the model jumps to the next change. So a request costs a few steps, however many
// tokens it takes.
//
// The owner calls boundary() at next_boundary(); submit() and fail() may move that time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "core/inference.h"
#include "sim/engine_profile.h"
#include "sim/event_queue.h"
#include "sim/prefix_cache.h"

namespace perigee::sim {

// A request as an engine sees it. `blocks` are those of the prompt, then those that the answer
// fills; they must stay valid until the sequence has ended.
struct SequenceSpec {
  std::uint32_t request = 0;  // the owner's number for it
  std::uint32_t prompt_tokens = 1;
  std::uint32_t output_tokens = 1;
  const std::uint64_t* blocks = nullptr;
  std::uint32_t prompt_blocks = 0;
  std::uint32_t final_blocks = 0;  // of prompt and answer
};

struct EngineNotice {
  enum class What : std::uint8_t { FirstToken, Finished } what = What::FirstToken;
  std::uint32_t request = 0;
  std::uint32_t cached_tokens = 0;
};

class EngineModel {
 public:
  EngineModel(const EngineProfile& profile, std::uint32_t block_tokens);

  // False: its queue is full.
  bool submit(const SequenceSpec& spec, Nanos now);
  // When something changes next by itself; kNever while idle.
  Nanos next_boundary() const {
    return preparing_.empty() ? boundary_ : std::min(boundary_, preparing_.front().ready);
  }
  // To be called at next_boundary(); what happened is in `notices` (in a fixed order).
  void boundary(Nanos now, std::vector<EngineNotice>& notices);
  // Takes away what the owner calls `request`, if it is here.
  void abort(std::uint32_t request);
  // Ends everything; `requests` gets their numbers, running ones first. The cache is lost.
  void fail(Nanos now, std::vector<std::uint32_t>& requests);

  EngineLoad load(Nanos now) const;
  std::uint32_t running() const { return running_; }
  std::uint32_t waiting() const {
    return static_cast<std::uint32_t>(waiting_.size() + preparing_.size());
  }
  std::uint32_t free_slots() const;
  // Prompt tokens whose prefill could go on now: without those that are still being prepared.
  std::uint64_t backlog_tokens() const { return queued_tokens_ - preparing_tokens_; }
  // Prompt tokens that wait or are being prefilled.
  std::uint64_t queued_tokens() const { return queued_tokens_; }
  std::uint32_t cached_tokens(const SequenceSpec& spec) const;
  // What a request would see that was submitted now, when nothing else came after it.
  struct Forecast {
    double ttft_ms = 0;
    double tpot_ms = 0;
  };
  Forecast forecast(const SequenceSpec& spec, Nanos now) const;

  Nanos busy_until(Nanos now) const;  // time spent computing so far
  std::uint64_t preemptions() const { return preemptions_; }
  const EngineProfile& profile() const { return profile_; }

 private:
  struct Sequence {
    SequenceSpec spec;
    std::uint32_t to_prefill = 0;      // prompt (and, computed again, answer) tokens without keys
    std::uint32_t context = 0;         // tokens with keys and values, as of `joined_tick`
    std::uint32_t private_tokens = 0;  // of these, outside the cache's blocks, as of `joined_tick`
    std::uint32_t held_blocks = 0;
    std::uint32_t cached_tokens = 0;
    std::uint32_t generated = 0;    // as of `joined_tick`
    std::uint64_t joined_tick = 0;  // when decoding began
    std::uint64_t finish_tick = 0;
    std::uint64_t admitted = 0;  // order of admission
    bool decoding = false;
  };
  struct Finish {  // of a decoding sequence
    std::uint64_t tick;
    std::uint64_t admitted;
    std::uint32_t sequence;
  };

  // The time of `k` decode iterations from the segment's start, in ns.
  Nanos segment_time(std::uint64_t k) const;
  std::uint64_t iterations_by(Nanos elapsed) const;  // the least k with segment_time(k) >= elapsed
  std::uint64_t whole_iterations(
      Nanos elapsed) const;  // the most k with segment_time(k) <= elapsed
  void end_iteration(Nanos now, std::vector<EngineNotice>& notices);
  void join(Nanos now);
  void plan(Nanos now);
  void admit();
  bool fits(const Sequence& sequence) const;
  void reserve_next_iteration();
  std::uint64_t room() const;  // tokens free or evictable
  void evict_for(std::uint64_t tokens);
  void preempt();
  void finish_prefill(std::uint32_t index, std::vector<EngineNotice>& notices);
  void start_decoding(std::uint32_t index);
  void finish(std::uint32_t index, std::vector<EngineNotice>& notices);
  void let_go(Sequence& sequence);
  void withdraw(std::uint32_t index);
  void advance(std::uint64_t iterations);
  std::uint32_t take();
  std::span<const std::uint64_t> chain(const Sequence& s, std::uint32_t count) const {
    return {s.spec.blocks, count};
  }

  EngineProfile profile_;
  std::uint32_t block_tokens_;
  PrefixCache cache_;
  std::vector<Sequence> sequences_;
  std::vector<std::uint32_t> free_;
  struct Preparing {
    Nanos ready;
    std::uint32_t sequence;
  };
  std::deque<Preparing> preparing_;  // before the queue, for the profile's overhead
  std::deque<std::uint32_t> waiting_;
  std::vector<std::uint32_t> prefilling_;  // admitted, in that order
  std::vector<Finish> finishes_;           // heap of those that decode: first to finish on top
  struct Chunk {
    std::uint32_t sequence;
    std::uint32_t tokens;
  };
  std::vector<Chunk> chunks_;  // of the iteration under way

  std::uint32_t running_ = 0;
  std::uint32_t decoding_ = 0;
  std::uint64_t context_tokens_ = 0;  // of the decoding sequences
  std::uint64_t private_tokens_ = 0;  // of all admitted sequences
  std::uint64_t queued_tokens_ = 0;
  std::uint64_t preparing_tokens_ = 0;  // of these
  std::uint64_t tick_ = 0;              // decode iterations so far
  std::uint64_t admissions_ = 0;
  std::uint64_t preemptions_ = 0;

  Nanos start_ = 0;  // of the segment or iteration under way
  Nanos boundary_ = kNever;
  std::uint64_t segment_ = 0;  // decode iterations until boundary_
  double first_ms_ = 0;        // of the segment's first iteration
  double growth_ms_ = 0;       // by which each is longer than the one before
  Nanos busy_ = 0;             // before start_
};

}  // namespace perigee::sim
