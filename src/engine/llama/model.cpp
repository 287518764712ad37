#include "engine/llama/model.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/secret.h"
#include "engine/llama/backend.h"
#include "llama.h"

namespace perigee::llama {
namespace {

std::string metadata(const llama_model* model, const std::string& key) {
  std::array<char, 256> value{};
  const std::int32_t size =
      llama_model_meta_val_str(model, key.c_str(), value.data(), value.size());
  return size < 0 ? std::string{} : std::string{value.data()};
}

std::string piece_of(const llama_vocab* vocab, Token token, bool special) {
  std::string bytes(32, '\0');
  std::int32_t size = llama_token_to_piece(vocab, token, bytes.data(),
                                           static_cast<std::int32_t>(bytes.size()), 0, special);
  if (size < 0) {
    bytes.resize(static_cast<std::size_t>(-size));
    size = llama_token_to_piece(vocab, token, bytes.data(), static_cast<std::int32_t>(bytes.size()),
                                0, special);
  }
  bytes.resize(static_cast<std::size_t>(std::max(size, 0)));
  return bytes;
}

Result<> check_file(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return Error{Code::NotFound,
                 fmt::format("can't open the model '{}': {}", path, std::strerror(errno))};
  }
  if (!S_ISREG(status.st_mode)) {
    return Error{Code::InvalidArgument, fmt::format("the model '{}' is not a file", path)};
  }
  return {};
}

// Stands for the i-th content while a template is rendered; no template touches control bytes.
std::string placeholder(std::size_t i) { return fmt::format("\x1f{}\x1f", i); }

}  // namespace

void Model::Free::operator()(llama_model* model) const { llama_model_free(model); }

Model::Model(llama_model* model) : model_(model) { read_vocabulary(); }
Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::load(const ModelOptions& options) {
  PERIGEE_CHECK(check_file(options.path));
  start_backend();
  if (options.gpu_layers != 0 && !llama_supports_gpu_offload()) {
    return Error{Code::FailedPrecondition,
                 "this llama.cpp sees no GPU to keep layers on: build with one that has a GPU "
                 "backend (docs/engine.md), or leave the number of layers at 0"};
  }
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = options.gpu_layers;
  const std::atomic<bool>* cancelled = options.cancelled;
  params.progress_callback = [](float, void* flag) {
    const auto* stop = *static_cast<const std::atomic<bool>**>(flag);
    return stop == nullptr || !stop->load();
  };
  params.progress_callback_user_data = &cancelled;
  llama_model* loaded = nullptr;
  std::string reason = "not a GGUF file, damaged, or of an unknown architecture";
  try {
    loaded = llama_model_load_from_file(options.path.c_str(), params);
  } catch (const std::exception& e) {
    reason = e.what();
  }
  if (loaded == nullptr) {
    return Error{Code::InvalidArgument,
                 fmt::format("can't load the model '{}': {} (--log-level debug says more)",
                             options.path, reason)};
  }
  std::unique_ptr<Model> model{new Model{loaded}};
  if (llama_vocab_type(llama_model_get_vocab(loaded)) == LLAMA_VOCAB_TYPE_NONE) {
    return Error{Code::InvalidArgument,
                 fmt::format("the model '{}' has no tokenizer; convert it with its vocabulary",
                             options.path)};
  }
  return model;
}

void Model::read_vocabulary() {
  const llama_vocab* vocab = llama_model_get_vocab(model_.get());
  vocabulary_size_ = llama_vocab_n_tokens(vocab);
  piece_starts_.push_back(0);
  name_starts_.push_back(0);
  const bool has_tokens = llama_vocab_type(vocab) != LLAMA_VOCAB_TYPE_NONE;
  for (Token token = 0; has_tokens && token < vocabulary_size_; ++token) {
    const std::string piece = piece_of(vocab, token, false);
    const std::string name = piece_of(vocab, token, true);
    piece_bytes_max_ = std::max(piece_bytes_max_, name.size());
    piece_bytes_ += piece;
    name_bytes_ += name;
    piece_starts_.push_back(static_cast<std::uint32_t>(piece_bytes_.size()));
    name_starts_.push_back(static_cast<std::uint32_t>(name_bytes_.size()));
    const bool end = llama_vocab_is_eog(vocab, token);
    ends_.push_back(end);
    if ((end || llama_vocab_is_control(vocab, token)) && !name.empty()) {
      control_texts_.push_back(name);
    }
  }
  std::array<char, 128> text{};
  llama_model_desc(model_.get(), text.data(), text.size());
  description_ = text.data();
  const char* own_template = llama_model_chat_template(model_.get(), nullptr);
  template_ = own_template != nullptr ? own_template : "chatml";
  const std::string architecture = metadata(model_.get(), "general.architecture");
  causal_ = metadata(model_.get(), architecture + ".attention.causal") != "false";
  const std::string identity =
      fmt::format("{}|{}|{}|{}|{}|{}", description_, llama_model_n_params(model_.get()),
                  llama_model_size(model_.get()), vocabulary_size_,
                  metadata(model_.get(), "general.name"), name_bytes_);
  const Sha256 digest = sha256(identity);
  fingerprint_ = "fp_" + to_hex(std::span{digest}.first(5));
}

