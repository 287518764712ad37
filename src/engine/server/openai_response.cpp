#include "engine/server/openai_response.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>

#include "api/error_body.h"
#include "api/json_text.h"
#include "api/stream_field.h"
#include "engine/llama/stop_matcher.h"

namespace perigee::engine_server {
namespace {

using api::append_json_string;
using llama::FinishReason;
using llama::TokenRecord;

std::string_view name_of(FinishReason reason) {
  return reason == FinishReason::Length ? "length" : "stop";
}

void append_finish(std::string& out, const std::optional<FinishReason>& finish) {
  out += R"(,"finish_reason":)";
  if (!finish) {
    out += "null";
  } else {
    append_json_string(out, name_of(*finish));
  }
}

void append_usage(std::string& out, const Usage& usage) {
  fmt::format_to(std::back_inserter(out),
                 R"("usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
                 R"("prompt_tokens_details":{{"cached_tokens":{}}}}})",
                 usage.prompt_tokens, usage.completion_tokens,
                 usage.prompt_tokens + usage.completion_tokens, usage.cached_tokens);
}

// What a resumer needs to know of the event that follows.
void append_line(std::string& out, const llama::Progress& progress, bool ends, bool more) {
  std::string ids;
  for (const TokenRecord& record : progress.tokens) {
    if (!ids.empty()) ids += ',';
    api::append_json_number(ids, record.token);
  }
  api::StreamField field;
  field.choice = progress.choice;
  field.token_ids = ids;
  field.ends = ends;
  field.more = more;
  api::append_event_line(out, field);
}

// The event and the next one are handed on together or not at all.
void append_more(std::string& out) {
  api::StreamField field;
  field.more = true;
  api::append_event_line(out, field);
}

// JSON has no -inf; OpenAI writes such a probability as -9999.
double finite(float logprob) { return std::max(double{logprob}, -9999.0); }

std::string base64(std::span<const float> values) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  for (const float value : values) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (unsigned shift = 0; shift < 32; shift += 8) {
      bytes += static_cast<char>((bits >> shift) & 0xFF);
    }
  }
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      const auto byte = i + k < bytes.size() ? static_cast<std::uint8_t>(bytes[i + k]) : 0U;
      group = group << 8 | byte;
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? kDigits[(group >> (18 - 6 * k)) & 63] : '=';
    }
  }
  return out;
}

}  // namespace

void AnswerWriter::append_logprob_members(std::string& out, llama::Token token,
                                          float logprob) const {
  const std::string_view bytes = model_.name(token);
  out += R"("token":)";
  append_json_string(out, bytes);
  fmt::format_to(std::back_inserter(out), R"(,"logprob":{},"bytes":[)", finite(logprob));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(static_cast<std::uint8_t>(bytes[i]));
  }
  out += ']';
}

void AnswerWriter::append_chat_logprobs(std::string& out,
                                        std::span<const TokenRecord> tokens) const {
  out += R"(,"logprobs":)";
  if (!frame_.logprobs) {
    out += "null";
    return;
  }
  out += R"({"content":[)";
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    out += i > 0 ? ",{" : "{";
    append_logprob_members(out, tokens[i].token, tokens[i].logprob);
    out += R"(,"top_logprobs":[)";
    for (std::size_t k = 0; k < tokens[i].top.size(); ++k) {
      out += k > 0 ? ",{" : "{";
      append_logprob_members(out, tokens[i].top[k].token, tokens[i].top[k].logprob);
      out += '}';
    }
    out += "]}";
  }
  out += R"(],"refusal":null})";
}

void AnswerWriter::append_text_logprobs(std::string& out, std::span<const TokenRecord> tokens,
                                        std::size_t text_offset) const {
  out += R"(,"logprobs":)";
  if (!frame_.logprobs) {
    out += "null";
    return;
  }
  std::string names;
  std::string logprobs;
  std::string tops;
  std::string offsets;
  for (const TokenRecord& record : tokens) {
    const std::string_view comma = names.empty() ? "" : ",";
    names += comma;
    append_json_string(names, model_.name(record.token));
    fmt::format_to(std::back_inserter(logprobs), "{}{}", comma, finite(record.logprob));
    fmt::format_to(std::back_inserter(offsets), "{}{}", comma, text_offset);
    text_offset += llama::characters(model_.piece(record.token));
    tops += comma;
    tops += '{';
    for (std::size_t k = 0; k < record.top.size(); ++k) {
      if (k > 0) tops += ',';
      append_json_string(tops, model_.name(record.top[k].token));
      fmt::format_to(std::back_inserter(tops), ":{}", finite(record.top[k].logprob));
    }
    tops += '}';
  }
  fmt::format_to(std::back_inserter(out),
                 R"({{"tokens":[{}],"token_logprobs":[{}],"top_logprobs":[{}],)"
                 R"("text_offset":[{}]}})",
                 names, logprobs, tops, offsets);
}

