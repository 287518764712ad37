// RouterWorld: one Router under a clock that only `advance` moves, driven by scenario commands (see
// README.md here for them all).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "arguments.h"
#include "core/router.h"

namespace perigee::scenarios {

class RouterWorld {
 public:
  RouterWorld();
  std::string run(std::string_view line);

 private:
  struct Running {
    AttemptTicket ticket = 0;
    Instant started{};
    std::optional<Instant> first_token;
    RouteRequest request;
  };

  std::string router(Arguments& arguments);
  std::string report(Arguments& arguments);
  std::string plan(Arguments& arguments);
  std::string repeat(Arguments& arguments);
  std::string spread(Arguments& arguments);
  std::string explain(Arguments& arguments);
  std::string start(Arguments& arguments);
  std::string serve(Arguments& arguments);
  std::string finish(Arguments& arguments);

  CandidateIndex index_of(const std::string& name) const;
  std::string name_of(CandidateIndex index) const;
  std::string show(const RoutePlan& plan) const;

  RouterOptions options_;
  Router router_;
  Instant now_{seconds{1000}};
  std::map<std::string, CandidateState> states_;  // by name, as last reported
  std::map<std::string, Running> running_;
};

}  // namespace perigee::scenarios
