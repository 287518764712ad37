// Sequence: one choice of one generation, from its prompt to its last token. Engine thread only.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "engine/llama/generation.h"
#include "engine/llama/grammar.h"
#include "engine/llama/sampler.h"
#include "engine/llama/stop_matcher.h"

namespace perigee::llama {

// What the choices of one generation share.
struct Generation {
  GenerationId id = 0;
  GenerationRequest request;
  std::vector<Grammar> grammars;  // one per choice if guided, else empty
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<void> place;  // among the work accepted; freed with the generation
  bool failed = false;          // its Error was sent
  bool prompt_ready = false;    // the first choice has read the prompt
  std::uint32_t leader = 0;     // the first choice that runs; it reads the prompt
  std::uint32_t choices_open = 0;
  Usage usage;
};

class Sequence {
 public:
  Sequence(const Model& model, std::shared_ptr<Generation> generation, std::uint32_t choice);

  Generation& generation() { return *generation_; }
  std::uint32_t choice() const { return choice_; }
  bool leads() const { return choice_ == generation_->leader; }  // reads the prompt for the others
  const std::vector<Token>& tokens() const { return tokens_; }
  std::uint32_t left_to_feed() const { return static_cast<std::uint32_t>(tokens_.size()) - fed; }
  // Tokens of the prompt (not of a resumed answer) still to be fed.
  std::uint32_t prompt_left() const;

  // Replays the tokens to resume from, call once. InvalidArgument when they don't fit the request.
  Result<> replay(const std::vector<Token>& tokens);
  // Picks the next token from the logits of the last one. Returns what may be shown now, if
  // anything; finished() afterwards says whether the answer ended. InvalidArgument when the grammar
  // leaves no token or takes longer than kGrammarTimeMax (an ambiguous one grows without bound).
  Result<std::optional<Progress>> advance(std::span<const float> logits, const Clock& clock);
  // Ends an answer that has all its tokens before the first step.
  Progress finish_at_once();
  bool has_all_tokens() const { return answer_tokens_ >= generation_->request.tokens_max; }
  bool finished() const { return finish_.has_value(); }
  std::uint32_t answer_tokens() const { return answer_tokens_; }
  static constexpr Duration kGrammarTimeMax = milliseconds{500};

  std::uint32_t stream = 0;  // while it runs
  std::uint32_t fed = 0;     // leading tokens whose keys and values are in the stream

 private:
  Result<Token> choose(std::span<const float> logits, const Clock& clock);
  void take(Token token, std::span<const float> logits);
  Progress take_progress(std::string text);

  const Model& model_;
  std::shared_ptr<Generation> generation_;
  std::uint32_t choice_;
  Sampler sampler_;
  StopMatcher matcher_;
  Grammar* grammar_ = nullptr;
  std::vector<Token> tokens_;
  std::vector<TokenRecord> unsent_;
  std::size_t text_characters_ = 0;  // shown, here or elsewhere
  std::uint32_t answer_tokens_ = 0;
  std::optional<FinishReason> finish_;
};

}  // namespace perigee::llama
