// Writing OpenAI answers: whole bodies, stream chunks and embeddings. Exact in shape and key order.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/inference.h"
#include "engine/llama/generation.h"
#include "engine/llama/model.h"

namespace perigee::engine_server {

// What all chunks of an answer have in common.
struct AnswerFrame {
  Operation operation = Operation::Chat;
  std::string id;  // "chatcmpl-..." or "cmpl-..."
  std::int64_t created = 0;
  std::string model;
  std::string fingerprint;
  bool logprobs = false;       // choices carry them
  bool include_usage = false;  // chunks carry "usage": null, the last one the usage
};

// One choice of a whole answer.
struct ChoiceAnswer {
  std::string text;
  std::vector<llama::TokenRecord> tokens;
  llama::FinishReason finish = llama::FinishReason::Stop;
};

class AnswerWriter {
 public:
  // `model` must outlive the writer.
  AnswerWriter(const llama::Model& model, AnswerFrame frame)
      : model_(model), frame_(std::move(frame)) {}

  std::string body(std::span<const ChoiceAnswer> choices, const Usage& usage) const;

  // Each appends one SSE event ("perigee: ids=...", "data: ...", empty line). Role, echo and
  // progress are marked as belonging together with what follows, where a resumer must not part
  // them (api/stream_field.h).
  // Chat only: says the role, before anything else of the choice.
  void append_role(std::string& out, std::uint32_t choice) const;
  // Text with its tokens; completions put the finish reason into the same chunk, chat into one
  // more.
  void append_progress(std::string& out, const llama::Progress& progress) const;
  // Text that no token stands for (echo), before the progress of its choice.
  void append_text(std::string& out, std::uint32_t choice, std::string_view text) const;
  // Usage if asked for, then "[DONE]" with the line that tells sites usage and load.
  void append_end(std::string& out, const Usage& usage, const EngineLoad& load) const;
  static void append_error(std::string& out, const Error& error);

 private:
  void open_chunk(std::string& out) const;
  void close_chunk(std::string& out) const;
  void append_chat_choice(std::string& out, const llama::Progress& progress) const;
  void append_text_choice(std::string& out, const llama::Progress& progress) const;
  void append_chat_logprobs(std::string& out, std::span<const llama::TokenRecord> tokens) const;
  void append_text_logprobs(std::string& out, std::span<const llama::TokenRecord> tokens,
                            std::size_t text_offset) const;
  void append_logprob_members(std::string& out, llama::Token token, float logprob) const;

  const llama::Model& model_;
  AnswerFrame frame_;
};

std::string embeddings_body(std::string_view model, const llama::Embedded& embedded, bool base64);

}  // namespace perigee::engine_server
