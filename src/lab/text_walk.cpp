#include "lab/text_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "engine/llama/stop_matcher.h"

namespace perigee::lab {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

using llama::Token;

}  // namespace

// The lab's requests have no penalties, so the sampler need not count tokens.
TextWalk::TextWalk(const Parts& parts, const ChoiceSeen& seen, TextVerdict& verdict)
    : parts_(parts),
      seen_(seen),
      verdict_(verdict),
      sampler_(parts.request.sampling, parts.choice),
      tokens_(parts.request.prompt) {}

void TextWalk::run() {
  if (!begin_again(tokens_.size())) return;
  while (!ended_) {
    guess_ = guess();
    if (!feed()) return;
    follow();
    while (stuck_ && step_back()) {
    }
    if (stuck_) return give_up(fault_);
  }
  add_up();
}

// Back to the first `size` tokens, with what depends on them. False when that can't be.
bool TextWalk::begin_again(std::size_t size) {
  stuck_ = false;
  ended_ = false;
  fed_ = std::min(fed_, static_cast<std::uint32_t>(size));
  parts_.decoder.trim(0, fed_);
  tokens_.resize(size);
  steps_.resize(count());
  bytes_.clear();
  grammar_.reset();
  const llama::GenerationRequest& request = parts_.request;
  if (!request.grammar.empty()) {
    auto made = llama::Grammar::parse(parts_.model, request.grammar, request.grammar_param);
    if (!made) {
      give_up(made.error().message);
      return false;
    }
    grammar_.emplace(std::move(*made));
  }
  for (std::size_t i = request.prompt.size(); i < size; ++i) {
    bytes_ += parts_.model.piece(tokens_[i]);
    if (grammar_) grammar_->accept(tokens_[i]);
  }
  return true;
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
  if (!ran) give_up(ran.error().message);
  return ran.has_value();
}

// Takes tokens as long as they are those of the guess.
void TextWalk::follow() {
  for (std::size_t i = 0; i <= guess_.size(); ++i) {
    take(parts_.decoder.logits(first_place_ + static_cast<std::uint32_t>(i)));
    if (ended_ || stuck_) return;
    if (i < guess_.size() && tokens_.back() == guess_[i]) continue;
    fed_ = static_cast<std::uint32_t>(tokens_.size()) - 1;
    parts_.decoder.trim(0, fed_);
    return;
  }
}

// To the last place where another token fitted as well, and past it. False: there is none left.
bool TextWalk::step_back() {
  if (forks_.empty()) return false;
  if (++ways_ > kWaysMax) {
    fault_ += fmt::format(" (as do the other ways tried, {})", kWaysMax - 1);
    return false;
  }
  Fork& fork = forks_.back();
  fed_ = static_cast<std::uint32_t>(fork.size);  // the decoder holds what led here
  if (!begin_again(fork.size)) return false;
  const Option option = fork.options.back();
  fork.options.pop_back();
  if (fork.options.empty()) forks_.pop_back();
  accept(option);
  return true;
}

void TextWalk::take(std::span<const float> logits) {
  llama::Grammar* grammar = grammar_ ? &*grammar_ : nullptr;
  const Token choice = sampler_.sample(logits, tokens_.size(), grammar);
  if (choice < 0) return stop_here("the grammar allows no token");
  std::vector<Option> options = options_for(logits, choice);
  if (options.empty()) {
    const auto gap = gap_of_best(logits, choice);
    return stop_here(gap ? fmt::format("token {} (after {} bytes) scores {:.3f} less than the "
                                       "model's choice",
                                       count(), bytes_.size(), *gap)
                         : fmt::format("after {} tokens and {} bytes the text does not go on with "
                                       "any token",
                                       count(), bytes_.size()));
  }
  const Option best = options.back();
  options.pop_back();
  if (!options.empty()) forks_.push_back({tokens_.size(), std::move(options)});
  accept(best);
}

void TextWalk::accept(const Option& option) {
  steps_.push_back({option.gap, option.logprob_error});
  if (parts_.model.ends_generation(option.token)) return finish("stop");
  if (grammar_ && !grammar_->accept(option.token)) {
    return stop_here(fmt::format("token {} does not fit the grammar", count()));
  }
  bytes_ += parts_.model.piece(option.token);
  tokens_.push_back(option.token);
  const bool stopped = std::ranges::any_of(parts_.request.stop, [this](const std::string& stop) {
    return bytes_.find(stop) != std::string::npos;
  });
  if (stopped) {
    finish("stop");
  } else if (count() >= parts_.request.tokens_max) {
    finish("length");
  }
}

