#include "engine/llama/scheduler.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace perigee::llama {

Scheduler::Scheduler(const Model& model, const Clock& clock, const SchedulerOptions& options,
                     std::unique_ptr<Decoder> decoder)
    : model_(model),
      clock_(clock),
      options_(options),
      decoder_(std::move(decoder)),
      streams_(options.slots + options.cached_prefixes) {}

Result<std::unique_ptr<Scheduler>> Scheduler::create(const Model& model, const Clock& clock,
                                                     const SchedulerOptions& options) {
  DecoderOptions decoding;
  decoding.streams = options.slots + options.cached_prefixes;
  decoding.context = options.context;
  decoding.batch = std::max(options.batch, decoding.streams);
  decoding.threads = options.threads;
  PERIGEE_TRY(decoder, Decoder::create(model, decoding));
  return std::unique_ptr<Scheduler>{new Scheduler{model, clock, options, std::move(decoder)}};
}

Result<> Scheduler::warm_up() {
  constexpr std::uint32_t kPrompt = 64;
  constexpr std::uint32_t kAnswer = 8;
  constexpr std::uint32_t kRounds = 3;
  std::uint32_t position = 0;
  const auto run = [&](std::uint32_t count) -> Result<> {
    for (std::uint32_t i = 0; i < count; ++i, ++position) {
      const auto token = static_cast<Token>((position * 7 + 11) %
                                            static_cast<std::uint32_t>(model_.vocabulary_size()));
      decoder_->add(0, token, position, i + 1 == count);
    }
    return decoder_->run();
  };
  const std::uint32_t prompt = std::min(kPrompt, options_.batch);
  std::vector<Duration> prefill_steps;
  std::vector<Duration> decode_steps;
  const auto measure = [&](std::uint32_t count, std::vector<Duration>& steps) -> Result<> {
    const Instant start = clock_.now();
    PERIGEE_CHECK(run(count));
    steps.push_back(clock_.now() - start);
    return {};
  };
  PERIGEE_CHECK(run(prompt));  // the first touches all memory: it says nothing
  for (std::uint32_t round = 0; round < kRounds; ++round) {
    decoder_->trim(0, 0);
    position = 0;
    PERIGEE_CHECK(measure(prompt, prefill_steps));
    for (std::uint32_t i = 0; i < kAnswer; ++i) PERIGEE_CHECK(measure(1, decode_steps));
  }
  decoder_->trim(0, 0);
  // Engines of one machine warm up together, and what interrupts a step makes it longer, never
  // shorter: so the shortest prompt, and the median of the many short steps.
  meter_.add_step({}, {*std::ranges::min_element(prefill_steps), prompt});
  const auto middle = decode_steps.begin() + kRounds * kAnswer / 2;
  std::nth_element(decode_steps.begin(), middle, decode_steps.end());
  meter_.add_step({*middle, 1}, {});
  return {};
}

void Scheduler::add(std::shared_ptr<Generation> generation, std::vector<GenerationEvent>& events) {
  auto& queue = waiting_[static_cast<std::size_t>(generation->request.service_class)];
  generation->choices_open = generation->request.choices;
  generation->usage.prompt_tokens = static_cast<std::uint32_t>(generation->request.prompt.size());
  std::vector<std::unique_ptr<Sequence>> begun;
  for (std::uint32_t choice = 0; choice < generation->request.choices; ++choice) {
    static const ResumedChoice kNothing;
    const auto& resume = generation->request.resume;
    const ResumedChoice& from = choice < resume.size() ? resume[choice] : kNothing;
    if (from.finished) {
      close_choice(*generation, from.finished_tokens, events);
      continue;
    }
    auto sequence = std::make_unique<Sequence>(model_, generation, choice);
    if (auto replayed = sequence->replay(from.tokens); !replayed) {
      return fail(*generation, std::move(replayed).error(), events);
    }
    if (sequence->has_all_tokens()) {
      events.push_back({generation->id, sequence->finish_at_once()});
      close_choice(*generation, sequence->answer_tokens(), events);
    } else {
      begun.push_back(std::move(sequence));
    }
  }
  if (begun.empty()) return;
  generation->leader = begun.front()->choice();
  generation->prompt_ready = false;
  std::ranges::move(begun, std::back_inserter(queue));
}

