#include "plain_decoding.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "llama.h"

namespace perigee::bench {

struct PlainDecoding::State {
  llama_context* context;
  llama_batch batch;
};

PlainDecoding::PlainDecoding(const llama::Model& model, const Workload& workload)
    : model_(model), workload_(workload), state_(new State{}) {
  const auto sequences = static_cast<std::uint32_t>(workload.prompts.size());
  llama_context_params params = llama_context_default_params();
  params.n_ctx = workload.context * sequences;
  params.n_batch = params.n_ubatch = workload.batch;
  params.n_seq_max = sequences;
  params.n_threads = params.n_threads_batch = 1;
  params.kv_unified = false;  // the faster of the two, and the default of llama-batched-bench
  params.no_perf = true;
  state_->context = llama_init_from_model(model.handle(), params);
  if (state_->context == nullptr) throw std::runtime_error("no context");
  state_->batch = llama_batch_init(static_cast<std::int32_t>(workload.batch), 0, 1);
}

PlainDecoding::~PlainDecoding() {
  llama_batch_free(state_->batch);
  llama_free(state_->context);
  delete state_;
}

void PlainDecoding::add(llama::Token token, std::uint32_t position, std::uint32_t sequence,
                        bool wants_logits) {
  llama_batch& batch = state_->batch;
  const std::int32_t i = batch.n_tokens++;
  batch.token[i] = token;
  batch.pos[i] = static_cast<llama_pos>(position);
  batch.n_seq_id[i] = 1;
  batch.seq_id[i][0] = static_cast<llama_seq_id>(sequence);
  batch.logits[i] = wants_logits ? 1 : 0;
}

void PlainDecoding::decode() {
  if (llama_decode(state_->context, state_->batch) != 0) throw std::runtime_error("decode failed");
  state_->batch.n_tokens = 0;
}

llama::Token PlainDecoding::pick(std::uint32_t place) const {
  float* logits = llama_get_logits_ith(state_->context, static_cast<std::int32_t>(place));
  for (const llama::Token token : workload_.banned) {
    logits[token] = -std::numeric_limits<float>::infinity();
  }
  return static_cast<llama::Token>(std::max_element(logits, logits + model_.vocabulary_size()) -
                                   logits);
}

void PlainDecoding::read_prompts(std::vector<std::vector<llama::Token>>& answers) {
  for (std::uint32_t first = 0; first < answers.size();) {
    std::vector<std::uint32_t> places;
    std::uint32_t next = first;
    for (; next < answers.size(); ++next) {
      const auto& prompt = workload_.prompts[next];
      if (static_cast<std::uint32_t>(state_->batch.n_tokens) + prompt.size() > workload_.batch) {
        break;
      }
      for (std::uint32_t i = 0; i < prompt.size(); ++i) {
        add(prompt[i], i, next, i + 1 == prompt.size());
      }
      places.push_back(static_cast<std::uint32_t>(state_->batch.n_tokens) - 1);
    }
    decode();
    for (std::uint32_t i = first; i < next; ++i) answers[i].push_back(pick(places[i - first]));
    first = next;
  }
}

std::vector<std::vector<llama::Token>> PlainDecoding::run() {
  llama_memory_clear(llama_get_memory(state_->context), false);
  std::vector<std::vector<llama::Token>> answers(workload_.prompts.size());
  read_prompts(answers);
  for (std::uint32_t step = 1; step < workload_.answer_tokens; ++step) {
    for (std::uint32_t i = 0; i < answers.size(); ++i) {
      const auto prompt = static_cast<std::uint32_t>(workload_.prompts[i].size());
      add(answers[i].back(), prompt + step - 1, i, true);
    }
    decode();
    for (std::uint32_t i = 0; i < answers.size(); ++i) answers[i].push_back(pick(i));
  }
  return answers;
}

}  // namespace perigee::bench
