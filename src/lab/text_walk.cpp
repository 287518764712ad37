#include "lab/text_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/llama/stop_matcher.h"

namespace perigee::lab {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

using llama::Token;

}  // namespace

TextWalk::TextWalk(const Parts& parts, const ChoiceSeen& seen, TextVerdict& verdict)
    : parts_(parts),
      seen_(seen),
      verdict_(verdict),
      sampler_(parts.request.sampling, parts.choice),
      tokens_(parts.request.prompt) {
  sampler_.count_prompt(tokens_);
}

void TextWalk::run() {
  parts_.decoder.trim(0, 0);
  while (!ended_) {
    guess_ = guess();
    if (!feed()) return;
    follow();
  }
  verdict_.tokens += count_;
}

// Computes the logits after tokens_ and after each token of the guess, in one run.
bool TextWalk::feed() {
  const auto known = static_cast<std::uint32_t>(tokens_.size());
  const std::uint32_t room = parts_.decoder.context() - std::min(known, parts_.decoder.context());
  if (guess_.size() > room) guess_.resize(room);
  for (std::uint32_t at = fed_; at < known + guess_.size(); ++at) {
    const Token token = at < known ? tokens_[at] : guess_[at - known];
    const std::uint32_t place = parts_.decoder.add(0, token, at, at + 1 >= known);
    if (at + 1 == known) first_place_ = place;
  }
  const auto ran = parts_.decoder.run();
  if (!ran) fail(ran.error().message);
  return ran.has_value();
}

// Takes tokens as long as they are those of the guess.
void TextWalk::follow() {
  for (std::size_t i = 0; i <= guess_.size() && !ended_; ++i) {
    const auto place = first_place_ + static_cast<std::uint32_t>(i);
    if (!take(parts_.decoder.logits(place)) || ended_) return;
    if (i < guess_.size() && tokens_.back() == guess_[i]) continue;
    fed_ = static_cast<std::uint32_t>(tokens_.size()) - 1;
    parts_.decoder.trim(0, fed_);
    return;
  }
}

bool TextWalk::take(std::span<const float> logits) {
  const Token choice = sampler_.sample(logits, tokens_.size(), parts_.grammar);
  if (choice >= 0 && fits(choice)) return accept(choice, logits);
  const Token token = best_that_fits(logits);
  if (token < 0) {
    fail(fmt::format("after {} tokens and {} bytes the text does not go on with any token", count_,
                     bytes_.size()));
    return false;
  }
  const double gap = choice < 0 ? 0 : score(logits, choice) - score(logits, token);
  if (gap > parts_.tolerance) {
    fail(fmt::format("token {} (after {} bytes) scores {:.3f} less than the model's choice", count_,
                     bytes_.size(), gap));
    return false;
  }
  ++verdict_.near_ties;
  verdict_.gap_max = std::max(verdict_.gap_max, gap);
  return accept(token, logits);
}

bool TextWalk::accept(Token token, std::span<const float> logits) {
  if (parts_.model.ends_generation(token)) {
    finish("stop");
    return true;
  }
  if (parts_.grammar != nullptr && !parts_.grammar->accept(token)) {
    fail(fmt::format("token {} does not fit the grammar", count_));
    return false;
  }
  if (parts_.request.top_logprobs && count_ < seen_.tokens.size()) {
    const double own = llama::logprobs_of(logits, token, 0).logprob;
    const double error = std::abs(own - seen_.tokens[count_].logprob);
    verdict_.logprob_error_max = std::max(verdict_.logprob_error_max, error);
  }
  sampler_.count_answer(token);
  bytes_ += parts_.model.piece(token);
  tokens_.push_back(token);
  ++count_;
  const bool stopped = std::ranges::any_of(parts_.request.stop, [this](const std::string& stop) {
    return bytes_.find(stop) != std::string::npos;
  });
  if (stopped) {
    finish("stop");
  } else if (count_ >= parts_.request.tokens_max) {
    finish("length");
  }
  return true;
}