std::string AnswerWriter::body(std::span<const ChoiceAnswer> choices, const Usage& usage) const {
  const bool chat = frame_.operation == Operation::Chat;
  std::string out = R"({"id":)";
  append_json_string(out, frame_.id);
  fmt::format_to(std::back_inserter(out), R"(,"object":"{}","created":{},"model":)",
                 chat ? "chat.completion" : "text_completion", frame_.created);
  append_json_string(out, frame_.model);
  out += R"(,"choices":[)";
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const ChoiceAnswer& choice = choices[i];
    fmt::format_to(std::back_inserter(out), R"({}{{"index":{},)", i > 0 ? "," : "", i);
    if (chat) {
      out += R"("message":{"role":"assistant","content":)";
      append_json_string(out, choice.text);
      out += R"(,"refusal":null})";
      append_chat_logprobs(out, choice.tokens);
    } else {
      out += R"("text":)";
      append_json_string(out, choice.text);
      append_text_logprobs(out, choice.tokens, 0);
    }
    append_finish(out, choice.finish);
    out += '}';
  }
  out += "],";
  append_usage(out, usage);
  out += R"(,"system_fingerprint":)";
  append_json_string(out, frame_.fingerprint);
  out += '}';
  return out;
}

void AnswerWriter::open_chunk(std::string& out) const {
  const bool chat = frame_.operation == Operation::Chat;
  out += R"(data: {"id":)";
  append_json_string(out, frame_.id);
  fmt::format_to(std::back_inserter(out), R"(,"object":"{}","created":{},"model":)",
                 chat ? "chat.completion.chunk" : "text_completion", frame_.created);
  append_json_string(out, frame_.model);
  out += R"(,"system_fingerprint":)";
  append_json_string(out, frame_.fingerprint);
  out += R"(,"choices":[)";
}

void AnswerWriter::close_chunk(std::string& out) const {
  out += frame_.include_usage ? "],\"usage\":null}\n\n" : "]}\n\n";
}

void AnswerWriter::append_role(std::string& out, std::uint32_t choice) const {
  append_more(out);
  open_chunk(out);
  fmt::format_to(std::back_inserter(out),
                 R"({{"index":{},"delta":{{"role":"assistant","content":"","refusal":null}},)"
                 R"("logprobs":null,"finish_reason":null}})",
                 choice);
  close_chunk(out);
}

void AnswerWriter::append_chat_choice(std::string& out, const llama::Progress& progress) const {
  if (!progress.text.empty() || !progress.tokens.empty()) {
    append_line(out, progress, false, progress.finish.has_value());
    open_chunk(out);
    fmt::format_to(std::back_inserter(out), R"({{"index":{},"delta":{{"content":)",
                   progress.choice);
    append_json_string(out, progress.text);
    out += '}';
    append_chat_logprobs(out, progress.tokens);
    append_finish(out, std::nullopt);
    out += '}';
    close_chunk(out);
  }
  if (!progress.finish) return;
  api::StreamField end;
  end.choice = progress.choice;
  end.ends = true;
  api::append_event_line(out, end);
  open_chunk(out);
  fmt::format_to(std::back_inserter(out), R"({{"index":{},"delta":{{}},"logprobs":null)",
                 progress.choice);
  append_finish(out, progress.finish);
  out += '}';
  close_chunk(out);
}

void AnswerWriter::append_progress(std::string& out, const llama::Progress& progress) const {
  if (frame_.operation == Operation::Chat) return append_chat_choice(out, progress);
  append_line(out, progress, progress.finish.has_value(), false);
  append_text_choice(out, progress);
}

void AnswerWriter::append_text_choice(std::string& out, const llama::Progress& progress) const {
  open_chunk(out);
  fmt::format_to(std::back_inserter(out), R"({{"index":{},"text":)", progress.choice);
  append_json_string(out, progress.text);
  append_text_logprobs(out, progress.tokens, progress.text_offset);
  append_finish(out, progress.finish);
  out += '}';
  close_chunk(out);
}

void AnswerWriter::append_text(std::string& out, std::uint32_t choice,
                               std::string_view text) const {
  llama::Progress progress;
  progress.choice = choice;
  progress.text = llama::valid_utf8(text);
  append_more(out);
  append_text_choice(out, progress);
}

void AnswerWriter::append_end(std::string& out, const Usage& usage, const EngineLoad& load) const {
  if (frame_.include_usage) {
    append_more(out);
    open_chunk(out);
    out += "],";
    append_usage(out, usage);
    out += "}\n\n";
  }
  api::append_end_line(out, usage, &load);
  out += "data: [DONE]\n\n";
}

void AnswerWriter::append_error(std::string& out, const Error& error) {
  out += "data: " + api::error_body(error) + "\n\n";
}

std::string embeddings_body(std::string_view model, const llama::Embedded& embedded,
                            bool as_base64) {
  std::string out = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < embedded.vectors.size(); ++i) {
    fmt::format_to(std::back_inserter(out), R"({}{{"object":"embedding","index":{},"embedding":)",
                   i > 0 ? "," : "", i);
    if (as_base64) {
      append_json_string(out, base64(embedded.vectors[i]));
    } else {
      fmt::format_to(std::back_inserter(out), "[{}]", fmt::join(embedded.vectors[i], ","));
    }
    out += '}';
  }
  out += R"(],"model":)";
  append_json_string(out, model);
  fmt::format_to(std::back_inserter(out),
                 R"(,"usage":{{"prompt_tokens":{0},"total_tokens":{0}}}}})",
                 embedded.usage.prompt_tokens);
  return out;
}

}  // namespace perigee::engine_server
