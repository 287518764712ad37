// ClassTargets: what each service class may expect. The router measures "too slow" and "worth
// moving" against them; admission will use the same numbers.
#pragma once

#include "base/assert.h"
#include "core/inference.h"

namespace perigee {

struct ClassTargets {
  double ttft_ms;         // time to first token at the client
  double tpot_ms;         // time per output token
  double sticky_loss_ms;  // most that a request may lose by staying where its cache is warm
};

// Realtime: 500 ms to the first token is the bound of the published voice experiments on edge
// grids; 30 ms per token is MLPerf Inference's interactive bound for 8B models. Interactive: twice
// the TTFT, and 50 ms is some 20 tokens/s, faster than people read. Standard: as hosted APIs do
// under load. Batch: only must not crawl. sticky_loss is half of the TTFT target (llm-d's T_max is
// what the operator lets a first token take): who leaves a warm cache is computed again elsewhere,
// which slows all who run there, so staying is right while there is time for it.
constexpr ClassTargets targets_of(ServiceClass service_class) {
  switch (service_class) {
    case ServiceClass::Realtime: return {.ttft_ms = 500, .tpot_ms = 30, .sticky_loss_ms = 250};
    case ServiceClass::Interactive: return {.ttft_ms = 1'000, .tpot_ms = 50, .sticky_loss_ms = 500};
    case ServiceClass::Standard: return {.ttft_ms = 5'000, .tpot_ms = 100, .sticky_loss_ms = 2'500};
    case ServiceClass::Batch:
      return {.ttft_ms = 60'000, .tpot_ms = 1'000, .sticky_loss_ms = 30'000};
  }
  PERIGEE_ASSERT(false);
}

}  // namespace perigee
