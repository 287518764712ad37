// For tests: one engine in virtual time, and what those see who ask it.
#pragma once

#include <functional>
#include <vector>

#include "base/assert.h"
#include "sim/engine_model.h"

namespace perigee::sim {

struct Served {
  Nanos arrived = 0;
  Nanos first = -1;
  Nanos finished = -1;
  std::uint32_t cached = 0;
  std::uint32_t output_tokens = 0;
  double ttft_ms() const { return ms_from_nanos(first - arrived); }
  double e2e_ms() const { return ms_from_nanos(finished - arrived); }
  double tpot_ms() const { return ms_from_nanos(finished - first) / (output_tokens - 1); }
};

// `on_end` may submit more.
class Bench {
 public:
  Bench(const EngineProfile& profile, std::uint32_t block_tokens) : engine(profile, block_tokens) {}

  void submit(SequenceSpec spec, Nanos now) {
    run_until(now);
    spec.request = static_cast<std::uint32_t>(served.size());
    served.push_back({.arrived = now, .output_tokens = spec.output_tokens});
    PERIGEE_ASSERT(engine.submit(spec, now));
  }
  void run_until(Nanos end) {
    while (engine.next_boundary() <= end && engine.next_boundary() != kNever) step();
  }
  void step() {
    const Nanos now = engine.next_boundary();
    std::vector<EngineNotice> notices;
    engine.boundary(now, notices);
    for (const EngineNotice& notice : notices) {
      Served& s = served[notice.request];
      if (notice.what == EngineNotice::What::FirstToken) {
        s.first = now;
        s.cached = notice.cached_tokens;
      } else {
        s.finished = now;
        if (on_end) on_end(notice.request, now);
      }
    }
  }
  void drain() { run_until(kNever - 1); }

  EngineModel engine;
  std::vector<Served> served;
  std::function<void(std::uint32_t, Nanos)> on_end;
};

inline EngineProfile h100() {
  EngineProfile profile = *find_profile("h100", "bfloat16", "llama-3.1-8b");
  profile.overhead_ms = 0;
  return profile;
}

}  // namespace perigee::sim