std::uint32_t Scheduler::waiting_count() const {
  std::uint32_t count = 0;
  for (const auto& queue : waiting_) {
    const Generation* last = nullptr;
    for (const auto& sequence : queue) {
      if (&sequence->generation() != last) ++count;
      last = &sequence->generation();
    }
  }
  return count;
}

void Scheduler::step_answers(std::vector<GenerationEvent>& events) {
  drop_ended(events);
  admit();
  plan_step();
  decoded_ = run(answers_, events);
  // The choices of one generation may be in both parts: what fails with one is not fed in the
  // other.
  std::erase_if(pieces_, [](const Fed& fed) { return fed.sequence->generation().failed; });
  drop_done();
}

void Scheduler::step_prompts(std::vector<GenerationEvent>& events) {
  meter_.add_step(decoded_, run(pieces_, events));
  drop_done();
}

void Scheduler::drop_done() {
  std::erase_if(running_, [&](auto& sequence) {
    if (!sequence->finished() && !sequence->generation().failed) return false;
    release(*sequence, sequence->fed > 0);
    return true;
  });
}

LoadMeter::Work Scheduler::run(std::vector<Fed>& part, std::vector<GenerationEvent>& events) {
  if (part.empty()) return {};
  fill_batch(part);
  const std::uint32_t tokens = decoder_->size();
  const Instant before = clock_.now();
  const Result<> decoded = decoder_->run();
  const LoadMeter::Work work{clock_.now() - before, tokens};
  if (!decoded) {
    for (const Fed& fed : part) {
      fed.sequence->fed = 0;
      fail(fed.sequence->generation(), decoded.error(), events);
    }
    return {};
  }
  note_fed(part);
  for (Fed& fed : part) {
    if (fed.wants_logits && !fed.sequence->generation().failed) sample_one(fed, events);
  }
  return work;
}

bool Scheduler::ended(Generation& generation, Instant now, std::vector<GenerationEvent>& events) {
  if (generation.failed || generation.cancelled->load(std::memory_order_relaxed)) return true;
  if (!generation.request.deadline || now < *generation.request.deadline) return false;
  fail(generation,
       Error{Code::DeadlineExceeded, "the deadline passed before the answer was complete", ""},
       events);
  return true;
}

void Scheduler::drop_ended(std::vector<GenerationEvent>& events) {
  const Instant now = clock_.now();
  for (auto& queue : waiting_) {
    std::erase_if(queue,
                  [&](auto& sequence) { return ended(sequence->generation(), now, events); });
  }
  std::erase_if(running_, [&](auto& sequence) {
    if (!ended(sequence->generation(), now, events)) return false;
    release(*sequence, sequence->fed > 0);
    return true;
  });
}

// The choices of one generation share its prompt: the others wait until the first has read it.
bool Scheduler::can_start(Sequence& sequence) {
  return sequence.leads() || sequence.generation().prompt_ready;
}

void Scheduler::admit() {
  while (running_.size() < options_.slots && admit_next()) {
  }
}

bool Scheduler::admit_next() {
  for (auto& queue : waiting_) {
    const auto next = std::find_if(queue.begin(), queue.end(),
                                   [](auto& sequence) { return can_start(*sequence); });
    if (next == queue.end()) continue;
    const auto placement =
        streams_.place((*next)->generation().request.cache_salt, (*next)->tokens());
    if (!placement) return false;
    std::unique_ptr<Sequence> sequence = std::move(*next);
    queue.erase(next);
    place(std::move(sequence), *placement);
    return true;
  }
  return false;
}

void Scheduler::place(std::unique_ptr<Sequence> sequence, const StreamTable::Placement& placement) {
  if (placement.copy_from) {
    decoder_->trim(placement.stream, 0);
    decoder_->copy(*placement.copy_from, placement.stream);
  }
  decoder_->trim(placement.stream, placement.reused);
  sequence->stream = placement.stream;
  sequence->fed = placement.reused;
  Generation& generation = sequence->generation();
  if (sequence->leads()) {
    generation.usage.cached_tokens = std::min(placement.reused, generation.usage.prompt_tokens);
    generation.prompt_ready = sequence->prompt_left() <= 1;
  }
  running_.push_back(std::move(sequence));
}

