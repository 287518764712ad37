#include "engine/server/request_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "api/json_text.h"
#include "api/resume_field.h"
#include "base/secret.h"
#include "engine/llama/batcher.h"
#include "engine/llama/json_schema_grammar.h"

namespace perigee::engine_server {

namespace json = boost::json;

Result<json::value> parse_object(std::string_view body) {
  json::parse_options options;
  options.max_depth = kJsonDepthMax;
  boost::system::error_code error;
  json::value value = json::parse(body, error, {}, options);
  if (error) {
    return Error{Code::InvalidArgument, "the body is not valid JSON: " + error.message()};
  }
  if (!value.is_object()) return Error{Code::InvalidArgument, "the body must be a JSON object"};
  return value;
}

Result<> check_model(const ServedModel& served, FieldReader& fields) {
  const auto model = fields.string("model");
  if (fields.fault()) return *fields.fault();
  if (!model || model->empty()) {
    return Error{Code::InvalidArgument, "'model' is missing: name the model to ask", "model"};
  }
  if (*model != served.name) {
    return Error{Code::NotFound, fmt::format("this engine serves '{}' only", served.name), "model"};
  }
  return {};
}

namespace {

void read_bias(const ServedModel& served, FieldReader& fields, llama::SamplingOptions& sampling) {
  const json::object* biases = fields.object("logit_bias");
  if (biases == nullptr) return;
  if (biases->size() > kBiasesMax) return fields.fail("logit_bias", "has too many entries");
  for (const auto& member : *biases) {
    const std::string_view key = member.key();
    llama::Token token = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    const bool is_token =
        error == std::errc{} && end == key.data() + key.size() && served.model.valid(token);
    if (!is_token) return fields.fail("logit_bias", "must map token ids of this model to numbers");
    const double bias = member.value().is_number() ? member.value().to_number<double>() : 1e9;
    if (!(bias >= -100 && bias <= 100)) {
      return fields.fail("logit_bias", "must map token ids to numbers from -100 to 100");
    }
    sampling.logit_bias.emplace_back(token, static_cast<float>(bias));
  }
}

}  // namespace

bool read_sampling(const ServedModel& served, FieldReader& fields,
                   llama::SamplingOptions& sampling) {
  sampling.temperature = fields.number("temperature", 0, 2).value_or(1);
  sampling.top_p = fields.number("top_p", 0, 1).value_or(1);
  sampling.min_p = fields.number("min_p", 0, 1).value_or(0);
  sampling.top_k = static_cast<std::uint32_t>(fields.integer("top_k", 0, 1'000'000).value_or(0));
  sampling.frequency_penalty = fields.number("frequency_penalty", -2, 2).value_or(0);
  sampling.presence_penalty = fields.number("presence_penalty", -2, 2).value_or(0);
  sampling.repetition_penalty = fields.number("repetition_penalty", 0.01, 10).value_or(1);
  const auto seed = fields.integer("seed", INT64_MIN, INT64_MAX);
  sampling.seed = seed ? static_cast<std::uint64_t>(*seed) : random_seed();
  read_bias(served, fields, sampling);
  return seed.has_value();
}

void read_stops(FieldReader& fields, std::vector<std::string>& stops) {
  const json::value* stop = fields.any("stop");
  if (stop == nullptr) return;
  const auto take = [&](const json::value& one) {
    const json::string* text = one.if_string();
    if (text == nullptr || text->empty() || text->size() > kStopBytesMax) return false;
    stops.emplace_back(*text);
    return true;
  };
  bool good = true;
  if (const json::array* list = stop->if_array()) {
    good = list->size() <= kStopsMax;
    for (std::size_t i = 0; good && i < list->size(); ++i) good = take((*list)[i]);
  } else {
    good = take(*stop);
  }
  if (!good) {
    fields.fail("stop", fmt::format("must be a string or up to {} strings of 1 to {} bytes",
                                    kStopsMax, kStopBytesMax));
  }
}

void read_stream(FieldReader& fields, TextRequest& request) {
  request.stream = fields.boolean("stream").value_or(false);
  const json::object* options = fields.object("stream_options");
  if (options == nullptr) return;
  if (!request.stream) return fields.fail("stream_options", "is allowed only with 'stream': true");
  FieldReader inner{*options, "stream_options."};
  request.include_usage = inner.boolean("include_usage").value_or(false);
  if (inner.fault()) {
    fields.fail("stream_options.include_usage", "must be true or false");
  }
}

void read_choices(FieldReader& fields, llama::GenerationRequest& generation) {
  generation.choices =
      static_cast<std::uint32_t>(fields.integer("n", 1, llama::Batcher::kChoicesMax).value_or(1));
}

void read_guide(FieldReader& fields, llama::GenerationRequest& generation) {
  if (const auto grammar = fields.string("grammar")) {
    generation.grammar = *grammar;
    generation.grammar_param = "grammar";
  }
}

Result<> read_response_format(FieldReader& fields, llama::GenerationRequest& generation) {
  const json::object* format = fields.object("response_format");
  if (fields.fault()) return *fields.fault();
  if (format == nullptr) return {};
  const auto fault = [](std::string_view param, std::string_view message) {
    return Error{Code::InvalidArgument, fmt::format("'{}' {}", param, message), std::string{param}};
  };
  FieldReader inner{*format, "response_format."};
  const auto type = inner.string("type");
  if (type && *type == "text") return {};
  if (!generation.grammar.empty()) {
    return fault("grammar", "can't be used together with 'response_format'");
  }
  generation.grammar_param = "response_format";
  if (type && *type == "json_object") {
    generation.grammar = llama::grammar_of_any_object();
    return {};
  }
  if (!type || *type != "json_schema") {
    return fault("response_format.type", "must be text, json_object or json_schema");
  }
  const json::object* named = inner.object("json_schema");
  const json::value* schema = named != nullptr ? named->if_contains("schema") : nullptr;
  if (schema == nullptr) {
    return fault("response_format.json_schema.schema", "is missing");
  }
  PERIGEE_TRY(grammar, llama::grammar_of_schema(*schema, "response_format.json_schema.schema"));
  generation.grammar = std::move(grammar);
  return {};
}

namespace {

Result<llama::ResumedChoice> resumed_choice(const ServedModel& served,
                                            const Delivered::Choice& choice) {
  llama::ResumedChoice resumed;
  resumed.finished = choice.finished;
  if (choice.finished) resumed.finished_tokens = choice.tokens.size();
  bool known = true;
  choice.tokens.for_each([&](llama::Token token) {
    known = known && served.model.valid(token);
    resumed.tokens.push_back(token);
  });
  if (known) return resumed;
  return Error{Code::InvalidArgument, "'perigee_resume' holds an id that is no token of this model",
               std::string{api::kResumeField}};
}

// An answer that an engine began which tells no tokens: its text becomes tokens of this model. What
// is shown would then depend on more than the text where a grammar or a stop string reaches over
// the seam.
Result<> resume_text(const ServedModel& served, const Delivered::Text& delivered,
                     TextRequest& request) {
  const auto text = api::unescaped_json(delivered.text);
  llama::GenerationRequest& generation = request.generations.front();
  const bool plain = text && request.choices() == 1 && generation.stop.empty() &&
                     generation.grammar.empty() && !request.echo &&
                     !hopelessly_long(served, text->size());
  if (!plain) {
    return Error{
        Code::FailedPrecondition,
        "this engine goes on by text only with one choice that fits, without grammar, stop "
        "strings or echo",
        std::string{api::kResumeField}};
  }
  llama::ResumedChoice resumed;
  resumed.tokens = served.model.tokenize(*text, false, false);
  // Another model's tokens may be longer: what is as long as was allowed has ended.
  generation.tokens_max =
      std::max(generation.tokens_max, static_cast<std::uint32_t>(resumed.tokens.size()));
  request.resumed = static_cast<std::uint32_t>(resumed.tokens.size());
  generation.resume.push_back(std::move(resumed));
  return {};
}

}  // namespace

Result<> read_resume(const ServedModel& served, FieldReader& fields, TextRequest& request) {
  const json::value* field = fields.any(api::kResumeField);
  if (field == nullptr) return {};
  PERIGEE_TRY(delivered, api::parse_resume(json::serialize(*field)));
  if (delivered.text() != nullptr) return resume_text(served, *delivered.text(), request);
  if (delivered.choices().size() > request.choices()) {
    return Error{Code::InvalidArgument, "'perigee_resume' has more choices than are asked for",
                 std::string{api::kResumeField}};
  }
  request.resumed = delivered.tokens();
  const std::size_t each = request.generations.front().choices;
  for (std::size_t i = 0; i < delivered.choices().size(); ++i) {
    PERIGEE_TRY(resumed, resumed_choice(served, delivered.choices()[i]));
    request.generations[i / each].resume.push_back(std::move(resumed));
  }
  return {};
}

bool hopelessly_long(const ServedModel& served, std::size_t bytes) {
  return bytes / served.model.piece_bytes_max() > served.context;
}

}  // namespace perigee::engine_server
