// EngineLoad and Usage as header text, the same in stream fields (api/stream_field.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/inference.h"

namespace perigee::api {

// "slots=8,busy=3,queued=0,queued_tokens=120,kv=0.25,prefill=4500,decode_ms=0.9"
std::string format_load(const EngineLoad& load);
// Unknown names are ignored (a newer peer), missing ones stay 0; nullopt when a number is
// malformed, negative or absurd, or a known name is given twice.
std::optional<EngineLoad> parse_load(std::string_view text);

// "prompt=12,cached=0,completion=40"
std::string format_usage(const Usage& usage);
// As parse_load; nullopt also when more is cached than the prompt has.
std::optional<Usage> parse_usage(std::string_view text);

}  // namespace perigee::api
