// Batcher: runs one model on a thread of its own for any number of callers.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "engine/llama/generation.h"
#include "engine/llama/model.h"

namespace perigee::llama {

struct BatcherOptions {
  std::uint32_t slots = 8;            // sequences that run at once
  std::uint32_t cached_prefixes = 8;  // KV streams kept besides for prefixes; memory as a slot's
  std::uint32_t waiting_max = 256;  // choices and embeddings beyond `slots`, then ResourceExhausted
  std::uint32_t context = 0;        // tokens of prompt and answer; 0: as the model was trained
  std::uint32_t batch = 512;        // tokens per step at most, and at least `slots`
  // Threads of llama.cpp. More than one only on cores that nothing else uses: its threads meet
  // several times per layer and spin for each other, so a single busy neighbour on one of the cores
  // can slow all of them by a factor of a hundred. One thread only ever waits for itself.
  std::uint32_t threads = 1;
};

// A running generation or embedding. Destroying it cancels the work within one step; events that
// are already on their way may still come.
class Ticket {
 public:
  Ticket() = default;
  Ticket(GenerationId id, std::shared_ptr<std::atomic<bool>> cancelled)
      : id_(id), cancelled_(std::move(cancelled)) {}
  Ticket(Ticket&&) noexcept = default;
  Ticket& operator=(Ticket&& other) noexcept;
  ~Ticket();
  GenerationId id() const { return id_; }

 private:
  GenerationId id_ = 0;
  std::shared_ptr<std::atomic<bool>> cancelled_;
};

// Whether a Batcher gets on.
struct Pace {
  bool working = false;     // something was accepted that is not over
  std::uint64_t steps = 0;  // grows with whatever its thread gets done
};

// submit(), embed(), load() and pace() may be called from any thread and do not block. Events come
// on the engine thread, in one call those of a step's answers, in another those of the prompts read
// after them and of embeddings; the handler must not block (post them elsewhere).
class Batcher {
 public:
  using EventHandler = std::function<void(std::vector<GenerationEvent>&&)>;
  static constexpr std::uint32_t kStreamsMax = 256;  // slots + cached_prefixes
  static constexpr std::uint32_t kChoicesMax = 128;

  // Makes the context, measures the speed and starts the thread. `model` and `clock` must outlive
  // the Batcher. InvalidArgument, FailedPrecondition (no memory).
  static Result<std::unique_ptr<Batcher>> start(const Model& model, const Clock& clock,
                                                const BatcherOptions& options,
                                                EventHandler handler);
  // Ends the current step and stops; running work gets no more events.
  ~Batcher();

  // Errors of the request itself come at once: InvalidArgument (a bad grammar; an empty
  // prompt; more choices than places()), PayloadTooLarge (prompt_too_long), ResourceExhausted (with
  // a time to come back).
  // tokens_max is cut to what the context leaves.
  Result<Ticket> submit(GenerationRequest request);
  Result<Ticket> embed(EmbeddingRequest request);

  EngineLoad load() const;
  Pace pace() const;
  std::uint32_t context() const;
  // Choices and embeddings that it takes at once: more can never be accepted.
  std::uint32_t places() const;

 private:
  struct State;
  explicit Batcher(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// PayloadTooLarge for a prompt that the context can't hold; `param` is the prompt's field.
// `prompt_tokens` 0: too long to be worth counting.
Error prompt_too_long(std::size_t prompt_tokens, std::uint32_t context, std::string param);

// InvalidArgument for work that does not fit even into an idle batcher: to come back is no use.
Error too_many_answers(std::uint32_t answers, std::uint32_t places, std::string param);

}  // namespace perigee::llama
