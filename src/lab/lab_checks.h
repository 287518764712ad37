// Judges what a lab has seen. No IO but the model's own work.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lab/lab_report.h"
#include "lab/ledger_reader.h"
#include "lab/process_probe.h"
#include "lab/text_checker.h"

namespace perigee::lab {

// A process that lived through all faults.
struct Survivor {
  std::string name;
  ProcessSize before;  // as the load with faults began
  ProcessSize after;   // when it had ended
};

// All must outlive judge().
struct LabEvidence {
  const LabPlan& plan;
  std::span<const LabRequest> requests;
  std::span<const LabAnswer> answers;      // under faults, in the order of their requests
  std::span<const LabAnswer> undisturbed;  // the same requests before; empty: not run
  std::span<const FaultEvent> faults;
  std::size_t restarts = 0;               // of sites that were asked to end
  std::string not_mended;                 // what did not come back; empty: all did
  std::vector<StoredUsage> usage;         // of all ledgers
  std::vector<std::string> usage_faults;  // ledgers that can't be read
  std::vector<Survivor> survivors;
  std::vector<std::string> left_behind;  // processes
};

// `progress` is told how many of how many texts are checked.
LabReport judge(const LabEvidence& evidence, TextChecker& checker,
                const std::function<void(std::size_t, std::size_t)>& progress);

// How long streams stood still where a fault struck: for each stream of `answers` that had begun
// to speak, the time between the last text before the fault and the first after it, in ms.
std::vector<double> switch_gaps_ms(std::span<const LabAnswer> answers,
                                   std::span<const FaultEvent> faults);

}  // namespace perigee::lab