std::vector<Token> Model::tokenize(std::string_view text, bool at_start, bool parse_control) const {
  const llama_vocab* vocab = llama_model_get_vocab(model_.get());
  std::vector<Token> tokens(text.size() + 8);
  const std::int32_t count =
      llama_tokenize(vocab, text.data(), static_cast<std::int32_t>(text.size()), tokens.data(),
                     static_cast<std::int32_t>(tokens.size()), at_start, parse_control);
  tokens.resize(static_cast<std::size_t>(std::max(count, 0)));
  return tokens;
}

std::string_view Model::piece(Token token) const {
  const auto i = static_cast<std::size_t>(token);
  return std::string_view{piece_bytes_}.substr(piece_starts_[i],
                                               piece_starts_[i + 1] - piece_starts_[i]);
}

std::string_view Model::name(Token token) const {
  const auto i = static_cast<std::size_t>(token);
  return std::string_view{name_bytes_}.substr(name_starts_[i],
                                              name_starts_[i + 1] - name_starts_[i]);
}

bool Model::ends_generation(Token token) const { return ends_[static_cast<std::size_t>(token)]; }

std::uint32_t Model::context_trained() const {
  return static_cast<std::uint32_t>(std::max(llama_model_n_ctx_train(model_.get()), 1));
}

std::uint32_t Model::embedding_size() const {
  return static_cast<std::uint32_t>(llama_model_n_embd_out(model_.get()));
}

bool Model::holds_control_text(std::string_view text) const {
  return std::any_of(control_texts_.begin(), control_texts_.end(), [text](const auto& control) {
    return text.find(control) != std::string_view::npos;
  });
}

Result<std::string> Model::render(std::span<const ChatMessage> messages) const {
  std::vector<llama_chat_message> chat;
  std::size_t size = 256;
  for (const ChatMessage& message : messages) {
    chat.push_back({message.role.c_str(), message.content.c_str()});
    size += message.content.size() + 64;
  }
  std::string text(size, '\0');
  for (int attempt = 0; attempt < 2; ++attempt) {
    const std::int32_t used =
        llama_chat_apply_template(template_.c_str(), chat.data(), chat.size(), true, text.data(),
                                  static_cast<std::int32_t>(text.size()));
    if (used < 0) break;
    const bool fits = static_cast<std::size_t>(used) <= text.size();
    text.resize(static_cast<std::size_t>(used));
    if (fits) return text;
  }
  return Error{Code::InvalidArgument,
               "this model's chat template is not known to the engine; use /v1/completions",
               "messages"};
}

Result<std::vector<Token>> Model::chat_prompt(std::span<const ChatMessage> messages) const {
  const bool hostile = std::any_of(messages.begin(), messages.end(), [this](const auto& message) {
    return holds_control_text(message.content) || message.content.find('\0') != std::string::npos;
  });
  if (!hostile) {
    PERIGEE_TRY(text, render(messages));
    return tokenize(text, true, true);
  }
  // Tokenize frame and contents apart, so that control tokens come from the frame alone.
  std::vector<ChatMessage> marked;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    marked.push_back({messages[i].role, placeholder(i)});
  }
  PERIGEE_TRY(frame, render(marked));
  std::vector<Token> tokens;
  std::string_view rest = frame;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string mark = placeholder(i);
    const std::size_t at = rest.find(mark);
    if (at == std::string_view::npos) continue;
    const std::vector<Token> before = tokenize(rest.substr(0, at), tokens.empty(), true);
    const std::vector<Token> content = tokenize(messages[i].content, false, false);
    tokens.insert(tokens.end(), before.begin(), before.end());
    tokens.insert(tokens.end(), content.begin(), content.end());
    rest.remove_prefix(at + mark.size());
  }
  const std::vector<Token> after = tokenize(rest, tokens.empty(), true);
  tokens.insert(tokens.end(), after.begin(), after.end());
  return tokens;
}

}  // namespace perigee::llama
