// Scheduler: what the engine thread does, step by step: continuous batching of many sequences.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "engine/llama/decoder.h"
#include "engine/llama/generation.h"
#include "engine/llama/load_meter.h"
#include "engine/llama/sequence.h"
#include "engine/llama/stream_table.h"

namespace perigee::llama {

struct SchedulerOptions {
  std::uint32_t slots = 8;            // sequences that run at once
  std::uint32_t cached_prefixes = 8;  // streams kept besides for prefixes of finished ones
  std::uint32_t context = 1024;       // tokens of prompt and answer
  std::uint32_t batch = 512;          // tokens per step at most
  std::uint32_t threads = 1;
  // How long a step may take for the prompts in it while answers are running, and while none is,
  // give or take a third. A long prompt is read in such pieces, so that it neither stalls running
  // streams nor late comers.
  Duration prefill_time_beside_answers = milliseconds{20};
  Duration prefill_time_alone = milliseconds{100};
};

// A step has two parts, so that the tokens of answers need not wait for prompts of others: drop
// what was cancelled or is too late, admit waiting sequences into free streams (by class, then by
// arrival), feed one token of every running answer and sample; then feed a bounded piece of prompts
// and sample what that completes. Engine thread only; `model` and `clock` must outlive it.
class Scheduler {
 public:
  static Result<std::unique_ptr<Scheduler>> create(const Model& model, const Clock& clock,
                                                   const SchedulerOptions& options);

  // Takes a generation over; one that is over before it began yields its events at once.
  void add(std::shared_ptr<Generation> generation, std::vector<GenerationEvent>& events);
  bool idle() const { return running_.empty() && waiting_count() == 0; }
  // The parts of one step, called in this order; each appends what it yields to `events`. After
  // either, load() no longer counts what ran and has ended.
  void step_answers(std::vector<GenerationEvent>& events);
  void step_prompts(std::vector<GenerationEvent>& events);
  // Measures the speed with a made-up prompt. Before the first generation.
  Result<> warm_up();

  std::uint32_t context() const { return decoder_->context(); }
  std::uint32_t waiting_count() const;  // generations, each counted once
  EngineLoad load() const;

 private:
  struct Fed {  // a sequence's part of a batch
    Sequence* sequence;
    std::uint32_t tokens;
    std::uint32_t logits_place;
    bool wants_logits;
  };

  Scheduler(const Model& model, const Clock& clock, const SchedulerOptions& options,
            std::unique_ptr<Decoder> decoder);
  void drop_ended(std::vector<GenerationEvent>& events);
  bool ended(Generation& generation, Instant now, std::vector<GenerationEvent>& events);
  void admit();
  bool admit_next();
  void place(std::unique_ptr<Sequence> sequence, const StreamTable::Placement& placement);
  void plan_step();
  void drop_done();
  std::uint32_t prefill_budget(std::uint32_t decode_tokens) const;
  LoadMeter::Work run(std::vector<Fed>& part, std::vector<GenerationEvent>& events);
  void fill_batch(std::vector<Fed>& part);
  void note_fed(const std::vector<Fed>& part);
  void sample_one(Fed& fed, std::vector<GenerationEvent>& events);
  void fail(Generation& generation, Error error, std::vector<GenerationEvent>& events);
  void close_choice(Generation& generation, std::uint32_t tokens,
                    std::vector<GenerationEvent>& events);
  void release(Sequence& sequence, bool keep);
  static bool can_start(Sequence& sequence);

  const Model& model_;
  const Clock& clock_;
  SchedulerOptions options_;
  std::unique_ptr<Decoder> decoder_;
  StreamTable streams_;
  LoadMeter meter_;
  std::array<std::deque<std::unique_ptr<Sequence>>, 4> waiting_;  // by ServiceClass
  std::vector<std::unique_ptr<Sequence>> running_;                // in order of admission
  // Of the step. Run one after the other: llama.cpp computes sequences together only for as many
  // tokens as the shortest has, so together pieces would be a token short, for nothing.
  std::vector<Fed> answers_;
  std::vector<Fed> pieces_;
  LoadMeter::Work decoded_;
};

}  // namespace perigee::llama
