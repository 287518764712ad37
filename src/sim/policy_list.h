// The makers of all policies: one file per policy or family.
#pragma once

#include <memory>

#include "sim/policy.h"

namespace perigee::sim {

std::unique_ptr<Policy> make_round_robin(const PolicyContext& context);
std::unique_ptr<Policy> make_least_load(const PolicyContext& context);
std::unique_ptr<Policy> make_nearest(const PolicyContext& context);
std::unique_ptr<Policy> make_central_pooled(const PolicyContext& context);

}  // namespace perigee::sim
