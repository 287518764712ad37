// The production router as a policy: one Router per site, told what its site is told.
#pragma once

#include <memory>

#include "sim/policy.h"

namespace perigee::sim {

std::unique_ptr<Policy> make_perigee(const PolicyContext& context);

}  // namespace perigee::sim
