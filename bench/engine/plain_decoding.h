// The yardstick: batched greedy decoding as a plain loop over llama_decode(), as llama.cpp's own
// llama-batched-bench does it: all prompts first, then one token of every sequence per step.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/llama/model.h"

namespace perigee::bench {

struct Workload {
  std::vector<std::vector<llama::Token>> prompts;  // one per sequence
  std::uint32_t answer_tokens = 128;               // per sequence, never fewer
  std::vector<llama::Token> banned;                // tokens that would end an answer
  std::uint32_t context = 1024;                    // tokens per sequence
  std::uint32_t batch = 512;
};

// Holds its context between runs, as a server does.
class PlainDecoding {
 public:
  PlainDecoding(const llama::Model& model, const Workload& workload);
  ~PlainDecoding();
  // Returns the tokens of every answer. Throws when llama.cpp refuses.
  std::vector<std::vector<llama::Token>> run();

 private:
  struct State;
  void add(llama::Token token, std::uint32_t position, std::uint32_t sequence, bool wants_logits);
  void decode();
  llama::Token pick(std::uint32_t place) const;
  void read_prompts(std::vector<std::vector<llama::Token>>& answers);

  const llama::Model& model_;
  const Workload& workload_;
  State* state_;
};

}  // namespace perigee::bench
