#include "engine/llama/decoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "llama.h"

namespace perigee::llama {

struct Decoder::State {
  State(const Model& of, llama_context* made, std::uint32_t batch_max)
      : model(of),
        context(made),
        capacity(batch_max),
        batch(llama_batch_init(static_cast<std::int32_t>(batch_max), 0, 1)) {}
  ~State() {
    llama_batch_free(batch);
    llama_free(context);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  const Model& model;
  llama_context* context;
  std::uint32_t capacity;
  llama_batch batch;
};

Decoder::Decoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
Decoder::~Decoder() = default;

Result<std::unique_ptr<Decoder>> Decoder::create(const Model& model,
                                                 const DecoderOptions& options) {
  PERIGEE_ASSERT(options.streams >= 1 && options.streams <= 256);
  PERIGEE_ASSERT(options.batch >= options.streams);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = (options.context + 255) / 256 * 256 * options.streams;
  params.n_batch = options.batch;
  params.n_ubatch = options.batch;
  params.n_seq_max = options.streams;
  params.n_threads = static_cast<std::int32_t>(options.threads);
  params.n_threads_batch = static_cast<std::int32_t>(options.threads);
  params.kv_unified = false;
  params.no_perf = true;
  llama_context* context = nullptr;
  std::string reason = "not enough memory";
  try {
    context = llama_init_from_model(model.handle(), params);
  } catch (const std::exception& e) {
    reason = e.what();
  }
  if (context == nullptr) {
    return Error{Code::FailedPrecondition,
                 fmt::format("can't make room for {} streams of {} tokens: {}; lower --slots, "
                             "--cached-prefixes or --context",
                             options.streams, options.context, reason)};
  }
  auto state = std::make_unique<State>(model, context, options.batch);
  return std::unique_ptr<Decoder>{new Decoder{std::move(state)}};
}

std::uint32_t Decoder::context() const { return llama_n_ctx_seq(state_->context); }

void Decoder::trim(std::uint32_t stream, std::uint32_t length) {
  llama_memory_t memory = llama_get_memory(state_->context);
  const auto sequence = static_cast<llama_seq_id>(stream);
  if (!llama_memory_seq_rm(memory, sequence, static_cast<llama_pos>(length), -1)) {
    llama_memory_seq_rm(memory, sequence, -1, -1);
  }
}

void Decoder::copy(std::uint32_t from, std::uint32_t to) {
  llama_memory_seq_cp(llama_get_memory(state_->context), static_cast<llama_seq_id>(from),
                      static_cast<llama_seq_id>(to), -1, -1);
}

std::uint32_t Decoder::add(std::uint32_t stream, Token token, std::uint32_t position,
                           bool wants_logits) {
  llama_batch& batch = state_->batch;
  PERIGEE_ASSERT(size() < state_->capacity);
  const auto place = static_cast<std::uint32_t>(batch.n_tokens++);
  batch.token[place] = token;
  batch.pos[place] = static_cast<llama_pos>(position);
  batch.n_seq_id[place] = 1;
  batch.seq_id[place][0] = static_cast<llama_seq_id>(stream);
  batch.logits[place] = wants_logits ? 1 : 0;
  return place;
}

std::uint32_t Decoder::size() const { return static_cast<std::uint32_t>(state_->batch.n_tokens); }

Result<> Decoder::run() {
  std::int32_t status = -3;
  try {
    status = llama_decode(state_->context, state_->batch);
    if (status == 0) llama_synchronize(state_->context);
  } catch (const std::exception&) {
    status = -3;
  }
  state_->batch.n_tokens = 0;
  if (status == 0) return {};
  return Error{Code::Unavailable, fmt::format("llama.cpp could not decode a batch ({})", status)};
}

std::span<const float> Decoder::logits(std::uint32_t place) const {
  const float* row = llama_get_logits_ith(state_->context, static_cast<std::int32_t>(place));
  PERIGEE_ASSERT(row != nullptr);
  return {row, static_cast<std::size_t>(state_->model.vocabulary_size())};
}

}  // namespace perigee::llama
