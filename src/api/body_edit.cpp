#include "api/body_edit.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "api/json_reader.h"
#include "api/json_text.h"
#include "api/prompt_reader.h"
#include "api/resume_field.h"
#include "base/assert.h"

namespace perigee::api {
namespace {

constexpr std::string_view kWhole = R"({"include_usage":true})";

using Edit = BodyEdit;

// Where the value of include_usage stands in `options`, an object already read once.
std::optional<BodySpan> find_include_usage(std::string_view options, bool& empty) {
  const simdjson::padded_string padded{options};
  json::ondemand::document document;
  json::ondemand::object object;
  empty = true;
  if (json::thread_parser().iterate(padded).get(document) || document.get_object().get(object)) {
    return std::nullopt;
  }
  for (auto member : object) {
    empty = false;
    std::string_view key;
    json::ondemand::value value;
    if (member.unescaped_key().get(key) || member.value().get(value)) break;
    const char* begin = value_begin(value);
    if (!json::check_value(value, simdjson::DEFAULT_MAX_DEPTH)) break;
    const char* end = value_end(document, begin);
    if (end == nullptr) break;
    if (key == "include_usage") {
      return BodySpan{static_cast<std::size_t>(begin - padded.data()),
                      static_cast<std::size_t>(end - begin)};
    }
  }
  return std::nullopt;
}

Edit usage_edit(std::string_view body, BodySpan stream_options) {
  if (stream_options.size == 0) {
    return {{front_of(body), 0}, R"("stream_options":{"include_usage":true},)"};
  }
  const std::string_view options = body.substr(stream_options.offset, stream_options.size);
  if (!options.starts_with('{')) return {stream_options, std::string{kWhole}};  // null
  bool empty = false;
  const auto found = find_include_usage(options, empty);
  if (found) return {{stream_options.offset + found->offset, found->size}, "true"};
  return {{stream_options.offset + 1, 0},
          std::string{R"("include_usage":true)"} + (empty ? "" : ",")};
}

Edit resume_edit(std::string_view body, BodySpan span, std::string_view resume) {
  if (span.size > 0) return {span, std::string{resume}};
  std::string text;
  text.append("\"").append(kResumeField).append("\":").append(resume).append(",");
  return {{front_of(body), 0}, std::move(text)};
}

Edit salt_edit(std::string_view body, std::string_view salt) {
  std::string text = R"("cache_salt":)";
  append_json_string(text, salt);
  text += ',';
  return {{front_of(body), 0}, std::move(text)};
}

}  // namespace

std::size_t front_of(std::string_view body) {
  const std::size_t brace = body.find('{');
  PERIGEE_ASSERT(brace != std::string_view::npos);
  return brace + 1;
}

std::string edit_text(std::string_view text, std::vector<BodyEdit> edits) {
  std::sort(edits.begin(), edits.end(), [](const Edit& a, const Edit& b) {
    return a.span.offset != b.span.offset ? a.span.offset < b.span.offset
                                          : a.span.size < b.span.size;
  });
  std::string out;
  std::size_t added = 0;
  for (const Edit& edit : edits) added += edit.text.size();
  out.reserve(text.size() + added);
  std::size_t copied = 0;
  for (const Edit& edit : edits) {
    PERIGEE_ASSERT(edit.span.offset >= copied && edit.span.offset + edit.span.size <= text.size());
    out += text.substr(copied, edit.span.offset - copied);
    out += edit.text;
    copied = edit.span.offset + edit.span.size;
  }
  out += text.substr(copied);
  return out;
}

std::string edit_body(std::string_view body, const BodyEdits& wanted) {
  std::vector<Edit> edits = wanted.others;
  if (!wanted.model.empty()) {
    Edit edit{wanted.model_span, {}};
    append_json_string(edit.text, wanted.model);
    edits.push_back(std::move(edit));
  }
  if (wanted.ask_usage) edits.push_back(usage_edit(body, wanted.stream_options_span));
  if (!wanted.resume.empty()) {
    edits.push_back(resume_edit(body, wanted.resume_span, wanted.resume));
  }
  if (!wanted.cache_salt.empty()) edits.push_back(salt_edit(body, wanted.cache_salt));
  return edit_text(body, std::move(edits));
}

}  // namespace perigee::api
