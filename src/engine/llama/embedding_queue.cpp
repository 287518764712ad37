#include "engine/llama/embedding_queue.h"

namespace perigee::llama {

EmbeddingQueue::EmbeddingQueue(const Model& model, const Clock& clock, std::uint32_t context,
                               std::uint32_t threads)
    : clock_(clock), embedder_(model, context, threads) {}

bool EmbeddingQueue::dropped(std::vector<GenerationEvent>& events) {
  const EmbeddingWork& work = queue_.front();
  const bool late = work.request.deadline && clock_.now() >= *work.request.deadline;
  const bool cancelled = work.cancelled->load(std::memory_order_relaxed);
  if (!late && !cancelled) return false;
  if (!cancelled) {
    events.push_back({work.id, Error{Code::DeadlineExceeded,
                                     "the deadline passed before the embedding was complete"}});
  }
  begun_ = false;
  queue_.pop_front();
  return true;
}

void EmbeddingQueue::step(std::uint32_t tokens_max, std::vector<GenerationEvent>& events) {
  if (queue_.empty() || dropped(events)) return;
  EmbeddingWork& work = queue_.front();
  const auto& input = work.request.inputs[work.done.vectors.size()];
  Result<bool> read = false;
  if (!begun_) {
    if (auto began = embedder_.begin(input); !began) read = std::move(began).error();
    begun_ = true;
  }
  if (read) read = embedder_.step(tokens_max);
  if (!read) {
    events.push_back({work.id, std::move(read).error()});
    begun_ = false;
    queue_.pop_front();
    return;
  }
  if (!*read) return;
  begun_ = false;
  work.done.vectors.push_back(embedder_.take());
  work.done.usage.prompt_tokens += static_cast<std::uint32_t>(input.size());
  if (work.done.vectors.size() < work.request.inputs.size()) return;
  events.push_back({work.id, std::move(work.done)});
  queue_.pop_front();
}

std::uint64_t EmbeddingQueue::queued_tokens() const {
  std::uint64_t tokens = 0;
  for (const EmbeddingWork& work : queue_) {
    for (const auto& input : work.request.inputs) tokens += input.size();
  }
  return tokens;
}

}  // namespace perigee::llama
