#include "api/resume_field.h"

#include <optional>
#include <utility>

#include "api/json_text.h"
#include "api/json_walk.h"
#include "base/assert.h"

namespace perigee::api {
namespace {

using json::JsonWalk;
using json::Place;

constexpr std::size_t kDepthMax = 8;

Place read_choice(JsonWalk& walk, Place at, std::uint32_t choice, Delivered& delivered) {
  if (walk.peek(at) != '{') return nullptr;
  std::uint32_t tokens = 0;
  bool ended = false;
  at = walk.members(at, [&](std::string_view key, Place value) -> Place {
    if (key == "ids") {
      std::string_view ids;
      value = walk.read_text(value, ids);
      return value != nullptr && delivered.add(choice, ids) ? value : nullptr;
    }
    if (key == "tokens") return walk.read_count(value, tokens);
    if (key == "end") ended = walk.peek(value) == 't';
    return walk.skip(value);
  });
  return at != nullptr && (!ended || delivered.finish(choice, tokens)) ? at : nullptr;
}

std::string text_json(const Delivered::Text& text) {
  std::string out = R"({"text":")";
  out.append(text.text).append(R"(","tokens":)");
  append_json_number(out, text.tokens);
  if (!text.id.empty()) out.append(R"(,"id":)").append(text.id);
  if (!text.created.empty()) out.append(R"(,"created":)").append(text.created);
  if (text.finished) out += R"(,"end":true)";
  return out + "}";
}

Place read_text(JsonWalk& walk, Place at, Delivered& delivered) {
  std::optional<std::string_view> text;
  std::string_view id;
  std::string_view created;
  std::uint32_t tokens = 0;
  bool ended = false;
  // Another value names nothing that a chunk would have.
  const auto name = [&](Place value, std::string_view& out) {
    const char type = walk.peek(value);
    const Place end = walk.skip(value);
    const bool scalar = type == '"' || (type >= '0' && type <= '9');
    if (end != nullptr && scalar) out = walk.view(value, end);
    return end;
  };
  at = walk.members(at, [&](std::string_view key, Place value) -> Place {
    if (key == "text") return walk.read_raw(value, text.emplace());
    if (key == "tokens") return walk.read_count(value, tokens);
    if (key == "id") return name(value, id);
    if (key == "created") return name(value, created);
    if (key == "end") ended = walk.peek(value) == 't';
    return walk.skip(value);
  });
  if (at == nullptr || !text || !delivered.add_text(*text, tokens)) return nullptr;
  delivered.name_text(id, created);
  return !ended || delivered.finish(0) ? at : nullptr;
}

}  // namespace

std::string resume_json(const Delivered& delivered) {
  PERIGEE_ASSERT(delivered.complete());
  if (delivered.text() != nullptr) return text_json(*delivered.text());
  std::string out = "[";
  for (const Delivered::Choice& choice : delivered.choices()) {
    if (out.size() > 1) out += ',';
    if (choice.finished) {
      out += R"({"tokens":)";
      append_json_number(out, choice.tokens.size());
      out += R"(,"end":true})";
    } else if (choice.tokens.size() == 0) {
      out += "{}";
    } else {
      out += R"({"ids":")";
      bool first = true;
      choice.tokens.for_each([&](std::int32_t token) {
        if (!std::exchange(first, false)) out += ',';
        append_json_number(out, token);
      });
      out += R"("})";
    }
  }
  return out + "]";
}

Result<Delivered> parse_resume(std::string_view json) {
  JsonWalk walk{json, kDepthMax};
  Delivered delivered;
  std::uint32_t choice = 0;
  Place end = nullptr;
  if (walk.peek(walk.begin()) == '[') {
    end = walk.items(walk.begin(),
                     [&](Place at) { return read_choice(walk, at, choice++, delivered); });
  } else if (walk.peek(walk.begin()) == '{') {
    end = read_text(walk, walk.begin(), delivered);
  }
  if (walk.ends(end)) return delivered;
  return Error{Code::InvalidArgument,
               "'perigee_resume' must be an array of {\"ids\":\"12,345\"} or "
               "{\"tokens\":57,\"end\":true}, one per choice, or {\"text\":\"...\",\"tokens\":57}",
               std::string{kResumeField}};
}

}  // namespace perigee::api
