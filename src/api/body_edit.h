// Changing a few values of a request body where they stand, without re-writing the rest: an
// external engine may call a model otherwise, metering needs the usage chunk of every stream, and
// an answer that goes on elsewhere says what was delivered.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/inference.h"

namespace perigee::api {

struct BodyEdit {
  BodySpan span;  // what is replaced; size 0: an insertion before the offset
  std::string text;
};

// The spans are those of a RequestSummary of the same body.
struct BodyEdits {
  std::string_view model;  // the string that replaces the model's name; empty: it stays
  BodySpan model_span;
  // Sets stream_options.include_usage to true: in place if it is there, else added to the object
  // at the span, else (size 0) as a new field at the front of the body.
  bool ask_usage = false;
  BodySpan stream_options_span;
  // Becomes a new field `cache_salt` in front: what vLLM and others keep prefix caches apart by.
  // The body has none (summarize() refuses it). Empty: nothing is added.
  std::string_view cache_salt;
  // JSON that replaces the value at the span, or becomes a new field `perigee_resume` (size 0).
  std::string_view resume;  // empty: what is there stays
  BodySpan resume_span;
  std::vector<BodyEdit> others = {};  // that touch none of the above
};
// A copy of `body` with the edits made.
std::string edit_body(std::string_view body, const BodyEdits& edits);

// Where a new field of `body`, an object that is not empty, may be inserted; a comma ends it.
std::size_t front_of(std::string_view body);
// A copy of `text` with the edits made, none of which overlaps another.
std::string edit_text(std::string_view text, std::vector<BodyEdit> edits);

}  // namespace perigee::api
