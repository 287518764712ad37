#include "api/text_resume.h"

#include <algorithm>
#include <array>
#include <utility>

#include "api/json_text.h"
#include "api/json_walk.h"
#include "api/resume_field.h"
#include "base/assert.h"

namespace perigee::api {
namespace {

using json::JsonWalk;
using json::Place;

constexpr std::size_t kDepthMax = 65;  // a level more than summarize() takes

// Fields that bind an answer to more than its text, or say themselves how it begins.
constexpr std::array<std::string_view, 13> kBinding = {"tools",
                                                       "functions",
                                                       "grammar",
                                                       "structured_outputs",
                                                       "structural_tag",
                                                       "regex",
                                                       "ebnf",
                                                       "suffix",
                                                       "json_schema",
                                                       "use_beam_search",
                                                       "audio",
                                                       "echo",
                                                       "continue_final_message"};

Error unable(std::string_view why) {
  return Error{Code::FailedPrecondition, "an answer can't go on by its text: " + std::string{why}};
}

std::string_view prompt_name(Operation operation) {
  return operation == Operation::Chat ? "messages" : "prompt";
}

// What a body says that matters here.
class BodyReader {
 public:
  BodyReader(Operation operation, std::string_view body)
      : operation_(operation), walk_(body, kDepthMax) {}

  Result<> read() {
    const Place end = walk_.members(
        walk_.begin(), [this](std::string_view key, Place at) { return read_field(key, at); });
    if (!walk_.ends(end)) return unable("the body can't be read again");
    if (!binding_.empty()) return unable("it is bound by '" + binding_ + "'");
    if (prompt_.size == 0)
      return unable("'" + std::string{prompt_name(operation_)} + "' is no text");
    return {};
  }

  struct Limit {
    BodySpan span;
    std::uint32_t tokens = 0;
  };
  BodySpan prompt() const { return prompt_; }  // of the array of messages, or of the string
  const std::vector<Limit>& limits() const { return limits_; }

 private:
  Place read_field(std::string_view key, Place at) {
    const char type = walk_.peek(at);
    if (key == prompt_name(operation_)) {
      return operation_ == Operation::Chat ? read_messages(at) : read_prompt(at);
    }
    if (type == 'n') return walk_.skip(at);
    if (key == "max_tokens" || key == "max_completion_tokens") {
      Limit limit;
      const Place end = walk_.read_count(at, limit.tokens);
      if (end != nullptr) limit.span = walk_.span(at, end);
      limits_.push_back(limit);
      return end;
    }
    if (key == "n" || key == "best_of") {
      std::uint32_t n = 0;
      const Place end = walk_.read_count(at, n);
      return n == 1 ? end : bound(key, end);
    }
    if (key == "response_format") return read_format(key, at);
    const bool positions = operation_ == Operation::Completion && key == "logprobs";
    const bool always = positions || key == "prompt_logprobs" || key == "add_generation_prompt" ||
                        key.starts_with("guided_");
    if (always) return bound(key, walk_.skip(at));
    const bool known = std::ranges::find(kBinding, key) != kBinding.end();
    return known ? read_binding(std::string{key}, at) : walk_.skip(at);
  }

  // Bound unless the value says nothing: false, "", [] or {}.
  Place read_binding(const std::string& key, Place at) {
    const char type = walk_.peek(at);
    bool present = type != 'f';
    const auto count = [&](Place item) {
      present = true;
      return walk_.skip(item);
    };
    if (type == '[' || type == '{') present = false;
    Place end = nullptr;
    if (type == '[') {
      end = walk_.items(at, count);
    } else if (type == '{') {
      end = walk_.members(at, [&](std::string_view /*name*/, Place item) { return count(item); });
    } else if (type == '"') {
      std::string_view text;
      end = walk_.read_raw(at, text);
      present = !text.empty();
    } else {
      end = walk_.skip(at);
    }
    return present ? bound(key, end) : end;
  }

  Place read_format(std::string_view key, Place at) {
    if (walk_.peek(at) != '{') return bound(key, walk_.skip(at));
    bool text = false;
    at = walk_.members(at, [&](std::string_view name, Place item) {
      if (name != "type" || walk_.peek(item) != '"') return walk_.skip(item);
      std::string_view type;
      item = walk_.read_text(item, type);
      text = type == "text";
      return item;
    });
    return text ? at : bound("response_format", at);
  }

