// EmbeddingQueue: embeddings waiting for the engine thread, read piece by piece.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "engine/llama/embedder.h"
#include "engine/llama/generation.h"

namespace perigee::llama {

struct EmbeddingWork {
  GenerationId id = 0;
  EmbeddingRequest request;
  std::shared_ptr<std::atomic<bool>> cancelled;
  std::shared_ptr<void> place;  // freed when the work is over
  Embedded done;
};

// Engine thread only.
class EmbeddingQueue {
 public:
  EmbeddingQueue(const Model& model, const Clock& clock, std::uint32_t context,
                 std::uint32_t threads);
  void add(EmbeddingWork work) { queue_.push_back(std::move(work)); }
  bool empty() const { return queue_.empty(); }
  // Reads at most `tokens_max` tokens of the first text.
  void step(std::uint32_t tokens_max, std::vector<GenerationEvent>& events);
  std::uint64_t queued_tokens() const;

 private:
  bool dropped(std::vector<GenerationEvent>& events);

  const Clock& clock_;
  Embedder embedder_;
  std::deque<EmbeddingWork> queue_;
  bool begun_ = false;
};

}  // namespace perigee::llama
