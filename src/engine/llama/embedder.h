// Embedder: turns texts into vectors, in pieces that fit between the steps of running answers.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/llama/model.h"

namespace perigee::llama {

// Has a llama.cpp context of its own, made when first needed. A text's vector is the mean of the
// model's last hidden states over its tokens, scaled to length 1; an encoder uses the pooling that
// its file names, and reads a text in one piece. One thread at a time.
class Embedder {
 public:
  // `model` must outlive it. `context`: tokens of the longest text.
  Embedder(const Model& model, std::uint32_t context, std::uint32_t threads);
  ~Embedder();

  // Starts a text of 1 .. `context` tokens; replaces an unfinished one.
  Result<> begin(std::span<const Token> tokens);
  // Reads up to `tokens_max` more tokens. True when the text is read.
  Result<bool> step(std::uint32_t tokens_max);
  // The vector of the text that is read.
  std::vector<float> take();

 private:
  struct State;
  Result<> open();
  Result<> decode(std::span<const Token> piece);

  const Model& model_;
  std::uint32_t context_;
  std::uint32_t threads_;
  std::unique_ptr<State> state_;
  std::vector<Token> tokens_;
  std::uint32_t fed_ = 0;
  std::vector<double> sum_;
};

}  // namespace perigee::llama
