// What the batcher is asked for, and what it yields. Plain values, free of JSON and of llama.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/instant.h"
#include "core/inference.h"
#include "engine/llama/model.h"

namespace perigee::llama {

struct SamplingOptions {
  double temperature = 1;         // 0: always the likeliest token
  double top_p = 1;               // keep the likeliest tokens that add up to this
  double min_p = 0;               // drop tokens below this part of the likeliest one's probability
  std::uint32_t top_k = 0;        // 0: all
  double frequency_penalty = 0;   // per earlier occurrence in the answer
  double presence_penalty = 0;    // once, if in the answer
  double repetition_penalty = 1;  // of tokens in prompt and answer
  std::vector<std::pair<Token, float>> logit_bias;
  std::uint64_t seed = 0;
};

struct ResumedChoice {
  std::vector<Token> tokens;          // the answer goes on after them
  bool finished = false;              // nothing more of this choice is wanted
  std::uint32_t finished_tokens = 0;  // that it took then
};

struct GenerationRequest {
  std::vector<Token> prompt;  // not empty
  std::string prompt_param;   // the field that an error of the prompt names
  SamplingOptions sampling;
  std::uint32_t choices = 1;     // answers wanted; they share the prompt's work
  std::uint32_t tokens_max = 0;  // per choice, `resume` included; cut to what the context holds
  std::vector<std::string> stop;
  std::string grammar;                        // GBNF; empty: free text
  std::string grammar_param;                  // the field that an error of the grammar names
  std::optional<std::uint32_t> top_logprobs;  // log probabilities wanted, with so many rivals
  std::string cache_salt;  // prefixes are shared between equal salts only; empty: never
  ServiceClass service_class = ServiceClass::Standard;
  std::optional<Instant> deadline;
  // What another engine already made, by choice; choices beyond the last have nothing yet. An
  // answer goes on after it as if this engine had made it: it is part of the usage, not of the
  // output.
  std::vector<ResumedChoice> resume;
};

using GenerationId = std::uint64_t;

enum class FinishReason : std::uint8_t { Stop, Length };

struct TokenLogprob {
  Token token = 0;
  float logprob = 0;
};

struct TokenRecord {
  Token token = 0;
  float logprob = 0;              // of the model itself, before temperature; if asked for
  std::vector<TokenLogprob> top;  // the likeliest tokens, best first; if asked for
};

// Text that may be shown, and the tokens it completes. `text` is whole UTF-8 sequences and holds no
// part of a stop string; it may be empty in the last one.
struct Progress {
  std::uint32_t choice = 0;
  std::size_t text_offset = 0;  // characters of the choice's text before this, made here or not
  std::string text;
  std::vector<TokenRecord> tokens;
  std::optional<FinishReason> finish;
};

struct Done {
  Usage usage;
};

struct EmbeddingRequest {
  std::vector<std::vector<Token>> inputs;  // none empty; errors name "input"
  std::optional<Instant> deadline;
};

struct Embedded {
  std::vector<std::vector<float>> vectors;  // of length 1, in the order of the inputs
  Usage usage;
};

// A generation yields Progress*, then one Done or one Error; an embedding one Embedded or Error.
struct GenerationEvent {
  GenerationId id = 0;
  std::variant<Progress, Done, Embedded, Error> what;
};

}  // namespace perigee::llama
