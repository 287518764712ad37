// Model: the weights and vocabulary of one GGUF file, loaded through llama.cpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct llama_model;  // llama.h is included by this folder's .cpp files only

namespace perigee::llama {

using Token = std::int32_t;

struct ModelOptions {
  std::string path;             // of a GGUF file
  std::int32_t gpu_layers = 0;  // layers kept on a GPU; -1: all. FailedPrecondition without one
  const std::atomic<bool>* cancelled = nullptr;  // if set: loading ends early once it is true
};

// One turn of a chat. `role` is system, user or assistant.
struct ChatMessage {
  std::string role;
  std::string content;
};

// Immutable once loaded, so every method may be called from any thread at any time. Must outlive
// all that was made with it (batcher, grammars). llama.cpp's own lines go to the log at debug
// level.
class Model {
 public:
  // Blocks while it reads. NotFound: no such file; InvalidArgument: not a model that this engine
  // can run; the message is one line that says which and what to do.
  static Result<std::unique_ptr<Model>> load(const ModelOptions& options);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // Text to tokens. With `parse_control`, the text of a control token ("<|im_end|>") becomes that
  // token; without, it stays plain text. `at_start` adds what the model wants before a text (BOS).
  std::vector<Token> tokenize(std::string_view text, bool at_start, bool parse_control) const;
  // The bytes of one token; empty for control tokens. May be a part of a UTF-8 sequence. The view
  // lives as long as the model.
  std::string_view piece(Token token) const;
  // A name for any token, control tokens included, for logprobs.
  std::string_view name(Token token) const;

  // Renders `messages` with the model's own template and tokenizes the result, the head of the
  // assistant's answer included. Control tokens inside a message's content stay plain text: a user
  // can't end his turn and speak as the system. InvalidArgument when the template can't render it.
  Result<std::vector<Token>> chat_prompt(std::span<const ChatMessage> messages) const;

  bool ends_generation(Token token) const;  // end of turn, end of text
  bool valid(Token token) const { return token >= 0 && token < vocabulary_size_; }
  std::int32_t vocabulary_size() const { return vocabulary_size_; }
  std::uint32_t context_trained() const;   // tokens
  std::uint32_t embedding_size() const;    // floats
  bool causal() const { return causal_; }  // false: an encoder, good for embeddings only
  std::size_t piece_bytes_max() const { return piece_bytes_max_; }  // of the longest token
  // Names the model by its shape, size and vocabulary: "fp_" and 10 hex digits.
  const std::string& fingerprint() const { return fingerprint_; }
  const std::string& description() const { return description_; }  // "llama 4M Q8_0"
  llama_model* handle() const { return model_.get(); }

 private:
  struct Free {
    void operator()(llama_model* model) const;
  };
  explicit Model(llama_model* model);
  void read_vocabulary();
  Result<std::string> render(std::span<const ChatMessage> messages) const;
  bool holds_control_text(std::string_view text) const;

  std::unique_ptr<llama_model, Free> model_;
  std::int32_t vocabulary_size_ = 0;
  bool causal_ = true;
  std::size_t piece_bytes_max_ = 1;
  std::string piece_bytes_;                  // all pieces, one after the other
  std::vector<std::uint32_t> piece_starts_;  // vocabulary_size_ + 1 offsets
  std::string name_bytes_;
  std::vector<std::uint32_t> name_starts_;
  std::vector<bool> ends_;
  std::vector<std::string> control_texts_;
  std::string template_;
  std::string fingerprint_;
  std::string description_;
};

}  // namespace perigee::llama