void TextWalk::finish(std::string_view reason) {
  std::size_t size = bytes_.size();
  for (const std::string& stop : parts_.request.stop) size = std::min(size, bytes_.find(stop));
  const std::size_t logprobs = seen_.tokens.size();
  if (llama::valid_utf8(std::string_view{bytes_}.substr(0, size)) != seen_.text) {
    stop_here(fmt::format("the model's answer ends after {} tokens, the text does not", count()));
  } else if (seen_.finish != reason) {
    stop_here(fmt::format("it ended by '{}' instead of '{}'", seen_.finish, reason));
  } else if (parts_.request.top_logprobs && logprobs != count()) {
    stop_here(fmt::format("{} tokens have log probabilities, {} were sent", logprobs, count()));
  } else if (parts_.count && *parts_.count != count()) {
    stop_here(fmt::format("the usage says {} tokens, the text has {}", *parts_.count, count()));
  } else {
    ended_ = true;
  }
}

void TextWalk::add_up() {
  verdict_.tokens += static_cast<std::uint32_t>(count());
  for (const Step& step : steps_) {
    if (step.gap > 0) ++verdict_.near_ties;
    verdict_.gap_max = std::max(verdict_.gap_max, step.gap);
    verdict_.logprob_error_max = std::max(verdict_.logprob_error_max, step.logprob_error);
  }
}

std::size_t TextWalk::count() const { return tokens_.size() - parts_.request.prompt.size(); }

// What the tokenizer would make of the rest: most often the model's own tokens.
std::vector<Token> TextWalk::guess() const {
  if (bytes_.size() >= seen_.text.size()) return {};
  return parts_.model.tokenize(std::string_view{seen_.text}.substr(bytes_.size()), false, false);
}

bool TextWalk::fits(Token token) const {
  const bool ends = parts_.model.ends_generation(token);
  if (parts_.request.top_logprobs) {
    if (count() >= seen_.tokens.size()) return ends;
    return !ends && parts_.model.name(token) == seen_.tokens[count()].bytes;
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

// The tokens that may have been sent here, the best last.
std::vector<TextWalk::Option> TextWalk::options_for(std::span<const float> logits, Token choice) {
  std::vector<Option> options;
  const double most = score(logits, choice);
  for (Token token = 0; token < parts_.model.vocabulary_size(); ++token) {
    const double gap = token == choice ? 0 : std::max(0.0, most - score(logits, token));
    if (gap > parts_.tolerance || !fits(token) || !allowed(token)) continue;
    options.push_back({token, gap, logprob_error(logits, token)});
  }
  std::ranges::sort(options, [](const Option& a, const Option& b) {
    return std::tie(a.gap, a.token) > std::tie(b.gap, b.token);
  });
  return options;
}

// Of the best token that fits, to say how far off it is; nullopt: none fits.
std::optional<double> TextWalk::gap_of_best(std::span<const float> logits, Token choice) {
  std::optional<double> least;
  for (Token token = 0; token < parts_.model.vocabulary_size(); ++token) {
    const double gap = score(logits, choice) - score(logits, token);
    if ((!least || gap < *least) && fits(token) && allowed(token)) least = gap;
  }
  return least;
}

bool TextWalk::allowed(Token token) { return !grammar_ || grammar_->allows(token); }

double TextWalk::logprob_error(std::span<const float> logits, Token token) const {
  if (!parts_.request.top_logprobs || count() >= seen_.tokens.size()) return 0;
  return std::abs(llama::logprobs_of(logits, token, 0).logprob - seen_.tokens[count()].logprob);
}

// As the sampler compares tokens: the lab's requests have no penalties and no bias.
double TextWalk::score(std::span<const float> logits, Token token) const {
  const double logit = logits[static_cast<std::size_t>(token)];
  const llama::SamplingOptions& sampling = parts_.request.sampling;
  if (sampling.temperature == 0) return logit;
  return logit / sampling.temperature +
         llama::Sampler::noise(sampling.seed, parts_.choice, tokens_.size(), token);
}

// The farthest way's fault is what is told: the others left the answer before.
void TextWalk::stop_here(std::string why) {
  stuck_ = true;
  if (!fault_.empty() && bytes_.size() <= farthest_) return;
  farthest_ = bytes_.size();
  fault_ = std::move(why);
}

void TextWalk::give_up(std::string fault) {
  ended_ = true;
  if (!verdict_.fault.empty()) return;
  verdict_.fault = parts_.request.choices == 1 ? std::move(fault)
                                               : fmt::format("choice {}: {}", parts_.choice, fault);
}

}  // namespace perigee::lab
