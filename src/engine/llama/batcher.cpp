#include "engine/llama/batcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "base/bounded_queue.h"
#include "base/log.h"
#include "engine/llama/embedding_queue.h"
#include "engine/llama/scheduler.h"

namespace perigee::llama {
namespace {

constexpr std::uint32_t kEmbeddingPiece = 64;  // tokens between two steps of running answers

using Command = std::variant<std::shared_ptr<Generation>, EmbeddingWork>;

SchedulerOptions scheduler_options(const Model& model, const BatcherOptions& options) {
  SchedulerOptions scheduling;
  scheduling.slots = options.slots;
  scheduling.cached_prefixes = options.cached_prefixes;
  scheduling.context = options.context != 0 ? options.context : model.context_trained();
  scheduling.batch = options.batch;
  scheduling.threads = options.threads;
  return scheduling;
}

Result<> check(const Model& model, const BatcherOptions& options) {
  if (!model.causal()) {
    return Error{Code::InvalidArgument, "the model is an encoder and can't generate text"};
  }
  if (options.slots == 0 || options.slots + options.cached_prefixes > Batcher::kStreamsMax) {
    return Error{Code::InvalidArgument,
                 fmt::format("slots must be at least 1, and slots and cached prefixes together at "
                             "most {}",
                             Batcher::kStreamsMax)};
  }
  if (options.batch < 16 || options.threads == 0) {
    return Error{Code::InvalidArgument, "batch must be at least 16 and threads at least 1"};
  }
  if (options.batch < options.slots) {
    return Error{Code::InvalidArgument,
                 fmt::format("a batch of {} tokens can't hold one of each of {} slots' answers: "
                             "raise batch or lower slots",
                             options.batch, options.slots),
                 "batch"};
  }
  if (options.context > model.context_trained()) {
    return Error{Code::InvalidArgument,
                 fmt::format("the model was trained for a context of {} tokens, not {}",
                             model.context_trained(), options.context)};
  }
  return {};
}

}  // namespace

struct Batcher::State {
  State(const Model& of, const Clock& with, const BatcherOptions& opts, EventHandler on_events,
        std::unique_ptr<Scheduler> made)
      : model(of),
        clock(with),
        options(opts),
        handler(std::move(on_events)),
        scheduler(std::move(made)),
        context(scheduler_options(of, opts).context),
        embeddings(of, with, context, opts.threads),
        commands(opts.slots + opts.waiting_max + 1),
        published(scheduler->load()) {}

  void run();
  void take_commands(std::vector<GenerationEvent>& events);
  void hand_out(std::vector<GenerationEvent>& events);
  void publish();
  Result<std::shared_ptr<void>> reserve(std::uint32_t places);
  Result<std::shared_ptr<Generation>> generation_for(GenerationRequest request);