std::uint32_t Scheduler::prefill_budget(std::uint32_t decode_tokens) const {
  constexpr double kPieceMin = 16;  // smaller pieces waste more than they save
  constexpr double kTile = 64;      // tokens that llama.cpp's attention takes at once on a CPU
  const std::uint32_t room = options_.batch > decode_tokens ? options_.batch - decode_tokens : 0;
  const Duration time =
      decode_tokens > 0 ? options_.prefill_time_beside_answers : options_.prefill_time_alone;
  double tokens = std::clamp(meter_.prefill_tokens_per_s() * to_seconds(time), kPieceMin, 1e6);
  // Whole tiles, the nearest number of them: what is beyond a tile is computed without.
  if (tokens > 0.75 * kTile) tokens = std::round(tokens / kTile) * kTile;
  return std::min(room, static_cast<std::uint32_t>(tokens));
}

void Scheduler::plan_step() {
  answers_.clear();
  pieces_.clear();
  for (auto& sequence : running_) {
    if (sequence->left_to_feed() == 1) answers_.push_back({sequence.get(), 1, 0, true});
  }
  std::uint32_t budget = prefill_budget(static_cast<std::uint32_t>(answers_.size()));
  for (auto& sequence : running_) {
    const std::uint32_t left = sequence->left_to_feed();
    if (left <= 1 || budget == 0) continue;
    const std::uint32_t piece = std::min(left, budget);
    budget -= piece;
    pieces_.push_back({sequence.get(), piece, 0, piece == left});
  }
  for (auto* part : {&answers_, &pieces_}) {
    std::sort(part->begin(), part->end(),
              [](const Fed& a, const Fed& b) { return a.sequence->stream < b.sequence->stream; });
  }
}

void Scheduler::fill_batch(std::vector<Fed>& part) {
  for (Fed& fed : part) {
    const Sequence& sequence = *fed.sequence;
    for (std::uint32_t i = 0; i < fed.tokens; ++i) {
      const std::uint32_t position = sequence.fed + i;
      const bool wants_logits = fed.wants_logits && i + 1 == fed.tokens;
      fed.logits_place =
          decoder_->add(sequence.stream, sequence.tokens()[position], position, wants_logits);
    }
  }
}

void Scheduler::note_fed(const std::vector<Fed>& part) {
  for (const Fed& fed : part) {
    Sequence& sequence = *fed.sequence;
    for (std::uint32_t i = 0; i < fed.tokens; ++i) {
      streams_.append(sequence.stream, sequence.tokens()[sequence.fed + i]);
    }
    sequence.fed += fed.tokens;
    if (sequence.leads() && sequence.prompt_left() <= 1) {
      sequence.generation().prompt_ready = true;
    }
  }
}

void Scheduler::sample_one(Fed& fed, std::vector<GenerationEvent>& events) {
  Sequence& sequence = *fed.sequence;
  Generation& generation = sequence.generation();
  auto advanced = sequence.advance(decoder_->logits(fed.logits_place), clock_);
  if (!advanced) return fail(generation, std::move(advanced).error(), events);
  if (*advanced) events.push_back({generation.id, std::move(**advanced)});
  if (sequence.finished()) close_choice(generation, sequence.answer_tokens(), events);
}

void Scheduler::close_choice(Generation& generation, std::uint32_t tokens,
                             std::vector<GenerationEvent>& events) {
  generation.usage.completion_tokens += tokens;
  generation.prompt_ready = true;
  if (--generation.choices_open == 0) events.push_back({generation.id, Done{generation.usage}});
}

void Scheduler::fail(Generation& generation, Error error, std::vector<GenerationEvent>& events) {
  if (std::exchange(generation.failed, true)) return;
  events.push_back({generation.id, std::move(error)});
}

void Scheduler::release(Sequence& sequence, bool keep) {
  if (!streams_.release(sequence.stream, keep)) decoder_->trim(sequence.stream, 0);
}

EngineLoad Scheduler::load() const {
  EngineLoad load;
  load.slots = options_.slots;
  load.slots_busy = static_cast<std::uint32_t>(running_.size());
  load.queued_requests = waiting_count();
  for (const auto& sequence : running_) load.queued_tokens += sequence->prompt_left();
  for (const auto& queue : waiting_) {
    for (const auto& sequence : queue) {
      if (sequence->leads()) load.queued_tokens += sequence->prompt_left();
    }
  }
  load.kv_used = static_cast<double>(streams_.running_tokens()) /
                 (static_cast<double>(options_.slots) * context());
  load.prefill_tokens_per_s = meter_.prefill_tokens_per_s();
  load.decode_ms = meter_.decode_ms();
  return load;
}

}  // namespace perigee::llama
