// LabRun: one lab from its plan to its report: starts a demo grid, runs the workload without and
// with faults, takes the grid down and judges.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "demo/demo_grid.h"
#include "lab/lab_plan.h"
#include "lab/lab_report.h"
#include "net/task.h"

namespace perigee::lab {

struct LabOptions {
  std::string program;     // the perigee binary
  std::string model_file;  // the demo model
  std::string temp = "/tmp";
  bool keep_folder = false;  // configurations, logs and ledgers stay for a look
};

// On one IO thread that lives as long as it (DemoGrid says why). Destroying it kills what runs and
// removes the folder.
class LabRun {
 public:
  // `clock` must outlive it. `tell` gets one line of progress at a time.
  LabRun(Executor executor, const Clock& clock, LabPlan plan, LabOptions options,
         std::function<void(const std::string&)> tell);
  ~LabRun();
  LabRun(const LabRun&) = delete;
  LabRun& operator=(const LabRun&) = delete;

  // Once. An Error means that the lab could not be held; what did not hold is in the report.
  Task<Result<LabReport>> run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Before run(): as many descriptors as the system allows, and a write beyond a file-size limit is
// an error instead of a signal, here and in all processes started from here.
void prepare_process();

}  // namespace perigee::lab
