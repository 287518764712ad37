#include <fmt/format.h>

#include <boost/json.hpp>

#include "engine/llama/batcher.h"
#include "engine/server/request_fields.h"

namespace perigee::engine_server {
namespace {

namespace json = boost::json;
using llama::Token;

constexpr std::size_t kPromptsMax = 32;
constexpr std::size_t kInputsMax = 2048;

Error wrong(std::string message, std::string param) {
  return Error{Code::InvalidArgument, fmt::format("'{}' {}", param, message), param};
}

struct Text {
  std::string text;
  std::vector<Token> tokens;
};

Result<Text> read_token_list(const ServedModel& served, const json::array& list,
                             const std::string& path) {
  Text read;
  if (list.size() > served.context) {
    return llama::prompt_too_long(list.size(), served.context, path);
  }
  for (const json::value& one : list) {
    boost::system::error_code error;
    const auto token = one.is_number() ? one.to_number<std::int32_t>(error) : -1;
    if (error || !served.model.valid(token)) return wrong("holds an id that is no token", path);
    read.tokens.push_back(token);
    read.text += served.model.name(token);
  }
  if (read.tokens.empty()) return wrong("must not be empty", path);
  return read;
}

Result<Text> read_text(const ServedModel& served, const json::value& value, const std::string& path,
                       bool parse_control) {
  if (const json::array* list = value.if_array()) return read_token_list(served, *list, path);
  const json::string* string = value.if_string();
  if (string == nullptr) return wrong("must be a string or an array of token ids", path);
  Text read;
  read.text = std::string_view{*string};
  if (read.text.empty()) return wrong("must not be empty", path);
  if (hopelessly_long(served, read.text.size())) {
    return llama::prompt_too_long(0, served.context, path);
  }
  read.tokens = served.model.tokenize(read.text, true, parse_control);
  return read;
}

// A string, an array of strings, an array of token ids, or an array of such arrays.
Result<std::vector<Text>> read_texts(const ServedModel& served, const json::value* value,
                                     const std::string& name, std::size_t texts_max,
                                     bool parse_control) {
  if (value == nullptr) return wrong("is missing", name);
  std::vector<Text> texts;
  const json::array* list = value->if_array();
  if (list == nullptr || (!list->empty() && list->front().is_number())) {
    PERIGEE_TRY(text, read_text(served, *value, name, parse_control));
    texts.push_back(std::move(text));
    return texts;
  }
  if (list->empty()) return wrong("must not be empty", name);
  if (list->size() > texts_max)
    return wrong(fmt::format("has more than {} entries", texts_max), name);
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string at = fmt::format("{}[{}]", name, i);
    PERIGEE_TRY(text, read_text(served, (*list)[i], at, parse_control));
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<> refuse_unsupported(FieldReader& fields, std::uint32_t choices) {
  const auto suffix = fields.string("suffix");
  if (suffix && !suffix->empty()) fields.fail("suffix", "is not supported by this engine");
  const auto best_of = fields.integer("best_of", 1, 128);
  if (best_of && *best_of != choices) fields.fail("best_of", "must equal 'n'");
  if (fields.fault()) return *fields.fault();
  return {};
}

}  // namespace

Result<TextRequest> parse_completion(const ServedModel& served, std::string_view body) {
  PERIGEE_TRY(value, parse_object(body));
  FieldReader fields{value.get_object()};
  PERIGEE_CHECK(check_model(served, fields));
  TextRequest request;
  request.operation = Operation::Completion;
  llama::GenerationRequest generation;
  generation.prompt_param = "prompt";
  request.seeded = read_sampling(served, fields, generation.sampling);
  read_stops(fields, generation.stop);
  read_stream(fields, request);
  read_choices(fields, generation);
  read_guide(fields, generation);
  // None at all is of use with `echo`: the answer is the prompt, and nothing is computed.
  generation.tokens_max =
      static_cast<std::uint32_t>(fields.integer("max_tokens", 0, INT32_MAX).value_or(16));
  request.echo = fields.boolean("echo").value_or(false);
  const auto logprobs = fields.integer("logprobs", 0, kTopLogprobsMax);
  if (logprobs) generation.top_logprobs = static_cast<std::uint32_t>(*logprobs);
  if (logprobs && request.echo) fields.fail("logprobs", "can't be used together with 'echo'");
  PERIGEE_CHECK(refuse_unsupported(fields, generation.choices));
  PERIGEE_CHECK(read_response_format(fields, generation));
  PERIGEE_TRY(texts, read_texts(served, fields.any("prompt"), "prompt", kPromptsMax, true));
  for (Text& text : texts) {
    request.prompts.push_back(std::move(text.text));
    request.generations.push_back(generation);
    request.generations.back().prompt = std::move(text.tokens);
  }
  PERIGEE_CHECK(read_resume(served, fields, request));
  return request;
}

Result<EmbeddingsRequest> parse_embeddings(const ServedModel& served, std::string_view body) {
  PERIGEE_TRY(value, parse_object(body));
  FieldReader fields{value.get_object()};
  PERIGEE_CHECK(check_model(served, fields));
  EmbeddingsRequest request;
  const auto format = fields.string("encoding_format");
  if (format && *format != "float" && *format != "base64") {
    fields.fail("encoding_format", "must be float or base64");
  }
  request.base64 = format && *format == "base64";
  const std::int64_t size = served.model.embedding_size();
  if (fields.any("dimensions") != nullptr) fields.integer("dimensions", size, size);
  if (fields.fault()) return *fields.fault();
  PERIGEE_TRY(texts, read_texts(served, fields.any("input"), "input", kInputsMax, false));
  for (Text& text : texts) request.embedding.inputs.push_back(std::move(text.tokens));
  return request;
}

}  // namespace perigee::engine_server
