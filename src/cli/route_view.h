// RouteView: the answer of POST /v1/route/explain for people.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

#include "cli/output.h"

namespace perigee::cli {

// One row per candidate, best first: its terms in milliseconds and its place in the plan, or why it
// is out.
Table route_table(const boost::json::value& explanation);
// One sentence: who gets the request, and why; or why nobody can.
std::string route_sentence(const boost::json::value& explanation);

}  // namespace perigee::cli
