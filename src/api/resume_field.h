// `perigee_resume`: the field that a site adds to a body when an answer began elsewhere: what its
// client has already, choice by choice. Engines and sites believe it from sites only; a client that
// sends it is refused.
//
//   "perigee_resume":[{"ids":"12,345"},{"tokens":57,"end":true},{}]
//
//   "perigee_resume":{"text":"Hello, w","tokens":3,"id":"chatcmpl-7","created":1700000000}
//
// `ids`: tokens delivered of a choice that goes on. `end`: the choice has finished, with so many
// `tokens`. A choice that has got nothing is {}, or left out at the end. It stands in the body and
// not in a header because thousands of tokens of many choices must fit.
//
// The object is an answer of one choice whose engine told no token ids: its text, how many tokens
// were counted, the id and the date that its chunks have. It is no array, so that a site of the
// version before refuses it instead of taking it for an answer that has got nothing.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "core/delivered.h"

namespace perigee::api {

inline constexpr std::string_view kResumeField = "perigee_resume";

// The value. `delivered` must be complete().
std::string resume_json(const Delivered& delivered);
// InvalidArgument names the field. Unknown keys are ignored: versions may differ by one.
Result<Delivered> parse_resume(std::string_view json);

}  // namespace perigee::api
