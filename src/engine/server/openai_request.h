// Reading OpenAI request bodies for the engine: strict in types and ranges, unknown fields ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/inference.h"
#include "engine/llama/generation.h"
#include "engine/llama/model.h"

namespace perigee::engine_server {

struct ServedModel {
  const llama::Model& model;
  std::string name;           // the only one that a request may name
  std::uint32_t context = 0;  // tokens
};

// A chat or completions request: one generation per prompt, each with its choices.
struct TextRequest {
  Operation operation = Operation::Chat;
  bool stream = false;
  bool include_usage = false;
  bool echo = false;                     // completions: the prompt stands before the answer
  bool seeded = false;                   // the body names a seed
  std::optional<std::uint32_t> resumed;  // goes on after so many tokens
  std::vector<std::string> prompts;      // their texts, for echo
  std::vector<llama::GenerationRequest> generations;  // not empty, equal but for the prompt
  std::uint32_t choices() const {
    return static_cast<std::uint32_t>(generations.size()) * generations.front().choices;
  }
};

struct EmbeddingsRequest {
  llama::EmbeddingRequest embedding;
  bool base64 = false;  // vectors as base64 of little-endian floats, else as numbers
};

// InvalidArgument names the field in `param` as OpenAI does ("messages[0].role"), NotFound (param
// "model") for another model, PayloadTooLarge for a prompt that exceeds the context. Perigee's own
// fields are top_k, min_p, repetition_penalty, grammar (GBNF) and perigee_resume
// (api/resume_field.h). Choices without a seed get a random one. What this engine can't do (tools,
// images, audio, suffix) is refused, not ignored.
Result<TextRequest> parse_chat(const ServedModel& served, std::string_view body);
Result<TextRequest> parse_completion(const ServedModel& served, std::string_view body);
Result<EmbeddingsRequest> parse_embeddings(const ServedModel& served, std::string_view body);

}  // namespace perigee::engine_server