  const Model& model;
  const Clock& clock;
  const BatcherOptions options;
  EventHandler handler;
  std::unique_ptr<Scheduler> scheduler;
  const std::uint32_t context;
  EmbeddingQueue embeddings;
  BoundedQueue<Command> commands;
  std::atomic<std::uint64_t> next_id{1};
  std::atomic<std::uint32_t> open{0};               // choices and embeddings accepted, not over
  std::atomic<std::uint64_t> tokens_on_the_way{0};  // of prompts not yet taken by the thread
  std::atomic<std::uint64_t> steps{0};              // of the thread, and what it took over
  std::atomic<bool> stopping{false};
  mutable std::mutex load_mutex;  // guards `published` alone, for the time of a copy
  EngineLoad published;
  std::thread thread;
};

Ticket& Ticket::operator=(Ticket&& other) noexcept {
  if (this == &other) return *this;
  if (cancelled_) cancelled_->store(true, std::memory_order_relaxed);
  id_ = other.id_;
  cancelled_ = std::move(other.cancelled_);
  return *this;
}

Ticket::~Ticket() {
  if (cancelled_) cancelled_->store(true, std::memory_order_relaxed);
}

Batcher::Batcher(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Batcher>> Batcher::start(const Model& model, const Clock& clock,
                                                const BatcherOptions& options,
                                                EventHandler handler) {
  PERIGEE_CHECK(check(model, options));
  PERIGEE_TRY(scheduler, Scheduler::create(model, clock, scheduler_options(model, options)));
  PERIGEE_CHECK(scheduler->warm_up());
  auto state =
      std::make_unique<State>(model, clock, options, std::move(handler), std::move(scheduler));
  state->thread = std::thread{[running = state.get()] { running->run(); }};
  return std::unique_ptr<Batcher>{new Batcher{std::move(state)}};
}

Batcher::~Batcher() {
  state_->stopping.store(true, std::memory_order_release);
  state_->commands.close();
  state_->thread.join();
}

void Batcher::State::run() {
  std::vector<GenerationEvent> events;
  for (;;) {
    if (scheduler->idle() && embeddings.empty() && !commands.wait_for_value()) return;
    if (stopping.load(std::memory_order_acquire)) return;
    take_commands(events);
    scheduler->step_answers(events);
    hand_out(events);  // on their way while prompts are read
    scheduler->step_prompts(events);
    embeddings.step(kEmbeddingPiece, events);
    hand_out(events);
  }
}

// The load first: whoever gets the end of an answer may tell it.
void Batcher::State::hand_out(std::vector<GenerationEvent>& events) {
  publish();
  if (!events.empty()) handler(std::exchange(events, {}));
}

void Batcher::State::take_commands(std::vector<GenerationEvent>& events) {
  while (std::optional<Command> command = commands.try_pop()) {
    steps.fetch_add(1, std::memory_order_relaxed);  // replaying what is resumed takes its time
    if (auto* work = std::get_if<EmbeddingWork>(&*command)) {
      embeddings.add(std::move(*work));
      continue;
    }
    auto& generation = std::get<std::shared_ptr<Generation>>(*command);
    tokens_on_the_way.fetch_sub(generation->request.prompt.size(), std::memory_order_relaxed);
    scheduler->add(std::move(generation), events);
  }
}

void Batcher::State::publish() {
  steps.fetch_add(1, std::memory_order_relaxed);
  EngineLoad load = scheduler->load();
  load.queued_tokens += embeddings.queued_tokens();
  const std::scoped_lock lock{load_mutex};
  published = load;
}

// A place among the work accepted; given back when the last copy of the pointer goes.
Result<std::shared_ptr<void>> Batcher::State::reserve(std::uint32_t places) {
  std::uint32_t now = open.load(std::memory_order_relaxed);
  do {
    if (now + places > options.slots + options.waiting_max) {
      return Error{Code::ResourceExhausted,
                   "the engine's queue is full: come back later or ask elsewhere", "", 1000};
    }
  } while (!open.compare_exchange_weak(now, now + places, std::memory_order_relaxed));
  return std::shared_ptr<void>{
      &open, [this, places](void*) { open.fetch_sub(places, std::memory_order_relaxed); }};
}

Result<std::shared_ptr<Generation>> Batcher::State::generation_for(GenerationRequest request) {
  auto generation = std::make_shared<Generation>();
  for (std::uint32_t i = 0; !request.grammar.empty() && i < request.choices; ++i) {
    PERIGEE_TRY(grammar, Grammar::parse(model, request.grammar, request.grammar_param));
    generation->grammars.push_back(std::move(grammar));
  }
  generation->id = next_id.fetch_add(1, std::memory_order_relaxed);
  const auto room = context - static_cast<std::uint32_t>(request.prompt.size());
  request.tokens_max = std::min(request.tokens_max, room);
  if (request.cache_salt.empty() && request.choices > 1) {
    request.cache_salt = fmt::format("\x01{}", generation->id);  // its own choices alone
  }
  generation->request = std::move(request);
  return generation;
}

Result<Ticket> Batcher::submit(GenerationRequest request) {
  if (request.prompt.empty()) {
    return Error{Code::InvalidArgument, "the prompt is empty", request.prompt_param};
  }
  if (request.prompt.size() >= state_->context) {
    return prompt_too_long(request.prompt.size(), state_->context, request.prompt_param);
  }
  if (request.choices == 0 || request.choices > kChoicesMax) {
    return Error{Code::InvalidArgument, fmt::format("n must be 1 to {}", kChoicesMax), "n"};
  }
  if (request.choices > places()) return too_many_answers(request.choices, places(), "n");
  if (request.resume.size() > request.choices) {
    return Error{Code::InvalidArgument, "there are more choices to resume than 'n'",
                 "perigee_resume"};
  }
  PERIGEE_TRY(place, state_->reserve(request.choices));
  PERIGEE_TRY(generation, state_->generation_for(std::move(request)));
  generation->place = std::move(place);
  Ticket ticket{generation->id, generation->cancelled};
  const std::size_t tokens = generation->request.prompt.size();
  state_->tokens_on_the_way.fetch_add(tokens, std::memory_order_relaxed);
  if (!state_->commands.try_push(Command{std::move(generation)})) {
    state_->tokens_on_the_way.fetch_sub(tokens, std::memory_order_relaxed);
    return Error{Code::Unavailable, "the engine is shutting down"};
  }
  return ticket;
}

Result<Ticket> Batcher::embed(EmbeddingRequest request) {
  if (request.inputs.empty()) return Error{Code::InvalidArgument, "the input is empty", "input"};
  for (const auto& input : request.inputs) {
    if (input.empty()) return Error{Code::InvalidArgument, "an input is empty", "input"};
    if (input.size() > state_->context) {
      return prompt_too_long(input.size(), state_->context, "input");
    }
  }
  PERIGEE_TRY(place, state_->reserve(1));
  EmbeddingWork work;
  work.id = state_->next_id.fetch_add(1, std::memory_order_relaxed);
  work.request = std::move(request);
  work.cancelled = std::make_shared<std::atomic<bool>>(false);
  work.place = std::move(place);
  Ticket ticket{work.id, work.cancelled};
  if (!state_->commands.try_push(Command{std::move(work)})) {
    return Error{Code::Unavailable, "the engine is shutting down"};
  }
  return ticket;
}

EngineLoad Batcher::load() const {
  const std::scoped_lock lock{state_->load_mutex};
  EngineLoad load = state_->published;
  load.queued_tokens += state_->tokens_on_the_way.load(std::memory_order_relaxed);
  return load;
}

Pace Batcher::pace() const {
  return {state_->open.load(std::memory_order_relaxed) > 0,
          state_->steps.load(std::memory_order_relaxed)};
}

std::uint32_t Batcher::context() const { return state_->context; }

std::uint32_t Batcher::places() const {
  return state_->options.slots + state_->options.waiting_max;
}

Error too_many_answers(std::uint32_t answers, std::uint32_t places, std::string param) {
  return Error{Code::InvalidArgument,
               fmt::format("'n' times the prompts asks for {} answers at once; this engine takes "
                           "at most {}: lower 'n' or send fewer prompts",
                           answers, places),
               std::move(param)};
}

Error prompt_too_long(std::size_t prompt_tokens, std::uint32_t context, std::string param) {
  const std::string has = prompt_tokens == 0 ? "more" : fmt::format("{} tokens", prompt_tokens);
  return Error{Code::PayloadTooLarge,
               fmt::format("this model's context holds {} tokens of prompt and answer; the prompt "
                           "has {}: shorten it",
                           context, has),
               std::move(param)};
}

}  // namespace perigee::llama
