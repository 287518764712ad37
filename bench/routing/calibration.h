// Finds the load at which a scenario tells routing policies apart. At low load all of them serve
// everything in time, far beyond what the engines can do none serves anything. One rule for all
// scenarios: the load at which the best baseline serves a given share in time. The policy that is
// being judged takes no part in it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/policy.h"

namespace perigee::bench {

struct CalibrationOptions {
  std::vector<std::string> overrides;
  std::vector<const sim::PolicyEntry*> baselines;
  // Attainment is the mean over these: none of the comparison's.
  std::vector<std::uint64_t> seeds{1001, 1002, 1003, 1004};
  double attainment = 0.85;
  unsigned threads = 1;
  std::function<void(double load, double attainment, const std::string& best)>
      tried;  // may be empty
};

struct Calibration {
  double load = 1;
  double attainment = 0;
  std::string best;
};

// Attainment is taken as falling with load. Baselines that are far behind at a load that the best
// one bears are not run again. InvalidArgument when the scenario can't be read.
Result<Calibration> calibrate(const std::string& file, CalibrationOptions options);

}  // namespace perigee::bench
