// The fields that chat and completions share.
#pragma once

#include <boost/json/value.hpp>

#include "engine/server/field_reader.h"
#include "engine/server/openai_request.h"

namespace perigee::engine_server {

inline constexpr std::size_t kJsonDepthMax = 96;
inline constexpr std::size_t kStopsMax = 16;
inline constexpr std::size_t kStopBytesMax = 1024;
inline constexpr std::size_t kBiasesMax = 1024;
inline constexpr std::int64_t kTopLogprobsMax = 20;

// The body as an object. InvalidArgument when it is not JSON, too deep or not an object.
Result<boost::json::value> parse_object(std::string_view body);
Result<> check_model(const ServedModel& served, FieldReader& fields);

// Sampling, stop, n, stream and stream_options, grammar: into `request` and `generation`.
// Whether there is a seed.
bool read_sampling(const ServedModel& served, FieldReader& fields,
                   llama::SamplingOptions& sampling);
void read_stops(FieldReader& fields, std::vector<std::string>& stops);
void read_stream(FieldReader& fields, TextRequest& request);
void read_choices(FieldReader& fields, llama::GenerationRequest& generation);
void read_guide(FieldReader& fields, llama::GenerationRequest& generation);
// After read_guide(), whose grammar it can't stand beside.
Result<> read_response_format(FieldReader& fields, llama::GenerationRequest& generation);
// perigee_resume, into the generations, which must be there: each takes its choices.
Result<> read_resume(const ServedModel& served, FieldReader& fields, TextRequest& request);

// Whether a text of so many bytes can't fit, without counting its tokens.
bool hopelessly_long(const ServedModel& served, std::size_t bytes);

}  // namespace perigee::engine_server
