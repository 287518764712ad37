#include "engine/llama/embedder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "llama.h"

namespace perigee::llama {
namespace {

constexpr std::uint32_t kPieceMax = 256;

}  // namespace

struct Embedder::State {
  State(llama_context* made, std::uint32_t batch_max)
      : context(made), batch(llama_batch_init(static_cast<std::int32_t>(batch_max), 0, 1)) {}
  ~State() {
    llama_batch_free(batch);
    llama_free(context);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  llama_context* context;
  llama_batch batch;
};

Embedder::Embedder(const Model& model, std::uint32_t context, std::uint32_t threads)
    : model_(model), context_(context), threads_(threads) {}
Embedder::~Embedder() = default;

Result<> Embedder::open() {
  if (state_) return {};
  llama_context_params params = llama_context_default_params();
  params.n_ctx = context_;
  params.n_batch = model_.causal() ? std::min(kPieceMax, context_) : context_;
  params.n_ubatch = params.n_batch;
  params.n_seq_max = 1;
  params.n_threads = static_cast<std::int32_t>(threads_);
  params.n_threads_batch = static_cast<std::int32_t>(threads_);
  params.embeddings = true;
  if (model_.causal()) params.pooling_type = LLAMA_POOLING_TYPE_NONE;
  params.no_perf = true;
  llama_context* context = nullptr;
  try {
    context = llama_init_from_model(model_.handle(), params);
  } catch (const std::exception&) {
    context = nullptr;
  }
  if (context == nullptr) {
    return Error{Code::Unavailable, "no memory for embeddings; lower --slots or --context"};
  }
  state_ = std::make_unique<State>(context, params.n_batch);
  return {};
}

Result<> Embedder::begin(std::span<const Token> tokens) {
  PERIGEE_CHECK(open());
  if (llama_memory_t memory = llama_get_memory(state_->context)) llama_memory_clear(memory, false);
  tokens_.assign(tokens.begin(), tokens.end());
  fed_ = 0;
  sum_.assign(model_.embedding_size(), 0);
  return {};
}

Result<bool> Embedder::step(std::uint32_t tokens_max) {
  const auto left = static_cast<std::uint32_t>(tokens_.size()) - fed_;
  const std::uint32_t piece =
      model_.causal() ? std::clamp(tokens_max, 1U, std::min(left, kPieceMax)) : left;
  PERIGEE_CHECK(decode(std::span{tokens_}.subspan(fed_, piece)));
  fed_ += piece;
  return fed_ == tokens_.size();
}

Result<> Embedder::decode(std::span<const Token> piece) {
  llama_batch& batch = state_->batch;
  batch.n_tokens = 0;
  for (const Token token : piece) {
    const auto i = static_cast<std::uint32_t>(batch.n_tokens++);
    batch.token[i] = token;
    batch.pos[i] = static_cast<llama_pos>(fed_ + i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  std::int32_t status = -3;
  try {
    status = llama_decode(state_->context, batch);
  } catch (const std::exception&) {
    status = -3;
  }
  if (status != 0) {
    return Error{Code::Unavailable, fmt::format("llama.cpp could not embed a text ({})", status)};
  }
  const bool pooled = llama_pooling_type(state_->context) != LLAMA_POOLING_TYPE_NONE;
  const std::int32_t rows = pooled ? 1 : batch.n_tokens;
  for (std::int32_t row = 0; row < rows; ++row) {
    const float* values = pooled ? llama_get_embeddings_seq(state_->context, 0)
                                 : llama_get_embeddings_ith(state_->context, row);
    if (values == nullptr) return Error{Code::Internal, "llama.cpp gave no embedding"};
    for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += double{values[i]};
  }
  return {};
}

std::vector<float> Embedder::take() {
  double squares = 0;
  for (const double value : sum_) squares += value * value;
  const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
  std::vector<float> vector(sum_.size());
  for (std::size_t i = 0; i < sum_.size(); ++i) vector[i] = static_cast<float>(sum_[i] * scale);
  return vector;
}

}  // namespace perigee::llama
