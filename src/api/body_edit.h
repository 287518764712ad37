// Changing two values of a request body where they stand, without re-writing the rest: an external
// engine may call a model otherwise, and metering needs the usage chunk of every stream.
#pragma once

#include <string>
#include <string_view>

#include "core/inference.h"

namespace perigee::api {

// A copy of `body` with the value at `model_span` replaced by the string `model` (size 0: kept),
// and, when `ask_usage`, with stream_options.include_usage set to true: in place if it is there,
// else added to the object at `stream_options_span`, else (size 0) as a new field at the front of
// the body. The spans are those of a RequestSummary of the same body.
std::string edit_body(std::string_view body, BodySpan model_span, std::string_view model,
                      bool ask_usage, BodySpan stream_options_span);

}  // namespace perigee::api
