// The JSON of answers: chunks, whole answers and error bodies of engines that others run.
#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <vector>

#include "api/body_edit.h"
#include "api/error_body.h"
#include "api/usage_scan.h"
#include "fuzz/fuzz.h"

namespace perigee::fuzz {
namespace {

namespace json = boost::json;

enum class Kind { Damaged, NoObject, Object, Unknown };

Kind kind_of(std::string_view text) {
  json::parse_options options;
  options.max_depth = 1'000'000;
  boost::system::error_code error;
  const json::value value = json::parse(text, error, {}, options);
  // The grammar allows half a surrogate pair, and servers that cut a character send it; Boost does
  // not take it, nor a number beyond a double's range.
  const bool has_surrogate = text.find("\\ud") != text.npos || text.find("\\uD") != text.npos;
  if (error && has_surrogate) return Kind::Unknown;
  if (error == json::error::exponent_overflow) return Kind::Unknown;
  if (error) return Kind::Damaged;
  return value.is_object() ? Kind::Object : Kind::NoObject;
}

bool deep(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(),
                                                [](char c) { return c == '[' || c == '{'; })) > 16;
}

// What may be changed of a chunk stands apart, so that the changes leave a chunk.
void go_on(std::string_view text, const api::ChunkFacts& facts, const api::ChunkPlaces& places) {
  std::vector<api::BodyEdit> edits;
  for (const BodySpan span :
       {places.id, places.created, places.text, places.prompt_tokens, places.completion_tokens,
        places.total_tokens, places.cached_tokens}) {
    PERIGEE_PROPERTY(span.offset + span.size <= text.size());
    if (span.size > 0) edits.push_back({span, "1"});
  }
  if (places.delta.size > 0) edits.push_back({places.delta, "{}"});
  const auto changed = api::scan_chunk(api::edit_text(text, std::move(edits)));
  PERIGEE_PROPERTY(changed.has_value());
  PERIGEE_PROPERTY(changed->ends == facts.ends);
}

}  // namespace

void take_input(std::string_view text) {
  const Piece piece = exact(text);
  const auto chunk = api::scan_chunk(piece.view());
  const auto usage = api::scan_answer_usage(piece.view());
  api::ChunkPlaces places;
  const auto placed = api::scan_chunk(piece.view(), &places);
  PERIGEE_PROPERTY(placed.has_value() == chunk.has_value());
  if (placed && placed->text) go_on(piece.view(), *placed, places);
  PERIGEE_PROPERTY(chunk.has_value() == usage.has_value());
  const Kind kind = kind_of(text);
  if (chunk) PERIGEE_PROPERTY(kind == Kind::Object || kind == Kind::Unknown);
  if (kind == Kind::Object && !deep(text)) PERIGEE_PROPERTY(chunk.has_value());
  if (chunk && chunk->usage) {
    PERIGEE_PROPERTY(chunk->usage->cached_tokens <= chunk->usage->prompt_tokens);
  }

  for (const int status : {400, 429, 503}) {
    const Error error = api::parse_error_body(status, piece.view());
    PERIGEE_PROPERTY(!error.message.empty() && error.message.size() <= 1024);
    const std::string body = api::error_body(error);
    PERIGEE_PROPERTY(kind_of(body) == Kind::Object);
    const json::value parsed = json::parse(body);
    PERIGEE_PROPERTY(parsed.at("error").as_object().size() == 4);
    const Error again = api::parse_error_body(api::http_status(error), body);
    PERIGEE_PROPERTY(api::http_status(again) == api::http_status(error));
    PERIGEE_PROPERTY(again.message == error.message);
  }
}

}  // namespace perigee::fuzz
