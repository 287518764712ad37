// The `perigee:` line beside `data:` in a stream between sites and engines: token ids of an event,
// and with the last event the usage and the engine's load. A conforming SSE reader ignores it; an
// ingress site removes it.
//
//   perigee: ids=12,345
//   perigee: usage=prompt=12,cached=3,completion=40 load=slots=8,busy=1,...
//
// Items are separated by one space; the first '=' of an item separates its name and its value.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/inference.h"

namespace perigee::api {

struct StreamField {
  std::string_view token_ids;  // "12,345": points into the parsed text
  std::uint32_t tokens = 0;    // how many
  std::optional<Usage> usage;
  std::optional<EngineLoad> load;
};

inline constexpr std::uint32_t kTokenIdsMax = 4096;  // in one event

// Parses a line's value. Unknown items are ignored (a newer peer); nullopt when a known one is
// malformed or given twice.
std::optional<StreamField> parse_stream_field(std::string_view value);

// Append a whole line, "perigee: ...\n"; nothing when there is nothing to say.
void append_ids_line(std::string& out, std::span<const std::int32_t> ids);
void append_end_line(std::string& out, const Usage& usage, const EngineLoad* load);

}  // namespace perigee::api
