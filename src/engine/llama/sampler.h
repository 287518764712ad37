// Sampler: picks the next token of one choice from the model's logits.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/llama/generation.h"
#include "engine/llama/grammar.h"

namespace perigee::llama {

// Drawing is keyed, not sequential: the noise that a token gets at absolute position p of choice k
// is a pure function of (seed, k, p, token), and the token with the greatest logit plus noise wins
// (the Gumbel-max trick, which draws exactly from the softmax). So the same seed gives the same
// text alone or in a batch, here or after a resume elsewhere, and tiny differences between batch
// shapes change a token only at a near tie.
//
// Order: bias, penalties, grammar; then temperature, top_k, top_p, min_p. One thread at a time.
class Sampler {
 public:
  Sampler(const SamplingOptions& options, std::uint32_t choice);

  // Counts a token of the prompt (repetition penalty only) or of the answer (all penalties).
  void count_prompt(std::span<const Token> prompt);
  void count_answer(Token token);

  // The token for absolute position `position` (prompt tokens before it included). `grammar` may be
  // null; it is asked, not advanced. -1 when the grammar allows none.
  Token sample(std::span<const float> logits, std::uint64_t position, Grammar* grammar);

  // The noise itself, for tests: standard Gumbel.
  static double noise(std::uint64_t seed, std::uint32_t choice, std::uint64_t position,
                      Token token);

 private:
  struct Candidate {
    float logit;
    Token token;
  };
  bool plain() const;
  void adjust(std::span<const float> logits);
  Token pick(std::uint64_t position);
  void keep_likeliest(std::size_t count);
  void keep_mass();

  SamplingOptions options_;
  std::uint32_t choice_;
  std::unordered_map<Token, std::uint32_t> answer_counts_;
  std::unordered_map<Token, bool> seen_;
  std::vector<float> logits_;          // scratch
  std::vector<Candidate> candidates_;  // scratch
};

// log softmax of `logits` at `token`, and its `top_count` likeliest tokens.
TokenRecord logprobs_of(std::span<const float> logits, Token token, std::uint32_t top_count);

}  // namespace perigee::llama
