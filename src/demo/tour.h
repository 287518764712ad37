// Tour: what `perigee demo --once` does with a fresh grid, checking as it goes: asks at every site,
// shows that the law binds, explains a route, kills the site that serves it, and asks again.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "demo/demo_grid.h"
#include "net/task.h"

namespace perigee::demo {

struct TourRequest {
  std::string ingress;  // where it was asked
  AnswerReport answer;
};

struct TourReport {
  std::vector<TourRequest> requests;
  std::string explained_at;         // the ingress whose route was explained
  std::string explanation;          // the JSON of POST /v1/route/explain
  std::string killed;               // the site that served that ingress
  std::vector<std::string> faults;  // what did not hold; one sentence each
  bool held() const { return faults.empty(); }
};

// `grid` must be started, and outlive the tour. A fault of the grid is in the report, never an
// error.
Task<TourReport> take_tour(DemoGrid& grid, std::function<void(const std::string&)> tell);

}  // namespace perigee::demo
