// TextWalk: follows one choice of an answer through the model, token by token. Internal to
// text_checker.cpp.
#pragma once

#include <cstdint>
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

// Single use. All references must outlive it.
class TextWalk {
 public:
  struct Parts {
    const llama::Model& model;
    llama::Decoder& decoder;  // stream 0 is used
    const llama::GenerationRequest& request;
    llama::Grammar* grammar;  // of this choice; null: free text
    std::uint32_t choice;
    double tolerance;
  };
  TextWalk(const Parts& parts, const ChoiceSeen& seen, TextVerdict& verdict);
  // Adds what it finds to the verdict.
  void run();

 private:
  bool feed();
  void follow();
  bool take(std::span<const float> logits);
  bool accept(llama::Token token, std::span<const float> logits);
  void finish(std::string_view reason);
  std::vector<llama::Token> guess() const;
  bool fits(llama::Token token) const;
  bool goes_on_with(const std::string& bytes) const;
  llama::Token best_that_fits(std::span<const float> logits);
  double score(std::span<const float> logits, llama::Token token) const;
  void fail(std::string fault);

  Parts parts_;
  const ChoiceSeen& seen_;
  TextVerdict& verdict_;
  llama::Sampler sampler_;
  std::vector<llama::Token> tokens_;  // prompt and answer
  std::vector<llama::Token> guess_;   // what may follow
  std::string bytes_;                 // of the answer
  std::uint32_t count_ = 0;           // tokens of the answer
  std::uint32_t fed_ = 0;             // leading tokens that the decoder holds
  std::uint32_t first_place_ = 0;     // of the logits after tokens_, in the last run
  bool ended_ = false;
};

}  // namespace perigee::lab
