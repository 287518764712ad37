// EngineLoad as header text: "slots=8,busy=3,queued=0,queued_tokens=120,kv=0.25,prefill=4500,decode_ms=0.9".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/inference.h"

namespace perigee::api {

std::string format_load(const EngineLoad& load);
// Unknown names are ignored (a newer peer); nullopt when a number is malformed, negative or absurd.
std::optional<EngineLoad> parse_load(std::string_view text);

std::string format_usage(const Usage& usage);
std::optional<Usage> parse_usage(std::string_view text);

}  // namespace perigee::api
