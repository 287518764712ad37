#include "engine/llama/grammar.h"

#include <cmath>
#include <limits>
#include <vector>

#include "llama.h"

namespace perigee::llama {

void Grammar::Free::operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }

Result<Grammar> Grammar::parse(const Model& model, const std::string& gbnf,
                               const std::string& param) {
  PERIGEE_CHECK(check_gbnf(gbnf, param));
  llama_sampler* sampler = nullptr;
  try {
    sampler =
        llama_sampler_init_grammar(llama_model_get_vocab(model.handle()), gbnf.c_str(), "root");
  } catch (const std::exception&) {
    sampler = nullptr;
  }
  if (sampler == nullptr) {
    return Error{Code::InvalidArgument,
                 "the grammar can't be used: it recurses on the left or repeats too often", param};
  }
  return Grammar{sampler};
}

bool Grammar::allows(Token token) {
  llama_token_data candidate{token, 0, 0};
  llama_token_data_array candidates{&candidate, 1, -1, false};
  llama_sampler_apply(sampler_.get(), &candidates);
  return std::isfinite(candidate.logit);
}

bool Grammar::mask(std::span<float> logits) {
  std::vector<llama_token_data> data(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    data[i] = {static_cast<Token>(i), logits[i], 0};
  }
  llama_token_data_array candidates{data.data(), data.size(), -1, false};
  llama_sampler_apply(sampler_.get(), &candidates);
  bool any = false;
  for (std::size_t i = 0; i < candidates.size; ++i) {
    const llama_token_data& candidate = candidates.data[i];
    if (std::isfinite(candidate.logit)) {
      any = true;
    } else {
      logits[static_cast<std::size_t>(candidate.id)] = -std::numeric_limits<float>::infinity();
    }
  }
  return any;
}

bool Grammar::accept(Token token) {
  try {
    llama_sampler_accept(sampler_.get(), token);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace perigee::llama
