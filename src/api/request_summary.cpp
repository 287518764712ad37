#include "api/request_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "api/json_reader.h"
#include "api/prompt_reader.h"
#include "api/resume_field.h"

namespace perigee::api {
namespace {

using json::ondemand::json_type;
using json::ondemand::value;

static_assert(simdjson::SIMDJSON_PADDING <= 64, "summarize() promises 64 readable bytes");

constexpr std::int64_t kTokensMax = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kSessionBytesMax = 512;

enum Known : std::uint32_t {
  kModel = 1,
  kPrompt = 2,
  kStream = 4,
  kStreamOptions = 8,
  kN = 16,
  kMaxTokens = 32,
  kMaxCompletionTokens = 64,
  kServiceTier = 128,
  kPromptCacheKey = 256,
  kResume = 512,
};

std::string_view prompt_name(Operation operation) {
  switch (operation) {
    case Operation::Chat: return "messages";
    case Operation::Completion: return "prompt";
    case Operation::Embedding: return "input";
  }
  return {};
}

// The bit of a field that summarize() reads, 0 for one that only passes through.
std::uint32_t known_field(std::string_view key, Operation operation) {
  if (key == "model") return kModel;
  if (key == prompt_name(operation)) return kPrompt;
  if (key == "stream") return kStream;
  if (key == "stream_options") return kStreamOptions;
  if (key == "service_tier") return kServiceTier;
  if (key == "prompt_cache_key") return kPromptCacheKey;
  if (key == kResumeField) return kResume;
  if (operation == Operation::Embedding) return 0;
  if (key == "n") return kN;
  if (key == "max_tokens") return kMaxTokens;
  if (key == "max_completion_tokens") return kMaxCompletionTokens;
  return 0;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

class SummaryReader {
 public:
  SummaryReader(Operation operation, std::string_view body, std::string_view salt,
                const SummaryLimits& limits)
      : body_(body), limits_(limits), prompt_(salt, limits) {
    out_.operation = operation;
  }

  Result<RequestSummary> read();

 private:
  Result<> read_fields(json::ondemand::document& document);
  Result<> read_field(std::string_view key, value item, json::ondemand::document& document);
  Result<> read_known(std::uint32_t known, std::string_view key, value item,
                      json::ondemand::document& document);
  void note_need(std::string_view key, std::string_view json);
  Result<> read_model(value item);
  Result<> read_stream_options(value item);
  Result<> read_service_tier(value item);
  Result<> read_session(value item);
  Result<> check_whole() const;

  std::string_view body_;
  SummaryLimits limits_;
  PromptReader prompt_;
  RequestSummary out_;
  std::uint32_t seen_ = 0;
  bool tools_ = false;
  bool no_tools_ = false;
  bool guided_ = false;
  bool stream_options_ = false;  // given and not null
  std::optional<std::uint32_t> max_tokens_;
};

Result<RequestSummary> SummaryReader::read() {
  // Not JSON (RFC 8259, section 8.1), whatever the library's version makes of it.
  if (body_.starts_with("\xEF\xBB\xBF")) return json::malformed(simdjson::TAPE_ERROR);
  json::ondemand::document document;
  const auto code =
      json::thread_parser()
          .iterate(body_.data(), body_.size(), body_.size() + simdjson::SIMDJSON_PADDING)
          .get(document);
  if (code) return json::malformed(code);
  PERIGEE_CHECK(read_fields(document));
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    return json::malformed(simdjson::TRAILING_CONTENT);
  }
  PERIGEE_CHECK(check_whole());
  if (!out_.output_tokens_max) out_.output_tokens_max = max_tokens_;
  if (out_.operation == Operation::Embedding) out_.needs |= kEmbeddings;
  if (guided_) out_.needs |= kGuidedOutput;
  if (tools_ && !no_tools_) out_.needs |= kTools;
  if (prompt_.has_images()) out_.needs |= kVision;
  if (out_.operation != Operation::Embedding) out_.choices = out_.n * prompt_.prompts();
  out_.prompt_tokens = prompt_.tokens();
  out_.prefix_blocks = prompt_.take_blocks();
  return std::move(out_);
}

Result<> SummaryReader::read_fields(json::ondemand::document& document) {
  json::ondemand::object object;
  if (const auto code = document.get_object().get(object)) {
    if (code != simdjson::INCORRECT_TYPE) return json::malformed(code);
    return Error{Code::InvalidArgument, "The body must be a JSON object: send {\"model\": ...}."};
  }
  for (auto member : object) {
    std::string_view key;
    value item;
    if (const auto code = member.unescaped_key().get(key)) return json::malformed(code);
    if (const auto code = member.value().get(item)) return json::malformed(code);
    PERIGEE_CHECK(read_field(key, item, document));
  }
  return {};
}

Result<> SummaryReader::read_field(std::string_view key, value item,
                                   json::ondemand::document& document) {
  const std::uint32_t known = known_field(key, out_.operation);
  if ((seen_ & known) != 0) return json::duplicate({key});
  seen_ |= known;
  const char* begin = value_begin(item);
  if (known != 0 && known != kResume) {
    PERIGEE_CHECK(read_known(known, key, item, document));
  } else {
    PERIGEE_CHECK(json::check_value(item, limits_.depth_max - 1));
  }
  const char* end = value_end(document, begin);
  if (end == nullptr) return json::malformed(simdjson::TAPE_ERROR);
  const BodySpan span{static_cast<std::size_t>(begin - body_.data()),
                      static_cast<std::size_t>(end - begin)};
  if (known == kModel) out_.model_span = span;
  if (known == kStreamOptions) out_.stream_options_span = span;
  if (known == kResume) out_.resume_span = span;
  if (known == 0 && (key == "cache_salt" || key == "cache_salt_id")) {
    // A second one behind ours would be the one that counts.
    return json::invalid({key},
                         "it is set by the grid, which keeps the caches of tenants apart: leave "
                         "it out; 'prompt_cache_key' keeps requests together.");
  }
  if (known == 0) note_need(key, body_.substr(span.offset, span.size));
  if (key == "tools" || key == "functions") prompt_.count_bytes(span.size);
  return {};
}

// What other fields ask of an engine, from their raw JSON. An engine that lacks it says what is
// wrong with the field; this only helps to find one that does not.
void SummaryReader::note_need(std::string_view key, std::string_view json) {
  const bool null = json.starts_with("null");
  if (key == "tools" || key == "functions") tools_ = tools_ || json.find('{') != json.npos;
  if (key == "tool_choice") no_tools_ = json.starts_with("\"none\"");
  if (key == "response_format") {
    guided_ = guided_ || json.find("\"json_") != json.npos;
  } else if (key == "grammar" || key.starts_with("guided_")) {
    guided_ = guided_ || !null;
  }
}

Result<> SummaryReader::read_known(std::uint32_t known, std::string_view key, value item,
                                   json::ondemand::document& document) {
  if (known == kModel) return read_model(item);
  if (known == kPrompt) {
    return out_.operation == Operation::Chat ? prompt_.read_messages(item, document)
                                             : prompt_.read_prompt(item, key);
  }
  PERIGEE_TRY(null, json::is_null(item));
  if (null) return {};
  switch (known) {
    case kStream: {
      PERIGEE_TRY(stream, json::read_bool(item, {key}));
      out_.stream = stream;
      return {};
    }
    case kStreamOptions: return read_stream_options(item);
    case kN: {
      PERIGEE_TRY(n, json::read_integer(item, {key}, 1, limits_.n_max));
      out_.n = static_cast<std::uint32_t>(n);
      return {};
    }
    case kServiceTier: return read_service_tier(item);
    case kPromptCacheKey: return read_session(item);
    default: break;
  }
  // A completion of no tokens is of use with `echo`.
  const std::int64_t least = out_.operation == Operation::Completion ? 0 : 1;
  PERIGEE_TRY(tokens, json::read_integer(item, {key}, least, kTokensMax));
  auto& place = known == kMaxTokens ? max_tokens_ : out_.output_tokens_max;
  place = static_cast<std::uint32_t>(tokens);
  return {};
}

Result<> SummaryReader::read_model(value item) {
  PERIGEE_TRY(name, json::read_string(item, {"model"}));
  if (!valid_model_name(name)) {
    return json::invalid({"model"},
                         "it is not a model name; GET /v1/models lists the models you can use.");
  }
  out_.model = ModelId{std::string{name}};
  return {};
}

Result<> SummaryReader::read_stream_options(value item) {
  PERIGEE_TRY(type, json::type_of(item));
  if (type != json_type::object) return json::wrong_type({"stream_options"}, "an object", type);
  stream_options_ = true;
  json::ondemand::object object;
  if (const auto code = item.get_object().get(object)) return json::malformed(code);
  bool seen = false;
  for (auto member : object) {
    std::string_view key;
    value option;
    if (const auto code = member.unescaped_key().get(key)) return json::malformed(code);
    if (const auto code = member.value().get(option)) return json::malformed(code);
    if (key != "include_usage") {
      PERIGEE_CHECK(json::check_value(option, limits_.depth_max - 2));
      continue;
    }
    const json::Field field{"stream_options", -1, "include_usage"};
    if (std::exchange(seen, true)) return json::duplicate(field);
    PERIGEE_TRY(null, json::is_null(option));
    if (null) continue;
    PERIGEE_TRY(include, json::read_bool(option, field));
    out_.include_usage = include;
  }
  return {};
}

Result<> SummaryReader::read_service_tier(value item) {
  PERIGEE_TRY(tier, json::read_string(item, {"service_tier"}));
  if (tier == "auto" || tier == "scale") return {};
  if (tier == "default") {
    out_.service_class = ServiceClass::Standard;
  } else if (tier == "flex") {
    out_.service_class = ServiceClass::Batch;
  } else if (tier == "priority" || tier == "fast") {
    out_.service_class = ServiceClass::Realtime;
  } else {
    return json::invalid({"service_tier"},
                         "use one of 'auto', 'default', 'flex', 'scale', 'priority', 'fast'.");
  }
  return {};
}

Result<> SummaryReader::read_session(value item) {
  PERIGEE_TRY(session, json::read_string(item, {"prompt_cache_key"}));
  if (session.size() > kSessionBytesMax || std::ranges::any_of(session, is_control)) {
    return json::invalid(
        {"prompt_cache_key"},
        fmt::format("use at most {} bytes and no control characters.", kSessionBytesMax));
  }
  out_.session = session;
  return {};
}

Result<> SummaryReader::check_whole() const {
  const auto missing = [](std::string_view name) {
    return Error{Code::InvalidArgument, fmt::format("Missing required parameter: '{}'.", name),
                 std::string{name}};
  };
  if ((seen_ & kModel) == 0) return missing("model");
  if ((seen_ & kPrompt) == 0) return missing(prompt_name(out_.operation));
  if (out_.stream && out_.operation == Operation::Embedding) {
    return json::invalid({"stream"}, "embeddings are not streamed; leave it out.");
  }
  if (stream_options_ && !out_.stream) {
    return json::invalid({"stream_options"},
                         "it is only allowed when 'stream' is true; set 'stream' or leave it out.");
  }
  return {};
}

}  // namespace

Result<RequestSummary> summarize(Operation operation, std::string_view body, std::string_view salt,
                                 const SummaryLimits& limits) {
  auto summary = SummaryReader{operation, body, salt, limits}.read();
  json::release_parser();
  return summary;
}

}  // namespace perigee::api
