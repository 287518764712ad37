// DemoView: what the demo prints.
#pragma once

#include <boost/json/fwd.hpp>

#include "demo/demo_grid.h"
#include "demo/tour.h"

namespace perigee::cli {

// The sites, a key, a curl line that works as it stands, and what to try.
void print_banner(const demo::DemoGrid& grid);

void print_tour(const demo::TourReport& report);
// {"held","requests":[{"ingress","site","ttft_ms","total_ms","tokens","text","reason"}]} and, when
// something did not hold, "faults".
boost::json::value tour_json(const demo::TourReport& report);

}  // namespace perigee::cli
