// For tests of this folder: the demo model, and a batcher whose events can be waited for.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/llama/batcher.h"

namespace perigee::llama {

// Loaded once per test program.
const Model& demo_model();

// What one generation yielded so far.
struct Outcome {
  std::map<std::uint32_t, std::string> texts;  // by choice
  std::map<std::uint32_t, std::vector<Token>> tokens;
  std::map<std::uint32_t, FinishReason> finishes;
  std::vector<TokenRecord> records;  // of all choices
  std::optional<Usage> usage;
  std::optional<Error> error;
  std::optional<Embedded> embedded;
  EngineLoad load_at_end;  // when its Done came
  bool over() const { return usage || error || embedded; }
  const std::string& text() const { return texts.at(0); }
};

class TestBatcher {
 public:
  explicit TestBatcher(const BatcherOptions& options);
  // Submits; asserts that it was accepted.
  GenerationId submit(GenerationRequest request);
  GenerationId embed(EmbeddingRequest request);
  void cancel(GenerationId id);
  Outcome wait(GenerationId id);
  Outcome run(GenerationRequest request) { return wait(submit(std::move(request))); }
  // Waits until `met` holds for what a generation yielded so far.
  Outcome wait_until(GenerationId id, const std::function<bool(const Outcome&)>& met);
  std::vector<GenerationId> order() const;  // of first tokens
  // Of each call of the handler, whose events it brought.
  std::vector<std::set<GenerationId>> calls() const;
  Batcher& batcher() { return *batcher_; }
  const Clock& clock() const { return clock_; }

 private:
  void take(std::vector<GenerationEvent>&& events);

  SystemClock clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<GenerationId, Outcome> outcomes_;
  std::vector<GenerationId> order_;
  std::vector<std::set<GenerationId>> calls_;
  std::map<GenerationId, Ticket> tickets_;
  std::unique_ptr<Batcher> batcher_;  // last: stops before the rest goes
};

// A chat with one question, greedy unless changed.
GenerationRequest ask(const std::string& question, std::uint32_t tokens_max = 48);
// A prompt of exactly so many tokens.
std::vector<Token> prompt_of(std::uint32_t tokens, std::uint32_t variant = 0);

}  // namespace perigee::llama
