#include <fmt/format.h>

#include <boost/json.hpp>

#include "engine/llama/batcher.h"
#include "engine/server/request_fields.h"

namespace perigee::engine_server {
namespace {

namespace json = boost::json;
using llama::ChatMessage;

constexpr std::size_t kMessagesMax = 4096;

Error wrong(std::string message, std::string param) {
  return Error{Code::InvalidArgument, fmt::format("'{}' {}", param, message), param};
}

Result<std::string> read_parts(const json::array& parts, const std::string& path) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", path, i);
    const json::object* part = parts[i].if_object();
    const json::value* type = part != nullptr ? part->if_contains("type") : nullptr;
    if (type == nullptr || !type->is_string()) return wrong("must be a part with a 'type'", at);
    if (type->get_string() != "text") {
      return wrong("must be 'text': this model reads text only", at + ".type");
    }
    const json::value* content = part->if_contains("text");
    if (content == nullptr || !content->is_string()) {
      return wrong("must be a string", at + ".text");
    }
    text += std::string_view{content->get_string()};
  }
  return text;
}

Result<std::string> read_role(const json::object& message, const std::string& at) {
  const json::value* role = message.if_contains("role");
  if (role == nullptr || !role->is_string()) return wrong("must be a string", at + ".role");
  const std::string_view name{role->get_string()};
  if (name == "developer") return std::string{"system"};
  if (name == "system" || name == "user" || name == "assistant") return std::string{name};
  if (name == "tool" || name == "function") {
    return wrong("can't be used: this model can't call tools", at + ".role");
  }
  return wrong("must be system, developer, user or assistant", at + ".role");
}

Result<ChatMessage> read_message(const json::value& value, const std::string& at) {
  const json::object* message = value.if_object();
  if (message == nullptr) return wrong("must be an object", at);
  ChatMessage read;
  PERIGEE_TRY(role, read_role(*message, at));
  read.role = role;
  const json::value* calls = message->if_contains("tool_calls");
  const bool called = calls != nullptr && !calls->is_null() &&
                      (!calls->is_array() || !calls->get_array().empty());  // some answer with []
  if (called) {
    return wrong("can't be used: this model can't call tools", at + ".tool_calls");
  }
  const json::value* content = message->if_contains("content");
  const bool missing = content == nullptr || content->is_null();
  if (missing && read.role == "assistant") return read;
  if (!missing && content->is_string()) {
    read.content = std::string_view{content->get_string()};
  } else if (!missing && content->is_array()) {
    PERIGEE_TRY(text, read_parts(content->get_array(), at + ".content"));
    read.content = std::move(text);
  } else {
    return wrong("must be a string or an array of parts", at + ".content");
  }
  return read;
}

Result<std::vector<llama::Token>> read_prompt(const ServedModel& served, FieldReader& fields) {
  const json::array* list = fields.array("messages");
  if (fields.fault()) return *fields.fault();
  if (list == nullptr || list->empty()) {
    return wrong("must be an array with at least one message", "messages");
  }
  if (list->size() > kMessagesMax) {
    return wrong(fmt::format("has more than {} entries", kMessagesMax), "messages");
  }
  std::vector<ChatMessage> messages;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < list->size(); ++i) {
    PERIGEE_TRY(message, read_message((*list)[i], fmt::format("messages[{}]", i)));
    bytes += message.content.size();
    messages.push_back(std::move(message));
  }
  if (hopelessly_long(served, bytes)) {
    return llama::prompt_too_long(0, served.context, "messages");
  }
  return served.model.chat_prompt(messages);
}

// What 'tools' and 'tool_choice' say together.
Result<> refuse_tools(FieldReader& fields) {
  const json::array* tools = fields.array("tools");
  const json::array* functions = fields.array("functions");
  const json::value* choice = fields.any("tool_choice");
  if (fields.fault()) return *fields.fault();
  const json::string* word = choice != nullptr ? choice->if_string() : nullptr;
  const bool known =
      choice == nullptr || choice->is_object() ||
      (word != nullptr && (*word == "none" || *word == "auto" || *word == "required"));
  if (!known) return wrong("must be none, auto, required or an object", "tool_choice");
  if (tools != nullptr && !tools->empty() && (word == nullptr || *word != "none")) {
    return wrong(
        "can't be used: this model can't call tools; leave it out or set 'tool_choice' "
        "to 'none'",
        "tools");
  }
  const bool must_call = choice != nullptr && (word == nullptr || *word == "required");
  if (must_call) return wrong("asks for a tool, and 'tools' names none", "tool_choice");
  if (functions != nullptr && !functions->empty()) {
    return wrong("can't be used: this model can't call tools", "functions");
  }
  return {};
}

Result<> refuse_unsupported(FieldReader& fields) {
  PERIGEE_CHECK(refuse_tools(fields));
  if (fields.any("audio") != nullptr) return wrong("is not supported by this engine", "audio");
  const json::array* modalities = fields.array("modalities");
  for (std::size_t i = 0; modalities != nullptr && i < modalities->size(); ++i) {
    const json::string* name = (*modalities)[i].if_string();
    if (name == nullptr || *name != "text") return wrong("must be [\"text\"]", "modalities");
  }
  if (fields.fault()) return *fields.fault();
  return {};
}

void read_length(const ServedModel& served, FieldReader& fields,
                 llama::GenerationRequest& generation) {
  const auto newer = fields.integer("max_completion_tokens", 1, INT32_MAX);
  const auto older = fields.integer("max_tokens", 1, INT32_MAX);
  const auto most = newer ? newer : older;
  generation.tokens_max = most ? static_cast<std::uint32_t>(*most) : served.context;
}

void read_logprobs(FieldReader& fields, llama::GenerationRequest& generation) {
  const bool wanted = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kTopLogprobsMax);
  if (wanted) generation.top_logprobs = static_cast<std::uint32_t>(top.value_or(0));
  if (top && !wanted) fields.fail("top_logprobs", "is allowed only with 'logprobs': true");
}

}  // namespace

Result<TextRequest> parse_chat(const ServedModel& served, std::string_view body) {
  PERIGEE_TRY(value, parse_object(body));
  FieldReader fields{value.get_object()};
  PERIGEE_CHECK(check_model(served, fields));
  TextRequest request;
  request.operation = Operation::Chat;
  llama::GenerationRequest generation;
  generation.prompt_param = "messages";
  request.seeded = read_sampling(served, fields, generation.sampling);
  read_stops(fields, generation.stop);
  read_stream(fields, request);
  read_choices(fields, generation);
  read_guide(fields, generation);
  read_length(served, fields, generation);
  read_logprobs(fields, generation);
  if (fields.fault()) return *fields.fault();
  PERIGEE_CHECK(refuse_unsupported(fields));
  PERIGEE_CHECK(read_response_format(fields, generation));
  PERIGEE_TRY(prompt, read_prompt(served, fields));
  generation.prompt = std::move(prompt);
  request.generations.push_back(std::move(generation));
  PERIGEE_CHECK(read_resume(served, fields, request));
  return request;
}

}  // namespace perigee::engine_server
