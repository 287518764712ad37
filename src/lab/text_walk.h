// TextWalk: follows one choice of an answer through the model, token by token. Internal to
// text_checker.cpp.
//
// Where tokens within the tolerance of the model's choice fit the text as well, any of them may
// have been sent; the text behind tells which. So the walk takes the best of them, and when it
// can't go on it comes back to the last such place and takes the next, kWaysMax times at most.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/llama/decoder.h"
#include "engine/llama/generation.h"
#include "engine/llama/grammar.h"
#include "engine/llama/model.h"
#include "engine/llama/sampler.h"
#include "lab/lab_answer.h"
#include "lab/text_checker.h"

namespace perigee::lab {

// A wrong answer is walked so many times at most before it is called wrong.
inline constexpr std::uint32_t kWaysMax = 64;

// Single use. All references must outlive it.
class TextWalk {
 public:
  struct Parts {
    const llama::Model& model;
    llama::Decoder& decoder;  // stream 0 is used
    const llama::GenerationRequest& request;
    std::uint32_t choice;
    double tolerance;
    std::optional<std::uint32_t> count;  // tokens that it must have, where the usage tells
  };
  TextWalk(const Parts& parts, const ChoiceSeen& seen, TextVerdict& verdict);
  // Adds what it finds to the verdict.
  void run();

 private:
  struct Option {
    llama::Token token;
    double gap;  // how much less than the model's choice it scored
    double logprob_error;
  };
  struct Fork {
    std::size_t size;             // of tokens_, before one of these was taken
    std::vector<Option> options;  // not tried yet, the best last
  };
  struct Step {
    double gap;
    double logprob_error;
  };
  bool begin_again(std::size_t size);
  bool feed();
  void follow();
  bool step_back();
  void take(std::span<const float> logits);
  void accept(const Option& option);
  void finish(std::string_view reason);
  void add_up();
  std::size_t count() const;
  std::vector<llama::Token> guess() const;
  bool fits(llama::Token token) const;
  bool goes_on_with(const std::string& bytes) const;
  std::vector<Option> options_for(std::span<const float> logits, llama::Token choice);
  std::optional<double> gap_of_best(std::span<const float> logits, llama::Token choice);
  double score(std::span<const float> logits, llama::Token token) const;
  double logprob_error(std::span<const float> logits, llama::Token token) const;
  bool allowed(llama::Token token);
  void stop_here(std::string why);
  void give_up(std::string fault);

  Parts parts_;
  const ChoiceSeen& seen_;
  TextVerdict& verdict_;
  llama::Sampler sampler_;
  std::optional<llama::Grammar> grammar_;  // of an answer with one
  std::vector<llama::Token> tokens_;       // prompt and answer
  std::vector<Step> steps_;                // of the answer, the token that ends it included
  std::vector<Fork> forks_;
  std::vector<llama::Token> guess_;  // what may follow
  std::string bytes_;                // of the answer
  std::uint32_t fed_ = 0;            // leading tokens that the decoder holds
  std::uint32_t first_place_ = 0;    // of the logits after tokens_, in the last run
  std::uint32_t ways_ = 1;           // walked so far
  bool ended_ = false;               // this way has come to the answer's end, or the walk to its
  bool stuck_ = false;               // this way can't go on
  std::string fault_;                // of the way that came farthest
  std::size_t farthest_ = 0;         // bytes
};

}  // namespace perigee::lab
