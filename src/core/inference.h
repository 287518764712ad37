// Values that name an inference request, its cost and an engine's load: shared by core, api and
// ports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace perigee {

enum class Operation : std::uint8_t { Chat, Completion, Embedding };
std::string_view to_string(Operation operation);  // "chat", "completion", "embedding"

enum class ServiceClass : std::uint8_t { Realtime, Interactive, Standard, Batch };
std::string_view to_string(ServiceClass service_class);
std::optional<ServiceClass> parse_service_class(std::string_view name);

// Where a value stands in a request body, to replace it without re-writing the rest.
struct BodySpan {
  std::size_t offset = 0;
  std::size_t size = 0;  // 0: absent
};

struct Usage {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t completion_tokens = 0;
  std::uint32_t cached_tokens = 0;  // part of prompt_tokens found in a prefix cache
};

// How loaded an engine says it is; attached to answers and polled. All zero: not known.
struct EngineLoad {
  std::uint32_t slots = 0;  // sequences it can run at once
  std::uint32_t slots_busy = 0;
  std::uint32_t queued_requests = 0;
  std::uint64_t queued_tokens = 0;  // prompt tokens accepted and not yet prefilled
  double kv_used = 0;               // 0..1
  double prefill_tokens_per_s = 0;  // recent, over the whole engine
  double decode_ms = 0;             // recent, per token of one stream at the current batch
};

}  // namespace perigee
