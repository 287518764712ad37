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
// under load. Batch: only must not crawl. sticky_loss is a tenth of the TTFT target: llm-d breaks
// affinity at 5 s for one undivided class of work; a class with a tighter target can lose less.
constexpr ClassTargets targets_of(ServiceClass service_class) {
  switch (service_class) {
    case ServiceClass::Realtime: return {.ttft_ms = 500, .tpot_ms = 30, .sticky_loss_ms = 50};
    case ServiceClass::Interactive: return {.ttft_ms = 1'000, .tpot_ms = 50, .sticky_loss_ms = 100};
    case ServiceClass::Standard: return {.ttft_ms = 5'000, .tpot_ms = 100, .sticky_loss_ms = 500};
    case ServiceClass::Batch: return {.ttft_ms = 60'000, .tpot_ms = 1'000, .sticky_loss_ms = 6'000};
  }
  PERIGEE_ASSERT(false);
}

}  // namespace perigee
