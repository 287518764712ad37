// LabReport: what a lab found: named checks that held or did not, and figures.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lab/fault_driver.h"
#include "lab/lab_answer.h"
#include "lab/lab_plan.h"
#include "lab/lab_requests.h"

namespace perigee::lab {

// One thing that must hold.
struct Check {
  std::string name;  // "complete"
  bool held = false;
  std::string says;                   // one line, with its figures
  std::vector<std::string> examples;  // of what did not hold; few
};

struct Figures {
  std::size_t requests = 0;
  std::size_t complete = 0;
  std::size_t refused = 0;
  std::size_t disturbed = 0;  // streams that were open where a fault struck, and complete
  std::size_t faults = 0;     // brought about
  std::size_t passed_over = 0;
  std::uint64_t tokens = 0;     // of complete answers, counted by the checker
  std::uint64_t near_ties = 0;  // of them
  double gap_max = 0;           // in logits, at a near tie
  std::size_t equal = 0;        // texts equal to the undisturbed run's
  std::size_t compared = 0;
  double typical_gap_ms_p50 = 0;  // between two texts of a stream
  double switch_gap_ms_p50 = 0;   // over the fault, in disturbed streams
  double switch_gap_ms_p99 = 0;
  std::size_t cuts = 0;       // links or islands that were healed
  double routing_ms_max = 0;  // until all sites saw each other again
  double first_text_ms_p50 = 0;
  double first_text_ms_p99 = 0;
  double load_s = 0;
};

struct LabReport {
  std::string name;
  std::string title;
  std::uint64_t seed = 0;
  std::vector<Check> checks;
  Figures figures;
  std::map<std::string, std::size_t> faults;    // brought about, by what: "kill engine"
  std::map<std::string, std::size_t> failures;  // why answers are not complete
  bool held() const;
};

}  // namespace perigee::lab
