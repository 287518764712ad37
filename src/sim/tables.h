// Small tables of data/ that are part of the program, as CSV text.
#pragma once

#include <string_view>

namespace perigee::sim {

extern const std::string_view kIterationFits;  // data/perf/iteration_linear_fit.csv
extern const std::string_view kGpuSpecs;       // data/perf/gpu_specs.csv
extern const std::string_view kHourProfile;    // data/traces/servegen_hour_profile.csv

}  // namespace perigee::sim
