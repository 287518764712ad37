// Report: runs of the simulator as one HTML page for people who plan networks. Self-contained: no
// network, no fonts or scripts of others; figures are SVG that is readable without the page's few
// lines of script; light and dark; prints. Under 1 MB whatever the run's size.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/result.h"

namespace perigee::sim {

// A table of the caller's, shown before the figures. Cells are text, not markup.
struct ReportTable {
  std::string title;
  std::string note;
  std::vector<std::string> columns;  // the first is left aligned, the others right
  std::vector<std::vector<std::string>> rows;
};

struct ReportPolicy {
  std::string name;
  std::string summary;
};

struct Report {
  // At least one. Several are a sweep: the same policies at several values of a key, in order. The
  // figures but for the sweep's own show the last one unless `shown` says otherwise.
  std::vector<RunResult> runs;
  std::size_t shown = 0;
  std::string sweep_key;                  // "load"; empty without a sweep
  std::vector<std::string> sweep_values;  // as many as runs, then
  std::string headline;                   // empty: made from the figures
  std::string subject = "Policy";         // what PolicyResult::policy names
  std::vector<ReportTable> tables;
  std::vector<ReportPolicy> policies;  // explained at the end; may be empty
  std::string version;                 // of the program; may be empty
};

std::string render_report(const Report& report);

}  // namespace perigee::sim
