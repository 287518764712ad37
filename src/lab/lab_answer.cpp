#include "lab/lab_answer.h"

#include <algorithm>
#include <boost/json.hpp>

#include "api/error_body.h"

namespace perigee::lab {
namespace {

namespace json = boost::json;

constexpr int kUpstreamStatus = 502;  // of an error that comes after the head

const json::value* member(const json::value* value, std::string_view name) {
  return value != nullptr && value->is_object() ? value->get_object().if_contains(name) : nullptr;
}

std::string_view text_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string_view{value->get_string()} : "";
}

double number_of(const json::value* value) {
  boost::system::error_code failed;
  const double number =
      value != nullptr && value->is_number() ? value->to_number<double>(failed) : 0;
  return failed ? 0 : number;
}

std::uint32_t count_of(const json::value* value) {
  return static_cast<std::uint32_t>(std::clamp(number_of(value), 0.0, 4e9));
}

std::optional<Usage> usage_of(const json::value* value) {
  if (value == nullptr || !value->is_object()) return std::nullopt;
  Usage usage;
  usage.prompt_tokens = count_of(member(value, "prompt_tokens"));
  usage.completion_tokens = count_of(member(value, "completion_tokens"));
  return usage;
}

void read_tokens(const json::value* content, std::vector<TokenSeen>& tokens) {
  if (content == nullptr || !content->is_array()) return;
  for (const json::value& one : content->get_array()) {
    TokenSeen token;
    token.logprob = number_of(member(&one, "logprob"));
    const json::value* bytes = member(&one, "bytes");
    if (bytes != nullptr && bytes->is_array()) {
      for (const json::value& byte : bytes->get_array()) {
        token.bytes += static_cast<char>(count_of(&byte));
      }
    }
    tokens.push_back(std::move(token));
  }
}

}  // namespace

AnswerReader::AnswerReader(LabAnswer& answer, std::uint32_t choices) : answer_(answer) {
  answer_.choices.resize(choices);
}

Result<> AnswerReader::feed(std::string_view bytes, Instant now) {
  for (;;) {
    net::SseEvent event;
    switch (parser_.next(bytes, event)) {
      case net::SseParser::Result::Event:
        if (event.has_data) PERIGEE_CHECK(read_event(event.data, now));
        break;
      case net::SseParser::Result::Comment: break;
      case net::SseParser::Result::NeedMore: return {};
      case net::SseParser::Result::Failed: return Error{Code::Protocol, parser_.failure()};
    }
  }
}

Result<> AnswerReader::read_event(std::string_view data, Instant now) {
  if (done_) return Error{Code::Protocol, "an event came after [DONE]"};
  if (data == "[DONE]") {
    done_ = true;
    return {};
  }
  boost::system::error_code failed;
  const json::value event = json::parse(data, failed);
  if (failed || !event.is_object()) {
    return Error{Code::Protocol, "an event of the stream is no JSON object"};
  }
  if (member(&event, "error") != nullptr) return api::parse_error_body(kUpstreamStatus, data);
  if (auto usage = usage_of(member(&event, "usage"))) answer_.usage = usage;
  const json::value* choices = member(&event, "choices");
  if (choices == nullptr || !choices->is_array()) return {};
  bool text = false;
  for (const json::value& choice : choices->get_array()) {
    if (choice.is_object()) text |= read_choice(choice.get_object(), "delta");
  }
  if (text) answer_.texts.push_back(now);
  return {};
}

// True when it had text. `part` is "delta" or "message".
bool AnswerReader::read_choice(const json::object& choice, std::string_view part) {
  const std::uint32_t index = count_of(choice.if_contains("index"));
  if (index >= answer_.choices.size()) answer_.choices.resize(index + 1);  // judge() counts them
  ChoiceSeen& seen = answer_.choices[index];
  const std::string_view text = text_of(member(choice.if_contains(part), "content"));
  if (!seen.finish.empty() && !text.empty()) seen.finish = "text after its end";
  seen.text += text;
  if (const auto finish = text_of(choice.if_contains("finish_reason")); !finish.empty()) {
    seen.finish = seen.finish.empty() ? std::string{finish} : "ended twice";
  }
  read_tokens(member(choice.if_contains("logprobs"), "content"), seen.tokens);
  return !text.empty();
}

Result<> AnswerReader::finish() {
  if (!done_) return Error{Code::Unavailable, "the stream ended without [DONE]"};
  return judge();
}

Result<> AnswerReader::read_whole(std::string_view body) {
  boost::system::error_code failed;
  const json::value answer = json::parse(body, failed);
  if (failed || !answer.is_object()) return Error{Code::Protocol, "the answer is no JSON object"};
  answer_.usage = usage_of(member(&answer, "usage"));
  const json::value* data = member(&answer, "data");
  if (data != nullptr && data->is_array() && data->get_array().size() == 1) {
    answer_.choices.clear();
    const json::value* vector = member(&data->get_array().front(), "embedding");
    if (vector != nullptr && vector->is_array()) {
      for (const json::value& x : vector->get_array()) {
        answer_.embedding.push_back(static_cast<float>(number_of(&x)));
      }
    }
    if (answer_.embedding.empty()) return Error{Code::Protocol, "the answer has no embedding"};
    return {};
  }
  const json::value* choices = member(&answer, "choices");
  if (choices == nullptr || !choices->is_array()) {
    return Error{Code::Protocol, "the answer has no choices"};
  }
  for (const json::value& choice : choices->get_array()) {
    if (choice.is_object()) read_choice(choice.get_object(), "message");
  }
  return judge();
}

Result<> AnswerReader::judge() {
  if (!answer_.usage) return Error{Code::Protocol, "the answer has no usage"};
  for (const ChoiceSeen& choice : answer_.choices) {
    if (choice.finish == "stop" || choice.finish == "length") continue;
    return Error{Code::Protocol, "a choice ended as '" + choice.finish + "'"};
  }
  return {};
}

}  // namespace perigee::lab
