#include "demo/chat_reader.h"

#include <boost/json.hpp>

#include "api/error_body.h"

namespace perigee::demo {
namespace {

namespace json = boost::json;

constexpr int kUpstreamStatus = 502;  // of an error that comes after the head

const json::value* member(const json::value* value, std::string_view name) {
  return value != nullptr && value->is_object() ? value->get_object().if_contains(name) : nullptr;
}

std::string_view text_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string_view{value->get_string()} : "";
}

std::uint32_t count_of(const json::value* value) {
  std::uint32_t count = 0;
  if (value != nullptr && value->is_number()) {
    boost::system::error_code failed;
    count = value->to_number<std::uint32_t>(failed);
    if (failed) return 0;
  }
  return count;
}

}  // namespace

std::string chat_body(const ChatRequest& request) {
  json::array messages;
  for (const ChatMessage& message : request.messages) {
    messages.push_back(json::object{{"role", message.role}, {"content", message.content}});
  }
  json::object body{{"model", request.model},
                    {"messages", std::move(messages)},
                    {"stream", true},
                    {"stream_options", {{"include_usage", true}}},
                    {"temperature", request.temperature}};
  if (request.tokens_max > 0) body["max_tokens"] = request.tokens_max;
  return json::serialize(body);
}

Result<> ChatReader::feed(std::string_view bytes,
                          const std::function<void(std::string_view)>& on_text) {
  for (;;) {
    net::SseEvent event;
    switch (parser_.next(bytes, event)) {
      case net::SseParser::Result::Event:
        if (event.has_data) PERIGEE_CHECK(read_event(event.data, on_text));
        break;
      case net::SseParser::Result::Comment: break;
      case net::SseParser::Result::NeedMore: return {};
      case net::SseParser::Result::Failed: return Error{Code::Protocol, parser_.failure()};
    }
  }
}

Result<> ChatReader::read_event(std::string_view data,
                                const std::function<void(std::string_view)>& on_text) {
  if (data == "[DONE]") {
    done_ = true;
    return {};
  }
  boost::system::error_code failed;
  const json::value event = json::parse(data, failed);
  if (failed || !event.is_object()) {
    return Error{Code::Protocol, "the site sent an event that is no JSON object"};
  }
  if (member(&event, "error") != nullptr) return api::parse_error_body(kUpstreamStatus, data);
  if (const json::value* usage = member(&event, "usage"); usage && usage->is_object()) {
    answer_.prompt_tokens = count_of(member(usage, "prompt_tokens"));
    answer_.completion_tokens = count_of(member(usage, "completion_tokens"));
  }
  const json::value* choices = member(&event, "choices");
  if (choices == nullptr || !choices->is_array()) return {};
  for (const json::value& choice : choices->get_array()) {
    const std::string_view text = text_of(member(member(&choice, "delta"), "content"));
    if (const auto reason = text_of(member(&choice, "finish_reason")); !reason.empty()) {
      answer_.finish_reason = reason;
    }
    if (text.empty()) continue;
    answer_.text += text;
    on_text(text);
  }
  return {};
}

Result<ChatText> ChatReader::finish() {
  if (!done_) {
    return Error{Code::Unavailable, "the answer was cut off before its end; ask again"};
  }
  return std::move(answer_);
}

}  // namespace perigee::demo
