#include "lab/text_checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "engine/llama/embedder.h"
#include "engine/server/openai_request.h"
#include "lab/text_walk.h"

namespace perigee::lab {
namespace {

// Of vectors of length 1 whose parts differ in the last digits only.
constexpr double kCosineMin = 0.999;

}  // namespace

struct TextChecker::State {
  State(std::unique_ptr<llama::Model> loaded, std::string name, double most)
      : model(std::move(loaded)),
        served{*model, std::move(name), model->context_trained()},
        tolerance(most),
        embedder(*model, model->context_trained(), 1) {}

  void check_texts(const LabRequest& request, const LabAnswer& answer, TextVerdict& verdict);
  void check_vector(const LabRequest& request, const LabAnswer& answer, TextVerdict& verdict);
  Result<std::vector<float>> embed(std::span<const llama::Token> tokens);

  std::unique_ptr<llama::Model> model;
  engine_server::ServedModel served;
  double tolerance;
  std::unique_ptr<llama::Decoder> decoder;
  llama::Embedder embedder;
};

TextChecker::TextChecker(std::unique_ptr<State> state) : state_(std::move(state)) {}
TextChecker::~TextChecker() = default;

Result<std::unique_ptr<TextChecker>> TextChecker::create(const std::string& model_file,
                                                         const std::string& model,
                                                         double tolerance) {
  llama::ModelOptions options;
  options.path = model_file;
  PERIGEE_TRY(loaded, llama::Model::load(options));
  auto state = std::make_unique<State>(std::move(loaded), model, tolerance);
  llama::DecoderOptions decoding;
  decoding.streams = 1;
  decoding.context = state->model->context_trained();
  decoding.batch = decoding.context;
  PERIGEE_TRY(decoder, llama::Decoder::create(*state->model, decoding));
  state->decoder = std::move(decoder);
  return std::unique_ptr<TextChecker>{new TextChecker{std::move(state)}};
}

TextVerdict TextChecker::check(const LabRequest& request, const LabAnswer& answer) {
  TextVerdict verdict;
  if (request.kind == RequestKind::Embedding) {
    state_->check_vector(request, answer, verdict);
  } else {
    state_->check_texts(request, answer, verdict);
  }
  return verdict;
}

void TextChecker::State::check_texts(const LabRequest& request, const LabAnswer& answer,
                                     TextVerdict& verdict) {
  const auto parsed = engine_server::parse_chat(served, request.body);
  if (!parsed) {
    verdict.fault = parsed.error().message;
    return;
  }
  const llama::GenerationRequest& generation = parsed->generations.front();
  if (answer.choices.size() != generation.choices) {
    verdict.fault =
        fmt::format("{} choices instead of {}", answer.choices.size(), generation.choices);
    return;
  }
  for (std::uint32_t choice = 0; choice < generation.choices; ++choice) {
    std::optional<std::uint32_t> count;
    if (answer.usage && choice + 1 == generation.choices) {
      const std::uint32_t told = answer.usage->completion_tokens;
      count = told - std::min(told, verdict.tokens);
    }
    const TextWalk::Parts parts{*model, *decoder, generation, choice, tolerance, count};
    TextWalk{parts, answer.choices[choice], verdict}.run();
  }
  if (!verdict.fault.empty() || !answer.usage) return;
  if (answer.usage->prompt_tokens != generation.prompt.size()) {
    verdict.fault = fmt::format("the usage says {} tokens of prompt, there are {}",
                                answer.usage->prompt_tokens, generation.prompt.size());
  } else if (verdict.logprob_error_max > tolerance) {
    verdict.fault =
        fmt::format("a log probability is {:.3f} away from the model's", verdict.logprob_error_max);
  }
}

Result<std::vector<float>> TextChecker::State::embed(std::span<const llama::Token> tokens) {
  PERIGEE_CHECK(embedder.begin(tokens));
  for (bool read = false; !read;) {
    PERIGEE_TRY(stepped, embedder.step(512));
    read = stepped;
  }
  return embedder.take();
}

void TextChecker::State::check_vector(const LabRequest& request, const LabAnswer& answer,
                                      TextVerdict& verdict) {
  const auto parsed = engine_server::parse_embeddings(served, request.body);
  if (!parsed || parsed->embedding.inputs.size() != 1) {
    verdict.fault = "the request is none for an embedding";
    return;
  }
  const auto own = embed(parsed->embedding.inputs.front());
  if (!own) {
    verdict.fault = own.error().message;
    return;
  }
  if (own->size() != answer.embedding.size()) {
    verdict.fault = fmt::format("{} numbers instead of {}", answer.embedding.size(), own->size());
    return;
  }
  const double cosine = std::inner_product(own->begin(), own->end(), answer.embedding.begin(), 0.0);
  if (cosine < kCosineMin) {
    verdict.fault = fmt::format("the vector's cosine with the model's own is {:.4f}", cosine);
  }
}

}  // namespace perigee::lab