void TextWalk::finish(std::string_view reason) {
  ended_ = true;
  std::size_t size = bytes_.size();
  for (const std::string& stop : parts_.request.stop) size = std::min(size, bytes_.find(stop));
  if (llama::valid_utf8(std::string_view{bytes_}.substr(0, size)) != seen_.text) {
    return fail(fmt::format("the model's answer ends after {} tokens, the text does not", count_));
  }
  if (seen_.finish != reason) {
    return fail(fmt::format("it ended by '{}' instead of '{}'", seen_.finish, reason));
  }
  if (parts_.request.top_logprobs && seen_.tokens.size() != count_) {
    fail(
        fmt::format("{} tokens have log probabilities, {} were sent", seen_.tokens.size(), count_));
  }
}

// What the tokenizer would make of the rest: most often the model's own tokens.
std::vector<Token> TextWalk::guess() const {
  if (bytes_.size() >= seen_.text.size()) return {};
  return parts_.model.tokenize(std::string_view{seen_.text}.substr(bytes_.size()), false, false);
}

bool TextWalk::fits(Token token) const {
  const bool ends = parts_.model.ends_generation(token);
  if (parts_.request.top_logprobs) {
    if (count_ >= seen_.tokens.size()) return ends;
    return !ends && parts_.model.name(token) == seen_.tokens[count_].bytes;
  }
  if (ends) return seen_.finish == "stop" && llama::valid_utf8(bytes_) == seen_.text;
  const std::string_view piece = parts_.model.piece(token);
  return !piece.empty() && goes_on_with(bytes_ + std::string{piece});
}

// Whether an answer that shows the text may begin with `bytes`.
bool TextWalk::goes_on_with(const std::string& bytes) const {
  const std::string_view text = seen_.text;
  const std::size_t whole = bytes.size() - llama::unfinished_utf8(bytes);
  const std::string shown = llama::valid_utf8(std::string_view{bytes}.substr(0, whole));
  if (shown.size() <= text.size()) {
    if (!text.starts_with(shown)) return false;
    const std::string_view rest = text.substr(shown.size());
    const std::string_view unfinished = std::string_view{bytes}.substr(whole);
    return rest.starts_with(unfinished) || rest.starts_with(kReplacement);
  }
  // Behind the text: only a stop string, or the beginning of one.
  if (seen_.finish != "stop" || !std::string_view{shown}.starts_with(text)) return false;
  const std::string_view behind = std::string_view{shown}.substr(text.size());
  return std::ranges::any_of(parts_.request.stop, [behind](const std::string& stop) {
    return behind.starts_with(stop) || stop.starts_with(behind);
  });
}

Token TextWalk::best_that_fits(std::span<const float> logits) {
  Token best = -1;
  double best_score = -std::numeric_limits<double>::infinity();
  for (Token token = 0; token < parts_.model.vocabulary_size(); ++token) {
    const double own = score(logits, token);
    if (own <= best_score || !fits(token)) continue;
    if (parts_.grammar != nullptr && !parts_.grammar->allows(token)) continue;
    best = token;
    best_score = own;
  }
  return best;
}

// As the sampler compares tokens: the lab's requests have no penalties and no bias.
double TextWalk::score(std::span<const float> logits, Token token) const {
  const double logit = logits[static_cast<std::size_t>(token)];
  const llama::SamplingOptions& sampling = parts_.request.sampling;
  if (sampling.temperature == 0) return logit;
  return logit / sampling.temperature +
         llama::Sampler::noise(sampling.seed, parts_.choice, tokens_.size(), token);
}

void TextWalk::fail(std::string fault) {
  ended_ = true;
  if (verdict_.fault.empty()) {
    verdict_.fault = parts_.request.choices == 1
                         ? std::move(fault)
                         : fmt::format("choice {}: {}", parts_.choice, fault);
  }
}

}  // namespace perigee::lab
