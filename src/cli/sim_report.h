// What `perigee sim` and `perigee plan` share: sweeps over a key, and the page of a run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sim/report/report.h"

namespace perigee::cli {

// "KEY=a,b,c": the scenario runs once per value, each as "--set KEY=VALUE" would.
struct Sweep {
  std::string key;  // empty: none
  std::vector<std::string> values;
};
// At most 100 values; commas inside brackets and quotes belong to a value. "" is no sweep.
Result<Sweep> parse_sweep(std::string_view text);

// Names the policies of the runs and says what each one does.
std::vector<sim::ReportPolicy> explain_policies(const sim::RunResult& run);

// Writes the page to `path`, which is replaced only by a whole one.
Result<> write_report(sim::Report report, const std::string& path);

}  // namespace perigee::cli
