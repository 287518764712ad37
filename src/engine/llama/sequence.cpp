#include "engine/llama/sequence.h"

#include <algorithm>

namespace perigee::llama {

Sequence::Sequence(const Model& model, std::shared_ptr<Generation> generation, std::uint32_t choice)
    : model_(model),
      generation_(std::move(generation)),
      choice_(choice),
      sampler_(generation_->request.sampling, choice),
      matcher_(generation_->request.stop),
      tokens_(generation_->request.prompt) {
  sampler_.count_prompt(tokens_);
  if (!generation_->grammars.empty()) grammar_ = &generation_->grammars[choice];
}

std::uint32_t Sequence::prompt_left() const {
  const auto prompt = static_cast<std::uint32_t>(generation_->request.prompt.size());
  return prompt > fed ? prompt - fed : 0;
}

Result<> Sequence::replay(const std::vector<Token>& tokens) {
  if (tokens.size() > generation_->request.tokens_max) {
    return Error{Code::InvalidArgument, "more tokens to resume from than the answer may have",
                 "perigee_resume"};
  }
  for (const Token token : tokens) {
    if (grammar_ != nullptr && (!grammar_->allows(token) || !grammar_->accept(token))) {
      return Error{Code::InvalidArgument, "a token to resume from does not fit the grammar",
                   "perigee_resume"};
    }
    sampler_.count_answer(token);
    tokens_.push_back(token);
    ++answer_tokens_;
    text_characters_ += characters(matcher_.push(model_.piece(token)));
    if (matcher_.stopped()) {
      return Error{Code::InvalidArgument, "the answer to resume ended already", "perigee_resume"};
    }
  }
  return {};
}

Result<Token> Sequence::choose(std::span<const float> logits, const Clock& clock) {
  if (grammar_ == nullptr) return sampler_.sample(logits, tokens_.size(), nullptr);
  const Instant before = clock.now();
  const Token token = sampler_.sample(logits, tokens_.size(), grammar_);
  const bool accepted = token >= 0 && grammar_->accept(token);
  const std::string& param = generation_->request.grammar_param;
  if (!accepted) {
    return Error{Code::InvalidArgument, "the grammar allows no token of this model here", param};
  }
  if (clock.now() - before > kGrammarTimeMax) {
    return Error{Code::InvalidArgument, "the grammar is too ambiguous: simplify it", param};
  }
  return token;
}

void Sequence::take(Token token, std::span<const float> logits) {
  const auto& top = generation_->request.top_logprobs;
  unsent_.push_back(top ? logprobs_of(logits, token, *top) : TokenRecord{token, 0, {}});
  sampler_.count_answer(token);
  tokens_.push_back(token);
  ++answer_tokens_;
}

Result<std::optional<Progress>> Sequence::advance(std::span<const float> logits,
                                                  const Clock& clock) {
  PERIGEE_TRY(token, choose(logits, clock));
  if (model_.ends_generation(token)) {
    finish_ = FinishReason::Stop;
    return take_progress(matcher_.flush());
  }
  take(token, logits);
  std::string text = matcher_.push(model_.piece(token));
  if (matcher_.stopped()) {
    finish_ = FinishReason::Stop;
  } else if (has_all_tokens()) {
    finish_ = FinishReason::Length;
    text += matcher_.flush();
  }
  if (text.empty() && !finish_) return std::optional<Progress>{};
  return take_progress(std::move(text));
}

Progress Sequence::finish_at_once() {
  finish_ = FinishReason::Length;
  return take_progress(matcher_.flush());
}

Progress Sequence::take_progress(std::string text) {
  Progress progress{choice_, text_characters_, std::move(text), std::move(unsent_), finish_};
  text_characters_ += characters(progress.text);
  unsent_.clear();
  return progress;
}

}  // namespace perigee::llama
