// Grammar: a GBNF grammar that an answer must follow, token by token.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/llama/model.h"

struct llama_sampler;

namespace perigee::llama {

inline constexpr std::size_t kGrammarBytesMax = 256 * 1024;

// One thread at a time. `model` must outlive it.
class Grammar {
 public:
  // InvalidArgument on a syntax error, an undefined rule, left recursion, too deep or too large a
  // grammar; `param` is the field that the error names.
  static Result<Grammar> parse(const Model& model, const std::string& gbnf,
                               const std::string& param);
  bool allows(Token token);
  // Sets the logit of every token that may not come next to minus infinity. False when none may.
  bool mask(std::span<float> logits);
  // `token` was chosen; it must be allowed. False when the grammar broke on it.
  bool accept(Token token);

 private:
  struct Free {
    void operator()(llama_sampler* sampler) const;
  };
  explicit Grammar(llama_sampler* sampler) : sampler_(sampler) {}
  std::unique_ptr<llama_sampler, Free> sampler_;
};

// Checks syntax, depth and that every rule named is defined and `root` is among them; the message
// says the line. llama.cpp's own parser prints a faulty grammar, that is a client's text, to
// stderr.
Result<> check_gbnf(std::string_view gbnf, const std::string& param);

}  // namespace perigee::llama
