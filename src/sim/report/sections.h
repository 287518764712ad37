// The sections of a report, each as markup. Internal to report.cpp.
#pragma once

#include <string>
#include <vector>

#include "sim/report/report.h"

namespace perigee::sim {

// Positions in run.policies, most goodput first; ties by the p99 of TTFT.
std::vector<std::size_t> ranking(const RunResult& run);

std::string headline(const Report& report, const RunResult& run);
std::string tiles(const RunResult& run);
std::string summary_table(const Report& report, const RunResult& run);
std::string latency_table(const Report& report, const RunResult& run);
std::string class_table(const Report& report, const RunResult& run);
std::string own_table(const ReportTable& table);
std::string comparison_section(const RunResult& run);
std::string distribution_section(const RunResult& run);
std::string timeline_section(const RunResult& run);
std::string sweep_section(const Report& report);
// Map and table of sites of one policy.
std::string site_section(const RunResult& run, std::size_t policy);

}  // namespace perigee::sim
