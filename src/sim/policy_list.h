// The makers of all baselines: one file per policy in src/sim/policies. What each was published as,
// and what it leaves out, stands at the head of its file.
#pragma once

#include <memory>

#include "sim/policy.h"

namespace perigee::sim {

std::unique_ptr<Policy> make_round_robin(const PolicyContext& context);  // central too
std::unique_ptr<Policy> make_least_load(const PolicyContext& context);
std::unique_ptr<Policy> make_nearest(const PolicyContext& context);
std::unique_ptr<Policy> make_nearest_overflow(const PolicyContext& context);
std::unique_ptr<Policy> make_p2c(const PolicyContext& context);
std::unique_ptr<Policy> make_prequal(const PolicyContext& context);
std::unique_ptr<Policy> make_smg_cache_aware(const PolicyContext& context);
std::unique_ptr<Policy> make_smg_least_load(const PolicyContext& context);
std::unique_ptr<Policy> make_llmd_blend(const PolicyContext& context);
std::unique_ptr<Policy> make_llmd_sticky(const PolicyContext& context);
std::unique_ptr<Policy> make_dynamo(const PolicyContext& context);
std::unique_ptr<Policy> make_gorgo(const PolicyContext& context);
std::unique_ptr<Policy> make_skywalker(const PolicyContext& context);
std::unique_ptr<Policy> make_lmetric(const PolicyContext& context);
std::unique_ptr<Policy> make_central_pooled(const PolicyContext& context);
std::unique_ptr<Policy> make_oracle(const PolicyContext& context);

}  // namespace perigee::sim
