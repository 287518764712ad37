#include "engine/llama/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace perigee::llama {
namespace {

// Tokens this much less likely than the best (in nats) are never drawn: e^-25 = 1.4e-11.
constexpr float kNatsMax = 25.0F;

std::uint64_t mix(std::uint64_t z) {  // splitmix64's finalizer
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

Token likeliest(std::span<const float> logits) {
  return static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options, std::uint32_t choice)
    : options_(options), choice_(choice) {}

void Sampler::count_prompt(std::span<const Token> prompt) {
  if (options_.repetition_penalty == 1) return;
  for (const Token token : prompt) seen_[token] = true;
}

void Sampler::count_answer(Token token) {
  if (options_.repetition_penalty != 1) seen_[token] = true;
  if (options_.frequency_penalty != 0 || options_.presence_penalty != 0) ++answer_counts_[token];
}

double Sampler::noise(std::uint64_t seed, std::uint32_t choice, std::uint64_t position,
                      Token token) {
  std::uint64_t key = mix(seed + 0x9e3779b97f4a7c15);
  key = mix(key ^ (std::uint64_t{choice} + 0x9e3779b97f4a7c15));
  key = mix(key ^ (position * 0xd1342543de82ef95 + 1));
  key = mix(key ^ (static_cast<std::uint64_t>(static_cast<std::uint32_t>(token)) << 1));
  const double uniform = (static_cast<double>(key >> 12) + 0.5) * 0x1.0p-52;  // (0, 1)
  return -std::log(-std::log(uniform));
}

bool Sampler::plain() const {
  return options_.logit_bias.empty() && answer_counts_.empty() && seen_.empty();
}

void Sampler::adjust(std::span<const float> logits) {
  logits_.assign(logits.begin(), logits.end());
  const auto size = logits_.size();
  for (const auto& [token, bias] : options_.logit_bias) {
    if (static_cast<std::size_t>(token) < size) logits_[static_cast<std::size_t>(token)] += bias;
  }
  const auto repetition = static_cast<float>(options_.repetition_penalty);
  for (const auto& [token, _] : seen_) {
    float& logit = logits_[static_cast<std::size_t>(token)];
    logit = logit > 0 ? logit / repetition : logit * repetition;
  }
  for (const auto& [token, count] : answer_counts_) {
    const double penalty = options_.presence_penalty + options_.frequency_penalty * count;
    logits_[static_cast<std::size_t>(token)] -= static_cast<float>(penalty);
  }
}

Token Sampler::sample(std::span<const float> logits, std::uint64_t position, Grammar* grammar) {
  if (options_.temperature == 0 && plain()) {
    const Token token = likeliest(logits);
    if (grammar == nullptr || grammar->allows(token)) return token;
  }
  adjust(logits);
  Token token = pick(position);
  if (grammar == nullptr || grammar->allows(token)) return token;
  if (!grammar->mask(logits_)) return -1;
  return pick(position);
}

Token Sampler::pick(std::uint64_t position) {
  if (options_.temperature == 0) return likeliest(logits_);
  const auto scale = static_cast<float>(1.0 / options_.temperature);
  const float best = *std::max_element(logits_.begin(), logits_.end());
  const double floor =
      options_.min_p > 0 ? std::max(-double{kNatsMax}, std::log(options_.min_p)) : -kNatsMax;
  candidates_.clear();
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    const float nats = (logits_[i] - best) * scale;
    if (nats >= static_cast<float>(floor)) candidates_.push_back({nats, static_cast<Token>(i)});
  }
  if (options_.top_k > 0) keep_likeliest(options_.top_k);
  if (options_.top_p < 1) keep_mass();
  Token chosen = candidates_.front().token;
  double chosen_score = -std::numeric_limits<double>::infinity();
  for (const Candidate& candidate : candidates_) {
    const double score = candidate.logit + noise(options_.seed, choice_, position, candidate.token);
    if (score > chosen_score) {
      chosen_score = score;
      chosen = candidate.token;
    }
  }
  return chosen;
}

void Sampler::keep_likeliest(std::size_t count) {
  if (count >= candidates_.size()) return;
  const auto more_likely = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(count),
                   candidates_.end(), more_likely);
  candidates_.resize(count);
}

void Sampler::keep_mass() {
  const auto less_likely = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit < b.logit : a.token > b.token;
  };
  double total = 0;
  for (const Candidate& candidate : candidates_) total += std::exp(double{candidate.logit});
  std::make_heap(candidates_.begin(), candidates_.end(), less_likely);
  double mass = 0;
  auto heap_end = candidates_.end();
  while (heap_end != candidates_.begin() && mass < options_.top_p * total) {
    std::pop_heap(candidates_.begin(), heap_end, less_likely);
    --heap_end;
    mass += std::exp(double{heap_end->logit});
  }
  if (heap_end == candidates_.end()) {  // top_p 0: the likeliest alone
    std::pop_heap(candidates_.begin(), heap_end, less_likely);
    --heap_end;
  }
  candidates_.erase(candidates_.begin(), heap_end);
}

TokenRecord logprobs_of(std::span<const float> logits, Token token, std::uint32_t top_count) {
  const float best = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(double{logit - best});
  const double log_total = std::log(total) + best;
  const auto logprob = [&](Token of) {
    return static_cast<float>(logits[static_cast<std::size_t>(of)] - log_total);
  };
  TokenRecord record{token, logprob(token), {}};
  if (top_count == 0) return record;
  std::vector<Token> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Token>(i);
  const auto middle =
      order.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(top_count, order.size()));
  std::partial_sort(order.begin(), middle, order.end(), [&](Token a, Token b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  for (auto i = order.begin(); i != middle; ++i) record.top.push_back({*i, logprob(*i)});
  return record;
}

}  // namespace perigee::llama
