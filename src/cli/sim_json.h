// A run of the simulator as JSON: the form that `perigee sim -o json` prints.
#pragma once

#include <boost/json/fwd.hpp>

#include "sim/result.h"

namespace perigee::cli {

// `with_series`: time lines, sites, flows and distributions too.
boost::json::object sim_json(const sim::RunResult& run, bool with_series);

// One policy's part of it, also for what is run in other ways than by name.
boost::json::object policy_json(const sim::PolicyResult& policy, bool with_series);

}  // namespace perigee::cli