  // Where a message may be added: not behind one of the assistant's, which may be the beginning of
  // the answer itself.
  Place read_messages(Place at) {
    if (walk_.peek(at) != '[') return walk_.skip(at);
    const Place begin = at;
    std::string last;
    at = walk_.items(at, [&](Place message) {
      last.clear();
      if (walk_.peek(message) != '{') return walk_.skip(message);
      return walk_.members(message, [&](std::string_view key, Place item) {
        if (key != "role" || walk_.peek(item) != '"') return walk_.skip(item);
        std::string_view role;
        item = walk_.read_text(item, role);
        last = role;
        return item;
      });
    });
    if (at == nullptr) return nullptr;
    if (last.empty() || last == "assistant") return bound("messages", at);
    prompt_ = walk_.span(begin, at);
    return at;
  }

  Place read_prompt(Place at) {
    if (walk_.peek(at) != '"') return walk_.skip(at);
    const Place end = walk_.skip(at);
    if (end != nullptr) prompt_ = walk_.span(at, end);
    return end;
  }

  Place bound(std::string_view key, Place at) {
    if (binding_.empty()) binding_ = key;
    return at;
  }

  Operation operation_;
  JsonWalk walk_;
  BodySpan prompt_;
  std::vector<Limit> limits_;
  std::string binding_;
};

// Takes out `"perigee_resume":VALUE,` as a site puts it before the client's own fields.
Result<BodyEdit> without_resume(std::string_view body, BodySpan value) {
  const std::string name = "\"" + std::string{kResumeField} + "\":";
  const std::size_t end = value.offset + value.size;
  const bool usual = value.offset >= name.size() && end < body.size() && body[end] == ',' &&
                     body.substr(value.offset - name.size(), name.size()) == name;
  if (!usual) return unable("'perigee_resume' does not stand where a site puts it");
  return BodyEdit{{value.offset - name.size(), name.size() + value.size + 1}, {}};
}

void add_message(std::string_view body, BodySpan messages, TextResume how,
                 TextContinuation& continuation) {
  if (continuation.sent.empty()) return;  // nothing but white space was shown: it begins anew
  std::string message = R"(,{"role":"assistant","content":)";
  append_json_string(message, continuation.sent);
  message += '}';
  const std::size_t bracket = messages.offset + messages.size - 1;
  continuation.edits.push_back({{bracket, 0}, std::move(message)});
  if (how != TextResume::FinalMessage) return;
  continuation.edits.push_back(
      {{front_of(body), 0}, R"("continue_final_message":true,"add_generation_prompt":false,)"});
}

}  // namespace

std::optional<TextResume> parse_text_resume(std::string_view name) {
  if (name == "off") return TextResume::Off;
  if (name == "final_message") return TextResume::FinalMessage;
  if (name == "prefill") return TextResume::Prefill;
  return std::nullopt;
}

Result<TextContinuation> continue_by_text(Operation operation, std::string_view body,
                                          BodySpan resume_span, const Delivered::Text& delivered,
                                          TextResume how) {
  if (how == TextResume::Off) return unable("this engine is not said to take one");
  auto text = unescaped_json(delivered.text);
  if (!text) return unable("it holds half of a character");
  BodyReader reader{operation, body};
  PERIGEE_CHECK(reader.read());
  TextContinuation continuation;
  continuation.sent = std::move(*text);
  if (resume_span.size > 0) {
    PERIGEE_TRY(edit, without_resume(body, resume_span));
    continuation.edits.push_back(std::move(edit));
  }
  for (const BodyReader::Limit& limit : reader.limits()) {
    if (limit.tokens <= delivered.tokens) {
      continuation.at_limit = true;
      return continuation;
    }
    std::string left;
    append_json_number(left, limit.tokens - delivered.tokens);
    continuation.edits.push_back({limit.span, std::move(left)});
  }
  if (operation == Operation::Chat) {
    const std::size_t end = continuation.sent.find_last_not_of(" \t\r\n") + 1;  // 0: none
    continuation.space = continuation.sent.substr(end);
    continuation.sent.resize(end);
    add_message(body, reader.prompt(), how, continuation);
  } else {
    const BodySpan prompt = reader.prompt();
    continuation.edits.push_back({{prompt.offset + prompt.size - 1, 0}, delivered.text});
  }
  return continuation;
}

}  // namespace perigee::api
